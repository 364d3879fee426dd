//! What the timeouts promise, one sentence each.
#![allow(
    clippy::unwrap_used,
    reason = "a test tells what is wrong by panicking there"
)]

mod attempts;
mod deadlines;
mod learned;

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use seawall_core::{
    DefaultMeta, Error, EventKind, Events, InstanceHandle, Reason, Received, Registry, Rejectable,
    Rejection, Replay, RequestMeta, Sent, Value,
};
use seawall_testkit::contract::{Mock, Probe, Stage, mock};
use seawall_timeout::{
    AttemptTimeout, AttemptTimeoutHandle, AttemptTimeoutLayer, Deadline, DeadlineHandle,
    DeadlineLayer, Fixed, Learned, LearnedConfig, NoOverride, NoPropagation, attempt, deadline,
};
use tokio::time::{Instant, advance, sleep};
use tower::limit::ConcurrencyLimitLayer;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn attempt_layer(timeout: Duration) -> AttemptTimeoutLayer {
    AttemptTimeoutLayer::new("a", timeout).unwrap()
}

fn deadline_layer(timeout: Duration) -> DeadlineLayer {
    DeadlineLayer::new("d", timeout).unwrap()
}

fn rejection<T: std::fmt::Debug>(answer: Result<T, BoxError>) -> (Reason, Sent) {
    let error = answer.expect_err("a rejection");
    let rejection = error.rejection().expect("a rejection of a layer");
    (rejection.reason(), rejection.sent())
}

/// A service that answers after the time that is its request.
fn sleeper() -> impl Service<Duration, Response = Duration, Error = Rejection, Future: Send> + Clone
{
    service_fn(|time: Duration| async move {
        sleep(time).await;
        Ok(time)
    })
}

mod auto_traits {
    use super::*;
    use static_assertions::{assert_impl_all, assert_not_impl_any};

    type Local = Rc<Cell<u32>>;
    type Ready<E> = std::future::Ready<Result<(), E>>;

    assert_impl_all!(AttemptTimeout<Mock>: Send, Sync, Clone, Unpin);
    assert_impl_all!(Deadline<Mock>: Send, Sync, Clone, Unpin);
    assert_impl_all!(AttemptTimeout<Mock, DefaultMeta, NoOverride, Learned>: Send, Sync, Clone, Unpin);
    assert_impl_all!(attempt::ResponseFuture<Ready<Rejection>, attempt::Learning>: Send, Sync);
    assert_impl_all!(Fixed: Send, Sync, Copy);
    assert_not_impl_any!(AttemptTimeout<Local>: Send, Sync);
    assert_not_impl_any!(Deadline<Local>: Send, Sync);
    assert_impl_all!(attempt::ResponseFuture<Ready<Rejection>>: Send, Sync);
    assert_impl_all!(deadline::ResponseFuture<Ready<Rejection>>: Send, Sync);
    assert_not_impl_any!(attempt::ResponseFuture<Ready<Local>>: Send, Sync);
    assert_not_impl_any!(deadline::ResponseFuture<Ready<Local>>: Send, Sync);
    // The timer is stored in the future, so a future has an address of its own.
    assert_not_impl_any!(attempt::ResponseFuture<Ready<Rejection>>: Unpin);
    assert_impl_all!(AttemptTimeoutHandle: Send, Sync, Clone, std::fmt::Debug);
    assert_impl_all!(DeadlineHandle: Send, Sync, Clone, std::fmt::Debug);
}

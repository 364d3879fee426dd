//! What the timeouts promise, one sentence each.
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

mod attempts;
mod deadlines;
mod handles;
mod learned;
mod propagation;

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
    Command, Error, EventKind, Events, Figure, InstanceHandle, Policy, Reason, Received, Registry,
    Rejectable, Rejection, Replay, RequestMeta, Sent, Value,
};
use seawall_testkit::contract::{Mock, PolledFuture, Stage, mock};
use seawall_timeout::{
    AttemptTimeout, AttemptTimeoutConfig, AttemptTimeoutFuture, AttemptTimeoutHandle,
    AttemptTimeoutLayer, AttemptTimeoutState, Deadline, DeadlineConfig, DeadlineFuture,
    DeadlineHandle, DeadlineLayer, DeadlineState, Learned, LearnedConfig, LearnedConfigBuilder,
    NoOverride, NoPropagation,
};
use tokio::time::{Instant, advance, sleep};
use tower::limit::ConcurrencyLimitLayer;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn attempt_layer(timeout: Duration) -> AttemptTimeoutLayer {
    AttemptTimeoutLayer::new("a", AttemptTimeoutConfig::fixed(timeout).unwrap())
}

fn deadline_layer(timeout: Duration) -> DeadlineLayer {
    DeadlineLayer::new("d", DeadlineConfig::new(timeout).unwrap())
}

fn rejection<T: std::fmt::Debug>(result: Result<T, BoxError>) -> (Reason, Sent) {
    let error = result.expect_err("a rejection");
    let rejection = error.rejection().expect("a rejection of a layer");
    (rejection.reason(), rejection.sent())
}

/// A service that responds after the time that is its request.
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

    type Learning<S> = AttemptTimeout<S, Policy, NoOverride, Learned>;
    type LearningFuture = <Learning<Immediate> as Service<()>>::Future;

    /// A service that is ready and responds at once.
    struct Immediate;
    impl Service<()> for Immediate {
        type Response = ();
        type Error = Rejection;
        type Future = Ready<Rejection>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, (): ()) -> Self::Future {
            std::future::ready(Ok(()))
        }
    }

    assert_impl_all!(AttemptTimeout<Mock>: Send, Sync, Clone, Unpin);
    assert_impl_all!(Deadline<Mock>: Send, Sync, Clone, Unpin);
    assert_impl_all!(Learning<Mock>: Send, Sync, Clone, Unpin);
    assert_impl_all!(LearningFuture: Send, Sync);
    assert_not_impl_any!(AttemptTimeout<Local>: Send, Sync);
    assert_not_impl_any!(Deadline<Local>: Send, Sync);
    assert_impl_all!(AttemptTimeoutFuture<Ready<Rejection>>: Send, Sync);
    assert_impl_all!(DeadlineFuture<Ready<Rejection>>: Send, Sync);
    assert_not_impl_any!(AttemptTimeoutFuture<Ready<Local>>: Send, Sync);
    assert_not_impl_any!(DeadlineFuture<Ready<Local>>: Send, Sync);
    // The timer has an address of its own, so a future needs none unless the inner one does.
    assert_impl_all!(AttemptTimeoutFuture<Ready<Rejection>>: Unpin);
    assert_impl_all!(AttemptTimeoutHandle: Send, Sync, Clone, std::fmt::Debug);
    assert_impl_all!(DeadlineHandle: Send, Sync, Clone, std::fmt::Debug);
}

//! What the layer does, as its users see it.
#![cfg(feature = "inject")]
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

mod cancel;
mod carried;
mod control;
mod effects;
mod locks;
mod off;
mod orders;
mod repeat;
mod stale;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_chaos::{
    Chaos, ChaosConfig, ChaosHandle, ChaosLayer, Delay, ErrorFaults, Fault, FaultKind,
    InjectedError, Policy,
};
use seawall_core::{ConstMeta, ErrorIsFailure, Sent};
use seawall_testkit::contract::{Mock, MockHandle, mock};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);

type Reads = Policy<ErrorIsFailure, ConstMeta>;

fn reads() -> ChaosLayer<Reads> {
    ChaosLayer::new("test", ChaosConfig::builder().seed(7).build().unwrap()).assume_idempotent()
}

/// A chaos layer around a mock.
fn subject() -> (Chaos<Mock, Reads, ErrorFaults>, MockHandle, ChaosHandle) {
    let (inner, mock) = mock();
    let layer = reads();
    (layer.layer(inner), mock, layer.handle())
}

fn constant(delay: Duration) -> Fault {
    Fault::delay(Delay::constant(delay).unwrap())
}

/// What a call of a mock that echoes comes to, and how long it took.
async fn call<S>(service: &mut S) -> (Result<u32, BoxError>, Duration)
where
    S: Service<u32, Response = u32, Error = BoxError>,
{
    let before = Instant::now();
    let result = service.ready().await.unwrap().call(3).await;
    (result, Instant::now() - before)
}

fn injected(result: Result<u32, BoxError>) -> (FaultKind, Sent) {
    let error = result.expect_err("an injected error");
    let injected = error
        .downcast_ref::<InjectedError>()
        .expect("an injected error");
    (injected.kind(), injected.sent())
}

/// Polls once, with no waker that anybody sees.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

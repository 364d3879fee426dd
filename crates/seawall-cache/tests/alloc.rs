//! A hit, a call that is not cached, and a call that nobody waits for allocate nothing.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_cache::{CacheConfig, CacheLayer, CoalesceConfig, CoalesceLayer};
use seawall_core::{Error, WrapErrorLayer};
use seawall_testkit::alloc;
use tower::{Layer, Service};

#[derive(Clone)]
struct Instant;

impl Service<u64> for Instant {
    type Response = u64;
    type Error = Infallible;
    type Future = Ready<Result<u64, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        ready(Ok(request))
    }
}

fn even(request: &u64) -> Option<u64> {
    request.is_multiple_of(2).then_some(*request)
}

fn call<S: Service<u64, Response = u64, Error = Error<Infallible>>>(service: &mut S, request: u64) {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready());
    let future = pin!(service.call(request));
    assert!(matches!(future.poll(cx), Poll::Ready(Ok(response)) if response == request));
}

fn allocations<S>(service: &mut S, request: u64) -> u64
where
    S: Service<u64, Response = u64, Error = Error<Infallible>>,
{
    for _ in 0..3 {
        call(service, request);
    }
    alloc::count(|| call(service, request)).allocations
}

#[test]
fn hits_and_calls_that_pass_allocate_nothing() {
    let config = CacheConfig::new(Duration::from_secs(60)).expect("a valid one");
    let layer = CacheLayer::new("alloc", config)
        .assume_idempotent()
        .key(even);
    let handle = layer.handle();
    let mut cache = layer.layer(WrapErrorLayer.layer(Instant));
    assert_eq!(allocations(&mut cache, 2), 0);
    assert_eq!(allocations(&mut cache, 1), 0);
    let calls = handle.counts().calls;
    assert_eq!((calls.hit, calls.miss, calls.passed), (3, 1, 4));
}

#[test]
fn a_call_that_nobody_waits_for_allocates_nothing() {
    let layer = CoalesceLayer::new("alloc", CoalesceConfig::default());
    let layer = layer.assume_idempotent().key(even);
    let handle = layer.handle();
    let mut service = layer.layer(WrapErrorLayer.layer(Instant));
    assert_eq!(allocations(&mut service, 2), 0);
    assert_eq!(allocations(&mut service, 1), 0);
    assert_eq!((handle.counts().led, handle.counts().passed), (4, 4));
}

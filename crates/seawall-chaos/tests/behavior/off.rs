//! While no fault is on.

use super::*;
use seawall_testkit::alloc;
use static_assertions::assert_impl_all;
use std::future::{Ready, ready};

/// A service that allocates nothing.
#[derive(Clone, Debug)]
struct Echo;

impl Service<u32> for Echo {
    type Response = u32;
    type Error = BoxError;
    type Future = Ready<Result<u32, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        ready(Ok(request))
    }
}

fn run(service: &mut Chaos<Echo, Reads>) -> bool {
    let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
    ready.is_ready()
        && matches!(
            poll_once(&mut std::pin::pin!(service.call(3))),
            Poll::Ready(Ok(3))
        )
}

#[test]
fn a_call_allocates_nothing_before_the_first_start_and_after_the_last_stop() {
    let layer = reads();
    let mut service = layer.layer(Echo);
    assert_eq!(alloc::count(|| assert!(run(&mut service))).allocations, 0);
    let injection = layer.handle().start(Fault::lost_response()).unwrap();
    assert!(!run(&mut service));
    injection.stop();
    assert_eq!(alloc::count(|| assert!(run(&mut service))).allocations, 0);
}

#[test]
fn the_future_is_the_inner_one_beside_a_box() {
    let inner = size_of::<Ready<Result<u32, BoxError>>>();
    let outer = size_of::<<Chaos<Echo, Reads> as Service<u32>>::Future>();
    assert!(outer <= inner + size_of::<usize>(), "{outer} for {inner}");
}

assert_impl_all!(Chaos<Echo, Reads>: Send, Sync, Clone, std::fmt::Debug);
assert_impl_all!(<Chaos<Echo, Reads> as Service<u32>>::Future: Send, Sync);
assert_impl_all!(ChaosHandle: Send, Sync);
assert_impl_all!(seawall_chaos::Injection: Send, Sync);

//! A call that succeeds allocates nothing, whatever the steps are; one that a value answers neither.
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

use std::future::{Future as _, Ready, ready};
use std::task::{Context, Poll};

use seawall_core::Error;
use seawall_fallback::{FallbackConfig, FallbackLayer, LastGood, LastGoodConfig, Step};
use seawall_testkit::alloc::count;
use tower::{Layer as _, Service};

#[derive(Clone)]
struct Upstream;

impl Service<u32> for Upstream {
    type Response = u32;
    type Error = Error<()>;
    type Future = Ready<Result<u32, Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<()>>> {
        Poll::Ready(Ok(()))
    }

    /// Odd ones fail.
    fn call(&mut self, request: u32) -> Self::Future {
        ready(if request.is_multiple_of(2) {
            Ok(request)
        } else {
            Err(Error::Inner(()))
        })
    }
}

fn allocations(steps: Vec<Step<u32, u32>>, request: u32) -> u64 {
    let layer = FallbackLayer::new("alloc", FallbackConfig::default(), steps);
    let mut service = layer.unwrap().assume_idempotent().layer(Upstream);
    let mut call = move || {
        let future = service.call(request);
        let mut future = std::pin::pin!(future);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut cx).is_ready());
    };
    call();
    call();
    count(call).allocations
}

fn backup() -> Step<u32, u32> {
    Step::backup("backup", Upstream)
}

fn last_good() -> Step<u32, u32> {
    Step::last_good(LastGood::new(LastGoodConfig::default(), |one: &u32| {
        Some(*one)
    }))
}

#[tokio::test]
async fn a_success_allocates_nothing() {
    assert_eq!(allocations(vec![Step::value("value", 1)], 2), 0);
    assert_eq!(allocations(vec![backup(), Step::value("value", 1)], 2), 0);
    assert_eq!(
        allocations(vec![last_good()], 2),
        0,
        "of a key that is known"
    );
}

#[tokio::test]
async fn a_value_allocates_nothing_and_a_backup_two_futures() {
    assert_eq!(allocations(vec![Step::value("value", 1)], 3), 0);
    assert!(allocations(vec![backup()], 3) >= 2, "what is counted");
}

//! What a bulkhead promises that holds callers back in `poll_ready`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_bulkhead::{
    Bulkhead, BulkheadConfig, BulkheadHandle, BulkheadLayer, CallSample, LimitAlgorithm,
    ReservingBulkhead,
};
use seawall_core::{Priority, Reason, Rejectable, Rejection};
use seawall_testkit::alloc;
use seawall_testkit::contract::{
    Mock, MockHandle, PolledFuture, Stage, assert_check, checks, mock,
};
use static_assertions::assert_impl_all;
use tower_layer::Layer;
use tower_service::Service;

fn layer(permits: u32, waiting: u32) -> BulkheadLayer {
    let config = BulkheadConfig::builder()
        .max_concurrent(permits)
        .max_waiting(waiting)
        .build();
    BulkheadLayer::new("orders", config.expect("valid settings"))
}

fn subject(permits: u32) -> (ReservingBulkhead<Mock>, BulkheadHandle, MockHandle) {
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = layer(permits, 0);
    (layer.reserving().layer(inner), layer.handle(), mock)
}

/// Asks for readiness as a future, to count its wakes.
fn ready(svc: &mut ReservingBulkhead<Mock>) -> PolledFuture<impl Future<Output = bool>> {
    PolledFuture::new(std::future::poll_fn(|cx| {
        svc.poll_ready(cx).map(|r| r.is_ok())
    }))
}

fn is_ready(svc: &mut ReservingBulkhead<Mock>) -> bool {
    matches!(ready(svc).poll(), Poll::Ready(true))
}

#[tokio::test(start_paused = true)]
async fn a_ready_instance_holds_a_permit_until_it_is_called_or_dropped() {
    let (mut svc, handle, mock) = subject(1);
    assert!(is_ready(&mut svc) && is_ready(&mut svc));
    assert_eq!(handle.in_flight(), 1);
    let mut other = svc.clone();
    assert!(!is_ready(&mut other), "a clone holds nothing");
    let mut call = PolledFuture::new(svc.call(1));
    assert!(call.poll().is_pending());
    assert_eq!(handle.in_flight(), 1);
    mock.respond(0, Ok(()));
    assert!(call.poll().is_ready());
    assert!(is_ready(&mut other));
    drop(other);
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
    let counts = handle.counts();
    assert_eq!(
        (counts.success, counts.abandoned),
        (1, 0),
        "there was one call"
    );
}

#[tokio::test(start_paused = true)]
async fn instances_wait_in_order_and_one_that_is_dropped_wakes_the_next() {
    let (mut first, handle, mock) = subject(1);
    let (mut second, mut third, mut fourth) = (first.clone(), first.clone(), first.clone());
    assert!(is_ready(&mut first));
    let mut waits = ready(&mut second);
    assert!(waits.poll().is_pending());
    let mut after = ready(&mut third);
    assert!(after.poll().is_pending());
    // However many wait: `max_waiting` is 0 here.
    assert!(!is_ready(&mut fourth));
    assert_eq!(handle.queue_depth(), 3);
    assert_eq!(mock.reserved(), 1, "a waiter reserves nothing below");
    drop(first);
    assert_eq!((waits.wakes(), after.wakes()), (1, 0));
    drop(waits);
    drop(second);
    assert_eq!(after.wakes(), 1);
    assert!(matches!(after.poll(), Poll::Ready(true)));
    drop(after);
    drop((third, fourth));
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn both_kinds_share_the_permits_and_the_queue() {
    let layer = layer(1, 8);
    let (inner, mock) = mock();
    mock.hold_responses();
    let mut queueing: Bulkhead<Mock> = layer.layer(inner.clone());
    let urgent = layer.reserving().priority(Priority::HIGH);
    let mut reserving = urgent.layer(inner);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut send = |n| {
        assert!(queueing.poll_ready(cx).is_ready());
        PolledFuture::new(queueing.call(n))
    };
    let mut running = send(0);
    let mut waits = send(1);
    assert!(running.poll().is_pending() && waits.poll().is_pending());
    let mut urgent = ready(&mut reserving);
    assert!(urgent.poll().is_pending());
    drop(running);
    assert_eq!((urgent.wakes(), waits.wakes()), (1, 0));
    assert!(matches!(urgent.poll(), Poll::Ready(true)));
    drop(urgent);
    let call = reserving.call(2);
    assert!(waits.poll().is_pending());
    drop(call);
    assert!(waits.wakes() == 1 && waits.poll().is_pending());
    assert_eq!(mock.requests(), [0, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_no_longer_ready_releases_its_permit() {
    let (mut svc, handle, mock) = subject(1);
    let mut other = svc.clone();
    assert!(is_ready(&mut svc));
    mock.set_pending();
    assert!(!is_ready(&mut svc));
    assert_eq!(handle.in_flight(), 0);
    mock.set_ready();
    assert!(is_ready(&mut other));
    mock.set_failed();
    assert!(matches!(ready(&mut other).poll(), Poll::Ready(false)));
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_while_it_waits_leaves_the_queue() {
    let (mut svc, handle, mock) = subject(1);
    let mut other = svc.clone();
    assert!(is_ready(&mut svc) && !is_ready(&mut other));
    drop(svc);
    mock.set_failed();
    assert!(matches!(ready(&mut other).poll(), Poll::Ready(false)));
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
}

/// It was skipped, and another call has the permit when its service is ready.
#[tokio::test(start_paused = true)]
async fn an_instance_that_is_queued_again_keeps_no_reservation() {
    let layer = layer(1, 0).reserving();
    let ((a, dead), (b, _live)) = (mock(), mock());
    let (mut stuck, mut first) = (layer.layer(a), layer.layer(b));
    let mut second = first.clone();
    assert!(is_ready(&mut first) && !is_ready(&mut stuck));
    dead.set_pending();
    drop(first);
    assert!(!is_ready(&mut stuck));
    assert!(is_ready(&mut second));
    dead.set_ready();
    assert!(!is_ready(&mut stuck));
    assert_eq!(dead.reserved(), 0);
    drop(second);
    assert!(is_ready(&mut stuck));
    assert_eq!(dead.reserved(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_back_and_a_drain_rejects_in_call() {
    let (mut svc, handle, mock) = subject(2);
    handle.pause();
    let mut waits = ready(&mut svc);
    assert!(waits.poll().is_pending());
    handle.resume();
    assert_eq!(waits.wakes(), 1);
    assert!(matches!(waits.poll(), Poll::Ready(true)));
    drop(waits);
    handle.drain();
    let mut late = svc.clone();
    assert!(is_ready(&mut late));
    let Poll::Ready(Err(error)) = PolledFuture::new(late.call(9)).poll() else {
        panic!("it was let in")
    };
    assert_eq!(
        error.rejection().map(Rejection::reason),
        Some(Reason::Draining)
    );
    // What was reserved before is served.
    assert!(PolledFuture::new(svc.call(1)).poll().is_pending());
    assert_eq!((mock.requests(), mock.reserved()), (vec![1], 0));
    assert_eq!(handle.counts().rejected_draining, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_inner_service_releases_the_permit() {
    for stage in [Stage::PollReady, Stage::Call, Stage::Poll] {
        let (mut svc, handle, mock) = subject(1);
        mock.respond_immediately();
        mock.panic_at(stage);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            assert!(is_ready(&mut svc));
            PolledFuture::new(svc.call(0)).poll()
        }));
        assert!(panicked.is_err(), "{stage:?}");
        assert_eq!(
            (handle.in_flight(), handle.queue_depth()),
            (0, 0),
            "{stage:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_algorithm_sees_the_call_and_not_the_reservation() {
    struct Records(Arc<AtomicU64>);
    impl LimitAlgorithm for Records {
        fn on_sample(&mut self, sample: &CallSample) -> Option<u32> {
            self.0.store(sample.latency_ns, Ordering::Relaxed);
            None
        }
    }
    let seen = Arc::new(AtomicU64::new(0));
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = layer(1, 0).limit_algorithm(Records(Arc::clone(&seen)));
    let mut svc = layer.reserving().layer(inner);
    assert!(is_ready(&mut svc));
    tokio::time::advance(Duration::from_secs(9)).await;
    let mut call = PolledFuture::new(svc.call(1));
    assert!(call.poll().is_pending());
    tokio::time::advance(Duration::from_secs(2)).await;
    mock.respond(0, Ok(()));
    assert!(call.poll().is_ready());
    assert_eq!(seen.load(Ordering::Relaxed), 2_000_000_000);
}

#[test]
fn a_call_that_need_not_wait_allocates_nothing() {
    let layer = layer(1, 0);
    let inner = tower::service_fn(|n: u32| std::future::ready(Ok::<_, seawall_core::Error<()>>(n)));
    let mut svc = layer.reserving().layer(inner);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut once = || {
        assert!(svc.poll_ready(cx).is_ready());
        let mut response = std::pin::pin!(svc.call(1));
        assert!(std::future::Future::poll(response.as_mut(), cx).is_ready());
    };
    once();
    assert_eq!(alloc::count(once).allocations, 0);
}

#[test]
#[should_panic(expected = "called without being ready")]
fn a_call_without_readiness_is_a_bug_of_the_caller() {
    let (mut svc, _handle, _mock) = subject(1);
    let _never = svc.call(0);
}

assert_impl_all!(ReservingBulkhead<Mock>: Send, Unpin, Clone);

fn reserving(inner: Mock) -> ReservingBulkhead<Mock> {
    layer(1, 0).reserving().layer(inner)
}

mod reserves {
    use super::*;

    seawall_testkit::contract_tests! { reserving =>
    calls_the_ready_instance, one_request_needs_one_reservation, reserves_once_when_polled_again,
    dropped_service_releases_its_reservation, dropped_future_releases_everything,
    pending_has_registered_the_waker, call_does_not_poll_readiness, spawns_no_task,
    polls_inner_again_before_ready, finished_future_holds_nothing,
    finished_future_has_dropped_the_inner_future, passes_errors_through, survives_a_panic }
}

#[tokio::test(start_paused = true)]
async fn the_contract_of_limits_holds() {
    let three = |m| layer(3, 0).reserving().layer(m);
    assert_check(checks::never_exceeds_its_limit(three, 3).await);
    assert_check(checks::clone_resets_readiness(three).await);
    let two = |a, b| {
        let layer = layer(1, 0).reserving();
        (layer.layer(a), layer.layer(b))
    };
    assert_check(checks::keeps_no_permit_while_inner_is_not_ready(two).await);
}

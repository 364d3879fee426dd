//! What a bulkhead promises beyond the contract of every layer.

use std::cell::Cell;
use std::future::{Future, Ready, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_bulkhead::{
    Bulkhead, BulkheadConfig, BulkheadHandle, BulkheadLayer, BulkheadState, Permit, ResponseFuture,
};
use seawall_core::{
    Complete, Error, EventKind, Events, InstanceHandle, Outcome, Reason, Registry, Rejectable,
    Rejection, Sent, TrackCompletion,
};
use seawall_testkit::alloc;
use seawall_testkit::contract::{BoxError, Mock, MockError, MockHandle, PolledFuture, Stage, mock};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tower::limit::ConcurrencyLimit;
use tower_layer::Layer;
use tower_service::Service;

mod algorithms;
mod deadlines;
mod faults;
mod handed;
mod live;
mod model;
mod order;
mod shape;
mod stress;
mod timeouts;

const SECOND: Duration = Duration::from_secs(1);

/// With the default `max_wait` of 30 seconds.
fn layer(permits: u32, waiting: u32) -> BulkheadLayer {
    let config = BulkheadConfig::builder()
        .max_concurrent(permits)
        .max_waiting(waiting)
        .build()
        .expect("valid settings");
    BulkheadLayer::new("orders", config)
}

/// A bulkhead over a mock that leaves its calls open.
fn subject(permits: u32, waiting: u32) -> (Bulkhead<Mock>, BulkheadHandle, MockHandle) {
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = layer(permits, waiting);
    (layer.layer(inner), layer.handle(), mock)
}

/// Polls ready, which must succeed at once, and calls.
fn call<S: Service<u32>>(service: &mut S, request: u32) -> PolledFuture<S::Future> {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(cx), Poll::Ready(Ok(()))));
    PolledFuture::new(service.call(request))
}

fn rejection(response: Poll<Result<u32, BoxError>>) -> Rejection {
    let Poll::Ready(Err(error)) = response else {
        panic!("{response:?} is no rejection")
    };
    *error.rejection().expect("an error of the bulkhead")
}

#[tokio::test(start_paused = true)]
async fn permits_and_queue_have_exact_sizes() {
    let (mut svc, handle, mock) = subject(2, 2);
    let mut calls: Vec<_> = (0..4).map(|n| call(&mut svc, n)).collect();
    for call in &mut calls {
        assert!(call.poll().is_pending());
    }
    assert_eq!((handle.in_flight(), handle.queue_depth()), (2, 2));
    assert_eq!(mock.requests(), [0, 1]);

    let rejected = rejection(call(&mut svc, 4).poll());
    assert_eq!(rejected.reason(), Reason::BulkheadFull);
    assert_eq!((rejected.sent(), rejected.retry_after()), (Sent::No, None));
    assert_eq!(rejected.name().as_str(), "orders");

    // One waiter leaves, one may join.
    drop(calls.pop());
    let mut last = call(&mut svc, 5);
    assert!(last.poll().is_pending());
    assert_eq!(handle.queue_depth(), 2);
    assert_eq!(
        rejection(call(&mut svc, 6).poll()).reason(),
        Reason::BulkheadFull
    );
    assert_eq!(handle.counts().rejected_full, 2);
    assert_eq!(handle.counts().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_filled_up_before_the_first_poll_rejects() {
    let (mut svc, handle, _mock) = subject(1, 1);
    let _running = call(&mut svc, 0);
    let (mut first, mut second) = (call(&mut svc, 1), call(&mut svc, 2));
    assert!(first.poll().is_pending());
    assert_eq!(rejection(second.poll()).reason(), Reason::BulkheadFull);
    assert_eq!(handle.queue_depth(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_in_is_the_first_out() {
    let (mut svc, handle, mock) = subject(1, 10);
    let mut running = call(&mut svc, 0);
    assert!(running.poll().is_pending());
    let mut queued: Vec<_> = (1..=5).map(|n| call(&mut svc, n)).collect();
    for waiter in &mut queued {
        assert!(waiter.poll().is_pending());
    }
    for served in 0..=5 {
        mock.respond(served, Ok(()));
        let responded = match served {
            0 => running.poll(),
            n => queued[n - 1].poll(),
        };
        assert!(responded.is_ready());
        // The last first: a waiter that is not the head takes nothing, however often it is polled.
        for waiter in queued.iter_mut().skip(served).rev() {
            assert!(waiter.poll().is_pending());
        }
    }
    assert_eq!(mock.requests(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(handle.counts().waited, 5);
}

#[tokio::test(start_paused = true)]
async fn a_new_call_does_not_pass_the_queue() {
    let (mut svc, handle, mock) = subject(1, 10);
    let mut running = call(&mut svc, 0);
    let mut waiter = call(&mut svc, 1);
    assert!(running.poll().is_pending() && waiter.poll().is_pending());
    mock.respond(0, Ok(()));
    assert!(running.poll().is_ready());
    assert_eq!(waiter.wakes(), 1);
    // The permit is available, and a call waits for it.
    let mut late = call(&mut svc, 2);
    assert!(late.poll().is_pending());
    assert_eq!(mock.requests(), [0]);
    assert!(waiter.poll().is_pending());
    assert_eq!(mock.requests(), [0, 1]);
    assert_eq!(handle.queue_depth(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_rejected_when_its_max_wait_ends() {
    let (mut svc, handle, mock) = subject(1, 1);
    let _running = call(&mut svc, 0);
    let mut waits = call(&mut svc, 1);
    // The wait starts with the first poll.
    tokio::time::advance(10 * SECOND).await;
    assert!(waits.poll().is_pending());
    tokio::time::advance(30 * SECOND - Duration::from_millis(1)).await;
    assert!(waits.poll().is_pending());
    tokio::time::advance(Duration::from_millis(1)).await;
    let rejected = rejection(waits.poll());
    assert_eq!(rejected.reason(), Reason::QueueTimeout);
    assert_eq!((rejected.sent(), rejected.retry_after()), (Sent::No, None));
    assert_eq!(handle.queue_depth(), 0);
    assert_eq!(handle.counts().rejected_timeout, 1);
    assert_eq!(mock.requests(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_not_polled_holds_nothing_up() {
    let (mut svc, handle, mock) = subject(1, 1);
    let mut running = call(&mut svc, 0);
    assert!(running.poll().is_pending());
    let forgotten = call(&mut svc, 1);
    let mut waiter = call(&mut svc, 2);
    assert!(waiter.poll().is_pending());
    mock.respond(0, Ok(()));
    assert!(running.poll().is_ready());
    assert!(waiter.poll().is_pending());
    assert_eq!(mock.requests(), [0, 2]);
    drop(forgotten);
    assert_eq!(handle.counts().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn a_woken_waiter_that_is_dropped_wakes_the_next() {
    let (mut svc, handle, mock) = subject(1, 3);
    let mut running = call(&mut svc, 0);
    assert!(running.poll().is_pending());
    let mut queued: Vec<_> = (1..=3).map(|n| call(&mut svc, n)).collect();
    for waiter in &mut queued {
        assert!(waiter.poll().is_pending());
    }
    // A running call is dropped: the first waiter is woken. It is dropped too, and so on.
    drop(running);
    assert_eq!(queued[0].wakes(), 1);
    queued.remove(0);
    assert_eq!(queued[0].wakes(), 1);
    queued.remove(0);
    assert_eq!(queued[0].wakes(), 1);
    assert!(queued[0].poll().is_pending());
    assert_eq!(mock.requests(), [0, 3]);
    queued.clear();
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
    assert_eq!(handle.counts().abandoned, 4);
}

/// The first waiter has been woken and not polled yet when a second permit becomes available: that
/// one is for the second.
#[tokio::test(start_paused = true)]
async fn two_permits_released_at_once_wake_two_waiters() {
    let (mut svc, _handle, mock) = subject(2, 2);
    let running = (call(&mut svc, 0), call(&mut svc, 1));
    let (mut first, mut second) = (call(&mut svc, 2), call(&mut svc, 3));
    assert!(first.poll().is_pending() && second.poll().is_pending());
    drop(running);
    assert_eq!((first.wakes(), second.wakes()), (1, 1));
    assert!(second.poll().is_pending());
    assert!(first.poll().is_pending());
    assert_eq!(mock.requests(), [0, 1, 3, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_skipped_waiter_that_comes_back_does_not_pass_a_higher_rank() {
    let layer = layer(1, 8);
    let ((a, one), (b, two), (c, live)) = (mock(), mock(), mock());
    for mock in [&one, &two, &live] {
        mock.hold_responses();
    }
    let mut living = layer.layer(c);
    let running = call(&mut living, 0);
    let mut first = call(&mut layer.layer(a), 1);
    let mut second = call(&mut layer.layer(b), 2);
    assert!(first.poll().is_pending() && second.poll().is_pending());
    one.set_pending();
    two.set_pending();
    drop(running);
    assert!(first.poll().is_pending() && second.poll().is_pending());
    let running = call(&mut living, 3);
    one.set_ready();
    assert!(first.poll().is_pending());
    // The first is woken and not polled yet when the service of the second recovers.
    drop(running);
    two.set_ready();
    assert!(second.poll().is_pending());
    assert_eq!(two.calls(), 0);
    assert!(first.poll().is_pending());
    assert_eq!(one.requests(), [1]);
    drop(first);
    assert!(second.poll().is_pending());
    assert_eq!(two.requests(), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_service_is_not_ready_lets_the_next_one_go_and_keeps_its_rank() {
    let layer = layer(1, 8);
    let ((a, dead), (b, live)) = (mock(), mock());
    dead.hold_responses();
    live.hold_responses();
    let (mut dying, mut living) = (layer.layer(a), layer.layer(b));
    let mut running = call(&mut living, 0);
    assert!(running.poll().is_pending());
    let mut stuck = call(&mut dying, 1);
    let mut next = call(&mut living, 2);
    let mut last = call(&mut living, 3);
    assert!(stuck.poll().is_pending() && next.poll().is_pending() && last.poll().is_pending());
    dead.set_pending();
    live.respond(0, Ok(()));
    assert!(running.poll().is_ready());
    assert_eq!((stuck.wakes(), next.wakes()), (1, 0));
    // It finds its service stuck, and wakes the next.
    assert!(stuck.poll().is_pending());
    assert_eq!(next.wakes(), 1);
    assert!(next.poll().is_pending());
    assert_eq!(live.requests(), [0, 2]);

    // Its service recovers while the permit is held: it is before the last one again.
    dead.set_ready();
    assert_eq!(stuck.wakes(), 2);
    assert!(stuck.poll().is_pending());
    live.respond(1, Ok(()));
    assert!(next.poll().is_ready());
    assert_eq!((stuck.wakes(), last.wakes()), (3, 0));
    assert!(stuck.poll().is_pending());
    assert_eq!(dead.requests(), [1]);
    assert_eq!(layer.handle().in_flight(), 1);
    drop((stuck, last));
    assert_eq!(
        (layer.handle().in_flight(), layer.handle().queue_depth()),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_queue_full_of_stuck_waiters_does_not_close_available_permits() {
    let layer = layer(1, 1);
    let ((a, dead), (b, live)) = (mock(), mock());
    let (mut dying, mut living) = (layer.layer(a), layer.layer(b));
    live.hold_responses();
    let running = call(&mut living, 0);
    let mut stuck = call(&mut dying, 1);
    assert!(stuck.poll().is_pending());
    dead.set_pending();
    drop(running);
    assert!(stuck.poll().is_pending());
    let mut passes = call(&mut living, 2);
    live.respond_to_all();
    assert!(matches!(passes.poll(), Poll::Ready(Ok(2))));
    assert_eq!(layer.handle().state(), "queueing");
}

#[tokio::test(start_paused = true)]
async fn a_stuck_waiter_is_rejected_when_its_max_wait_ends() {
    let (mut svc, handle, mock) = subject(1, 1);
    let running = call(&mut svc, 0);
    let mut stuck = call(&mut svc, 1);
    assert!(stuck.poll().is_pending());
    mock.set_pending();
    drop(running);
    assert!(stuck.poll().is_pending());
    tokio::time::advance(30 * SECOND).await;
    assert_eq!(rejection(stuck.poll()).reason(), Reason::QueueTimeout);
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
}

#[derive(Clone, Debug)]
struct Echo;

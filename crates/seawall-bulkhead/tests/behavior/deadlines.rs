//! Calls whose response is of no use after some time.

use seawall_bulkhead::BulkheadConfigBuilder;
use seawall_core::{ErrorIsFailure, Policy, Replay, RequestMeta};
use tokio::time::Instant;

use super::*;

#[derive(Clone, Copy, Debug)]
struct Until(u32, Option<Instant>);

type Dated = Bulkhead<Below, Policy<ErrorIsFailure, fn(&Until) -> RequestMeta>>;

/// The mock for requests with a deadline.
#[derive(Clone, Debug)]
struct Below(Mock);

impl Service<Until> for Below {
    type Response = u32;
    type Error = BoxError;
    type Future = <Mock as Service<u32>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Until) -> Self::Future {
        self.0.call(request.0)
    }
}

fn by_date(request: &Until) -> RequestMeta {
    let meta = RequestMeta::new(Replay::Never);
    match request.1 {
        Some(deadline) => meta.with_deadline(deadline),
        None => meta,
    }
}

fn dated(config: BulkheadConfigBuilder) -> (Dated, BulkheadHandle, MockHandle) {
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = BulkheadLayer::new("dated", config.build().expect("valid settings"));
    let layer = layer.describe(by_date as fn(&Until) -> RequestMeta);
    (layer.layer(Below(inner)), layer.handle(), mock)
}

fn settings(permits: u32) -> BulkheadConfigBuilder {
    BulkheadConfig::builder()
        .max_concurrent(permits)
        .max_waiting(100)
        .max_wait(10 * SECOND)
}

type Call = PolledFuture<<Dated as Service<Until>>::Future>;

fn send(svc: &mut Dated, request: u32, within: Option<Duration>) -> Call {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(svc.poll_ready(cx).is_ready());
    let deadline = within.map(|within| Instant::now() + within);
    PolledFuture::new(svc.call(Until(request, deadline)))
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_after_its_deadline_is_rejected_although_permits_are_available() {
    let (mut svc, handle, mock) = dated(settings(5));
    mock.set_capacity(1);
    let rejected = rejection(send(&mut svc, 0, Some(Duration::ZERO)).poll());
    assert_eq!(rejected.reason(), Reason::DeadlineExceeded);
    assert_eq!(rejected.sent(), Sent::No);
    assert_eq!(
        (mock.calls(), mock.reserved(), handle.in_flight()),
        (0, 0, 0)
    );
    assert_eq!(handle.counts().rejected_deadline, 1);
    assert!(
        send(&mut svc, 1, Some(Duration::from_millis(1)))
            .poll()
            .is_pending()
    );
    assert_eq!(mock.calls(), 1);
    handle.set_shadow(true);
    assert!(send(&mut svc, 2, Some(Duration::ZERO)).poll().is_pending());
    assert_eq!((mock.calls(), handle.counts().shadowed), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_polled_after_its_deadline_does_not_join_the_queue() {
    let (mut svc, handle, _mock) = dated(settings(1));
    let _running = send(&mut svc, 0, None);
    let mut late = send(&mut svc, 1, Some(SECOND));
    tokio::time::advance(SECOND).await;
    assert_eq!(rejection(late.poll()).reason(), Reason::DeadlineExceeded);
    let counts = handle.counts();
    assert_eq!((counts.waited, counts.rejected_deadline), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_earlier_of_max_wait_and_deadline() {
    let (mut svc, handle, _mock) = dated(settings(1));
    let _running = send(&mut svc, 0, None);
    let mut soon = send(&mut svc, 1, Some(3 * SECOND));
    let mut late = send(&mut svc, 2, Some(3600 * SECOND));
    assert!(soon.poll().is_pending() && late.poll().is_pending());
    tokio::time::advance(3 * SECOND - Duration::from_millis(1)).await;
    assert!(soon.poll().is_pending());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(soon.wakes() > 0);
    assert_eq!(rejection(soon.poll()).reason(), Reason::DeadlineExceeded);
    assert_eq!(handle.queue_depth(), 1);
    tokio::time::advance(7 * SECOND).await;
    assert_eq!(rejection(late.poll()).reason(), Reason::QueueTimeout);
    let counts = handle.counts();
    assert_eq!((counts.rejected_deadline, counts.rejected_timeout), (1, 1));
}

/// Its turn comes, and it is not polled before its deadline has passed: the permit is for the next.
#[tokio::test(start_paused = true)]
async fn a_waiter_whose_deadline_has_passed_takes_no_permit() {
    let (mut svc, handle, mock) = dated(settings(1));
    let running = send(&mut svc, 0, None);
    let mut lost = send(&mut svc, 1, Some(SECOND));
    let mut next = send(&mut svc, 2, None);
    assert!(lost.poll().is_pending() && next.poll().is_pending());
    drop(running);
    tokio::time::advance(SECOND).await;
    assert_eq!(rejection(lost.poll()).reason(), Reason::DeadlineExceeded);
    assert_eq!(next.wakes(), 1);
    assert!(next.poll().is_pending());
    assert_eq!(mock.requests(), [0, 2]);
    assert_eq!(handle.in_flight(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_waiter_leaves_at_its_deadline() {
    let (mut svc, handle, mock) = dated(settings(1));
    let running = send(&mut svc, 0, None);
    let mut stuck = send(&mut svc, 1, Some(SECOND));
    assert!(stuck.poll().is_pending());
    mock.set_pending();
    drop(running);
    assert!(stuck.poll().is_pending());
    tokio::time::advance(SECOND).await;
    assert_eq!(rejection(stuck.poll()).reason(), Reason::DeadlineExceeded);
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
}

/// One permit, held for a second each time, and five calls queued for it.
async fn moving(svc: &mut Dated, mock: &MockHandle, rounds: u32) -> Vec<Call> {
    let mut queued: Vec<_> = (0..rounds + 6).map(|n| send(svc, n, None)).collect();
    queued
        .iter_mut()
        .for_each(|call| assert!(call.poll().is_pending()));
    for round in 0..rounds as usize {
        tokio::time::advance(SECOND).await;
        mock.respond(round, Ok(()));
        assert!(queued.remove(0).poll().is_ready());
        assert!(queued[0].poll().is_pending());
    }
    queued
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_turn_comes_after_its_deadline_is_rejected_at_once() {
    let (mut svc, handle, mock) = dated(settings(1));
    let queued = moving(&mut svc, &mock, 6).await;
    assert_eq!(handle.queue_depth(), 5);
    // The sixth in the queue, with a second for each.
    let rejected = rejection(send(&mut svc, 90, Some(Duration::from_millis(5_900))).poll());
    assert_eq!(
        (rejected.reason(), rejected.sent()),
        (Reason::DeadlineExceeded, Sent::No)
    );
    assert_eq!(handle.counts().rejected_doomed, 1);
    let mut waits = send(&mut svc, 91, Some(Duration::from_millis(6_100)));
    assert!(waits.poll().is_pending());
    assert_eq!(handle.snapshot().mean_hold, Some(SECOND));
    // With twice as many permits the queue moves twice as fast.
    handle.set_limit(2).unwrap();
    assert!(
        send(&mut svc, 92, Some(Duration::from_millis(3_600)))
            .poll()
            .is_pending()
    );
    drop((queued, waits));
    assert_eq!(handle.queue_depth(), 0);
    assert_eq!(handle.snapshot().mean_hold, None);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_forecast_without_data_without_a_deadline_or_where_it_is_off() {
    let tight = Some(Duration::from_millis(1));
    // The queue has never moved.
    let (mut svc, handle, _mock) = dated(settings(1));
    let running = send(&mut svc, 0, None);
    let mut queued: Vec<_> = (0..20).map(|n| send(&mut svc, n, tight)).collect();
    queued
        .iter_mut()
        .for_each(|call| assert!(call.poll().is_pending()));
    drop((running, queued));
    // It has moved, and is empty since: that was another time.
    let (mut old, _handle, mock) = dated(settings(1));
    drop(moving(&mut old, &mock, 6).await);
    let _running = send(&mut old, 0, None);
    let mut queued = [1, 2, 3].map(|n| send(&mut old, n, tight));
    assert!(queued.iter_mut().all(|call| call.poll().is_pending()));
    // No deadline.
    let (mut free, _handle, mock) = dated(settings(1));
    let queued = moving(&mut free, &mock, 6).await;
    assert!(send(&mut free, 1, None).poll().is_pending());
    drop(queued);
    let (mut never, never_handle, mock) = dated(settings(1).reject_doomed(false));
    let queued = moving(&mut never, &mock, 6).await;
    assert!(send(&mut never, 1, tight).poll().is_pending());
    drop(queued);
    assert_eq!(
        (
            handle.counts().rejected_doomed,
            never_handle.counts().rejected_doomed
        ),
        (0, 0)
    );
}

/// A forecast takes into account which waiters a call passes.
#[tokio::test(start_paused = true)]
async fn the_newest_under_overload_is_not_shed_for_those_it_passes() {
    let (mut svc, _handle, mock) = dated(settings(1).lifo_threshold(2));
    let mut queued: Vec<_> = (0..3).map(|n| send(&mut svc, n, None)).collect();
    queued
        .iter_mut()
        .for_each(|call| assert!(call.poll().is_pending()));
    for round in 0..6 {
        tokio::time::advance(SECOND).await;
        mock.respond(round, Ok(()));
        assert!(queued.remove(0).poll().is_ready());
        assert!(queued[0].poll().is_pending());
        queued.push(send(&mut svc, 9, None));
        assert!(queued[2].poll().is_pending());
    }
    let mut more: Vec<_> = (0..4).map(|n| send(&mut svc, n, None)).collect();
    more.iter_mut()
        .for_each(|call| assert!(call.poll().is_pending()));
    assert!(
        send(&mut svc, 90, Some(Duration::from_millis(1_100)))
            .poll()
            .is_pending()
    );
    assert_eq!(
        rejection(send(&mut svc, 91, Some(Duration::from_millis(900))).poll()).reason(),
        Reason::DeadlineExceeded
    );
}

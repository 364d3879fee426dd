//! Waits that end in time, whatever the others do; and what is kept meanwhile.

use super::*;

/// A head that is kept and polled no more does not take the permit it was woken for: the next
/// waiter does, and once its wait is over, the head does not count any more.
#[tokio::test(start_paused = true)]
async fn an_available_permit_is_taken_past_a_head_that_is_not_polled_when_a_wait_ends() {
    let (mut svc, handle, mock) = subject(1, 8);
    let running = call(&mut svc, 0);
    let mut kept = call(&mut svc, 1);
    assert!(kept.poll().is_pending());
    drop(running);
    assert_eq!((kept.wakes(), handle.in_flight()), (1, 0));
    let mut behind = [call(&mut svc, 2), call(&mut svc, 3)];
    assert!(behind.iter_mut().all(|waiter| waiter.poll().is_pending()));
    tokio::time::advance(30 * SECOND).await;
    assert!(behind[0].poll().is_pending());
    assert_eq!(mock.requests(), [0, 2]);
    assert_eq!(rejection(behind[1].poll()).reason(), Reason::QueueTimeout);
    assert_eq!((handle.in_flight(), handle.queue_depth()), (1, 0));
    // At the end of its wait, there is no permit for the head.
    assert_eq!(rejection(kept.poll()).reason(), Reason::QueueTimeout);
    drop(behind);
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
}

/// The last chance is for calls that can go: one whose service is stuck leaves the permit to the
/// next, and one that is woken by its timer asks its service once more.
#[tokio::test(start_paused = true)]
async fn a_last_chance_is_not_for_a_service_that_is_not_ready() {
    let layer = layer(1, 8);
    let ((a, dead), (b, live)) = (mock(), mock());
    live.hold_responses();
    let mut living = layer.layer(b);
    let running = call(&mut living, 0);
    let mut kept = call(&mut living, 1);
    let mut stuck = call(&mut layer.layer(a), 2);
    assert!(kept.poll().is_pending() && stuck.poll().is_pending());
    dead.set_pending();
    drop(running);
    tokio::time::advance(30 * SECOND).await;
    assert_eq!(rejection(stuck.poll()).reason(), Reason::QueueTimeout);
    assert_eq!((dead.calls(), layer.handle().in_flight()), (0, 0));
    assert!(kept.poll().is_pending());
    assert_eq!(live.requests(), [0, 1]);
}

/// A rejected call goes away, and its instance may never call again. Had it kept what it reserved
/// below, an idle instance would have taken a permit from all that share the inner limit.
#[tokio::test(start_paused = true)]
async fn a_rejected_call_keeps_no_reservation() {
    let (mut svc, _handle, mock) = subject(1, 0);
    mock.set_capacity(2);
    let _running = call(&mut svc, 0);
    let rejected = rejection(call(&mut svc, 1).poll());
    assert_eq!(rejected.reason(), Reason::BulkheadFull);
    // The one that the running call has.
    assert_eq!(mock.reserved(), 1);
    assert_eq!(mock.violations(), [""; 0]);
}

/// A skipped waiter that comes back may find the permit taken. Had it waited for the
/// next one with its service ready, no other call could have used that meanwhile.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_queued_again_keeps_no_reservation() {
    let layer = layer(1, 8);
    let ((a, dead), (b, live)) = (mock(), mock());
    live.hold_responses();
    let mut living = layer.layer(b);
    let running = call(&mut living, 0);
    let mut stuck = call(&mut layer.layer(a), 1);
    assert!(stuck.poll().is_pending());
    dead.set_pending();
    drop(running);
    assert!(stuck.poll().is_pending());
    let running = call(&mut living, 2);
    dead.set_ready();
    dead.set_capacity(1);
    assert!(stuck.poll().is_pending());
    assert_eq!((dead.reserved(), dead.calls()), (0, 0));
    drop(running);
    assert!(matches!(stuck.poll(), Poll::Ready(Ok(1))));
    assert_eq!(dead.violations(), [""; 0]);
}

//! A permit that is released while calls wait is handed to the next of them.

use super::*;

/// Its waiter is woken once, runs at its next poll, and is no longer queued, whichever other one is not polled.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_runs_does_not_fill_the_queue_behind_one_that_is_not_polled() {
    let (mut svc, handle, mock) = subject(2, 2);
    let running = [1, 2].map(|n| call(&mut svc, n));
    let mut stuck = call(&mut svc, 3);
    let mut next = call(&mut svc, 4);
    assert!(stuck.poll().is_pending() && next.poll().is_pending());
    drop(running);
    assert_eq!((stuck.wakes(), next.wakes()), (1, 1));
    assert!(next.poll().is_pending());
    assert_eq!(mock.requests(), [1, 2, 4], "it runs");
    // One waits, another may, and no third.
    let mut waits = call(&mut svc, 5);
    assert!(waits.poll().is_pending());
    let error = match call(&mut svc, 6).poll() {
        Poll::Ready(Err(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        error.rejection().map(Rejection::reason),
        Some(Reason::BulkheadFull)
    );
    assert_eq!((handle.queue_depth(), handle.in_flight()), (2, 1));
    // The permit of the one that is not polled goes on.
    tokio::time::advance(Duration::from_millis(6)).await;
    assert_eq!(handle.queue_depth(), 2);
    assert!(waits.poll().is_pending());
    assert_eq!(mock.requests(), [1, 2, 4, 5]);
    drop((stuck, next, waits));
    assert_eq!((handle.queue_depth(), handle.in_flight()), (0, 0));
}

/// A waiter that has its permit and was not polled since is stopped by a pause, and goes when that ends.
#[tokio::test(start_paused = true)]
async fn a_pause_stops_a_waiter_that_was_woken() {
    let (mut svc, handle, mock) = subject(1, 2);
    let running = call(&mut svc, 1);
    let mut waits = call(&mut svc, 2);
    assert!(waits.poll().is_pending());
    drop(running);
    handle.pause();
    assert!(waits.poll().is_pending());
    assert_eq!((mock.requests(), handle.in_flight()), (vec![1], 0));
    let woken = waits.wakes();
    handle.resume();
    assert_eq!(waits.wakes(), woken + 1);
    assert!(waits.poll().is_pending());
    assert_eq!((mock.requests(), handle.in_flight()), (vec![1, 2], 1));
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_stops_a_waiter_that_was_woken() {
    let (mut svc, handle, mock) = subject(2, 2);
    let running = [1, 2].map(|n| call(&mut svc, n));
    let mut waits = call(&mut svc, 3);
    assert!(waits.poll().is_pending());
    let [first, second] = running;
    drop(first);
    handle.set_limit(1).expect("a limit");
    assert!(waits.poll().is_pending());
    assert_eq!((mock.requests(), handle.in_flight()), (vec![1, 2], 1));
    drop(second);
    assert!(waits.poll().is_pending());
    assert_eq!((mock.requests(), handle.in_flight()), (vec![1, 2, 3], 1));
}

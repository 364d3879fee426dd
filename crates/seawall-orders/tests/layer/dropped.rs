//! Futures that are dropped, never polled, or polled no longer.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use seawall_orders::journal::State;
use seawall_orders::protocol::Duplicates;

use crate::common::{Desk, Fault};

const MINUTES: Duration = Duration::from_secs(300);

#[tokio::test(start_paused = true)]
async fn a_future_that_is_never_polled_does_nothing() {
    let desk = Desk::new(Duplicates::Accept);
    drop(desk.place("a"));
    tokio::time::sleep(MINUTES).await;
    assert_eq!(desk.client.executed("a"), 0);
    assert_eq!(desk.journalled("a").await, None);
}

/// Drops the future after each number of polls, and lets the background end it.
#[tokio::test(start_paused = true)]
async fn wherever_a_future_is_dropped_the_order_is_settled() {
    for fault in [
        None,
        Some(Fault::Lost),
        Some(Fault::Dropped),
        Some(Fault::Stall(5_000)),
        Some(Fault::Gateway),
        Some(Fault::NotSent),
    ] {
        for polls in 0..6 {
            let desk = Desk::new(Duplicates::RejectWhileOpen);
            if let Some(fault) = fault {
                desk.client.fault(fault);
            }
            {
                let mut placing = pin!(desk.place("a"));
                for _ in 0..polls {
                    let mut cx = Context::from_waker(Waker::noop());
                    if placing.as_mut().poll(&mut cx).is_ready() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(700)).await;
                }
            }
            tokio::time::sleep(MINUTES).await;
            let executed = desk.client.executed("a");
            let state = desk.journalled("a").await;
            let what = format!("{fault:?} after {polls} polls: {executed} executed, {state:?}");
            assert!(executed <= 1, "{what}");
            match state {
                Some(State::Confirmed) => assert_eq!(executed, 1, "{what}"),
                Some(State::Absent | State::Abandoned) | None => assert_eq!(executed, 0, "{what}"),
                _ => panic!("{what}"),
            }
            assert!(desk.handle.in_doubt().is_empty(), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_polled_no_longer_holds_nothing_up() {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.handle.started().await;
    desk.client.fault(Fault::Lost);
    let mut stalled = Box::pin(desk.place("a"));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(stalled.as_mut().poll(&mut cx).is_pending());
    tokio::time::sleep(MINUTES).await;
    // Others pass meanwhile, and the order is looked up without its caller.
    assert!(desk.place("b").await.is_ok());
    assert_eq!(desk.journalled("a").await, Some(State::Confirmed));
    assert_eq!(stalled.await.unwrap().status(), 200);
    assert_eq!(desk.client.executed("a"), 1);
}

//! A process that stands still, or whose machine does, while an outcome is unknown: what its calls had
//! written leaves only when it goes on.

use std::time::Duration;

use seawall_orders::journal::State;
use seawall_orders::protocol::Duplicates;

use crate::common::{Desk, Fault};

const SECOND: Duration = Duration::from_secs(1);

/// Where a look-up is all that says whether there is an order.
const CLASSES: [Duplicates; 2] = [Duplicates::RejectWhileOpen, Duplicates::Accept];

/// An order whose connection breaks, in a process that then stands still after `before`, for `length`; the
/// order is executed `after` that.
async fn stands_still(
    class: Duplicates,
    query_takes: Duration,
    (before, length, after): (Duration, Duration, Duration),
) {
    let desk = Desk::new(class);
    desk.client.world().query_takes = query_takes;
    let executed_after = (before + length + after).as_millis();
    let late = Fault::LeavesLate(executed_after.try_into().unwrap());
    desk.client.fault(late);
    let placing = tokio::spawn(desk.place("a"));
    tokio::time::sleep(before).await;
    assert_eq!(desk.client.world().creates, 1);
    tokio::time::advance(length).await;
    tokio::time::sleep(300 * SECOND).await;
    let state = desk.journalled("a").await;
    let about = format!("{class:?}, {before:?}, {length:?}");
    assert_eq!(state, Some(State::Confirmed), "{about}");
    assert_eq!(desk.client.executed("a"), 1, "{about}");
    drop(placing.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_look_up_right_after_it_is_no_proof() {
    for class in CLASSES {
        for length in [5 * SECOND, 14 * SECOND, 20 * SECOND, 3_600 * SECOND] {
            for after in [SECOND / 100, 10 * SECOND] {
                let times = (SECOND / 2, length, after);
                stands_still(class, Duration::ZERO, times).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_noticed_while_a_query_runs() {
    for class in CLASSES {
        // The query that runs then is answered afterwards, and is not late.
        let times = (SECOND * 3 / 2, 8 * SECOND, 12 * SECOND);
        stands_still(class, SECOND, times).await;
    }
}

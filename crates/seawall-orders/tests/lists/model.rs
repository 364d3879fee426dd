//! A broker that shows late and moves while it is read: nothing that is right is ever reported, and what
//! is wrong is.

use std::time::Duration;

use proptest::prelude::*;
use seawall_orders::lists::{
    Confirmations, ListsConfig, OwnEntry, OwnView, OwnedDifference, compare,
};
use seawall_orders::protocol::{OrderFigures, OrderState};
use tokio::time::{Instant, sleep};

use super::broker::{Fake, Placed, figures};

const WINDOW: Duration = Duration::from_secs(15);
const IDS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// One of our orders: when it is accepted, how long after that the broker shows it, when it is filled,
/// and how long after that we learn so; all in tenths of a second.
#[derive(Clone, Debug)]
struct Order {
    accepted: u64,
    shown_after: u64,
    filled_after: u64,
    learned_after: u64,
}

fn order() -> impl Strategy<Value = Order> {
    (0..1_200_u64, 0..150_u64, 1..600_u64, 0..100_u64).prop_map(
        |(accepted, shown_after, filled_after, learned_after)| Order {
            accepted,
            shown_after,
            filled_after,
            learned_after,
        },
    )
}

fn of(is_filled: bool) -> OrderFigures {
    match is_filled {
        true => figures(OrderState::Filled, 1, 1),
        false => figures(OrderState::Open, 1, 0),
    }
}

/// What is at the broker in this tenth.
fn shown(orders: &[Order], tenth: u64, stranger: bool) -> Vec<Placed> {
    let shown = orders.iter().zip(IDS).filter_map(|(order, id)| {
        let is_shown = tenth >= order.accepted + order.shown_after;
        is_shown.then(|| Placed {
            id: Some(id),
            broker_id: format!("b-{id}"),
            figures: of(tenth >= order.accepted + order.filled_after),
        })
    });
    let mut all: Vec<_> = shown.collect();
    if stranger {
        let broker_id = "by-hand".to_owned();
        all.push(Placed {
            id: None,
            broker_id,
            figures: of(false),
        });
    }
    all.sort_by(|a, b| a.broker_id.cmp(&b.broker_id));
    all
}

fn view(orders: &[Order], tenth: u64, lost: bool) -> OwnView {
    let known = orders
        .iter()
        .zip(IDS)
        .filter(|(order, _)| tenth >= order.accepted);
    let entry = |(order, id): (&Order, &str)| {
        let since = Duration::from_millis((tenth - order.accepted) * 100);
        let learned = order.accepted + order.filled_after + order.learned_after;
        OwnEntry::new(id, of(tenth >= learned), since).confirmed_for(since)
    };
    let mut all: Vec<_> = known.map(entry).collect();
    if lost {
        let long = Duration::from_secs(3_000);
        all.push(OwnEntry::new("lost", of(false), long).confirmed_for(long));
    }
    OwnView::of(all)
}

async fn run(orders: Vec<Order>, gaps: Vec<u64>, wrong: bool) -> Result<(), TestCaseError> {
    let fake = Fake {
        has_closed: true,
        has_cursor: true,
        ..Fake::default()
    };
    let begin = Instant::now();
    let tenth = move || (Instant::now() - begin).as_millis() as u64 / 100;
    let (at_broker, state) = (orders.clone(), std::sync::Arc::clone(&fake.state));
    let broker = tokio::spawn(async move {
        loop {
            state.lock().unwrap().orders = shown(&at_broker, tenth(), wrong);
            sleep(Duration::from_millis(50)).await;
        }
    });
    let config = ListsConfig::builder().window(WINDOW).build().unwrap();
    let (client, mut confirmations) = (fake.client(), Confirmations::new(WINDOW));
    let mut reported = Vec::new();
    for gap in gaps {
        sleep(Duration::from_secs(gap)).await;
        let own = || view(&orders, tenth(), wrong);
        let reading = compare(&fake, &client, None, config, own).await.unwrap();
        reported.extend(confirmations.take(reading).differences);
    }
    broker.abort();
    let mut kinds: Vec<_> = reported.iter().map(OwnedDifference::as_str).collect();
    kinds.sort_unstable();
    let expected: &[_] = if wrong {
        &["unknown_to_broker", "unknown_to_us"]
    } else {
        &[]
    };
    prop_assert_eq!(kinds, expected, "{:?}", reported);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_right_is_not_reported_and_what_is_wrong_is(
        orders in prop::collection::vec(order(), 0..12),
        gaps in prop::collection::vec(16..40_u64, 3..8),
        wrong in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(orders, gaps, wrong))?;
    }
}

//! Many orders at once through one layer, on several threads and in real time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use seawall_orders::journal::{MemoryJournal, State};
use seawall_orders::protocol::{Duplicates, ModePolicy, Rules};
use seawall_orders::safety::TradingControl;
use seawall_orders::{OrderConfig, OrderLayer};
use tokio::time::{Instant, sleep};

use crate::common::{Body, Client, Desk, Fault, TestBroker};

const ORDERS: usize = 10_000;
const REMEMBERED: u32 = 500;

fn desk() -> Desk {
    let ms = Duration::from_millis;
    let rules = Rules::builder(Duplicates::RejectWhileOpen)
        .window(ms(1_000))
        .first_look_up(ms(50))
        .backoff(ms(100))
        .max_backoff(ms(500))
        .look_ups(100)
        .build()
        .unwrap();
    let config = OrderConfig::builder()
        .deadline(Duration::from_secs(10))
        .remembered(REMEMBERED)
        .build()
        .unwrap();
    // Orders in doubt would hold back those after them.
    let policy = ModePolicy::builder()
        .reduce_from(100_000)
        .cancel_from(100_000)
        .clean_queries(0)
        .build()
        .unwrap();
    let journal = Arc::new(MemoryJournal::default());
    let layer = OrderLayer::<Body>::builder("desk", TestBroker::new(rules))
        .journal(Arc::clone(&journal))
        .config(config)
        .control(TradingControl::builder().policy(policy).build())
        .build()
        .unwrap();
    Desk::of(Client::default(), journal, layer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once_are_settled_and_none_is_sent_twice() {
    let desk = desk();
    desk.handle.started().await;
    let faults = [
        Fault::Lost,
        Fault::Dropped,
        Fault::Stall(200),
        Fault::Gateway,
        Fault::NotSent,
        Fault::Duplicate,
        Fault::Slow(100),
    ];
    for number in 0..ORDERS / 2 {
        desk.client.fault(match number % 10 {
            0 => faults[number / 10 % faults.len()],
            _ => Fault::Slow(1 + number as u64 % 50),
        });
    }
    let mut placed = Vec::with_capacity(ORDERS);
    for number in 0..ORDERS {
        let id = format!("o{number}");
        let placing = tokio::spawn(desk.place(&id));
        placed.push((id, placing));
    }
    let mut known = HashMap::new();
    let mut unanswered = 0;
    for (number, (id, placing)) in placed.into_iter().enumerate() {
        // Some callers go away.
        if number % 97 == 0 {
            placing.abort();
        }
        match placing.await {
            Ok(result) => _ = known.insert(id, result.is_ok()),
            Err(_) => unanswered += 1,
        }
    }
    let until = Instant::now() + Duration::from_secs(60);
    while desk.handle.snapshot().in_doubt > 0 && Instant::now() < until {
        sleep(Duration::from_millis(100)).await;
    }
    let snapshot = desk.handle.snapshot();
    assert_eq!((snapshot.in_doubt, snapshot.exhausted), (0, 0));
    assert!(snapshot.counts.in_doubt > 200, "{snapshot:?}");

    let mut executed: HashMap<String, usize> = HashMap::new();
    for order in &desk.client.world().orders {
        *executed.entry(order.id.clone()).or_default() += 1;
    }
    for number in 0..ORDERS {
        let id = format!("o{number}");
        let times = executed.get(&id).copied().unwrap_or(0);
        let state = desk.journalled(&id).await;
        match state {
            Some(State::Confirmed) => assert_eq!(times, 1, "{id}"),
            Some(State::Absent | State::Abandoned) | None => assert_eq!(times, 0, "{id}"),
            other => panic!("{id}: {other:?}, executed {times} times"),
        }
        if known.get(&id) == Some(&true) {
            assert_eq!(times, 1, "{id} was answered");
        }
    }
    assert!(unanswered <= ORDERS / 97 + 1, "{unanswered}");

    // What is kept does not grow with what was placed.
    assert!(desk.handle.orders().len() <= REMEMBERED as usize);
    assert_eq!(desk.handle.counts().intended, snapshot.counts.intended);
    assert!(snapshot.counts.intended >= ORDERS as u64 - unanswered as u64);
}

//! Our own positions beside the broker's list.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall_core::{InstanceHandle, Sample, Samples, Value};
use seawall_orders::lists::{ListsConfig, OwnPositions, OwnedDifference};
use seawall_orders::protocol::Decimal;
use seawall_orders::{OrderConfig, OrderLayer, ReceivedNotice};

use crate::common::{Body, Client, Desk};
use crate::lists::broker;

const SECOND: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(5);

type Books = Arc<Mutex<Vec<(&'static str, Decimal)>>>;

fn holds(positions: &[(&'static str, i32)]) -> Client {
    let client = Client::default();
    client.world().positions = Some(positions.to_vec());
    client
}

fn config() -> OrderConfig {
    let lists = ListsConfig::builder().window(WINDOW).closed(false);
    let config = OrderConfig::builder().compare_every(30 * SECOND);
    config.lists(lists.build().unwrap()).build().unwrap()
}

fn desk_of(client: Client, positions: OwnPositions) -> Desk {
    let layer = OrderLayer::<Body>::builder("desk", broker()).config(config());
    let layer = layer
        .positions(positions)
        .broker_account("7")
        .build()
        .unwrap();
    Desk::of(client, Arc::default(), layer)
}

fn desk(client: Client) -> (Desk, Books) {
    let books = Books::default();
    let own = Arc::clone(&books);
    let positions = OwnPositions::from_fn(move || own.lock().unwrap().clone());
    (desk_of(client, positions), books)
}

/// The gauges of positions.
fn samples(desk: &Desk) -> Vec<(&'static str, String, f64)> {
    let mut gauges = Vec::new();
    let mut sink = |sample: Sample<'_>| {
        if let ([(key, of)], Value::Gauge(value)) = (sample.labels, sample.value)
            && *of != "orders"
        {
            gauges.push((sample.metric, format!("{key}={of}"), value));
        }
    };
    desk.handle.samples(&mut Samples::new(&mut sink));
    gauges
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_lasts_is_reported_with_both_figures_and_its_end_too() {
    let (desk, books) = desk(holds(&[("AAPL", 100), ("MSFT", -5)]));
    books.lock().unwrap().push(("MSFT", "-5".parse().unwrap()));
    let mut notices = desk.handle.subscribe();
    desk.handle.started().await;
    tokio::time::sleep(SECOND).await;
    let compared = desk.handle.compared();
    assert!(compared.positions_at.is_some(), "at the start");
    assert_eq!(compared.differences, [], "one reading may be wrong");

    tokio::time::sleep(WINDOW + SECOND).await;
    let different = OwnedDifference::Position {
        symbol: "AAPL".into(),
        ours: Decimal::ZERO,
        broker: 100.into(),
    };
    let open = desk.handle.compared().differences;
    assert_eq!(open, std::slice::from_ref(&different));
    let counts = desk.handle.counts();
    assert_eq!((counts.position_differences, counts.differences), (1, 0));
    assert_eq!(counts.position_comparisons, 2);
    let gauges = [
        ("seawall_orders_different", "of=positions".to_owned(), 1.0),
        (
            "seawall_orders_position_gap",
            "symbol=AAPL".to_owned(),
            100.0,
        ),
    ];
    assert_eq!(samples(&desk), gauges);

    books.lock().unwrap().push(("AAPL", 100.into()));
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(desk.handle.compared().differences, []);
    let gauges = samples(&desk);
    assert_eq!(gauges.len(), 2);
    assert!(gauges.iter().all(|(.., value)| *value == 0.0), "{gauges:?}");
    let mut reported = Vec::new();
    while let Ok(Some(notice)) = tokio::time::timeout(SECOND, notices.next()).await {
        if let ReceivedNotice::Difference(notice) = notice {
            assert_eq!(*notice.difference, different);
            let words = notice.difference.to_string();
            assert_eq!(words, "AAPL: we have 0, the broker has 100");
            reported.push(notice.is_gone);
        }
    }
    assert_eq!(reported, [false, true]);
}

#[tokio::test(start_paused = true)]
async fn books_that_follow_a_fill_are_no_difference() {
    let (desk, books) = desk(holds(&[("AAPL", 10)]));
    desk.handle.started().await;
    // Both move at every reading; our books are late by one fill.
    for filled in 1..20 {
        let (ours, theirs) = (10 + (filled - 1) * (filled - 1), 10 + filled * filled);
        desk.client.world().positions = Some(vec![("AAPL", theirs)]);
        *books.lock().unwrap() = vec![("AAPL", (ours as u32).into())];
        tokio::time::sleep(4 * SECOND).await;
    }
    let counts = desk.handle.counts();
    assert!(counts.position_comparisons > 5, "{counts:?}");
    assert_eq!(counts.position_differences, 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_no_agreement_and_stops_nothing() {
    let client = holds(&[("AAPL", 1)]);
    client.world().resting = true;
    let (desk, _) = desk(client);
    desk.handle.started().await;
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(desk.handle.compared().differences.len(), 1);

    desk.client.world().positions = None;
    tokio::time::sleep(60 * SECOND).await;
    let compared = desk.handle.compared();
    assert_eq!(compared.differences.len(), 1, "it is not gone");
    let failed = compared.positions_failed.unwrap();
    assert!(
        failed.starts_with("the broker's list `positions`"),
        "{failed}"
    );
    assert_eq!(compared.failed, None, "orders are compared all the same");
    assert!(desk.handle.counts().failed_position_comparisons > 0);

    desk.client.world().positions = Some(Vec::new());
    tokio::time::sleep(60 * SECOND).await;
    let compared = desk.handle.compared();
    assert_eq!(
        (compared.positions_failed, compared.differences.len()),
        (None, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn books_that_panic_are_an_error_and_comparisons_go_on() {
    let calls = Arc::new(Mutex::new(0));
    let count = Arc::clone(&calls);
    let own = OwnPositions::from_fn(move || {
        let call = {
            let mut calls = count.lock().unwrap();
            *calls += 1;
            *calls
        };
        assert!(call > 1, "the first one");
        [("AAPL", Decimal::from(1))]
    });
    let desk = desk_of(holds(&[("AAPL", 1)]), own);
    desk.handle.started().await;
    tokio::time::sleep(SECOND).await;
    let failed = desk.handle.compared().positions_failed.unwrap();
    assert!(failed.ends_with("it panicked: the first one"), "{failed}");
    tokio::time::sleep(60 * SECOND).await;
    let compared = desk.handle.compared();
    assert_eq!(
        (compared.positions_failed, compared.differences),
        (None, vec![])
    );
}

#[tokio::test(start_paused = true)]
async fn without_an_account_or_books_nothing_is_read() {
    let layer = OrderLayer::<Body>::builder("desk", broker()).config(config());
    let layer = layer.positions(OwnPositions::from_fn(|| [("AAPL", Decimal::from(1))]));
    let desk = Desk::of(holds(&[]), Arc::default(), layer.build().unwrap());
    desk.handle.started().await;
    tokio::time::sleep(60 * SECOND).await;
    let compared = desk.handle.compared();
    assert_eq!(
        (compared.positions_at, compared.positions_failed),
        (None, None)
    );
    assert!(
        compared.at.is_some(),
        "that list has no account in its path"
    );

    let layer = OrderLayer::<Body>::builder("desk", broker()).config(config());
    let desk = Desk::of(
        holds(&[("AAPL", 1)]),
        Arc::default(),
        layer.broker_account("7").build().unwrap(),
    );
    desk.handle.started().await;
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(desk.handle.compared().positions_at, None);
    assert_eq!(desk.handle.counts().position_comparisons, 0);
}

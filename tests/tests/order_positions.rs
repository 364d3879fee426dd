//! Positions of the user's own books beside those of a simulated broker, over real sockets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall::orders::journal::MemoryJournal;
use seawall::orders::lists::{ListsConfig, OwnPositions, OwnedDifference};
use seawall::orders::protocol::Decimal;
use seawall::orders::{OrderConfig, OrderHandle, OrderNotices, ReceivedNotice};
use seawall_sim::provider::Broker;
use serde_json::json;
use tokio::time::timeout;

const WINDOW: Duration = Duration::from_secs(1);

/// The next report of a position: of a symbol, with both figures, and whether it is gone.
async fn next(notices: &mut OrderNotices) -> (String, bool) {
    let next = async {
        loop {
            if let Some(ReceivedNotice::Difference(notice)) = notices.next().await
                && let OwnedDifference::Position { .. } = &*notice.difference
            {
                return (notice.difference.to_string(), notice.is_gone);
            }
        }
    };
    timeout(Duration::from_secs(20), next)
        .await
        .expect("in time")
}

async fn compared(handle: &OrderHandle) {
    let before = handle.counts().position_comparisons;
    while handle.counts().position_comparisons == before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_another_program_buys_is_reported_and_what_our_books_have_is_not() {
    let broker = Broker::alpaca().start().await.unwrap();
    let url = broker.base_url();
    let books = Arc::new(Mutex::new(HashMap::<String, Decimal>::new()));
    let own = Arc::clone(&books);
    let own = OwnPositions::from_async_fn(move || {
        let own = Arc::clone(&own);
        async move { Ok(own.lock().unwrap().clone()) }
    });
    let lists = ListsConfig::builder().window(WINDOW).build().unwrap();
    let config = OrderConfig::builder().compare_every(WINDOW).lists(lists);
    let orders = seawall::alpaca().unwrap();
    let orders = orders.order_stack(MemoryJournal::default()).unwrap();
    let orders = orders.positions(own).config(config.build().unwrap());
    let client = orders.client().unwrap().base_url(&url).build().unwrap();
    let handle = client.stack().handles().orders;
    let mut notices = handle.subscribe();

    let order = |id: &str, symbol: &str, qty: u32| {
        json!({ "symbol": symbol, "qty": qty.to_string(), "side": "buy", "type": "market",
            "time_in_force": "day", "client_order_id": id })
    };
    let placed = client.post("/v2/orders").json(&order("ours-1", "AAPL", 3));
    placed
        .send()
        .await
        .unwrap()
        .error_for_status()
        .await
        .unwrap();
    books.lock().unwrap().insert("AAPL".into(), 3.into());
    handle.started().await;

    let theirs = reqwest::Client::new().post(format!("{url}/v2/orders"));
    let theirs = theirs.body(order("theirs-1", "SPY", 40).to_string()).send();
    assert!(theirs.await.unwrap().status().is_success());

    let (words, is_gone) = next(&mut notices).await;
    assert_eq!(
        (&*words, is_gone),
        ("SPY: we have 0, the broker has 40", false)
    );
    let differs = handle.compared().differences;
    let positions = differs.iter().filter(|of| of.as_str() == "position");
    assert_eq!(positions.count(), 1, "{differs:?}");

    books.lock().unwrap().insert("SPY".into(), 40.into());
    let (words, is_gone) = next(&mut notices).await;
    assert_eq!(
        (&*words, is_gone),
        ("SPY: we have 0, the broker has 40", true)
    );
    compared(&handle).await;
    let compared = handle.compared();
    assert_eq!(compared.positions_failed, None);
    assert!(
        compared
            .differences
            .iter()
            .all(|of| of.as_str() != "position")
    );
    assert_eq!(handle.counts().position_differences, 1);
    broker.shutdown().await;
}

//! What is kept of orders that are settled.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use seawall_core::Reason;
use seawall_orders::journal::MemoryJournal;
use seawall_orders::protocol::{Duplicates, IntentState, OrderState, Report};
use seawall_orders::{Cancelled, OrderConfig, OrderLayer};
use serde_json::json;
use tower::ServiceExt;

use crate::common::{Body, Client, Desk, TestBroker, order, rejection, rules};

const LIMIT: Duration = Duration::from_secs(60);

/// A layer that remembers so many settled orders.
fn remembering(settled: u32) -> Desk {
    let config = OrderConfig::builder().remembered(settled).build().unwrap();
    let journal = Arc::<MemoryJournal>::default();
    let broker = TestBroker::new(rules(Duplicates::RejectWhileOpen));
    let layer = OrderLayer::<Body>::builder("desk", broker)
        .journal(Arc::clone(&journal))
        .config(config)
        .build()
        .unwrap();
    Desk::of(Client::default(), journal, layer)
}

fn ids(desk: &Desk) -> Vec<String> {
    let orders = desk.handle.orders();
    orders.iter().map(|order| order.id.to_string()).collect()
}

async fn cancel(desk: &Desk, broker_id: &str) -> u16 {
    let request = Request::delete(format!("http://broker/orders/{broker_id}"));
    let request = request.body(Body::default()).unwrap();
    let response = desk.service.clone().oneshot(request).await.unwrap();
    response.status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn a_report_of_a_settled_order_is_kept_for_what_comes_after_it() {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.client.world().resting = true;
    desk.place("a").await.unwrap();
    desk.place("b").await.unwrap();
    // Others come and go in between.
    let filled = Report::of(OrderState::Filled);
    desk.handle.observe("a", filled).await.unwrap();
    desk.place("c").await.unwrap();
    assert_eq!(
        desk.handle.cancel("a", LIMIT).await.unwrap(),
        Cancelled::Over
    );
    assert_eq!(desk.client.world().cancels, 0, "it is filled");
    // One that is known to be open is cancelled at the broker.
    assert_eq!(
        desk.handle.cancel("b", LIMIT).await.unwrap(),
        Cancelled::Over
    );
    assert_eq!(desk.client.world().cancels, 1);
    let used = rejection(desk.place("a").await);
    assert_eq!(used.reason(), Reason::InvalidRequest);
}

#[tokio::test(start_paused = true)]
async fn a_settled_order_is_cancelled_by_requests_again_and_again() {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.client.world().resting = true;
    for id in ["a", "b", "c"] {
        desk.place(id).await.unwrap();
    }
    assert_eq!(cancel(&desk, "b2").await, 204);
    assert_eq!(cancel(&desk, "b2").await, 200, "nothing is left to cancel");
    assert_eq!(cancel(&desk, "b1").await, 204);
    assert_eq!(desk.client.world().cancels, 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_settled_orders_are_in_memory_and_all_of_them_in_the_journal() {
    let desk = remembering(2);
    desk.client.world().resting = true;
    for id in ["a", "b", "c", "d"] {
        desk.place(id).await.unwrap();
    }
    assert_eq!(ids(&desk), ["c", "d"]);
    let known = desk.handle.order("a").await.unwrap();
    assert_eq!(known.state, IntentState::Confirmed);
    let used = rejection(desk.place("b").await);
    assert_eq!(used.reason(), Reason::InvalidRequest);
    // What is forgotten is not found by the broker's id, and its cancel passes.
    assert_eq!(cancel(&desk, "b2").await, 204);
    assert_eq!(cancel(&desk, "b2").await, 404);
    assert_eq!(cancel(&desk, "b4").await, 204);
    assert_eq!(cancel(&desk, "b4").await, 200);
}

#[tokio::test(start_paused = true)]
async fn orders_in_memory_that_is_used_again_have_nothing_of_each_other() {
    let desk = remembering(3);
    for number in 0..20_u32 {
        let (id, symbol) = (format!("id-{number}"), format!("S{number}"));
        let body = json!({ "symbol": symbol, "qty": 1, "client_order_id": id });
        let resting = number % 2 == 0;
        desk.client.world().resting = resting;
        let service = desk.service.clone();
        service.oneshot(order(&body)).await.unwrap();
        if number % 3 == 0 {
            let report = Report::of(OrderState::Filled);
            desk.handle.observe(&id, report).await.unwrap();
        }
        let snapshot = desk.handle.order(&id).await.unwrap();
        assert_eq!(snapshot.symbol.as_deref(), Some(&*symbol));
        assert_eq!(
            (snapshot.number, snapshot.copies),
            (Some(u64::from(number)), 1)
        );
        let found = snapshot.found.unwrap();
        assert_eq!(&*found.broker_id, format!("b{}", number + 1));
        let state = if resting {
            OrderState::Open
        } else {
            OrderState::Filled
        };
        assert_eq!(found.figures.state, state);
    }
    assert_eq!(ids(&desk), ["id-17", "id-18", "id-19"]);
}

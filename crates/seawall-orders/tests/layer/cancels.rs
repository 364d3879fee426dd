//! Cancels.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_core::{DepartureLayer, Reason};
use seawall_http::NoteDeparture;
use seawall_orders::journal::State;
use seawall_orders::protocol::Duplicates;
use seawall_orders::{Cancelled, OrderLayer};
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::common::{
    Body, Classifier, Client, Desk, Fault, TestBroker, classify, order, rejection, rules,
};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn an_order_that_works_is_cancelled_by_the_handle_and_by_a_request() {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.client.world().resting = true;
    desk.place("a").await.unwrap();
    desk.place("b").await.unwrap();
    assert_eq!(
        desk.handle.cancel("a", LIMIT).await.unwrap(),
        Cancelled::Over
    );
    let request = Request::delete("http://broker/orders/b2")
        .body(Body::default())
        .unwrap();
    let response = desk.service.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 204);
    let world = desk.client.world();
    assert!(world.orders.iter().all(|order| order.state == "cancelled"));
    assert_eq!(world.cancels, 2);
}

#[tokio::test(start_paused = true)]
async fn an_order_in_doubt_is_cancelled_when_it_is_found_and_not_sent_again() {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.client.world().resting = true;
    desk.client.world().delay = Duration::from_secs(5);
    desk.client.fault(Fault::Lost);
    let placing = tokio::spawn(desk.place("a"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        desk.handle.cancel("a", LIMIT).await.unwrap(),
        Cancelled::Over
    );
    placing.await.unwrap().unwrap();
    assert_eq!(desk.client.executed("a"), 1);
    assert_eq!(desk.client.world().orders[0].state, "cancelled");

    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.client.fault(Fault::Dropped);
    let placing = tokio::spawn(desk.place("a"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        desk.handle.cancel("a", LIMIT).await.unwrap(),
        Cancelled::NotSent
    );
    assert_eq!(
        rejection(placing.await.unwrap()).reason(),
        Reason::NotExecuted
    );
    assert_eq!(desk.client.executed("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_waits_in_the_stack_is_removed_unsent() {
    let client = Client::default();
    let layer: OrderLayer<Body> =
        OrderLayer::<Body>::builder("desk", TestBroker(rules(Duplicates::RejectWhileOpen)))
            .departures_noted()
            .build()
            .unwrap();
    let layer = layer.classify(classify as Classifier);
    let handle = layer.handle();
    let one = BulkheadConfig::builder()
        .max_concurrent(1)
        .max_waiting(5)
        .build()
        .unwrap();
    let stack = ServiceBuilder::new()
        .layer(BulkheadLayer::new("desk", one))
        .layer(DepartureLayer::new(NoteDeparture))
        .service(client.clone());
    let service = Arc::new(layer.layer(stack));
    client.fault(Fault::Stall(10_000));
    let place = |id: &str| {
        let body = serde_json::json!({ "symbol": "A", "qty": 1, "client_order_id": id });
        tokio::spawn((*service).clone().oneshot(order(&body)))
    };
    let first = place("first");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let second = place("second");
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(
        handle.cancel("second", LIMIT).await.unwrap(),
        Cancelled::NotSent
    );
    let Err(seawall_core::Error::Rejected(rejected)) = second.await.unwrap() else {
        panic!("it was sent");
    };
    assert_eq!(rejected.reason(), Reason::NotExecuted);
    assert_eq!(rejected.sent(), seawall_core::Sent::No);
    first.abort();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        (client.executed("first"), client.executed("second")),
        (1, 0)
    );
    let state = handle.order("first").await.unwrap().settlement.unwrap();
    assert_eq!(state.mark().as_str(), State::Confirmed.as_str());
}

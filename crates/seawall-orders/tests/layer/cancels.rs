//! Cancels.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_core::{DepartureLayer, Reason};
use seawall_http::NoteDeparture;
use seawall_orders::journal::State;
use seawall_orders::protocol::{Duplicates, OrderState, Report, Verdict};
use seawall_orders::{Cancelled, OrderError, OrderLayer};
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::common::{
    Body, CancelFault, Classifier, Client, Desk, Fault, TestBroker, classify, order, rejection,
    rules,
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

fn delete(order: &str) -> Request<Body> {
    let request = Request::delete(format!("http://broker/orders/{order}"));
    request.body(Body::default()).unwrap()
}

/// A cancel whose repetition is not safe is written to the journal, and an event of its order all the same.
#[tokio::test(start_paused = true)]
async fn a_cancel_with_rules_is_evidence_about_its_order() {
    let broker = TestBroker::new(rules(Duplicates::RejectWhileOpen)).with_cancel_rules();
    let layer = OrderLayer::<Body>::builder("desk", broker).build().unwrap();
    let desk = Desk::of(Client::default(), Arc::default(), layer);
    desk.client.world().resting = true;
    desk.place("a").await.unwrap();
    let response = desk.service.clone().oneshot(delete("b1")).await.unwrap();
    assert_eq!(response.status(), 204);
    // It is known as over: neither of these is sent.
    let cancelled = desk.handle.cancel("a", LIMIT).await.unwrap();
    assert_eq!(cancelled, Cancelled::Over);
    let again = desk.service.clone().oneshot(delete("b1")).await.unwrap();
    assert_eq!(again.headers()["x-seawall-reconciled"], "not_open");
    assert_eq!(desk.client.world().cancels, 1);
    assert_eq!(desk.handle.counts().intended, 2, "the order and one cancel");

    // One that the broker rejected says that there is something to find out.
    desk.place("b").await.unwrap();
    desk.client.world().orders[1].state = "filled";
    let rejected = desk.service.clone().oneshot(delete("b2")).await.unwrap();
    assert_eq!(rejected.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_with_rules_takes_a_waiting_order_out_unsent() {
    let broker = TestBroker::new(rules(Duplicates::RejectWhileOpen)).with_cancel_rules();
    let layer = OrderLayer::<Body>::builder("desk", broker).departures_noted();
    let layer = layer.build().unwrap().classify(classify as Classifier);
    let (client, handle) = (Client::default(), layer.handle());
    let one = BulkheadConfig::builder().max_concurrent(1).max_waiting(5);
    let stack = ServiceBuilder::new()
        .layer(BulkheadLayer::new("desk", one.build().unwrap()))
        .layer(DepartureLayer::new(NoteDeparture))
        .service(client.clone());
    let service = layer.layer(stack);
    client.fault(Fault::Stall(10_000));
    let place = |id: &str| {
        let body = serde_json::json!({ "symbol": "A", "qty": 1, "client_order_id": id });
        tokio::spawn(service.clone().oneshot(order(&body)))
    };
    let first = place("first");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let second = place("second");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let response = service.clone().oneshot(delete("client:second")).await;
    let response = response.unwrap();
    assert_eq!(response.headers()["x-seawall-reconciled"], "not_sent");
    let Err(seawall_core::Error::Rejected(rejected)) = second.await.unwrap() else {
        panic!("it was sent");
    };
    assert_eq!(rejected.reason(), Reason::NotExecuted);
    assert_eq!(client.world().cancels, 0);
    assert_eq!(handle.counts().intended, 2, "no cancel is journalled");
    first.abort();
    tokio::time::sleep(LIMIT).await;
    assert_eq!(client.executed("second"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_waits_in_the_stack_is_removed_unsent() {
    let client = Client::default();
    let layer: OrderLayer<Body> =
        OrderLayer::<Body>::builder("desk", TestBroker::new(rules(Duplicates::RejectWhileOpen)))
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

const MINUTE: Duration = Duration::from_secs(60);

/// An order that works, at a broker whose cancels meet this for so long.
async fn working(fault: CancelFault, lasts: Duration) -> Desk {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.client.world().resting = true;
    desk.place("a").await.unwrap();
    desk.client.world().cancel_fault = Some((fault, Instant::now() + lasts));
    desk
}

fn cancels(desk: &Desk) -> usize {
    desk.client.world().cancels
}

fn state(desk: &Desk) -> &'static str {
    desk.client.world().orders[0].state
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_a_layer_rejects_is_made_later_and_does_not_count() {
    let desk = working(CancelFault::NotMade, MINUTE).await;
    let cancelled = desk.handle.cancel("a", 2 * MINUTE).await.unwrap();
    assert_eq!(cancelled, Cancelled::Over);
    let done = (state(&desk), cancels(&desk));
    assert_eq!(done, ("cancelled", 1));
    assert_eq!(desk.handle.counts().alerts, 0);

    // The same by a request.
    let desk = working(CancelFault::NotMade, MINUTE).await;
    let rejected = rejection(desk.service.clone().oneshot(delete("b1")).await);
    assert_eq!(rejected.reason(), Reason::CircuitOpen);
    tokio::time::sleep(2 * MINUTE).await;
    let done = (state(&desk), cancels(&desk));
    assert_eq!(done, ("cancelled", 1));
    assert_eq!(desk.handle.counts().alerts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_goes_on_after_its_alert() {
    let desk = working(CancelFault::Fails, 10 * MINUTE).await;
    let early = desk.handle.cancel("a", MINUTE).await.unwrap_err();
    assert!(matches!(early, OrderError::TimedOut), "{early:?}");
    assert_eq!(desk.handle.counts().alerts, 1);
    let sent = desk.client.world().cancels;
    tokio::time::sleep(5 * MINUTE).await;
    let more = desk.client.world().cancels - sent;
    assert!((9..=11).contains(&more), "each 30 s: {more}");
    assert_eq!(desk.handle.counts().alerts, 3, "for each five");
    let waiting = desk.handle.cancel("a", 10 * MINUTE).await.unwrap();
    assert_eq!((waiting, state(&desk)), (Cancelled::Over, "cancelled"));
    let cancels = desk.client.world().cancels;
    let queries = desk.client.world().queries;
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(desk.client.world().cancels, cancels, "it is over");
    assert_eq!(desk.client.world().queries, queries);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_an_order_that_was_filled_meanwhile_is_over_at_once() {
    let desk = working(CancelFault::Fails, Duration::ZERO).await;
    desk.client.world().orders[0].state = "filled";
    let before = Instant::now();
    let cancelled = desk.handle.cancel("a", MINUTE).await.unwrap();
    assert_eq!(cancelled, Cancelled::Over);
    assert!(Instant::now() - before < Duration::from_secs(1));
    let found = desk.handle.order("a").await.unwrap().found.unwrap();
    assert_eq!(found.figures.state, OrderState::Filled);
    tokio::time::sleep(MINUTE).await;
    let world = desk.client.world();
    assert_eq!((world.cancels, world.queries), (1, 1));
    assert_eq!(desk.handle.counts().alerts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_whose_response_is_lost_is_found_to_be_done() {
    let desk = working(CancelFault::Lost, Duration::from_millis(500)).await;
    let cancelled = desk.handle.cancel("a", MINUTE).await.unwrap();
    assert_eq!(cancelled, Cancelled::Over);
    let found = desk.handle.order("a").await.unwrap().found.unwrap();
    assert_eq!(found.figures.state, OrderState::Cancelled);
    let world = desk.client.world();
    assert_eq!((world.cancels, world.queries), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn what_says_that_an_order_is_not_open_ends_its_cancel() {
    for fault in [CancelFault::Fails, CancelFault::NotMade] {
        let desk = working(fault, 60 * MINUTE).await;
        desk.client.world().failing_queries = usize::MAX;
        let handle = desk.handle.clone();
        let cancel = tokio::spawn(async move { handle.cancel("a", 60 * MINUTE).await });
        tokio::time::sleep(5 * MINUTE).await;
        assert!(!cancel.is_finished());
        let filled = Report::of(OrderState::Filled);
        desk.handle.observe("a", filled).await.unwrap();
        let at = Instant::now();
        assert_eq!(cancel.await.unwrap().unwrap(), Cancelled::Over);
        assert_eq!(Instant::now() - at, Duration::ZERO);
        let cancels = desk.client.world().cancels;
        tokio::time::sleep(5 * MINUTE).await;
        assert_eq!(desk.client.world().cancels, cancels);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_goes_on_ends_with_the_layer() {
    let desk = working(CancelFault::Fails, 600 * MINUTE).await;
    desk.handle.cancel("a", 2 * MINUTE).await.unwrap_err();
    let client = desk.client.clone();
    drop(desk);
    tokio::time::sleep(2 * MINUTE).await;
    let cancels = client.world().cancels;
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(client.world().cancels, cancels);
    assert_eq!(Arc::strong_count(&client.0), 1, "nothing holds the client");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_an_abandoned_order_that_fails_is_answered() {
    let desk = working(CancelFault::Fails, 600 * MINUTE).await;
    desk.client.world().failing_queries = usize::MAX;
    desk.client.fault(Fault::Lost);
    let placing = tokio::spawn(desk.place("b"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    desk.handle.resolve("b", Verdict::Abandon).await.unwrap();
    rejection(placing.await.unwrap());
    let at = Instant::now();
    let ended = desk.handle.cancel("b", 60 * MINUTE).await.unwrap_err();
    assert!(matches!(ended, OrderError::CancelUnconfirmed), "{ended:?}");
    assert!(Instant::now() - at < MINUTE);
    assert_eq!(desk.handle.counts().alerts, 1);
}

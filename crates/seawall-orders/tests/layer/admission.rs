//! What does not pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;

use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_core::{DepartureLayer, Error, InstanceHandle, Reason, Samples, Sent, Value};
use seawall_http::NoteDeparture;
use seawall_orders::IntendedAgain;
use seawall_orders::protocol::{Caps, Duplicates, TradingMode};
use seawall_orders::safety::TradingControl;
use seawall_orders::{OrderConfig, OrderLayer};
use serde_json::json;
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::common::{
    Body, Classifier, Client, Desk, Fault, TestBroker, classify, order, rejection, rules,
};

#[test]
fn names_that_no_intent_could_have_are_errors_of_the_builder() {
    let builder =
        || OrderLayer::<Body>::builder("desk", TestBroker::new(rules(Duplicates::RejectWhileOpen)));
    for (field, name, found) in [
        ("account", String::new(), "empty"),
        ("account", "a".repeat(256), "256 bytes long"),
        ("run", String::new(), "empty"),
        ("run", "r".repeat(300), "300 bytes long"),
    ] {
        let built = match field {
            "account" => builder().account(name).build(),
            _ => builder().run(name).build(),
        };
        let expected = format!("`{field}` is {found}, accepted is 1 to 255 bytes");
        assert_eq!(built.unwrap_err().to_string(), expected);
    }
    assert!(builder().account("a".repeat(255)).run("r").build().is_ok());
}

#[tokio::test(start_paused = true)]
async fn ids_that_break_the_rules_and_bodies_that_cannot_be_read() {
    let desk = Desk::new(Duplicates::Accept);
    let rejected = rejection(desk.place("longer-than-twenty-characters").await);
    assert_eq!(rejected.reason(), Reason::InvalidRequest);
    assert_eq!(
        rejected.to_string(),
        "order safety `desk`: the request is not valid (`client_order_id` must be at most 20 \
         characters); nothing was sent"
    );
    let mut request = order(&json!({}));
    *request.body_mut() = Body::from("not json");
    let rejected = rejection(desk.service.clone().oneshot(request).await);
    assert_eq!(rejected.reason(), Reason::InvalidRequest);
    let mut request = order(&json!({}));
    *request.body_mut() = Body::from(vec![b' '; 2 << 20]);
    let rejected = rejection(desk.service.clone().oneshot(request).await);
    assert!(
        rejected.to_string().contains("longer than is read"),
        "{rejected}"
    );
    assert_eq!(desk.client.world().creates, 0);
    assert_eq!(desk.handle.counts().not_admitted, 3);
}

#[tokio::test(start_paused = true)]
async fn an_id_is_used_once() {
    let desk = Desk::new(Duplicates::Accept);
    desk.place("a").await.unwrap();
    let rejected = rejection(desk.place("a").await);
    assert_eq!(rejected.reason(), Reason::InvalidRequest);
    assert!(
        rejected.to_string().contains("was used before"),
        "{rejected}"
    );
    let (one, other) = tokio::join!(desk.place("b"), desk.place("b"));
    assert!(one.is_ok() != other.is_ok());
    assert_eq!(
        (desk.client.executed("a"), desk.client.executed("b")),
        (1, 1)
    );

    // Also one that only the journal remembers.
    let other = Desk::with(
        desk.client.clone(),
        Arc::clone(&desk.journal),
        rules(Duplicates::Accept),
    );
    assert_eq!(
        rejection(other.place("a").await).reason(),
        Reason::InvalidRequest
    );
    assert_eq!(desk.client.executed("a"), 1);
    assert_eq!(other.handle.orders().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_mode_a_cap_and_the_duplicate_guard() {
    let caps = Caps::builder()
        .orders_per_minute(2)
        .duplicate_within(Duration::from_secs(5))
        .build()
        .unwrap();
    let layer: OrderLayer<Body> =
        OrderLayer::<Body>::builder("desk", TestBroker::new(rules(Duplicates::Accept)))
            .control(TradingControl::builder().caps(caps).build())
            .build()
            .unwrap();
    let desk = Desk::of(Client::default(), Default::default(), layer);
    desk.place("a").await.unwrap();
    let twin = rejection(desk.place("b").await);
    assert_eq!(twin.reason(), Reason::Guarded);
    let mut meant = order(&json!({ "symbol": "AAPL", "qty": 1, "client_order_id": "c" }));
    meant.extensions_mut().insert(IntendedAgain);
    desk.service.clone().oneshot(meant).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let third = rejection(desk.place("d").await);
    assert_eq!(third.reason(), Reason::Guarded);
    assert!(third.retry_after().is_some());
    tokio::time::sleep(Duration::from_secs(60)).await;
    desk.handle.set_mode(Some(TradingMode::CancelOnly));
    let halted = rejection(desk.place("e").await);
    assert_eq!(halted.reason(), Reason::TradingMode);
    assert!(halted.to_string().contains("manual"), "{halted}");
    assert_eq!(desk.client.world().creates, 2);
}

#[tokio::test(start_paused = true)]
async fn settings_change_for_the_orders_that_follow() {
    let desk = Desk::new(Duplicates::Accept);
    desk.client.fault(Fault::Stall(400_000));
    desk.client.fault(Fault::Stall(400_000));
    desk.handle.started().await;
    let began = Instant::now();
    let first = tokio::spawn(desk.place("first"));
    tokio::time::sleep(Duration::from_secs(1)).await;

    let build = |deadline, pages: u32, at_once: u32| {
        let config = OrderConfig::builder().deadline(Duration::from_secs(deadline));
        config.max_pages(pages).look_ups_at_once(at_once).build()
    };
    let shorter = build(10, 7, 4).unwrap();
    desk.handle.configure(shorter).unwrap();
    assert_eq!(desk.handle.config(), shorter);
    let rejected = desk.handle.configure(build(10, 7, 5).unwrap()).unwrap_err();
    assert_eq!(
        rejected.to_string(),
        "`look_ups_at_once` is 5, accepted is 4: that of a running layer cannot change",
    );
    assert_eq!(desk.handle.config(), shorter);

    rejection(desk.place("second").await);
    assert_eq!((Instant::now() - began).as_secs(), 11);
    rejection(first.await.unwrap());
    assert_eq!((Instant::now() - began).as_secs(), 120);
}

#[tokio::test(start_paused = true)]
async fn what_a_person_has_stopped_does_not_leave_any_more() {
    // Sent again: the first copy was lost.
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.client.fault(Fault::Dropped);
    let placing = tokio::spawn(desk.place("a"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    desk.handle.set_mode(Some(TradingMode::Halted));
    let rejected = rejection(placing.await.unwrap());
    assert_eq!(rejected.reason(), Reason::NotExecuted);
    assert_eq!(desk.client.world().creates, 1);

    // Queued below the layer: it was admitted, and has not left.
    let client = Client::default();
    let layer: OrderLayer<Body> =
        OrderLayer::builder("desk", TestBroker::new(rules(Duplicates::RejectWhileOpen)))
            .departures_noted()
            .build()
            .unwrap();
    let layer = layer.classify(classify as Classifier);
    let handle = layer.handle();
    let one = BulkheadConfig::builder().max_concurrent(1).max_waiting(5);
    let stack = ServiceBuilder::new()
        .layer(BulkheadLayer::new("desk", one.build().unwrap()))
        .layer(DepartureLayer::new(NoteDeparture))
        .service(client.clone());
    let service = layer.layer(stack);
    client.fault(Fault::Stall(10_000));
    let place = |id: &str| {
        let body = json!({ "symbol": "A", "qty": 1, "client_order_id": id });
        tokio::spawn(service.clone().oneshot(order(&body)))
    };
    let first = place("first");
    tokio::time::sleep(Duration::from_millis(10)).await;
    let second = place("second");
    tokio::time::sleep(Duration::from_millis(10)).await;
    handle.set_mode(Some(TradingMode::CancelOnly));
    first.abort();
    let Err(Error::Rejected(rejected)) = second.await.unwrap() else {
        panic!("it has left");
    };
    assert_eq!(
        (rejected.reason(), rejected.sent()),
        (Reason::NotExecuted, Sent::No)
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        (client.executed("first"), client.executed("second")),
        (1, 0)
    );
}

/// It may be an order: behind the prefix of a gateway, with a slash more.
#[tokio::test(start_paused = true)]
async fn what_may_be_an_order_under_another_path_does_not_pass() {
    let layer: OrderLayer<Body> = OrderLayer::builder("desk", crate::lists::broker())
        .build()
        .unwrap();
    let desk = Desk::of(Client::default(), Default::default(), layer);
    let send = |method: Method, path: &str| {
        let mut request = order(&json!({ "symbol": "AAPL", "qty": 1, "client_order_id": "a" }));
        *request.method_mut() = method;
        *request.uri_mut() = format!("http://broker{path}").parse().unwrap();
        desk.service.clone().oneshot(request)
    };
    for path in [
        "/gateway/orders",
        "/orders/",
        "//orders",
        "/%6Frders",
        "/bulk",
    ] {
        let rejected = rejection(send(Method::POST, path).await);
        assert_eq!(rejected.reason(), Reason::InvalidRequest, "{path}");
        assert!(
            rejected
                .to_string()
                .contains("its route is none of the broker's"),
            "{rejected}"
        );
    }
    assert_eq!(desk.client.world().creates, 0);
    assert_eq!(desk.handle.counts().not_admitted, 5);
    assert!(
        send(Method::GET, "/quotes").await.is_ok(),
        "safe methods pass"
    );
    assert!(
        send(Method::POST, "/margins").await.is_ok(),
        "as does what the table knows"
    );
}

#[tokio::test(start_paused = true)]
async fn the_kill_switch_is_a_gauge() {
    let is_engaged = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_engaged);
    let control = TradingControl::builder().kill_switch(move || switch.load(Ordering::Relaxed));
    let layer: OrderLayer<Body> =
        OrderLayer::<Body>::builder("desk", TestBroker::new(rules(Duplicates::Accept)))
            .control(control.build())
            .build()
            .unwrap();
    let desk = Desk::of(Client::default(), Default::default(), layer);
    let gauge = || {
        let mut found = None;
        desk.handle.samples(&mut Samples::new(&mut |sample| {
            if let Value::Gauge(value) = sample.value
                && sample.metric == "seawall_orders_kill_switch"
            {
                found = Some(value);
            }
        }));
        found
    };
    assert_eq!(gauge(), Some(0.0));
    is_engaged.store(true, Ordering::Relaxed);
    desk.handle.control().refresh();
    assert_eq!(gauge(), Some(1.0));
    assert_eq!(desk.handle.state(), "halted");
}

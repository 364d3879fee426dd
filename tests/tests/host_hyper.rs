//! Host 1: hyper-util's client, around a broker on a real socket.

mod support;

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use seawall::{Error, HttpService, Reason, Rejectable, Sent};
use seawall_sim::incident::Incidents;
use seawall_sim::provider::Broker;
use support::{HyperClient, get, hyper_client, order, quick};
use tower::{Layer, Service, ServiceExt};

/// The stack in a field, without a box.
struct Desk {
    broker: HttpService<HyperClient>,
}

fn script(fault: &str) -> Incidents {
    Incidents::from_toml(&format!(
        "[[incident]]\nprovider = \"broker\"\nfrom = \"0s\"\nto = \"1h\"\n{fault}\n"
    ))
    .expect("a valid script")
}

#[tokio::test]
async fn an_order_goes_through_seven_layers_and_back() {
    let broker = Broker::alpaca().start().await.expect("a socket");
    let stack = quick(seawall::broker("alpaca")).build().expect("valid");
    let handles = stack.handles();
    let mut desk = Desk {
        broker: stack.layer(hyper_client()),
    };
    let ready = desk.broker.ready().await.expect("ready");
    let response = ready
        .call(order(&broker.base_url(), "a-1"))
        .await
        .expect("placed");
    assert_eq!(response.status(), StatusCode::OK);
    // The permit is held until the body has been read.
    assert_eq!(handles.bulkhead.in_flight(), 1);
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert!(body.starts_with(b"{"));
    assert_eq!(handles.bulkhead.in_flight(), 0);
    assert_eq!(handles.breaker.snapshot().counts.success, 1);
    assert_eq!(broker.executions("a-1"), 1);
}

#[tokio::test]
async fn reads_are_retried_and_orders_are_sent_once() {
    let incidents = script("fault = \"status\"\ncode = 500");
    let broker = Broker::alpaca()
        .incidents(incidents)
        .start()
        .await
        .expect("a socket");
    // A circuit that stays closed, to count attempts.
    let tolerant = seawall::BreakerConfig::builder()
        .consecutive_failures(1_000)
        .build();
    let stack = quick(seawall::broker("alpaca"))
        .breaker(tolerant.expect("valid"))
        .build()
        .expect("valid");
    let client = stack.layer(hyper_client());
    let read = client
        .clone()
        .oneshot(get(&broker.base_url(), "/v2/positions"))
        .await;
    assert_eq!(
        read.expect("a response").status(),
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(broker.stats().received, 3);
    let placed = client.oneshot(order(&broker.base_url(), "once")).await;
    assert_eq!(
        placed.expect("a response").status(),
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(broker.stats().received, 4);
}

#[tokio::test]
async fn an_order_that_was_executed_and_cut_off_is_not_sent_again() {
    let incidents = script("route = \"orders.create\"\nfault = \"reset_after_execute\"");
    let broker = Broker::alpaca()
        .incidents(incidents)
        .start()
        .await
        .expect("a socket");
    let stack = quick(seawall::broker("alpaca")).build().expect("valid");
    let handles = stack.handles();
    let client = stack.layer(hyper_client());
    let cut = client.oneshot(order(&broker.base_url(), "cut")).await;
    assert!(
        matches!(cut, Err(Error::Inner(_))),
        "the client's own error"
    );
    assert_eq!(broker.executions("cut"), 1);
    assert_eq!(handles.breaker.snapshot().counts.failure, 1);
}

#[tokio::test]
async fn an_order_that_was_not_sent_is_retried() {
    let broker = Broker::alpaca().start().await.expect("a socket");
    let url = broker.base_url();
    broker.shutdown().await;
    let stack = quick(seawall::broker("alpaca")).build().expect("valid");
    let handles = stack.handles();
    let rejected = stack.layer(hyper_client()).oneshot(order(&url, "n")).await;
    assert!(rejected.is_err());
    // The port is closed: three attempts, none of which was sent.
    assert_eq!(handles.retry.counts().attempts.total(), 3);
}

#[tokio::test]
async fn an_open_circuit_sends_nothing_and_names_the_layer() {
    let incidents = script("fault = \"status\"\ncode = 500");
    let broker = Broker::alpaca()
        .incidents(incidents)
        .start()
        .await
        .expect("a socket");
    let stack = quick(seawall::broker("alpaca")).build().expect("valid");
    let client = stack.layer(hyper_client());
    let _ = client
        .clone()
        .oneshot(get(&broker.base_url(), "/v2/positions"))
        .await;
    let sent = broker.stats().received;
    let rejected = client
        .oneshot(get(&broker.base_url(), "/v2/positions"))
        .await;
    let rejected = *rejected
        .expect_err("open")
        .rejection()
        .expect("a rejection");
    assert_eq!(rejected.reason(), Reason::CircuitOpen);
    assert_eq!(rejected.name().as_str(), "alpaca");
    assert_eq!(rejected.sent(), Sent::No);
    assert!(rejected.retry_after().is_some());
    assert_eq!(broker.stats().received, sent);
}

#[tokio::test]
async fn a_stall_ends_at_the_attempt_timeout_as_maybe_sent() {
    let incidents = script("route = \"orders.create\"\nfault = \"stall\"");
    let broker = Broker::alpaca()
        .incidents(incidents)
        .start()
        .await
        .expect("a socket");
    let stack = quick(seawall::broker("alpaca"))
        .attempt_timeout(Duration::from_millis(100))
        .build()
        .expect("valid");
    let client = stack.layer(hyper_client());
    let timeout = client.oneshot(order(&broker.base_url(), "stalled")).await;
    let timeout = *timeout.expect_err("a timeout").rejection().expect("ours");
    assert_eq!(timeout.reason(), Reason::AttemptTimeout);
    assert_eq!(timeout.sent(), Sent::Maybe);
}

#[tokio::test]
async fn a_body_that_breaks_is_a_failure_and_returns_the_permit() {
    let incidents = script("route = \"positions\"\nfault = \"reset_during_body\"\nshare = 0.5");
    let broker = Broker::alpaca()
        .incidents(incidents)
        .start()
        .await
        .expect("a socket");
    let stack = quick(seawall::broker("alpaca")).build().expect("valid");
    let handles = stack.handles();
    let client = stack.layer(hyper_client());
    let response = client
        .oneshot(get(&broker.base_url(), "/v2/positions"))
        .await
        .expect("a head");
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(handles.breaker.snapshot().counts.failure, 1);
    assert_eq!(handles.bulkhead.in_flight(), 0);
}

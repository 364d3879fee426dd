//! Host 2b: `reqwest::Client` in its adapter below the HTTP stack: requests of the crate `http`,
//! retried, judged and counted without further settings.

mod support;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use seawall::http_client::ReqwestClient;
use seawall::{Error, FailureKind, HttpService, Outcome, Reason, Rejectable};
use seawall_sim::incident::Incidents;
use seawall_sim::provider::{Broker, Handle};
use support::quick;
use tower::{Layer, Service, ServiceExt};

/// The stack in a struct field, by its name.
struct Desk {
    broker: HttpService<ReqwestClient>,
}

fn desk() -> Desk {
    let client = ReqwestClient::build(reqwest::Client::builder()).expect("a client");
    let stack = quick(seawall::broker("alpaca")).build().expect("valid");
    Desk {
        broker: stack.layer(client),
    }
}

fn get(url: &str) -> Request<Full<Bytes>> {
    let request = Request::get(format!("{url}/v2/positions")).body(Full::default());
    request.expect("a request")
}

fn order(url: &str, id: &str) -> Request<Full<Bytes>> {
    let body = format!(
        r#"{{"symbol":"SPY","qty":"1","side":"buy","type":"market","client_order_id":"{id}"}}"#
    );
    let request = Request::post(format!("{url}/v2/orders")).body(Full::from(body));
    request.expect("a request")
}

async fn broker(script: &str) -> Handle {
    let incidents = Incidents::from_toml(script).expect("a valid script");
    let broker = Broker::alpaca().incidents(incidents);
    broker.start().await.expect("a socket")
}

fn is_json<B>(response: &Response<B>) -> bool {
    let kind = response.headers().get("content-type");
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

#[tokio::test]
async fn reads_are_retried_and_bodies_stream() {
    let broker = broker(
        "[[incident]]\nprovider = \"broker\"\nfrom = \"0s\"\nto = \"1h\"\nfault = \"status\"\ncode = 500\n",
    )
    .await;
    let response = desk().broker.oneshot(get(&broker.base_url())).await;
    assert_eq!(response.expect("a response").status(), 500);
    assert_eq!(broker.stats().received, 3);

    let healthy = Broker::alpaca().start().await.expect("a socket");
    let response = desk().broker.oneshot(get(&healthy.base_url())).await;
    let response = response.expect("a response");
    assert!(response.status().is_success() && is_json(&response));
    let body = response.into_body().collect().await.expect("a body");
    assert!(!body.to_bytes().is_empty());
}

#[tokio::test]
async fn an_order_that_was_cut_off_is_sent_once_and_three_open_the_circuit() {
    let broker = broker(
        "[[incident]]\nprovider = \"broker\"\nroute = \"orders.create\"\nfrom = \"0s\"\n\
         to = \"1h\"\nfault = \"reset_after_execute\"\n",
    )
    .await;
    let mut desk = desk();
    for id in ["h-1", "h-2", "h-3"] {
        let ready = desk.broker.ready().await.expect("ready");
        let cut = ready.call(order(&broker.base_url(), id)).await;
        assert!(matches!(cut, Err(Error::Inner(_))));
        assert_eq!(broker.executions(id), 1);
    }
    let ready = desk.broker.ready().await.expect("ready");
    let rejected = ready.call(get(&broker.base_url())).await.expect_err("open");
    assert_eq!(
        rejected.rejection().map(seawall::Rejection::reason),
        Some(Reason::CircuitOpen)
    );
}

#[tokio::test]
async fn an_order_that_never_left_is_sent_again_and_its_error_proves_it() {
    // A reserved port, which no other test is given.
    let closed = "http://127.0.0.1:1";
    let stack = quick(seawall::broker("alpaca")).build().expect("valid");
    let handles = stack.handles();
    let client = ReqwestClient::build(reqwest::Client::builder()).expect("a client");
    let failed = stack.layer(client).oneshot(order(closed, "n-1")).await;
    let error = failed.expect_err("closed");
    let not_sent = Outcome::Failure(FailureKind::NotSent);
    assert_eq!(
        seawall::http_client::TransportError::outcome(&error),
        not_sent
    );
    assert!(handles.retry.counts().attempts.total() > 1);
}

//! A client whose transport is a `reqwest::Client` of the user's own, of both versions.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use seawall::client::{ClientBuilder, ClientError, RequestBody};
use seawall::http_client::reqwest_0_12::ReqwestClient as ReqwestClient012;
use seawall::http_client::{ReqwestClient, TransportError};
use seawall::{Client, HttpStack, Outcome, Reason, Sent};
use seawall_sim::provider::Broker;
use serde_json::{Value, json};
use support::quick;
use support::web_server::WebServer;

fn builder(url: &str) -> ClientBuilder<HttpStack> {
    let stack = quick(seawall::broker("broker")).attempt_timeout(Duration::from_millis(300));
    Client::builder(stack.build().unwrap()).base_url(url)
}

/// An address where nobody listens: a reserved port, which no other test is given.
const NOBODY: &str = "http://127.0.0.1:1";

/// The same tests for each version.
macro_rules! tests {
    ($version:ident, $transport:expr) => {
        mod $version {
            use super::*;

            #[tokio::test]
            async fn an_order_and_what_became_of_it() {
                let broker = Broker::alpaca().start().await.unwrap();
                let client = seawall::alpaca().unwrap().client().unwrap();
                let client = client.base_url(broker.base_url()).header("x-key", "key");
                let client = client.build_around($transport).unwrap();
                let order = json!({"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market",
                    "time_in_force": "day", "client_order_id": "order-1"});
                let request = client.post("/v2/orders").json(&order);
                let placed: Value = request.send().await.unwrap().json().await.unwrap();
                assert_eq!(placed["client_order_id"], "order-1");
                assert_eq!(broker.executions("order-1"), 1);
            }

            #[tokio::test]
            async fn a_read_is_tried_again_and_an_order_is_not() {
                let attempts = Arc::new(AtomicUsize::new(0));
                let counted = Arc::clone(&attempts);
                let fails = move || {
                    counted.fetch_add(1, Ordering::Relaxed);
                    async { StatusCode::BAD_GATEWAY }
                };
                let routes = Router::new().route("/", get(fails.clone()).post(fails));
                let server = WebServer::start(routes).await;
                let client = builder(&server.url()).build_around($transport).unwrap();
                assert_eq!(client.post("/").send().await.unwrap().status(), 502);
                assert_eq!(attempts.swap(0, Ordering::Relaxed), 1);
                assert_eq!(client.get("/").send().await.unwrap().status(), 502);
                assert!(attempts.load(Ordering::Relaxed) > 1);
            }

            #[tokio::test]
            async fn a_connection_that_was_never_made_says_that_nothing_was_sent() {
                let client = builder(NOBODY).build_around($transport).unwrap();
                let error = client.post("/v2/orders").json(&1).send().await.unwrap_err();
                assert!(matches!(error, ClientError::Transport(_)), "{error:?}");
                assert_eq!(error.sent(), Sent::No);
                assert!(error.to_string().ends_with("; nothing was sent"), "{error}");
            }

            #[tokio::test]
            async fn an_order_without_a_response_may_have_been_sent() {
                let hang = || async { std::future::pending::<StatusCode>().await };
                let server = WebServer::start(Router::new().route("/", post(hang))).await;
                let client = builder(&server.url()).build_around($transport).unwrap();
                let error = client.post("/").send().await.unwrap_err();
                assert_eq!(error.rejection().unwrap().reason(), Reason::AttemptTimeout);
                assert_eq!(error.sent(), Sent::Maybe);
            }

            #[tokio::test]
            async fn an_auth_hook_is_called_once_per_attempt_and_may_fail() {
                let server = WebServer::start(Router::new().route("/", get(|| async {}))).await;
                let calls = Arc::new(AtomicUsize::new(0));
                let counted = Arc::clone(&calls);
                let client = builder(&server.url()).auth(move |_| {
                    match counted.fetch_add(1, Ordering::Relaxed) {
                        0 => Ok(()),
                        _ => Err("no nonce"),
                    }
                });
                let client = client.build_around($transport).unwrap();
                assert_eq!(client.get("/").send().await.unwrap().status(), 200);
                let error = client.get("/").send().await.unwrap_err();
                assert!(matches!(error, ClientError::Auth(_)), "{error:?}");
                assert_eq!(error.sent(), Sent::No);
                assert_eq!(
                    error.to_string(),
                    "the auth hook failed: no nonce; nothing was sent"
                );
                assert_eq!(calls.load(Ordering::Relaxed), 2);
            }
        }
    };
}

tests!(
    version_0_13,
    ReqwestClient::build(reqwest::Client::builder())
        .unwrap()
        .with_body::<RequestBody>()
);
tests!(
    version_0_12,
    ReqwestClient012::build(reqwest_0_12::Client::builder())
        .unwrap()
        .with_body::<RequestBody>()
);

#[test]
fn a_setting_of_connections_that_has_no_effect_is_an_error() {
    let transport = || {
        let client = ReqwestClient::build(reqwest::Client::builder()).unwrap();
        client.with_body::<RequestBody>()
    };
    type Set = fn(ClientBuilder<HttpStack>) -> ClientBuilder<HttpStack>;
    let second = Duration::from_secs(1);
    let settings: [(&str, Set); 4] = [
        ("connect_timeout", |b| {
            b.connect_timeout(Duration::from_secs(1))
        }),
        ("pool_max_idle", |b| b.pool_max_idle(1)),
        ("decompress", |b| b.decompress(true)),
        ("dangerously_accept_any_certificate", |b| {
            b.dangerously_accept_any_certificate()
        }),
    ];
    for (name, set) in settings {
        let built = set(builder("http://host")).build_around(transport());
        let error = built.unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{name}` is set, ")), "{error}");
    }
    let built = builder("http://host").map_stack(|stack| stack);
    let built = built.connect_timeout(second).map_stack(|stack| stack);
    assert!(
        built.build_around(transport()).is_err(),
        "kept by `map_stack`"
    );
    // What a provider says of connections is no setting of the user's.
    let alpaca = seawall::alpaca().unwrap().client().unwrap().base("paper");
    alpaca.build_around(transport()).unwrap();
}

/// An error of the user's own, whose meaning only itself knows.
#[derive(Debug)]
struct NoRoute;

impl std::fmt::Display for NoRoute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no route to the exchange")
    }
}

impl std::error::Error for NoRoute {}

impl TransportError for NoRoute {
    fn outcome(&self) -> Outcome {
        Outcome::Failure(seawall::FailureKind::NotSent)
    }
}

#[tokio::test]
async fn the_error_of_a_transport_of_ones_own_is_believed() {
    let transport = tower::service_fn(|_: http::Request<RequestBody>| async {
        Err::<http::Response<http_body_util::Full<bytes::Bytes>>, _>(NoRoute)
    });
    let client = builder("http://host").auth(|_| Ok::<_, Infallible>(()));
    let client = client.build_around(transport).unwrap();
    let error = client.post("/orders").send().await.unwrap_err();
    assert_eq!(error.sent(), Sent::No);
    assert_eq!(
        error.to_string(),
        "the request could not be sent: no route to the exchange; nothing was sent"
    );
}

//! Stacks of different types in one collection.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get as on_get;
use http_body_util::BodyExt;
use seawall::{
    AdaptiveConfig, BoxHttpService, BulkheadConfig, CircuitState, HealthConfig, HedgeConfig,
    Reason, Rejectable,
};
use support::web_server::WebServer;
use support::{Body, get, hyper_client, quick};
use tower::{Layer, ServiceExt};

fn assert_shared<T: Clone + Send + Sync + 'static>(_: &T) {}

/// Responds with a text, or with 502 where the path is `/broken`; counts its calls.
async fn server() -> (WebServer, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let broken = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { StatusCode::BAD_GATEWAY }
    };
    let routes = Router::new()
        .route("/", on_get(|| async { "[1, 2]" }))
        .route("/broken", on_get(broken))
        .route("/hangs", on_get(std::future::pending::<()>));
    (WebServer::start(routes).await, calls)
}

#[tokio::test]
async fn stacks_of_every_kind_and_with_any_options_have_one_type() {
    let (server, calls) = server().await;
    let mut services: HashMap<&str, BoxHttpService<Body>> = HashMap::new();
    for (name, builder) in [
        ("broker", seawall::broker("broker")),
        ("orders", seawall::order_execution("orders")),
        ("quotes", seawall::market_data("quotes")),
        ("news", seawall::news("news")),
        ("model", seawall::ai_api("model")),
        ("agents", seawall::ai_agents("agents")),
        ("database", seawall::database("database")),
        ("api", seawall::api_client("api")),
    ] {
        let stack = quick(builder).build().unwrap();
        services.insert(name, stack.boxed().layer(hyper_client()));
    }
    let options = quick(seawall::market_data("options")).build().unwrap();
    let options = options
        .hedge(HedgeConfig::builder().build().unwrap())
        .adaptive_concurrency(AdaptiveConfig::default())
        .health(HealthConfig::default());
    services.insert("options", options.boxed().layer(hyper_client()));
    let provider = seawall::provider("alpaca").unwrap().build().unwrap();
    services.insert("alpaca", provider.boxed().layer(hyper_client()));

    assert_eq!(services.len(), 10);
    for (name, service) in services {
        assert_shared(&service);
        let request = get(&server.url(), "/");
        let response = service.clone().oneshot(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "[1, 2]", "{name}");
        let before = calls.load(Ordering::Relaxed);
        let request = get(&server.url(), "/broken");
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 502, "{name}");
        assert!(
            calls.load(Ordering::Relaxed) > before + 1,
            "{name}: tried again"
        );
    }
}

#[tokio::test]
async fn a_rejection_and_the_error_of_the_client_come_through() {
    let (server, _) = server().await;
    let stack = quick(seawall::broker("broker")).build().unwrap();
    let circuit = stack.handles().breaker;
    let service: BoxHttpService<Body> = stack.boxed().layer(hyper_client());

    // A reserved port, where nobody listens.
    let request = get("http://127.0.0.1:1", "/");
    let error = service.clone().oneshot(request).await.unwrap_err();
    assert!(error.rejection().is_none());
    assert!(error.is::<hyper_util::client::legacy::Error>(), "{error:?}");

    circuit.force_open();
    assert_eq!(circuit.snapshot().state, CircuitState::ForcedOpen);
    let error = service.oneshot(get(&server.url(), "/")).await.unwrap_err();
    assert_eq!(error.rejection().unwrap().reason(), Reason::CircuitOpen);
}

#[tokio::test]
async fn a_call_that_is_dropped_and_a_body_that_is_dropped_give_their_permits_back() {
    let (server, _) = server().await;
    let one = BulkheadConfig::builder().max_concurrent(1).build().unwrap();
    let stack = quick(seawall::broker("broker"))
        .bulkhead(one)
        .build()
        .unwrap();
    let bulkhead = stack.handles().bulkhead;
    let service: BoxHttpService<Body> = stack.boxed().layer(hyper_client());

    let hangs = service.clone().oneshot(get(&server.url(), "/hangs"));
    let dropped = tokio::time::timeout(Duration::from_millis(50), hangs).await;
    assert!(dropped.is_err());
    assert_eq!(bulkhead.snapshot().in_flight, 0);

    let response = service
        .clone()
        .oneshot(get(&server.url(), "/"))
        .await
        .unwrap();
    assert_eq!(bulkhead.snapshot().in_flight, 1, "until the body has ended");
    drop(response);
    assert_eq!(bulkhead.snapshot().in_flight, 0);
    drop(service.clone().oneshot(get(&server.url(), "/")));
    let response = service.oneshot(get(&server.url(), "/")).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "[1, 2]"
    );
    assert_eq!(bulkhead.snapshot().in_flight, 0);
}

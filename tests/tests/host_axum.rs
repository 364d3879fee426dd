//! Host 4: an axum `Router`, whose services cannot fail. Rejections become responses.

mod support;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get as route;
use http::{HeaderMap, StatusCode};
use seawall::http_client::RejectionResponseLayer;
use seawall::{
    AttemptTimeoutConfig, AttemptTimeoutLayer, BreakerConfig, BreakerLayer, BulkheadConfig,
    BulkheadLayer, RateLimitConfig, RateLimitLayer,
};
use support::{get, hyper_client};
use tokio::net::TcpListener;
use tokio::sync::Notify;

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

async fn status(url: &str, path: &str) -> (StatusCode, HeaderMap) {
    let response = hyper_client()
        .request(get(url, path))
        .await
        .expect("a response");
    (response.status(), response.headers().clone())
}

#[tokio::test]
async fn a_full_bulkhead_is_503_on_every_route_of_the_layer() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (notify, wait) = (Arc::clone(&entered), Arc::clone(&leave));
    let one = BulkheadConfig::builder()
        .max_concurrent(1)
        .build()
        .expect("valid");
    let app = Router::new()
        .route(
            "/slow",
            route(move || async move {
                notify.notify_one();
                wait.notified().await;
                "done"
            }),
        )
        .route("/fast", route(|| async { "fast" }))
        .layer(RejectionResponseLayer::new(BulkheadLayer::new("app", one)));
    let url = serve(app).await;
    let slow = {
        let url = url.clone();
        tokio::spawn(async move { status(&url, "/slow").await.0 })
    };
    entered.notified().await;
    // One permit for all routes: axum clones the layer per route.
    assert_eq!(
        status(&url, "/fast").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    leave.notify_one();
    assert_eq!(slow.await.expect("no panic"), StatusCode::OK);
    assert_eq!(status(&url, "/fast").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_used_up_rate_is_429_with_retry_after() {
    let config = RateLimitConfig::builder()
        .rate(1, Duration::from_secs(3600))
        .burst(1)
        .build()
        .expect("valid");
    let app =
        Router::new()
            .route("/", route(|| async { "hello" }))
            .layer(RejectionResponseLayer::new(RateLimitLayer::new(
                "app", config,
            )));
    let url = serve(app).await;
    assert_eq!(status(&url, "/").await.0, StatusCode::OK);
    let (rejected, headers) = status(&url, "/").await;
    assert_eq!(rejected, StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = headers["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert!((3590..=3600).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_handler_that_hangs_is_504_and_an_open_circuit_503() {
    let config = BreakerConfig::builder()
        .consecutive_failures(1)
        .open_for(Duration::from_secs(3600))
        .build()
        .expect("valid");
    let timeout = AttemptTimeoutConfig::fixed(Duration::from_millis(50)).expect("valid");
    let timeout = AttemptTimeoutLayer::new("app", timeout);
    let app = Router::new()
        .route(
            "/",
            route(|| async { std::future::pending::<&'static str>().await }),
        )
        .layer(RejectionResponseLayer::new((
            BreakerLayer::new("app", config),
            timeout,
        )));
    let url = serve(app).await;
    assert_eq!(status(&url, "/").await.0, StatusCode::GATEWAY_TIMEOUT);
    let (rejected, headers) = status(&url, "/").await;
    assert_eq!(rejected, StatusCode::SERVICE_UNAVAILABLE);
    assert!(headers.contains_key("retry-after"));
}

//! An axum server with a rate limit for each API key, and its health as JSON.

use std::time::Duration;

use axum::extract::Request;
use axum::routing::get;
use axum::{Json, Router};
use seawall::health::Depth;
use seawall::http_client::RejectionResponseLayer;
use seawall::{
    CheckConfig, HealthMonitor, KeyedRateLimitConfig, KeyedRateLimitLayer, PartitionKey,
    RateLimitConfig, RequestMeta,
};
use tokio::net::TcpListener;
use tower::BoxError;

fn by_api_key(request: &Request) -> RequestMeta {
    let key = request.headers().get("x-api-key");
    RequestMeta::default().with_key(PartitionKey::of(&key))
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let minute = Duration::from_secs(60);
    let rate = RateLimitConfig::builder()
        .rate(1, minute)
        .burst(2)
        .build()?;
    let limits = KeyedRateLimitLayer::new("api-keys", KeyedRateLimitConfig::new(rate)?);
    let monitor = HealthMonitor::new("api");
    monitor.register("database", CheckConfig::default(), || async { true })?;
    let app = Router::new()
        .route("/quote", get(|| async { "512.25" }))
        .layer(RejectionResponseLayer::new(limits.describe(by_api_key)))
        .route(
            "/health",
            get(|| async move { Json(monitor.run(Depth::Deep).await) }),
        );

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, app).await });
    for (key, path) in [
        ("a", "quote"),
        ("a", "quote"),
        ("a", "quote"),
        ("b", "quote"),
        ("b", "health"),
    ] {
        let request = reqwest::Client::new().get(format!("{url}/{path}"));
        let response = request.header("x-api-key", key).send().await?;
        println!("{key} {}: {}", response.status(), response.text().await?);
    }
    Ok(())
}

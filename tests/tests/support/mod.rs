//! Shared by the tests over real sockets.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, reason = "a module of several test crates")]

pub mod ai_server;
pub mod raw_server;
pub mod web_server;

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use seawall::{Backoff, BreakerConfig, RateLimitConfig, RetryConfig, StackBuilder};

pub type Body = Full<Bytes>;
pub type HyperClient = Client<HttpConnector, Body>;

pub fn hyper_client() -> HyperClient {
    Client::builder(TokioExecutor::new()).build_http()
}

pub fn get(url: &str, path: &str) -> Request<Body> {
    Request::get(format!("{url}{path}"))
        .body(Body::default())
        .expect("a request")
}

pub fn order(url: &str, id: &str) -> Request<Body> {
    let body = format!(
        r#"{{"symbol":"SPY","qty":"1","side":"buy","type":"market","client_order_id":"{id}"}}"#
    );
    Request::post(format!("{url}/v2/orders"))
        .header("content-type", "application/json")
        .body(Body::from(body))
        .expect("a request")
}

/// Short waits, so that a test over real sockets is over soon.
pub fn quick(builder: StackBuilder) -> StackBuilder {
    let ms = Duration::from_millis;
    let retry = RetryConfig::builder()
        .attempts(3)
        .backoff(Backoff::constant(ms(1)).expect("valid"));
    builder
        .retry(retry.build().expect("valid"))
        .rate_limit(
            RateLimitConfig::builder()
                .rate(10_000, Duration::from_secs(1))
                .burst(1_000)
                .build()
                .expect("valid"),
        )
        .breaker(
            BreakerConfig::builder()
                .consecutive_failures(3)
                .open_for(Duration::from_secs(3600))
                .build()
                .expect("valid"),
        )
}

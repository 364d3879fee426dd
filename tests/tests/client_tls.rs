//! A client over TLS: whom it trusts, which version of HTTP it speaks, and when it gives up.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use seawall::client::{ClientBuilder, ClientError, HttpVersion};
use seawall::{Client, HttpStack, Sent};
use support::quick;
use support::web_server::{Authority, WebServer};
use tokio::net::TcpListener;

const BOTH: &[&str] = &["h2", "http/1.1"];

async fn version(request: axum::extract::Request) -> String {
    format!("{:?}", request.version())
}

fn routes() -> Router {
    Router::new().route("/version", get(version))
}

fn builder(url: &str) -> ClientBuilder<HttpStack> {
    let stack = quick(seawall::broker("broker")).build().unwrap();
    Client::builder(stack).base_url(url)
}

async fn version_of(client: &Client<HttpStack>) -> Result<String, ClientError> {
    client.get("/version").send().await?.text().await
}

#[tokio::test]
async fn it_speaks_http2_where_the_server_does_over_one_connection() {
    let authority = Authority::new();
    let server = WebServer::start_tls(&authority, BOTH, routes()).await;
    let trusting = || {
        builder(&server.url())
            .without_system_roots()
            .root_certificates(authority.pem())
    };
    let client = trusting().build().unwrap();
    for _ in 0..3 {
        assert_eq!(version_of(&client).await.unwrap(), "HTTP/2.0");
    }
    assert_eq!(server.connections(), 1);

    let older = trusting().http_version(HttpVersion::Http1).build().unwrap();
    assert_eq!(version_of(&older).await.unwrap(), "HTTP/1.1");
    assert_eq!(version_of(&older).await.unwrap(), "HTTP/1.1");
    assert_eq!(server.connections(), 2, "kept alive");
}

#[tokio::test]
async fn a_server_that_speaks_no_http2_is_served() {
    let authority = Authority::new();
    let server = WebServer::start_tls(&authority, &["http/1.1"], routes()).await;
    let client = builder(&server.url())
        .root_certificates(authority.pem())
        .build()
        .unwrap();
    assert_eq!(version_of(&client).await.unwrap(), "HTTP/1.1");
}

#[tokio::test]
async fn a_certificate_of_nobody_it_trusts_is_rejected_before_anything_is_sent() {
    let authority = Authority::new();
    let server = WebServer::start_tls(&authority, BOTH, routes()).await;
    let other = Authority::new().pem();
    let client = builder(&server.url())
        .without_system_roots()
        .root_certificates(other)
        .build()
        .unwrap();
    let order = client.post("/version").body("buy").send().await;
    let error = order.unwrap_err();
    assert_eq!(error.sent(), Sent::No, "{error}");
    let text = error.to_string();
    let begins =
        "the request could not be sent: no connection could be made: invalid peer certificate";
    assert!(text.starts_with(begins), "{text}");
    assert!(text.ends_with("; nothing was sent"), "{text}");
}

#[tokio::test]
async fn it_trusts_anyone_only_where_that_is_asked_for() {
    let server = WebServer::start_tls(&Authority::new(), BOTH, routes()).await;
    let client = builder(&server.url())
        .dangerously_accept_any_certificate()
        .build()
        .unwrap();
    assert_eq!(version_of(&client).await.unwrap(), "HTTP/2.0");
}

#[tokio::test]
async fn a_server_that_does_not_finish_the_handshake_was_sent_nothing() {
    // The kernel accepts, and nobody responds.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let client = builder(&url)
        .connect_timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    let error = client.post("/orders").body("buy").send().await.unwrap_err();
    assert_eq!(error.sent(), Sent::No);
    let text = error.to_string();
    assert!(text.contains("no connection within 100ms"), "{text}");
    let counts = client.stack().handles().retry.counts();
    assert_eq!(counts.retries, 2, "what was not sent is tried again");
}

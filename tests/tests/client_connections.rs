//! What becomes of a client's connections, and what a call costs beside them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http_body_util::Full;
use seawall::client::{HttpVersion, RequestBody};
use seawall::{Client, HttpStack};
use support::quick;
use support::web_server::WebServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

const SHORT: Duration = Duration::from_millis(300);

/// Passes bytes on, and loses all of those of the connections that were made before `lose`.
struct Network {
    url: String,
    connections: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
}

impl Network {
    async fn before(server: &WebServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let network = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            connections: Arc::default(),
            lost: Arc::default(),
        };
        let target = server.url().trim_start_matches("http://").to_owned();
        let (connections, lost) = (Arc::clone(&network.connections), Arc::clone(&network.lost));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::SeqCst) + 1;
                let far = TcpStream::connect(&target).await.unwrap();
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                tokio::spawn(pass(near_read, far_write, number, Arc::clone(&lost)));
                tokio::spawn(pass(far_read, near_write, number, Arc::clone(&lost)));
            }
        });
        network
    }

    fn lose(&self) {
        self.lost.store(self.connections(), Ordering::SeqCst);
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: usize,
    lost: Arc<AtomicUsize>,
) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if number > lost.load(Ordering::SeqCst) && to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
}

fn http2_client(url: &str) -> Client<HttpStack> {
    let stack = quick(seawall::market_data("feed")).attempt_timeout(SHORT);
    Client::builder(stack.build().unwrap())
        .base_url(url)
        .http_version(HttpVersion::Http2)
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_silent_http2_connection_takes_no_further_attempt() {
    let server = WebServer::start(Router::new().route("/", get(|| async { "here" }))).await;
    let network = Network::before(&server).await;
    let client = http2_client(&network.url);
    for _ in 0..2 {
        let response = client.get("/").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "here");
    }
    assert_eq!(network.connections(), 1);

    network.lose();
    let response = client.get("/").send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "here");
    assert_eq!(network.connections(), 2);
    let counts = client.stack().handles().retry.counts();
    assert_eq!(counts.retries, 1, "the one that was lost");
}

#[tokio::test]
async fn a_connection_whose_server_is_heard_is_kept_when_an_attempt_times_out() {
    let routes = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/never", get(std::future::pending::<()>));
    let server = WebServer::start(routes).await;
    let client = http2_client(&server.url());
    client.get("/").send().await.unwrap();

    let is_over = Arc::new(AtomicBool::new(false));
    let never = async {
        let late = client.get("/never").timeout(2 * SHORT).send().await;
        is_over.store(true, Ordering::SeqCst);
        late.unwrap_err()
    };
    let others = async {
        while !is_over.load(Ordering::SeqCst) {
            client.get("/").send().await.unwrap();
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::join!(never, others);
    client.get("/").send().await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn pings_find_a_silent_connection_before_a_call_does() {
    let server = WebServer::start(Router::new().route("/", get(|| async { "here" }))).await;
    let network = Network::before(&server).await;
    let stack = quick(seawall::market_data("feed")).attempt_timeout(SHORT);
    let ping = Duration::from_millis(50);
    let client = Client::builder(stack.build().unwrap())
        .base_url(&network.url)
        .http_version(HttpVersion::Http2)
        .keep_alive(ping, ping)
        .build()
        .unwrap();
    client.get("/").send().await.unwrap();
    network.lose();
    tokio::time::sleep(10 * ping).await;
    client.get("/").send().await.unwrap();
    assert_eq!(network.connections(), 2);
    let counts = client.stack().handles().retry.counts();
    assert_eq!(counts.retries, 0, "no attempt was lost");
}

/// Responds at once.
#[derive(Clone)]
struct AtOnce;

impl tower::Service<http::Request<RequestBody>> for AtOnce {
    type Response = http::Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<RequestBody>) -> Self::Future {
        ready(Ok(http::Response::new(Full::from(&b"[]"[..]))))
    }
}

/// How many allocations a call of each of these makes, once it is warm: around the same transport.
macro_rules! allocations {
    ($stack:expr) => {{
        let client = Client::builder($stack)
            .base_url("https://host/v2")
            .header("x-key", "secret")
            .auth(|_| Ok::<_, Infallible>(()))
            .build_around(AtOnce)
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let call = async || {
            for request in [client.get("/positions"), client.post("/orders").json(&[1])] {
                let response = request.send().await.unwrap();
                assert_eq!(response.bytes().await.unwrap(), "[]");
            }
        };
        runtime.block_on(async {
            for _ in 0..4 {
                call().await;
            }
        });
        let calls = || {
            runtime.block_on(async {
                for _ in 0..4 {
                    call().await;
                }
            })
        };
        seawall_testkit::alloc::count(calls).allocations
    }};
}

#[test]
fn the_stack_of_a_client_allocates_nothing() {
    let without = allocations!(tower::layer::util::Identity::new());
    assert!(without > 0, "the client's own: URL and headers");
    let broker = quick(seawall::broker("broker")).build().unwrap();
    assert_eq!(allocations!(broker), without);
    let tier = seawall::alpaca().unwrap().tier("plus").unwrap();
    assert_eq!(allocations!(tier.build_with(quick).unwrap()), without);
}

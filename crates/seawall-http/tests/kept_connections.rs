//! Attempts that are tried again leave their connections to the next ones.
#![cfg(feature = "hyper")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use seawall_core::{Backoff, WrapErrorLayer};
use seawall_http::inspect::{InspectLayer, Inspector};
use seawall_http::{HttpClassifier, KeepBody, Routes};
use seawall_retry::{RetryConfig, RetryLayer};
use tokio::net::TcpListener;
use tokio::time::{Sleep, sleep};
use tower::{ServiceBuilder, ServiceExt};

const MS: Duration = Duration::from_millis(1);

/// What the server answers with: so many bytes, in pieces of 1 kB, each after a wait.
struct Slow {
    left: usize,
    wait: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let wait = self.wait;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(wait)));
        std::task::ready!(timer.as_mut().poll(cx));
        self.timer = None;
        let piece = self.left.min(1_000);
        self.left -= piece;
        let data = Bytes::from(vec![b'x'; piece]);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

/// A server that throttles every request but each fourth, and counts its connections.
#[derive(Clone, Default)]
struct Server {
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    async fn start(&self, length: usize, wait: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let Self {
            connections,
            requests,
        } = self.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let requests = Arc::clone(&requests);
                let service = service_fn(move |_: Request<Incoming>| {
                    let nth = requests.fetch_add(1, Ordering::Relaxed);
                    let status = if nth % 4 == 3 { 200 } else { 503 };
                    let timer = None;
                    let body = Slow {
                        left: length,
                        wait,
                        timer,
                    };
                    let response = Response::builder().status(status).body(body);
                    std::future::ready(response)
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service);
                tokio::spawn(connection);
            }
        });
        addr
    }
}

fn nothing(_: &http::response::Parts, _: &[u8]) -> Option<seawall_core::Outcome> {
    None
}

/// Twenty calls of four attempts each, one after another; how many connections they took.
async fn connections<K>(length: usize, wait: Duration, keeper: K) -> usize
where
    K: seawall_core::KeepResponse<Response<seawall_http::inspect::InspectedBody<Incoming>>> + Clone,
    fn(&http::response::Parts, &[u8]) -> Option<seawall_core::Outcome>: Inspector,
{
    let server = Server::default();
    let addr = server.start(length, wait).await;
    let config = RetryConfig::builder()
        .attempts(4)
        .backoff(Backoff::constant(5 * MS).unwrap());
    let retry = RetryLayer::new("vendor", config.build().unwrap())
        .classify(HttpClassifier::new())
        .describe(Routes::reads_only())
        .keep(keeper)
        .without_budget();
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let inspect = nothing as fn(&http::response::Parts, &[u8]) -> Option<seawall_core::Outcome>;
    let client = ServiceBuilder::new()
        .layer(retry)
        .layer(WrapErrorLayer)
        .layer(InspectLayer::new(0, inspect))
        .service(client);
    for _ in 0..20 {
        let request = Request::get(format!("http://{addr}/quotes"));
        let request = request.body(Full::default()).unwrap();
        let response = client.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), length);
    }
    assert_eq!(server.requests.load(Ordering::Relaxed), 80);
    server.connections.load(Ordering::Relaxed)
}

/// Each of the sixty that were throttled cost a new connection.
#[tokio::test]
async fn throttled_attempts_of_which_the_body_is_read_use_one_connection() {
    // In eight pieces, 2 ms apart: none is there when the head is.
    let patient = KeepBody::new().with_timeout(10_000 * MS).unwrap();
    let read = connections(8_000, 2 * MS, patient).await;
    // One on an idle machine.
    assert!(read <= 15, "{read} connections for 80 requests");
    let dropped = connections(8_000, 2 * MS, seawall_core::DropResponse).await;
    assert!(dropped >= 60, "{dropped} connections: what it was");
}

/// A body that is larger, or that does not come in time, is dropped with its connection.
#[tokio::test]
async fn a_large_or_slow_body_is_not_waited_for() {
    let small = KeepBody::new().with_cap(4_000);
    let large = connections(8_000, Duration::ZERO, small).await;
    assert!(large >= 60, "{large}");
    let hurried = KeepBody::new().with_timeout(MS).unwrap();
    let slow = connections(1_000, 20 * MS, hurried).await;
    assert!(slow >= 60, "{slow}");
}

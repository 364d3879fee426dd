//! The errors of real clients, over real sockets.
#![cfg(all(feature = "hyper", feature = "reqwest"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::{Client, Error as LegacyError};
use hyper_util::rt::TokioExecutor;
use seawall_core::{Classify, Error, FailureKind, Outcome};
use seawall_http::{HttpClassifier, TransportError};

const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A server that reads a request, answers with `text`, and hangs up.
fn hangs_up_after(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1_024];
        let _ = stream.read(&mut request).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
    });
    address
}

async fn by_hyper(address: SocketAddr) -> LegacyError {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let body = Full::new(Bytes::from("buy 1"));
    let order = Request::post(format!("http://{address}/orders")).body(body);
    client.request(order.unwrap()).await.unwrap_err()
}

async fn by_reqwest(address: SocketAddr) -> reqwest::Error {
    let order = reqwest::Client::new().post(format!("http://{address}/orders"));
    order.body("buy 1").send().await.unwrap_err()
}

fn judged<E: TransportError>(error: E) -> Outcome {
    HttpClassifier::new().classify(Err::<&Response<()>, _>(&Error::Inner(error)))
}

#[tokio::test]
async fn a_refused_connection_was_not_sent() {
    assert_eq!(judged(by_hyper(nobody()).await), NOT_SENT);
    assert_eq!(judged(by_reqwest(nobody()).await), NOT_SENT);
    let boxed: BoxError = Box::new(by_reqwest(nobody()).await);
    assert_eq!(judged(boxed), NOT_SENT);
}

#[tokio::test]
async fn a_connection_that_ends_after_the_request_leaves_its_fate_unknown() {
    for text in ["", "HTTP/1.1 2", "no HTTP at all"] {
        assert_eq!(
            judged(by_hyper(hangs_up_after(text)).await),
            Outcome::Unknown,
            "{text:?}"
        );
        assert_eq!(
            judged(by_reqwest(hangs_up_after(text)).await),
            Outcome::Unknown,
            "{text:?}"
        );
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_built_says_nothing_about_the_upstream() {
    let nonsense = reqwest::Client::new()
        .get("no url")
        .send()
        .await
        .unwrap_err();
    assert_eq!(judged(nonsense), Outcome::Ignored);
}

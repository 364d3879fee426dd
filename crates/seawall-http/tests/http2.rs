//! Streams that an HTTP/2 server refuses or disowns: real clients, a real server.
#![cfg(all(feature = "http2", feature = "reqwest"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::Reason;
use h2::server::{Connection, SendResponse};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, Error as LegacyError};
use hyper_util::rt::TokioExecutor;
use seawall_core::{Classify, Error, FailureKind, Outcome};
use seawall_http::{
    HttpClassifier, ReqwestClient, TransportError, outcome_of, reqwest_without_redirects,
    was_not_processed,
};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);

/// What the server does to the requests of a connection.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// Resets each stream with this reason.
    Reset(Reason),
    /// Announces that no stream after this one was processed, and goes.
    GoAway(u32, Reason),
    /// Responds, and resets the stream in the middle of the body.
    ResetBody(Reason),
    /// Reads the request and hangs up.
    HangUp,
}

/// A server of HTTP/2 that treats each request so; how many it has received.
async fn server(fate: Fate) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let received = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&received);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, fate, Arc::clone(&count)));
        }
    });
    (address, received)
}

async fn serve(stream: TcpStream, fate: Fate, count: Arc<AtomicUsize>) {
    if let Fate::GoAway(last, reason) = fate {
        return go_away(stream, last, reason).await;
    }
    let mut connection: Connection<_, Bytes> = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((_, respond))) = connection.accept().await {
        count.fetch_add(1, Ordering::Relaxed);
        match fate {
            Fate::HangUp => return,
            fate => finish(respond, fate),
        }
    }
}

fn finish(mut respond: SendResponse<Bytes>, fate: Fate) {
    match fate {
        Fate::Reset(reason) => respond.send_reset(reason),
        Fate::ResetBody(reason) => {
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"half"), false).unwrap();
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                body.send_reset(reason);
            });
        }
        Fate::GoAway(..) | Fate::HangUp => unreachable!("not of a stream"),
    }
}

/// Frames by hand (RFC 9113, sections 4.1, 6.5 and 6.8): the server of `h2` always names the last
/// stream that it has received.
async fn go_away(mut stream: TcpStream, last: u32, reason: Reason) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(&settings).await.unwrap();
    // Until the HEADERS of the first stream have come: preface, then frames.
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let [a, b, c, kind, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await.unwrap();
        if kind == 1 {
            break;
        }
    }
    let mut frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0];
    frame.extend(last.to_be_bytes());
    frame.extend(u32::from(reason).to_be_bytes());
    stream.write_all(&frame).await.unwrap();
    stream.flush().await.unwrap();
    if last == 0 {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    // Otherwise the stream is one that may have been processed, and its response never comes.
    let _ = stream.shutdown().await;
}

type HyperClient = Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>;

fn hyper_client() -> HyperClient {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

fn order(address: SocketAddr) -> Request<Full<Bytes>> {
    let body = Full::new(Bytes::from("buy 1"));
    let order = Request::post(format!("http://{address}/orders")).body(body);
    order.unwrap()
}

async fn by_hyper(address: SocketAddr) -> LegacyError {
    hyper_client().request(order(address)).await.unwrap_err()
}

fn prior_knowledge() -> reqwest::ClientBuilder {
    reqwest::Client::builder().http2_prior_knowledge()
}

async fn by_reqwest(client: &reqwest::Client, address: SocketAddr) -> reqwest::Error {
    let order = client.post(format!("http://{address}/orders"));
    order.body("buy 1").send().await.unwrap_err()
}

fn judged<E: TransportError>(error: E) -> Outcome {
    HttpClassifier::new().classify(Err::<&Response<()>, _>(&Error::Inner(error)))
}

/// The outcome by each client of an order that meets this fate.
async fn outcomes(fate: Fate) -> [Outcome; 4] {
    let (address, received) = server(fate).await;
    let legacy = by_hyper(address).await;
    let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(by_hyper(address).await);
    let proof = was_not_processed(&*boxed);
    assert_eq!(proof, judged(boxed) == NOT_SENT, "{fate:?}");
    let plain = prior_knowledge()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .build()
        .unwrap();
    let plain = by_reqwest(&plain, address).await;
    let client: ReqwestClient = ReqwestClient::build(prior_knowledge()).unwrap();
    let adapter = client.oneshot(order(address)).await.unwrap_err();
    if !matches!(fate, Fate::GoAway(..)) {
        assert_eq!(received.load(Ordering::Relaxed), 4, "{fate:?}");
    }
    [
        judged(legacy),
        outcome_of(&plain),
        reqwest_without_redirects(&plain),
        judged(adapter),
    ]
}

#[tokio::test]
async fn a_refused_stream_was_not_sent() {
    let found = outcomes(Fate::Reset(Reason::REFUSED_STREAM)).await;
    // A client that may follow redirects proves nothing.
    assert_eq!(found, [NOT_SENT, Outcome::Unknown, NOT_SENT, NOT_SENT]);
}

#[tokio::test]
async fn a_stream_after_the_last_one_of_a_go_away_was_not_sent() {
    for reason in [
        Reason::NO_ERROR,
        Reason::ENHANCE_YOUR_CALM,
        Reason::INTERNAL_ERROR,
    ] {
        let found = outcomes(Fate::GoAway(0, reason)).await;
        let expected = [NOT_SENT, Outcome::Unknown, NOT_SENT, NOT_SENT];
        assert_eq!(found, expected, "{reason:?}");
    }
}

#[tokio::test]
async fn any_other_reset_proves_nothing() {
    for fate in [
        Fate::Reset(Reason::CANCEL),
        Fate::Reset(Reason::INTERNAL_ERROR),
        Fate::Reset(Reason::NO_ERROR),
        Fate::Reset(Reason::PROTOCOL_ERROR),
        Fate::Reset(Reason::ENHANCE_YOUR_CALM),
        Fate::HangUp,
        // The stream of the order is the first one, and the last that the server has taken.
        Fate::GoAway(1, Reason::NO_ERROR),
        Fate::GoAway(1, Reason::INTERNAL_ERROR),
    ] {
        assert_eq!(outcomes(fate).await, [Outcome::Unknown; 4], "{fate:?}");
    }
}

/// The server has responded, so it has processed the request, whatever it says afterwards.
#[tokio::test]
async fn a_stream_that_is_refused_in_the_middle_of_its_body_proves_nothing() {
    let (address, _) = server(Fate::ResetBody(Reason::REFUSED_STREAM)).await;
    let response = hyper_client().request(order(address)).await.unwrap();
    let broken = response.into_body().collect().await.unwrap_err();
    assert!(!was_not_processed(&broken));
    assert_eq!(judged(broken), Outcome::Unknown);
}

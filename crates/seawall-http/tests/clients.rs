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
use seawall_http::{HttpClassifier, TransportError, reqwest_without_redirects};

const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An address where nobody listens: a reserved port, which no other test is given.
fn nobody() -> SocketAddr {
    ([127, 0, 0, 1], 1).into()
}

/// A server that reads a request, responds with `text`, and hangs up.
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
    send_order(&reqwest::Client::new(), address).await
}

async fn send_order(client: &reqwest::Client, address: SocketAddr) -> reqwest::Error {
    let order = client.post(format!("http://{address}/orders"));
    order.body("buy 1").send().await.unwrap_err()
}

fn without_redirects() -> reqwest::Client {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    client.build().unwrap()
}

fn judged<E: TransportError>(error: E) -> Outcome {
    HttpClassifier::new().classify(Err::<&Response<()>, _>(&Error::Inner(error)))
}

#[tokio::test]
async fn a_refused_connection_was_not_sent() {
    assert_eq!(judged(by_hyper(nobody()).await), NOT_SENT);
    let boxed: BoxError = Box::new(by_hyper(nobody()).await);
    assert_eq!(judged(boxed), NOT_SENT);
}

/// An order was executed and the response was a redirect to where nobody listened. The error was that
/// of a connection which was never made, and the order was sent three times.
#[tokio::test]
async fn a_client_that_follows_redirects_cannot_prove_that_nothing_was_sent() {
    let to_nobody = format!(
        "HTTP/1.1 303 See Other\r\nlocation: http://{}/orders/7\r\ncontent-length: 0\r\n\r\n",
        nobody()
    );
    let executed = by_reqwest(hangs_up_after(to_nobody.leak())).await;
    assert!(executed.is_connect(), "as if nothing had been sent");
    assert_eq!(judged(executed), Outcome::Unknown);
    assert_eq!(judged(by_reqwest(nobody()).await), Outcome::Unknown);
    let boxed: BoxError = Box::new(by_reqwest(nobody()).await);
    assert_eq!(judged(boxed), Outcome::Unknown);
}

/// A client that sends orders turns redirects off, and its errors are exact.
#[tokio::test]
async fn without_redirects_a_refused_connection_was_not_sent() {
    let client = without_redirects();
    let rejected = send_order(&client, nobody()).await;
    assert_eq!(reqwest_without_redirects(&rejected), NOT_SENT);
    for text in ["", "HTTP/1.1 2", "no HTTP at all"] {
        let cut = send_order(&client, hangs_up_after(text)).await;
        assert_eq!(
            reqwest_without_redirects(&cut),
            Outcome::Unknown,
            "{text:?}"
        );
    }
    let nonsense = client.get("no url").send().await.unwrap_err();
    assert_eq!(reqwest_without_redirects(&nonsense), Outcome::Ignored);
}

/// A body whose own source fails, with the error of another connection for example: a proxy that
/// forwards what it reads.
struct Broken(Option<reqwest::Error>);

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        std::task::Poll::Ready(Some(Err(match self.0.take() {
            Some(error) => error.into(),
            None => "the file cannot be read".into(),
        })))
    }
}

/// Five uploads whose own file could not be read opened the circuit of a healthy upstream.
#[tokio::test]
async fn a_request_whose_own_body_failed_is_ignored() {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let upload = |body| {
        let address = hangs_up_after("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let request = Request::put(format!("http://{address}/file"));
        client.request(request.body(body).unwrap())
    };
    let broken = upload(Broken(None));
    assert_eq!(judged(broken.await.unwrap_err()), Outcome::Ignored);
    // The error that the body failed with is not taken for one of this request.
    let rejected = send_order(&without_redirects(), nobody()).await;
    let broken = upload(Broken(Some(rejected)));
    assert_eq!(judged(broken.await.unwrap_err()), Outcome::Ignored);

    let address = hangs_up_after("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let upload = |inner| {
        let body = reqwest::Body::wrap(Broken(inner));
        let request = without_redirects().post(format!("http://{address}/file"));
        request.body(body).send()
    };
    let rejected = send_order(&without_redirects(), nobody()).await;
    let broken = upload(Some(rejected)).await.unwrap_err();
    assert_eq!(reqwest_without_redirects(&broken), Outcome::Ignored);
    assert_eq!(judged(broken), Outcome::Ignored);
}

/// A datagram was sent and an ICMP message came back: "connection refused", after the order
/// had left.
#[test]
fn a_refused_connection_of_a_plain_socket_proves_nothing() {
    let closed = {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(closed).unwrap();
    assert_eq!(socket.send(b"buy 1").unwrap(), 5, "it has left");
    let timeout = std::time::Duration::from_secs(10);
    socket.set_read_timeout(Some(timeout)).unwrap();
    let error = socket.recv(&mut [0; 8]).unwrap_err();
    assert_eq!(judged(error), Outcome::Unknown);
}

#[tokio::test]
async fn a_connection_that_ends_after_the_request_leaves_its_outcome_unknown() {
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
async fn a_request_that_cannot_be_built_is_ignored() {
    let nonsense = reqwest::Client::new()
        .get("no url")
        .send()
        .await
        .unwrap_err();
    assert_eq!(judged(nonsense), Outcome::Ignored);
}

/// A server that sends the head of a response and then nothing; it ends when the client hangs up.
fn stalls_after_its_head() -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1_024];
        let _ = stream.read(&mut request).unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        while stream.read(&mut request).is_ok_and(|read| read > 0) {}
    });
    (address, server)
}

async fn times_out<B>(body: B)
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + 'static,
{
    use http_body_util::BodyExt;
    let mut body = body;
    let Some(Err(error)) = body.frame().await else {
        panic!("something came");
    };
    let rejected = seawall_core::find_rejection(&error).unwrap();
    assert_eq!(rejected.reason(), seawall_core::Reason::BodyTimeout);
    assert!(body.frame().await.is_none());
}

fn body_timeout() -> seawall_http::body_timeout::BodyTimeoutLayer {
    seawall_http::body_timeout::BodyTimeoutLayer::new(
        "stalls",
        seawall_http::body_timeout::BodyTimeoutConfig::default(),
    )
}

/// Time is paused: it moves on as soon as there is nothing to do but to wait.
#[tokio::test(start_paused = true)]
async fn a_body_of_hyper_that_stalls_times_out_and_its_connection_is_closed() {
    use seawall_core::WrapErrorLayer;
    use tower::{ServiceBuilder, ServiceExt};
    let (address, server) = stalls_after_its_head();
    let client = Client::builder(TokioExecutor::new()).build_http();
    let stack = ServiceBuilder::new()
        .layer(body_timeout())
        .layer(WrapErrorLayer)
        .service(client);
    let request = Request::get(format!("http://{address}/")).body(Full::new(Bytes::new()));
    let response = stack.oneshot(request.unwrap()).await.unwrap();
    times_out(response.into_body()).await;
    hung_up(server).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_of_reqwest_that_stalls_times_out_and_its_connection_is_closed() {
    use seawall_core::WrapErrorLayer;
    use tower::{ServiceBuilder, ServiceExt, service_fn};
    let (address, server) = stalls_after_its_head();
    let client = reqwest::Client::new();
    let client = service_fn(move |request: Request<reqwest::Body>| {
        let sent = reqwest::Request::try_from(request).map(|request| client.execute(request));
        async move { Ok::<Response<reqwest::Body>, reqwest::Error>(sent?.await?.into()) }
    });
    let stack = ServiceBuilder::new()
        .layer(body_timeout())
        .layer(WrapErrorLayer)
        .service(client);
    let request = Request::get(format!("http://{address}/")).body(reqwest::Body::default());
    let response = stack.oneshot(request.unwrap()).await.unwrap();
    times_out(response.into_body()).await;
    hung_up(server).await;
}

async fn hung_up(server: std::thread::JoinHandle<()>) {
    tokio::task::spawn_blocking(|| server.join().unwrap())
        .await
        .unwrap();
}

//! `reqwest::Client` as a Tower client, over real sockets.

use std::error::Error as StdError;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use seawall_core::{Classify, Error, FailureKind, Outcome, WrapErrorLayer};
use seawall_http::{
    CompleteOnBodyEnd, GuardedBody, HttpClassifier, ReplayBody, TransportError, copy_request,
    outcome_of,
};
use static_assertions::assert_impl_all;
use tower::{ServiceBuilder, ServiceExt};

use super::{IntoReqwestBody, ReqwestClient, ReqwestError, ReqwestFuture, reqwest};

type BoxError = Box<dyn StdError + Send + Sync>;

const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);
const OK: &str = "HTTP/1.1 200 OK\r\nx-server: test\r\ncontent-length: 5\r\n\r\nhello";

/// An address where nobody listens: a reserved port, which no other test is given.
fn nobody() -> SocketAddr {
    ([127, 0, 0, 1], 1).into()
}

/// A server that responds to each connection's request with the next of `responses`, hangs up, and
/// passes on what it was sent.
fn server(responses: Vec<String>) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (requests, received) = mpsc::channel();
    std::thread::spawn(move || {
        for response in responses {
            let Ok((mut stream, _)) = listener.accept() else {
                return;
            };
            let mut request = Vec::new();
            let mut buffer = [0; 1_024];
            // Until the end of the head and as much of a body as was announced.
            while !is_complete(&request) {
                let read = stream.read(&mut buffer).unwrap();
                assert!(read > 0, "the client hung up");
                request.extend_from_slice(&buffer[..read]);
            }
            let _ = requests.send(String::from_utf8(request).unwrap());
            stream.write_all(response.as_bytes()).unwrap();
        }
    });
    (address, received)
}

fn is_complete(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "));
    length.is_none_or(|n| body.len() >= n.parse().unwrap())
}

fn client() -> ReqwestClient {
    ReqwestClient::build(reqwest::Client::builder()).unwrap()
}

async fn post<B: IntoReqwestBody>(
    client: ReqwestClient,
    address: SocketAddr,
    body: B,
) -> Result<Response<reqwest::Body>, ReqwestError> {
    let request = Request::post(format!("http://{address}/orders?x=1"))
        .header("x-key", "k")
        .body(body);
    client.with_body().oneshot(request.unwrap()).await
}

async fn text<B>(body: B) -> String
where
    B: Body<Error: std::fmt::Debug>,
{
    let bytes = body.collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_request_is_sent_as_it_is_and_its_response_streams() {
    let (address, received) = server(vec![OK.into()]);
    let response = post(client(), address, Full::new(Bytes::from("buy 1"))).await;
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["x-server"], "test");
    assert_eq!(text(response.into_body()).await, "hello");
    let request = received.recv().unwrap();
    assert!(request.starts_with("POST /orders?x=1 HTTP/1.1\r\n"));
    assert!(request.contains("x-key: k\r\n") && request.contains("content-length: 5\r\n"));
    assert!(request.ends_with("\r\n\r\nbuy 1"));
}

#[tokio::test]
async fn bodies_of_every_kind_are_sent() {
    async fn sent<B: IntoReqwestBody>(body: B) -> String {
        let (address, received) = server(vec![OK.into()]);
        post(client(), address, body).await.unwrap();
        let request = received.recv().unwrap();
        request.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
    assert_eq!(sent("text").await, "text");
    assert_eq!(sent(&b"slice"[..]).await, "slice");
    assert_eq!(sent(String::from("string")).await, "string");
    assert_eq!(sent(b"vec".to_vec()).await, "vec");
    assert_eq!(sent(Bytes::from("bytes")).await, "bytes");
    assert_eq!(sent(Full::new(Bytes::from("full"))).await, "full");
    assert_eq!(sent(reqwest::Body::from("reqwest")).await, "reqwest");
    for empty in [sent(()).await, sent(Empty::<Bytes>::new()).await] {
        assert_eq!(empty, "");
    }
    assert_eq!(sent(Full::<Bytes>::default()).await, "");
    let bytes: ReplayBody = ReplayBody::full("replay");
    assert_eq!(sent(bytes).await, "replay");
    // Of unknown length: in chunks.
    let stream = StreamOf(vec!["re", "play"]);
    let chunks = sent(ReplayBody::stream(stream)).await;
    assert_eq!(chunks, "4\r\nplay\r\n2\r\nre\r\n0\r\n\r\n");
}

/// The texts, last one first.
struct StreamOf(Vec<&'static str>);

impl Body for StreamOf {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        let next = self
            .0
            .pop()
            .map(|text| Ok(http_body::Frame::data(Bytes::from(text))));
        std::task::Poll::Ready(next)
    }
}

#[tokio::test]
async fn a_request_with_a_replay_body_is_sent_twice() {
    let (address, received) = server(vec![OK.into(), OK.into()]);
    let stream = ReplayBody::stream(Full::new(Bytes::from("buy 1")));
    let request = Request::post(format!("http://{address}/")).body(stream);
    let request = request.unwrap();
    let again = copy_request(&request).unwrap();
    for request in [request, again] {
        assert_eq!(
            client()
                .with_body()
                .oneshot(request)
                .await
                .unwrap()
                .status(),
            200
        );
        assert!(received.recv().unwrap().ends_with("buy 1"));
    }
}

#[tokio::test]
async fn only_a_connection_that_was_never_made_proves_that_nothing_was_sent() {
    let classifier = HttpClassifier::new();
    let judged = |error: ReqwestError| {
        let boxed: BoxError = Box::new(error);
        let by_chain = outcome_of(&*boxed);
        let error = *boxed.downcast::<ReqwestError>().unwrap();
        assert_eq!(error.outcome(), by_chain, "also when it is boxed");
        classifier.classify(Err::<&Response<()>, _>(&Error::Inner(error)))
    };
    let failed = post(client(), nobody(), "buy 1").await.unwrap_err();
    assert!(failed.get_ref().is_connect());
    assert_eq!(judged(failed), NOT_SENT);
    for response in ["", "HTTP/1.1 2", "no HTTP at all"] {
        let (address, _received) = server(vec![response.into()]);
        let cut = post(client(), address, "buy 1").await.unwrap_err();
        assert_eq!(judged(cut), Outcome::Unknown, "{response:?}");
    }
    let relative = Request::get("/orders").body(()).unwrap();
    let invalid = client().with_body().oneshot(relative).await.unwrap_err();
    assert_eq!(judged(invalid), Outcome::Ignored);
}

/// An order was executed and the response was a redirect to where nobody listened.
#[tokio::test]
async fn redirects_are_not_followed_unless_the_user_chooses_so() {
    let to_nobody = || {
        let location = format!("http://{}/orders/7", nobody());
        vec![format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
        )]
    };
    let (address, received) = server(to_nobody());
    let response = post(client(), address, "buy 1").await.unwrap();
    assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT);
    assert!(received.recv().unwrap().ends_with("buy 1"));

    let following = ReqwestClient::following_redirects(reqwest::Client::new());
    let (address, _received) = server(to_nobody());
    let executed = post(following.clone(), address, "buy 1").await.unwrap_err();
    assert!(
        executed.get_ref().is_connect(),
        "as if nothing had been sent"
    );
    assert_eq!(executed.outcome(), Outcome::Unknown);
    let failed = post(following, nobody(), "buy 1").await.unwrap_err();
    assert_eq!(failed.outcome(), Outcome::Unknown);

    let none = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let promised = ReqwestClient::without_redirects(none.build().unwrap());
    let failed = post(promised, nobody(), "buy 1").await.unwrap_err();
    assert_eq!(failed.outcome(), NOT_SENT);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_of_the_body() {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello";
    let (address, _received) = server(vec![short.into()]);
    let response = post(client(), address, "").await.unwrap();
    let error = response.into_body().collect().await.unwrap_err();
    assert!(!error.to_string().is_empty());
}

#[tokio::test]
async fn an_error_has_the_text_and_the_sources_of_reqwests() {
    let error = post(client(), nobody(), "").await.unwrap_err();
    assert_eq!(error.to_string(), error.get_ref().to_string());
    assert!(error.source().is_some());
    assert!(error.into_inner().is_connect());
}

#[tokio::test]
#[should_panic(expected = "polled after it has completed")]
async fn an_invalid_request_polled_after_its_error_panics() {
    let relative = Request::get("/orders").body(()).unwrap();
    let mut call = Box::pin(tower::Service::call(&mut client().with_body(), relative));
    assert!(call.as_mut().await.is_err());
    let _ = call.as_mut().await;
}

#[tokio::test]
async fn it_fits_inside_layers_that_keep_something_until_the_body_ends() {
    use seawall_core::{Complete, TrackCompletion};
    struct Record(mpsc::Sender<Outcome>);
    impl Complete for Record {
        fn complete(self, outcome: Outcome) {
            let _ = self.0.send(outcome);
        }
    }
    let (address, _received) = server(vec![OK.into()]);
    let stack = ServiceBuilder::new()
        .layer(WrapErrorLayer)
        .service(client().with_body());
    let request = Request::get(format!("http://{address}/")).body(());
    let response = stack.oneshot(request.unwrap()).await.unwrap();
    let (sender, outcomes) = mpsc::channel();
    let response = CompleteOnBodyEnd.track_completion(Record(sender), Outcome::Success, response);
    assert!(outcomes.try_recv().is_err(), "the body is still to come");
    assert_eq!(text(response.into_body()).await, "hello");
    assert_eq!(outcomes.try_recv(), Ok(Outcome::Success));
}

assert_impl_all!(ReqwestClient: Clone, Send, Sync, Unpin);
assert_impl_all!(ReqwestClient<ReplayBody>: Clone, Send, Sync, Unpin);
assert_impl_all!(ReqwestFuture: Send);
assert_impl_all!(ReqwestError: StdError, Send, Sync);
assert_impl_all!(GuardedBody<reqwest::Body, NoGuard>: Body<Data = Bytes>, From<Bytes>, Send);

struct NoGuard;

impl seawall_core::Complete for NoGuard {
    fn complete(self, _: Outcome) {}
}

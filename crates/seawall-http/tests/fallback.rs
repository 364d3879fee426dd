//! Degraded answers over real sockets: marked, read back by a client, and never where they are not wanted.
#![cfg(feature = "hyper")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::any;
use http::header::CACHE_CONTROL;
use http::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::{Client, Error as LegacyError};
use hyper_util::rt::TokioExecutor;
use seawall_core::{Classify, Error, MarkDegraded, Outcome, ParsedDegradation, WrapErrorLayer};
use seawall_fallback::{FallbackConfig, FallbackHandle, FallbackLayer, Step};
use seawall_http::{DEGRADED, FreshOnly, HttpClassifier, HttpMark, HttpReads, KeepBody, Routes};
use tower::util::BoxCloneService;
use tower::{ServiceBuilder, ServiceExt};

type Failure = Error<LegacyError>;
type Http = BoxCloneService<Request<Body>, Response<Body>, Failure>;

/// A server that answers with the status that is set, and with its name.
async fn server(name: &'static str) -> (SocketAddr, Arc<AtomicU16>) {
    let status = Arc::new(AtomicU16::new(200));
    let shared = Arc::clone(&status);
    let answer = any(move || {
        let status = StatusCode::from_u16(shared.load(Relaxed)).unwrap();
        async move { (status, name) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, status)
}

fn client() -> Http {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let client = ServiceBuilder::new()
        .map_response(|response: Response<hyper::body::Incoming>| response.map(Body::new))
        .layer(WrapErrorLayer)
        .service(client);
    BoxCloneService::new(client)
}

/// The client of another vendor, whose address is put in place of the one that was asked for.
fn vendor(address: SocketAddr) -> Http {
    let to_vendor = move |mut request: Request<Body>| {
        let path = request.uri().path().to_owned();
        *request.uri_mut() = format!("http://{address}{path}").parse().unwrap();
        request
    };
    BoxCloneService::new(client().map_request(to_vendor))
}

fn copy(request: &Request<Body>) -> Option<Request<Body>> {
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

fn with_fallback(vendor: Http) -> (Http, FallbackHandle) {
    let backup = Step::backup("vendor2", vendor)
        .accept(|response: &Response<Body>| response.status().is_success())
        .timeout(Duration::from_secs(5));
    let layer = FallbackLayer::new("quotes", FallbackConfig::default(), [backup]).unwrap();
    let layer = layer
        .classify(HttpClassifier::new())
        .describe(Routes::new())
        .copy(copy as fn(&Request<Body>) -> Option<Request<Body>>)
        .keep(KeepBody::new())
        .mark(HttpMark)
        .fresh_only(HttpReads);
    let handle = layer.handle();
    (BoxCloneService::new(layer.layer_of(client())), handle)
}

/// Applies a layer, whose trait is not in scope elsewhere.
trait LayerOf<S>: tower::Layer<S> + Sized {
    fn layer_of(&self, service: S) -> Self::Service {
        self.layer(service)
    }
}

impl<L: tower::Layer<S>, S> LayerOf<S> for L {}

fn get(address: SocketAddr) -> Request<Body> {
    let uri = format!("http://{address}/quotes/SPY");
    Request::get(uri).body(Body::empty()).unwrap()
}

async fn text(response: Response<Body>) -> String {
    let bytes = to_bytes(response.into_body(), 1_000).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_backup_answers_marked_until_the_primary_is_back() {
    let ((one, status), (two, _)) = (server("one").await, server("two").await);
    let (service, handle) = with_fallback(vendor(two));
    let ask = async || service.clone().oneshot(get(one)).await.unwrap();
    let fresh = ask().await;
    assert_eq!(fresh.headers().get(DEGRADED), None);
    assert_eq!(text(fresh).await, "one");
    status.store(503, Relaxed);
    let degraded = ask().await;
    let header = degraded.headers()[DEGRADED].to_str().unwrap();
    assert_eq!(header, "overloaded;source=vendor2");
    let parsed = ParsedDegradation::parse(header).unwrap();
    assert_eq!((parsed.reason, parsed.age), ("overloaded", None));
    let outcome = HttpClassifier::new().classify(Ok::<_, &Failure>(&degraded));
    assert_eq!(outcome, Outcome::Degraded);
    assert!(HttpMark.degradation(&degraded).is_some());
    assert_eq!(text(degraded).await, "two");
    status.store(404, Relaxed);
    let not_found = ask().await;
    assert_eq!(not_found.status(), 404, "the caller's own mistake");
    status.store(200, Relaxed);
    assert_eq!(text(ask().await).await, "one");
    assert_eq!(handle.counts().answered, 1);
}

#[tokio::test]
async fn where_the_backup_fails_too_the_original_response_is_returned() {
    let ((one, first), (two, second)) = (server("one").await, server("two").await);
    let (service, handle) = with_fallback(vendor(two));
    first.store(500, Relaxed);
    second.store(502, Relaxed);
    let failed = service.oneshot(get(one)).await.unwrap();
    assert_eq!(failed.status(), 500);
    assert_eq!(failed.headers().get(DEGRADED), None);
    assert_eq!(text(failed).await, "one", "with its body");
    assert_eq!(handle.counts().unanswered, 1);
}

#[tokio::test]
async fn a_connection_that_is_refused_is_answered() {
    let (two, _) = server("two").await;
    let (service, _) = with_fallback(vendor(two));
    // A reserved port: nobody listens.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let answer = service.oneshot(get(nobody)).await.unwrap();
    assert_eq!(answer.headers()[DEGRADED], "not_sent;source=vendor2");
    assert_eq!(text(answer).await, "two");
}

#[tokio::test]
async fn orders_cancels_and_those_that_want_fresh_answers_get_the_failure() {
    let ((one, status), (two, _)) = (server("one").await, server("two").await);
    let (service, handle) = with_fallback(vendor(two));
    status.store(503, Relaxed);
    let of = |method: Method| {
        let mut request = get(one);
        *request.method_mut() = method;
        request
    };
    let mut by_header = get(one);
    let no_cache = http::HeaderValue::from_static("no-cache");
    by_header.headers_mut().insert(CACHE_CONTROL, no_cache);
    let mut by_extension = get(one);
    by_extension.extensions_mut().insert(FreshOnly);
    for request in [
        of(Method::POST),
        of(Method::DELETE),
        by_header,
        by_extension,
    ] {
        let failed = service.clone().oneshot(request).await.unwrap();
        assert_eq!(failed.status(), 503);
        assert_eq!(text(failed).await, "one");
    }
    let counts = handle.counts();
    assert_eq!((counts.not_answerable, counts.wants_fresh), (2, 2));
    assert_eq!(counts.answered, 0);
}

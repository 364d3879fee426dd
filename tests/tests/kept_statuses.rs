//! A gRPC caller gets the upstream's last status, whatever rejects a further attempt here.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use seawall::grpc::{
    CompleteOnTrailers, GrpcClassifier, KeepStatus, WrapStatusLayer, copy_request, replayable,
    sendable,
};
use seawall::{
    Backoff, BreakerConfig, BulkheadConfig, ConstMeta, Reason, Rejection, RequestMeta, RetryConfig,
};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{ServiceBuilder, ServiceExt, service_fn};

const HOUR: Duration = Duration::from_secs(3_600);

/// A stack whose circuit opens at the `opens`-th failure, around a channel that always responds so,
/// and how often it was called.
fn calls_until(
    opens: u32,
    respond: fn() -> http::Response<Body>,
) -> (
    impl tower::Service<
        http::Request<Body>,
        Response = http::Response<Body>,
        Error = seawall::grpc::GrpcError,
        Future: Send,
    > + Clone,
    seawall::BulkheadHandle,
    Arc<AtomicU32>,
) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let channel = service_fn(move |_: http::Request<Body>| {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, Infallible>(respond()))
    });
    let policy = seawall::Policy::new()
        .classify(GrpcClassifier)
        .describe(ConstMeta(RequestMeta::idempotent()))
        .track_completion(CompleteOnTrailers)
        .copy(copy_request::<Body>)
        .keep(KeepStatus);
    let breaker = BreakerConfig::builder()
        .consecutive_failures(opens)
        .open_for(HOUR);
    let retry = RetryConfig::builder().backoff(Backoff::NONE);
    let single = BulkheadConfig::builder().max_concurrent(1);
    let stack = seawall::market_data("quotes")
        .breaker(breaker.build().expect("valid"))
        .retry(retry.build().expect("valid"))
        .bulkhead(single.build().expect("valid"))
        .build_generic(policy)
        .expect("valid");
    let bulkhead = stack.handles().bulkhead;
    let service = ServiceBuilder::new()
        .map_response(|response: http::Response<_>| response.map(Body::new))
        .map_request(replayable)
        .layer(stack)
        .layer(WrapStatusLayer)
        .map_request(sendable)
        .service(channel);
    (service, bulkhead, calls)
}

fn request() -> http::Request<Body> {
    http::Request::new(Body::empty())
}

#[tokio::test(start_paused = true)]
async fn the_status_that_opens_the_circuit_is_not_lost() {
    let draining = || Status::unavailable("draining").into_http();
    let (service, _, calls) = calls_until(1, draining);
    let response = service.clone().oneshot(request()).await.expect("a status");
    let status = Status::from_header_map(response.headers()).expect("a status");
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "draining")
    );
    let mark = response.extensions().get::<Rejection>();
    assert_eq!(mark.map(Rejection::reason), Some(Reason::CircuitOpen));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_generated_client_gets_the_upstreams_status() {
    let (service, ..) = calls_until(1, || Status::unavailable("draining").into_http());
    let mut client = HealthClient::new(service);
    let check = || HealthCheckRequest::default();
    let status = client.check(check()).await.expect_err("draining");
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unavailable, "draining")
    );
    let status = client
        .check(check())
        .await
        .expect_err("the circuit is open");
    assert!(seawall::find_rejection(&status).is_some());
}

/// A body that never ends.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// The body of a proxy's response holds the only permit: the next attempt must not wait for it.
#[tokio::test(start_paused = true)]
async fn a_proxys_response_is_kept_without_its_body_and_its_permit() {
    let (service, bulkhead, calls) = calls_until(2, || {
        let response = http::Response::builder().status(503);
        response.body(Body::new(Endless)).expect("a response")
    });
    let mut client = HealthClient::new(service);
    let status = client.check(HealthCheckRequest::default()).await;
    let status = status.expect_err("the proxy's");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("503"), "{status:?}");
    assert!(seawall::find_rejection(&status).is_none());
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(bulkhead.in_flight(), 0);
}

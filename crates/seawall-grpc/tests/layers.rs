//! Rejections on both sides of the wire, without a wire.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::future::{Future, Ready, pending, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use seawall_core::{Error, Reason, Rejectable, Rejection};
use seawall_grpc::{
    GrpcError, GrpcRejection, GrpcRejectionLayer, Pushback, StatusResponder, WrapStatus,
    WrapStatusLayer, copy_request, replayable, sendable,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tonic::{Code, Status};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

/// Rejects every call.
#[derive(Clone)]
struct Shut<S>(S, Reason);

impl<S, Req> Service<Req> for Shut<S>
where
    S: Service<Req>,
    S::Error: Rejectable,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Ready<Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, _: Req) -> Self::Future {
        let rejected =
            Rejection::new(self.1, "shut").with_retry_after(Duration::from_millis(1_500));
        ready(Err(rejected.into()))
    }
}

#[derive(Clone, Copy)]
struct ShutLayer(Reason);

impl<S> Layer<S> for ShutLayer {
    type Service = Shut<S>;
    fn layer(&self, inner: S) -> Shut<S> {
        Shut(inner, self.0)
    }
}

type Body = tonic::body::Body;

#[tokio::test]
async fn a_server_responds_to_rejections_with_a_status_and_a_pushback() {
    let routes = service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>());
    for (reason, code) in [
        (Reason::CircuitOpen, Code::Unavailable),
        (Reason::RateLimited, Code::ResourceExhausted),
        // With an end, as here.
        (Reason::Paused, Code::ResourceExhausted),
        (Reason::DeadlineExceeded, Code::DeadlineExceeded),
    ] {
        let server = GrpcRejectionLayer::new(ShutLayer(reason)).layer(routes);
        let Ok(response) = server.oneshot(Request::new(Body::default())).await;
        assert_eq!(
            response.status(),
            200,
            "the rejection is in gRPC's own status"
        );
        assert_eq!(response.headers()["content-type"], "application/grpc");
        let status = Status::from_header_map(response.headers()).unwrap();
        assert_eq!(status.code(), code);
        let wait = Pushback::After(Duration::from_millis(1_500));
        assert_eq!(Pushback::of(response.headers()), Some(wait));
    }
}

#[tokio::test]
async fn the_responses_and_errors_of_a_server_pass() {
    let routes = service_fn(|fails: bool| {
        ready(if fails {
            Err("down")
        } else {
            Ok(Status::not_found("no such symbol").into_http::<Body>())
        })
    });
    let server = GrpcRejectionLayer::new(tower::layer::util::Identity::new()).layer(routes);
    let response = server.clone().oneshot(false).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "5");
    assert_eq!(server.oneshot(true).await.unwrap_err(), "down");
}

/// Rejects in `poll_ready`, as no layer should.
struct Unready;

impl Service<()> for Unready {
    type Response = Response<Body>;
    type Error = Error<Infallible>;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Err(Rejection::new(Reason::NotReady, "x").into()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        panic!("called although it was not ready")
    }
}

#[tokio::test]
async fn a_rejection_of_readiness_becomes_a_status_without_a_call() {
    let mut service = GrpcRejection::with_responder(Unready, StatusResponder);
    for _ in 0..2 {
        let response = service.ready().await.unwrap().call(()).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "14");
    }
}

#[tokio::test]
async fn a_clients_stack_rejects_with_a_status_that_the_generated_client_keeps() {
    let channel =
        service_fn(|_: Request<Body>| ready(Err::<Response<Body>, BoxError>("no".into())));
    let stack = ShutLayer(Reason::CircuitOpen).layer(WrapStatusLayer.layer(channel));
    let error: GrpcError = stack
        .oneshot(Request::new(Body::default()))
        .await
        .unwrap_err();
    let seen = Status::from_error(error.into());
    assert_eq!(seen.code(), Code::Unavailable);
    let rejected = seawall_core::find_rejection(&seen).unwrap();
    assert_eq!(rejected.reason(), Reason::CircuitOpen);
}

#[tokio::test]
async fn wrapping_keeps_statuses_rejections_and_sources() {
    let wrapped = |error: fn() -> BoxError| async move {
        let channel = service_fn(move |()| ready(Err::<(), _>(error())));
        WrapStatusLayer
            .layer(channel)
            .oneshot(())
            .await
            .unwrap_err()
    };
    let status = wrapped(|| Status::aborted("again").into()).await;
    assert_eq!(
        (status.status().code(), status.status().message()),
        (Code::Aborted, "again")
    );
    assert!(status.rejection().is_none());
    let rejected =
        wrapped(|| GrpcError::from(Rejection::new(Reason::BulkheadFull, "x")).into()).await;
    assert_eq!(rejected.status().code(), Code::ResourceExhausted);
    assert!(rejected.rejection().is_some());
    let transport = wrapped(|| "broken pipe".into()).await;
    assert_eq!(transport.status().code(), Code::Unknown);
    assert_eq!(
        std::error::Error::source(transport.status())
            .unwrap()
            .to_string(),
        "broken pipe"
    );
}

#[tokio::test]
async fn a_timeout_of_the_channel_is_deadline_exceeded() {
    let channel = service_fn(|()| {
        let expired: BoxError = Box::new(tonic::TimeoutExpired(()));
        ready(Err::<(), _>(expired))
    });
    let error = WrapStatusLayer.layer(channel).oneshot(()).await;
    let seen = Status::from_error(error.unwrap_err().into());
    assert_eq!(seen.code(), Code::DeadlineExceeded);
    assert_eq!(seen.message(), "Timeout expired");
}

#[tokio::test]
async fn a_request_of_a_generated_client_is_sent_twice() {
    let channel = service_fn(|request: Request<Body>| async {
        let data = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Status>(data)
    });
    let channel = ServiceBuilder::new()
        .layer(WrapStatusLayer)
        .map_request(sendable)
        .service(channel);
    let message = Body::new(Full::new(Bytes::from("a message")));
    let first = replayable(Request::new(message));
    let second = copy_request(&first).unwrap();
    assert_eq!(channel.clone().oneshot(first).await.unwrap(), "a message");
    assert_eq!(channel.oneshot(second).await.unwrap(), "a message");
}

#[test]
fn responses_that_pass_allocate_nothing() {
    let inner = service_fn(|response: Response<()>| ready(Ok::<_, Error<Infallible>>(response)));
    let mut server = GrpcRejection::with_responder(inner, StatusResponder);
    let inner = service_fn(|response: Response<()>| ready(Ok::<_, Status>(response)));
    let mut client = WrapStatusLayer.layer(inner);
    let mut cx = Context::from_waker(Waker::noop());
    let mut response = Some(Response::new(()));
    let counted = seawall_testkit::alloc::count(|| {
        assert!(server.poll_ready(&mut cx).is_ready());
        let mut call = pin!(server.call(response.take().unwrap()));
        if let Poll::Ready(passed) = call.as_mut().poll(&mut cx) {
            response = passed.ok();
        }
        assert!(client.poll_ready(&mut cx).is_ready());
        let mut call = pin!(client.call(response.take().unwrap()));
        if let Poll::Ready(passed) = call.as_mut().poll(&mut cx) {
            response = passed.ok();
        }
    });
    assert_eq!(counted.allocations, 0);
    assert!(response.is_some());
}

assert_impl_all!(GrpcError: Send, Sync, std::error::Error);
assert_impl_all!(GrpcRejectionLayer<()>: Send, Sync, Copy);
assert_impl_all!(GrpcRejection<()>: Send, Sync, Clone, Unpin);
assert_impl_all!(WrapStatus<()>: Send, Sync, Clone, Unpin);
assert_not_impl_any!(WrapStatus<std::rc::Rc<()>>: Send, Sync);

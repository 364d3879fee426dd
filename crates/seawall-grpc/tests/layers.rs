//! Rejections on both sides of the wire, without a wire.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::future::{Future, Ready, pending, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use seawall_core::{Error, Reason, Rejectable, Rejection};
use seawall_grpc::{
    GrpcError, GrpcRejection, GrpcRejectionLayer, Pushback, WrapStatus, WrapStatusLayer,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tonic::{Code, Status};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

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
async fn a_server_answers_rejections_with_a_status_and_the_time_to_come_back() {
    let routes = service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>());
    for (reason, code) in [
        (Reason::CircuitOpen, Code::Unavailable),
        (Reason::RateLimited, Code::ResourceExhausted),
        (Reason::DeadlineExceeded, Code::DeadlineExceeded),
    ] {
        let server = GrpcRejectionLayer::new(ShutLayer(reason)).layer(routes);
        let Ok(answer) = server.oneshot(Request::new(Body::default())).await;
        assert_eq!(
            answer.status(),
            200,
            "the rejection is in gRPC's own status"
        );
        assert_eq!(answer.headers()["content-type"], "application/grpc");
        let status = Status::from_header_map(answer.headers()).unwrap();
        assert_eq!(status.code(), code);
        let wait = Pushback::After(Duration::from_millis(1_500));
        assert_eq!(Pushback::of(answer.headers()), Some(wait));
    }
}

#[tokio::test]
async fn what_a_server_answers_itself_passes() {
    let routes = service_fn(|fails: bool| {
        ready(if fails {
            Err("down")
        } else {
            Ok(Status::not_found("no such symbol").into_http::<Body>())
        })
    });
    let server = GrpcRejectionLayer::new(tower::layer::util::Identity::new()).layer(routes);
    let answer = server.clone().oneshot(false).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "5");
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
async fn a_rejection_of_readiness_is_answered_without_a_call() {
    let mut service = GrpcRejection::new(Unready);
    for _ in 0..2 {
        let answer = service.ready().await.unwrap().call(()).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "14");
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
async fn lifting_keeps_statuses_rejections_and_sources() {
    let lifted = |error: fn() -> BoxError| async move {
        let channel = service_fn(move |()| ready(Err::<(), _>(error())));
        WrapStatusLayer
            .layer(channel)
            .oneshot(())
            .await
            .unwrap_err()
    };
    let status = lifted(|| Status::aborted("again").into()).await;
    assert_eq!(
        (status.status().code(), status.status().message()),
        (Code::Aborted, "again")
    );
    assert!(status.rejection().is_none());
    let rejected =
        lifted(|| GrpcError::from(Rejection::new(Reason::BulkheadFull, "x")).into()).await;
    assert_eq!(rejected.status().code(), Code::ResourceExhausted);
    assert!(rejected.rejection().is_some());
    let transport = lifted(|| "broken pipe".into()).await;
    assert_eq!(transport.status().code(), Code::Unknown);
    assert_eq!(
        std::error::Error::source(transport.status())
            .unwrap()
            .to_string(),
        "broken pipe"
    );
}

#[test]
fn answers_that_pass_allocate_nothing() {
    let inner = service_fn(|answer: Response<()>| ready(Ok::<_, Error<Infallible>>(answer)));
    let mut server = GrpcRejection::new(inner);
    let inner = service_fn(|answer: Response<()>| ready(Ok::<_, Status>(answer)));
    let mut client = WrapStatusLayer.layer(inner);
    let mut cx = Context::from_waker(Waker::noop());
    let mut answer = Some(Response::new(()));
    let counted = seawall_testkit::alloc::count(|| {
        assert!(server.poll_ready(&mut cx).is_ready());
        let mut call = pin!(server.call(answer.take().unwrap()));
        if let Poll::Ready(passed) = call.as_mut().poll(&mut cx) {
            answer = passed.ok();
        }
        assert!(client.poll_ready(&mut cx).is_ready());
        let mut call = pin!(client.call(answer.take().unwrap()));
        if let Poll::Ready(passed) = call.as_mut().poll(&mut cx) {
            answer = passed.ok();
        }
    });
    assert_eq!(counted.allocations, 0);
    assert!(answer.is_some());
}

assert_impl_all!(GrpcError: Send, Sync, std::error::Error);
assert_impl_all!(GrpcRejectionLayer<()>: Send, Sync, Copy);
assert_impl_all!(GrpcRejection<()>: Send, Sync, Clone, Unpin);
assert_impl_all!(WrapStatus<()>: Send, Sync, Clone, Unpin);
assert_not_impl_any!(WrapStatus<std::rc::Rc<()>>: Send, Sync);

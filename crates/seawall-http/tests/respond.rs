//! Rejections as responses, alone and in an axum router.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use seawall_core::{Complete, Error, Outcome, Reason, Rejectable, Rejection};
use seawall_http::inspect::InspectedBody;
use seawall_http::{
    GuardedBody, RejectionResponse, RejectionResponseLayer, rejection_response,
    retry_after_seconds, status_of,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tower::{Layer, Service, ServiceExt, service_fn};

/// Lets so many calls pass, of all services and clones together, and rejects the rest.
#[derive(Clone)]
struct Quota(Arc<AtomicUsize>, Reason);

#[derive(Clone)]
struct Limited<S>(S, Quota);

impl Quota {
    fn of(calls: usize, reason: Reason) -> Self {
        Self(Arc::new(AtomicUsize::new(calls)), reason)
    }
}

impl<S> Layer<S> for Quota {
    type Service = Limited<S>;
    fn layer(&self, inner: S) -> Limited<S> {
        Limited(inner, self.clone())
    }
}

impl<S, Req> Service<Req> for Limited<S>
where
    S: Service<Req>,
    S::Error: Rejectable + Send + 'static,
    S::Response: Send + 'static,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        let take = |left: usize| left.checked_sub(1);
        match self
            .1
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        {
            Ok(_) => Box::pin(self.0.call(req)),
            Err(_) => {
                let rejected = Rejection::new(self.1.1, "quota")
                    .with_retry_after(Duration::from_millis(1_200));
                Box::pin(ready(Err(rejected.into())))
            }
        }
    }
}

async fn get_path(app: &Router, path: &str) -> Response<Body> {
    let request = Request::get(path).body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn an_axum_router_responds_to_rejections_and_shares_one_limit_between_its_routes() {
    let app = Router::new()
        .route("/a", get(|| async { "a" }))
        .route("/b", get(|| async { "b" }))
        .layer(RejectionResponseLayer::new(Quota::of(
            2,
            Reason::RateLimited,
        )));
    assert_eq!(get_path(&app, "/a").await.status(), StatusCode::OK);
    let passed = get_path(&app, "/b").await.into_body();
    assert_eq!(passed.collect().await.unwrap().to_bytes(), "b");
    let rejected = get_path(&app, "/a").await;
    assert_eq!(rejected.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(rejected.headers()["retry-after"], "2");
    let text = rejected.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, "the rate is used up\n");
}

fn json(rejected: &Rejection) -> Response<Body> {
    let body = format!(r#"{{"error":"{}"}}"#, rejected.reason().as_str());
    Response::builder()
        .status(status_of(rejected))
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap()
}

#[tokio::test]
async fn a_responder_of_ones_own_makes_status_headers_and_body() {
    type Named = RejectionResponseLayer<Quota, fn(&Rejection) -> Response<Body>>;
    let quota = || Quota::of(1, Reason::BulkheadFull);
    let named: Named = RejectionResponseLayer::new(quota()).respond_with(json);
    let app = Router::new().route("/", get(|| async {})).layer(named);
    assert_eq!(get_path(&app, "/").await.status(), StatusCode::OK);
    let rejected = get_path(&app, "/").await;
    assert_eq!(rejected.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(rejected.headers()["content-type"], "application/json");
    let text = rejected.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, r#"{"error":"bulkhead_full"}"#);

    // A closure with state of its own.
    let teapot = StatusCode::IM_A_TEAPOT;
    let own = RejectionResponseLayer::new(quota()).respond_with(move |rejected: &Rejection| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = teapot;
        let wait = retry_after_seconds(rejected).unwrap();
        response.headers_mut().insert("retry-after", wait.into());
        response
    });
    let app = Router::new().route("/", get(|| async {})).layer(own);
    assert_eq!(get_path(&app, "/").await.status(), StatusCode::OK);
    let rejected = get_path(&app, "/").await;
    assert_eq!(rejected.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(rejected.headers()["retry-after"], "2");
}

#[tokio::test]
async fn several_layers_go_in_as_a_tuple_and_the_type_has_a_name() {
    struct Server {
        layers: RejectionResponseLayer<(Quota, Quota)>,
    }
    let outer = Quota::of(2, Reason::DeadlineExceeded);
    let inner = Quota::of(1, Reason::CircuitOpen);
    let server = Server {
        layers: RejectionResponseLayer::new((outer, inner)),
    };
    let app = Router::new()
        .route("/", get(|| async {}))
        .layer(server.layers);
    for status in [200, 503, 504] {
        assert_eq!(get_path(&app, "/").await.status(), status);
    }
}

#[tokio::test]
async fn the_services_own_errors_pass() {
    let service = service_fn(|()| async { Err::<Response<Full<Bytes>>, _>("down") });
    let layer = RejectionResponseLayer::new(Quota::of(1, Reason::RateLimited));
    let service = layer.layer(service);
    assert_eq!(service.clone().oneshot(()).await.unwrap_err(), "down");
    assert_eq!(service.oneshot(()).await.unwrap().status(), 429);
}

/// Rejects in `poll_ready`, as no layer should.
struct Unready;

impl Service<()> for Unready {
    type Response = Response<Full<Bytes>>;
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
async fn a_rejection_of_readiness_becomes_a_response_without_a_call() {
    let mut service = RejectionResponse::new(Unready);
    for _ in 0..2 {
        let response = service.ready().await.unwrap().call(()).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}

struct NoGuard;

impl Complete for NoGuard {
    fn complete(self, _: Outcome) {}
}

#[test]
fn rejections_fit_where_wrapped_bodies_are_expected() {
    let rejected = Rejection::new(Reason::BulkheadFull, "x");
    let guarded = rejection_response::<GuardedBody<InspectedBody<Full<Bytes>>, NoGuard>>(&rejected);
    assert!(!guarded.body().is_held());
    assert_eq!(guarded.status(), 503);
}

#[test]
fn a_response_that_passes_allocates_nothing() {
    let inner =
        service_fn(|response: Response<Full<Bytes>>| ready(Ok::<_, Error<Infallible>>(response)));
    let mut service = RejectionResponse::new(inner);
    let mut cx = Context::from_waker(Waker::noop());
    let mut response = Some(Response::new(Full::default()));
    let counted = seawall_testkit::alloc::count(|| {
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut call = pin!(service.call(response.take().unwrap()));
        match call.as_mut().poll(&mut cx) {
            Poll::Ready(passed) => response = passed.ok(),
            Poll::Pending => panic!("pending"),
        }
    });
    assert_eq!(counted.allocations, 0);
    assert!(response.is_some());
}

assert_impl_all!(RejectionResponseLayer<()>: Send, Sync, Copy);
assert_impl_all!(RejectionResponse<()>: Send, Sync, Clone, Unpin);
assert_not_impl_any!(RejectionResponse<std::rc::Rc<()>>: Send, Sync);

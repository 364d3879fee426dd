//! The router keeps Tower's contract: its deployments are the strict service of the testkit.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use seawall_ai::route::{Deployment, Model, RouteFuture, Router};
use seawall_core::ConstMeta;
use seawall_testkit::contract::{BoxError, Mock};
use tower::Service;

use crate::support::{once, safe};

type Body = Full<Bytes>;

/// The mock as a service of HTTP: numbers are the bodies of requests.
#[derive(Clone, Debug)]
struct Numbers(Mock);

impl Service<Request<u32>> for Numbers {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = NumberFuture<<Mock as Service<u32>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<u32>) -> Self::Future {
        NumberFuture(Box::pin(self.0.call(request.into_body())))
    }
}

struct NumberFuture<F>(Pin<Box<F>>);

impl<F: Future<Output = Result<u32, BoxError>>> Future for NumberFuture<F> {
    type Output = Result<Response<Body>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let number = ready!(self.0.as_mut().poll(cx))?;
        let mut response = Response::new(Body::default());
        response.extensions_mut().insert(number);
        Poll::Ready(Ok(response))
    }
}

type Inner = Router<Numbers, u32, ConstMeta>;

/// A router as a service of numbers.
#[derive(Clone, Debug)]
struct Subject(Inner);

impl Service<u32> for Subject {
    type Response = u32;
    type Error = BoxError;
    type Future = SubjectFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, number: u32) -> SubjectFuture {
        SubjectFuture(Box::pin(self.0.call(Request::new(number))))
    }
}

struct SubjectFuture(Pin<Box<RouteFuture<Numbers, u32, Body, ConstMeta>>>);

impl Future for SubjectFuture {
    type Output = Result<u32, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.0.as_mut().poll(cx))?;
        let number = response.extensions().get::<u32>().copied();
        Poll::Ready(number.ok_or_else(|| "no number".into()))
    }
}

fn router(inner: Mock, describer: ConstMeta) -> Subject {
    let model = Model::new("large").deployment(Deployment::new("key-1", "alpha", Numbers(inner)));
    Subject(
        Router::builder("contract", model)
            .describe(describer)
            .build()
            .unwrap(),
    )
}

fn subject(inner: Mock) -> Subject {
    router(inner, once())
}

// It is always ready, and reserves when it is polled.
seawall_testkit::contract_tests! { subject =>
    calls_the_ready_instance,
    one_request_needs_one_reservation,
    dropped_service_releases_its_reservation,
    dropped_future_releases_everything,
    call_does_not_poll_readiness,
    spawns_no_task,
    clone_resets_readiness,
    finished_future_holds_nothing,
    finished_future_has_dropped_the_inner_future,
    idle_ready_clone_blocks_no_other,
    passes_errors_through,
    survives_a_panic,
}

mod two_deployments {
    use super::*;

    fn subject(inner: Mock) -> Subject {
        let key = |name: &str, inner| Deployment::new(name, name, Numbers(inner));
        let model = Model::new("large")
            .deployment(key("key-1", inner.clone()))
            .deployment(key("key-2", inner));
        Subject(
            Router::builder("contract", model)
                .describe(safe())
                .build()
                .unwrap(),
        )
    }

    seawall_testkit::contract_tests! { subject =>
        calls_the_ready_instance,
        dropped_service_releases_its_reservation,
        dropped_future_releases_everything,
        call_does_not_poll_readiness,
        spawns_no_task,
        clone_resets_readiness,
        finished_future_holds_nothing,
        idle_ready_clone_blocks_no_other,
        survives_a_panic,
    }
}

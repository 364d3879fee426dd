//! The layer and its service.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use seawall_core::{Classify, Rejectable, Rejection};
use seawall_http::HttpClassifier;
use tower_layer::Layer;
use tower_service::Service;

use super::body::OrderBody;
use super::handle::OrderHandle;
use super::place::Placing;
use super::shared::Shared;
use crate::client::RequestSender;
use crate::protocol::Operation;

/// Sends each order once, and finds out what became of it; see the [crate](crate).
///
/// To be put around a whole stack. Services of one layer, and clones, share the orders. Made by
/// [`OrderLayer::builder`].
///
/// `B` is the body of requests, which the layer makes for look-ups; it is known from the use.
pub struct OrderLayer<B, C = HttpClassifier> {
    pub(super) shared: Arc<Shared>,
    pub(super) classifier: C,
    pub(super) body: PhantomData<fn() -> B>,
}

impl<B, C> OrderLayer<B, C> {
    /// A handle to read and to control the orders from outside.
    pub fn handle(&self) -> OrderHandle {
        OrderHandle::new(Arc::clone(&self.shared))
    }

    /// Classifies the errors of the client with `classifier`: whether a request was certainly not sent.
    #[must_use]
    pub fn classify<C2>(self, classifier: C2) -> OrderLayer<B, C2> {
        OrderLayer {
            shared: self.shared,
            classifier,
            body: PhantomData,
        }
    }
}

impl<B, C: Clone> Clone for OrderLayer<B, C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            classifier: self.classifier.clone(),
            body: PhantomData,
        }
    }
}

impl<B, C> fmt::Debug for OrderLayer<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderLayer")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl<S, B, R, C> Layer<S> for OrderLayer<B, C>
where
    S: Service<Request<B>, Response = Response<R>, Future: Send, Error: Rejectable + Send>
        + Clone
        + Send
        + 'static,
    B: From<Bytes> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    C: Clone,
{
    type Service = OrderService<S, C>;

    /// Where there is a Tokio runtime, orders of an earlier process are looked up from now on;
    /// elsewhere from the first order on.
    fn layer(&self, inner: S) -> Self::Service {
        self.layer_with_reserved(inner.clone(), inner)
    }
}

impl<B, C: Clone> OrderLayer<B, C> {
    /// The layer around a stack, and around another one of the same type for cancels and for what the layer
    /// sends itself: with permits, limits and a circuit of its own, so that orders do not hold those up.
    pub fn layer_with_reserved<S, R>(&self, inner: S, reserved: S) -> OrderService<S, C>
    where
        S: Service<Request<B>, Response = Response<R>, Future: Send, Error: Rejectable + Send>
            + Clone
            + Send
            + 'static,
        B: From<Bytes> + Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
    {
        let below = || {
            let max_body = self.shared.config().max_body();
            // Where an error would be kept, there are no types of the stack.
            let failed = |error: S::Error| match error.rejection() {
                Some(rejection) => (*rejection).into(),
                None => "the client failed".into(),
            };
            let broken = |_| "the body of the response broke off".into();
            RequestSender::through(reserved.clone(), max_body, failed, broken)
        };
        self.shared.below.get_or_init(below);
        self.shared.begin();
        OrderService {
            inner,
            reserved,
            shared: Arc::clone(&self.shared),
            classifier: self.classifier.clone(),
        }
    }
}

/// A service whose orders are sent once; made by [`OrderLayer`].
///
/// It is ready when the inner service is. An order takes a clone, which it polls ready when it may
/// leave; requests that are about no order go through the instance that was polled ready.
#[derive(Clone)]
pub struct OrderService<S, C = HttpClassifier> {
    inner: S,
    /// For cancels.
    reserved: S,
    shared: Arc<Shared>,
    classifier: C,
}

seawall_core::inner_accessors!(OrderService<S, C>);

impl<S, C> OrderService<S, C> {
    /// A handle to read and to control the orders from outside.
    pub fn handle(&self) -> OrderHandle {
        OrderHandle::new(Arc::clone(&self.shared))
    }
}

impl<S: fmt::Debug, C> fmt::Debug for OrderService<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderService")
            .field("inner", &self.inner)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl<S, B, R, C> Service<Request<B>> for OrderService<S, C>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Rejectable + Send + 'static,
    B: Body<Data = Bytes> + From<Bytes> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    C: Classify<Response<Bytes>, S::Error> + Clone + Send + Sync + 'static,
{
    type Response = Response<OrderBody<R>>;
    type Error = S::Error;
    type Future = OrderFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let operation = self
            .shared
            .broker
            .operation(request.method(), request.uri());
        let step = match operation {
            None if self.shared.is_no_order(request.method(), request.uri()) => Step::Passed {
                inner: self.inner.call(request),
            },
            None => {
                self.inner = self.inner.clone(); // clone: gives the reservation up
                Step::Rejected {
                    rejection: Some(self.shared.unknown_route()),
                }
            }
            Some(operation) => {
                self.shared.enter();
                // What was polled ready is given up: an order waits before it leaves.
                self.inner = self.inner.clone(); // clone: gives the reservation up
                let way = match operation {
                    Operation::Cancel => &self.reserved,
                    _ => &self.inner,
                };
                let placing = Placing {
                    shared: Arc::clone(&self.shared),
                    service: way.clone(),
                    classifier: self.classifier.clone(),
                };
                Step::Order {
                    placing: Box::pin(placing.run(operation, request)),
                }
            }
        };
        OrderFuture { step }
    }
}

type Placed<R, E> = Pin<Box<dyn Future<Output = Result<Response<OrderBody<R>>, E>> + Send>>;

pin_project! {
    /// The future of an [`OrderService`].
    ///
    /// Dropped before its first poll, an order is not sent. Dropped later, it goes on: what may have left
    /// is looked up in the background, and what has not left does not leave.
    ///
    /// Not polled any more, it is as good as dropped for its order: that is looked up once the deadline has
    /// passed. Its call stays in the stack below, with the permits that it has there, until the future is
    /// polled or dropped; polled, it does not go on with the call.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed.
    pub struct OrderFuture<F, R, E> {
        #[pin]
        step: Step<F, R, E>,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<F, R, E> {
        Passed { #[pin] inner: F },
        Order { placing: Placed<R, E> },
        Rejected { rejection: Option<Rejection> },
    }
}

impl<F, R, E> Future for OrderFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: From<Rejection>,
{
    type Output = Result<Response<OrderBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().step.project() {
            StepProj::Passed { inner } => {
                let response = ready!(inner.poll(cx));
                Poll::Ready(response.map(|response| response.map(OrderBody::passed)))
            }
            StepProj::Order { placing } => placing.as_mut().poll(cx),
            StepProj::Rejected { rejection } => match rejection.take() {
                Some(rejection) => Poll::Ready(Err(rejection.into())),
                None => panic!("polled after it has completed"),
            },
        }
    }
}

seawall_core::impl_debug!(OrderFuture<F, R, E>: |this| order = matches!(this.step, Step::Order { .. }));

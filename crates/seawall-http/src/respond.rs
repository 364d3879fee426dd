//! Layers in a server whose services cannot fail: rejections become responses.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use pin_project_lite::pin_project;
use seawall_core::{Error, Rejection, WrapError};
use tower_layer::Layer;
use tower_service::Service;

use crate::response::rejection_response;

/// Makes the response of a rejection. Closures and `fn` pointers
/// `Fn(&Rejection) -> Response<B>` are responders; a `fn` pointer can be named.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not make a `Response<{B}>` of a rejection",
    note = "a responder is a `Fn(&seawall_core::Rejection) -> http::Response<{B}>`",
    note = "the default, `PlainResponder`, needs a body that can be made from `bytes::Bytes`"
)]
pub trait RejectionResponder<B> {
    /// The response of `rejection`.
    fn respond(&self, rejection: &Rejection) -> Response<B>;
}

#[diagnostic::do_not_recommend]
impl<F, B> RejectionResponder<B> for F
where
    F: Fn(&Rejection) -> Response<B>,
{
    fn respond(&self, rejection: &Rejection) -> Response<B> {
        self(rejection)
    }
}

/// Responds as [`rejection_response`] does: a status, a line of plain text, `Retry-After`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlainResponder;

impl<B: From<Bytes>> RejectionResponder<B> for PlainResponder {
    fn respond(&self, rejection: &Rejection) -> Response<B> {
        rejection_response(rejection)
    }
}

/// Runs layers around a service of a server and turns their rejections into responses.
///
/// axum's routes cannot fail (their error is `Infallible`), and a layer that rejects needs an
/// error that can carry the rejection. This layer wraps the service's error, puts the layers
/// around it, and unwraps the error again: rejections become responses, the service's own errors
/// pass. The default responder is [`PlainResponder`]: 503, 429, 504 or 502, and `Retry-After`.
///
/// Several layers go in as a tuple, the first one outermost. The types can be named:
/// `RejectionResponseLayer<(TimeoutLayer, BulkheadLayer)>`. Clones share what the layers share, so
/// one limit holds for all routes.
///
/// ```
/// # use tower::layer::util::Identity as BulkheadLayer;
/// use seawall_http::RejectionResponseLayer;
///
/// # let bulkhead = BulkheadLayer::new();
/// // `bulkhead` is any layer or tuple of layers.
/// let app: axum::Router = axum::Router::new()
///     .route("/", axum::routing::get(|| async { "hello" }))
///     .layer(RejectionResponseLayer::new(bulkhead));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RejectionResponseLayer<L, R = PlainResponder> {
    layers: L,
    responder: R,
}

impl<L> RejectionResponseLayer<L> {
    /// Turns the rejections of `layers` into responses.
    pub const fn new(layers: L) -> Self {
        Self {
            layers,
            responder: PlainResponder,
        }
    }
}

impl<L, R> RejectionResponseLayer<L, R> {
    /// Makes responses with `responder`, a [`RejectionResponder`]: a status, headers and a body of
    /// your own. A clone of it travels with each call.
    ///
    /// ```
    /// # use tower::layer::util::Identity as BulkheadLayer;
    /// use axum::body::Body;
    /// use http::{Response, header};
    /// use seawall_core::Rejection;
    /// use seawall_http::{RejectionResponseLayer, retry_after_seconds, status_of};
    ///
    /// fn json(rejected: &Rejection) -> Response<Body> {
    ///     let body = format!(r#"{{"error":"{}"}}"#, rejected.reason().as_str());
    ///     Response::builder()
    ///         .status(status_of(rejected))
    ///         .header(header::CONTENT_TYPE, "application/json")
    ///         .header(header::RETRY_AFTER, retry_after_seconds(rejected).unwrap_or(5))
    ///         .body(Body::from(body))
    ///         .expect("status and headers are valid")
    /// }
    ///
    /// # let bulkhead = BulkheadLayer::new();
    /// let app: axum::Router = axum::Router::new()
    ///     .route("/", axum::routing::get(|| async { "hello" }))
    ///     .layer(RejectionResponseLayer::new(bulkhead).respond_with(json));
    /// ```
    #[must_use]
    pub fn respond_with<R2>(self, responder: R2) -> RejectionResponseLayer<L, R2> {
        RejectionResponseLayer {
            layers: self.layers,
            responder,
        }
    }

    /// The layers.
    pub const fn get_ref(&self) -> &L {
        &self.layers
    }
}

impl<L, S, R> Layer<S> for RejectionResponseLayer<L, R>
where
    L: Layer<WrapError<S>>,
    R: Clone,
{
    type Service = RejectionResponse<L::Service, R>;

    fn layer(&self, inner: S) -> Self::Service {
        let inner = self.layers.layer(WrapError::new(inner));
        RejectionResponse::with_responder(inner, self.responder.clone())
    }
}

/// A service that responds to rejections instead of failing with them; see
/// [`RejectionResponseLayer`].
#[derive(Debug, Default)]
pub struct RejectionResponse<S, R = PlainResponder> {
    inner: S,
    responder: R,
    /// Layers reject in `call`. When one does so in `poll_ready`, `call` has to respond, since
    /// this service has no error for it.
    rejected: Option<Rejection>,
}

impl<S> RejectionResponse<S> {
    /// Responds to the rejections of `inner`, whose error is a [`seawall_core::Error`].
    pub const fn new(inner: S) -> Self {
        Self::with_responder(inner, PlainResponder)
    }
}

impl<S, R> RejectionResponse<S, R> {
    /// Responds with `responder` to the rejections of `inner`, whose error is a
    /// [`seawall_core::Error`].
    pub const fn with_responder(inner: S, responder: R) -> Self {
        Self {
            inner,
            responder,
            rejected: None,
        }
    }
}

seawall_core::inner_accessors!(RejectionResponse<S, R>);

impl<S: Clone, R: Clone> Clone for RejectionResponse<S, R> {
    /// The rejection belongs to this instance: the clone has not been polled ready yet.
    fn clone(&self) -> Self {
        Self::with_responder(self.inner.clone(), self.responder.clone())
    }
}

impl<S, R, Req, B, E> Service<Req> for RejectionResponse<S, R>
where
    S: Service<Req, Response = Response<B>, Error = Error<E>>,
    R: RejectionResponder<B> + Clone,
{
    type Response = Response<B>;
    type Error = E;
    type Future = RejectionResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        if self.rejected.is_some() {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(match ready!(self.inner.poll_ready(cx)) {
            Ok(()) => Ok(()),
            Err(Error::Rejected(rejection)) => {
                self.rejected = Some(rejection);
                Ok(())
            }
            Err(Error::Inner(error)) => Err(error),
        })
    }

    fn call(&mut self, req: Req) -> Self::Future {
        RejectionResponseFuture {
            state: match self.rejected.take() {
                Some(rejection) => State::Rejected { rejection },
                None => State::Called {
                    inner: self.inner.call(req),
                },
            },
            responder: self.responder.clone(),
        }
    }
}

pin_project! {
    /// The future of a [`RejectionResponse`].
    ///
    /// # Panics
    ///
    /// When it is polled again after it has completed.
    #[derive(Debug)]
    pub struct RejectionResponseFuture<F, R = PlainResponder> {
        #[pin]
        state: State<F>,
        responder: R,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Called { #[pin] inner: F },
        Rejected { rejection: Rejection },
        Done,
    }
}

impl<F, R, B, E> Future for RejectionResponseFuture<F, R>
where
    F: Future<Output = Result<Response<B>, Error<E>>>,
    R: RejectionResponder<B>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut state = this.state;
        let result = match state.as_mut().project() {
            StateProj::Called { inner } => match ready!(inner.poll(cx)) {
                Ok(response) => Ok(response),
                Err(Error::Rejected(rejection)) => Ok(this.responder.respond(&rejection)),
                Err(Error::Inner(error)) => Err(error),
            },
            StateProj::Rejected { rejection } => Ok(this.responder.respond(rejection)),
            StateProj::Done => panic!("polled after it has completed"),
        };
        state.set(State::Done);
        Poll::Ready(result)
    }
}

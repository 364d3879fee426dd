//! What a client has around its transport: one type of error, whatever the transport's.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Request;
use pin_project_lite::pin_project;
use seawall_core::Outcome;
use seawall_http::TransportError;
use tower_service::Service;

use super::body::RequestBody;

type BoxError = Box<dyn StdError + Send + Sync>;

/// The transport of a client as its stack sees it: with a [`SendError`] for an error.
#[derive(Clone, Debug)]
pub struct Sending<T> {
    inner: T,
}

impl<T> Sending<T> {
    pub(super) const fn new(transport: T) -> Self {
        Self { inner: transport }
    }
}

seawall_core::inner_accessors!(Sending<T>);

impl<T> Service<Request<RequestBody>> for Sending<T>
where
    T: Service<Request<RequestBody>, Error: TransportError + Into<BoxError>>,
{
    type Response = T::Response;
    type Error = SendError;
    type Future = SendFuture<T::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.inner.poll_ready(cx).map_err(SendError::of)
    }

    #[inline]
    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        SendFuture {
            inner: self.inner.call(request),
        }
    }
}

pin_project! {
    /// The response of a [`Sending`].
    pub struct SendFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, R, E> Future for SendFuture<F>
where
    F: Future<Output = Result<R, E>>,
    E: TransportError + Into<BoxError>,
{
    type Output = Result<R, SendError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.project().inner.poll(cx)).map_err(SendError::of))
    }
}

seawall_core::impl_debug!(SendFuture<F>:);

/// Why an attempt of a client has no response: the error of its transport or of its
/// [auth hook](super::ClientBuilder::auth), which is its source, and what that means.
#[derive(Debug)]
pub struct SendError {
    error: BoxError,
    outcome: Outcome,
}

impl SendError {
    #[cold]
    fn of(error: impl TransportError + Into<BoxError>) -> Self {
        Self {
            outcome: error.outcome(),
            error: error.into(),
        }
    }

    /// Nothing was sent, and that says nothing about the upstream.
    #[cold]
    pub(super) fn before_departure(error: AuthError) -> Self {
        Self {
            error: error.into(),
            outcome: Outcome::Ignored,
        }
    }
}

impl TransportError for SendError {
    fn outcome(&self) -> Outcome {
        self.outcome
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl StdError for SendError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.error)
    }
}

/// The [auth hook](super::ClientBuilder::auth) failed: the attempt was not sent, and that says
/// nothing about the upstream.
#[derive(Debug)]
pub struct AuthError {
    pub(super) error: BoxError,
    /// Whether no attempt of the call came before.
    pub(super) is_first: bool,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the auth hook failed: {}", self.error)
    }
}

impl StdError for AuthError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.error)
    }
}

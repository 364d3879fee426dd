//! The one explicit step from a service's own error to an error that can carry a rejection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::Error;

/// Wraps the error of the innermost service in [`Error`], so that layers above can reject.
///
/// Not for an error that can carry a rejection already, such as a boxed one: rejections of layers
/// below this layer would be taken for failures of the upstream.
///
/// `From<E> for Error<E>` cannot exist beside `From<Rejection>`, so the step is explicit; as a
/// type of its own it can be named in a struct field, which `map_err` with a closure cannot.
///
/// ```
/// use seawall_core::{Error, WrapErrorLayer};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut client = ServiceBuilder::new()
///     .layer(WrapErrorLayer)
///     .service(service_fn(|_: ()| async { Err::<(), _>("down") }));
/// let result = client.ready().await.unwrap().call(()).await;
/// assert_eq!(result, Err(Error::Inner("down")));
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WrapErrorLayer;

impl<S> Layer<S> for WrapErrorLayer {
    type Service = WrapError<S>;

    fn layer(&self, inner: S) -> WrapError<S> {
        WrapError::new(inner)
    }
}

/// A service whose error is [`Error<S::Error>`](Error); see [`WrapErrorLayer`].
#[derive(Clone, Copy, Debug, Default)]
pub struct WrapError<S> {
    inner: S,
}

impl<S> WrapError<S> {
    /// Wraps the error of `inner`.
    pub const fn new(inner: S) -> Self {
        Self { inner }
    }

    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service below, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: Service<Req>, Req> Service<Req> for WrapError<S> {
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = WrapErrorFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        WrapErrorFuture {
            inner: self.inner.call(req),
        }
    }
}

pin_project! {
    /// The response of a [`WrapError`].
    #[derive(Debug)]
    pub struct WrapErrorFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, T, E> Future for WrapErrorFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.project().inner.poll(cx));
        Poll::Ready(result.map_err(Error::Inner))
    }
}

//! The one explicit step from a service's own error to an error that can carry a refusal.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::Error;

/// Wraps the error of the innermost service in [`Error`], so that layers above can refuse.
///
/// Not for an error that can carry a refusal already, such as a boxed one: refusals of layers
/// below the lift would be taken for failures of the upstream.
///
/// `From<E> for Error<E>` cannot exist beside `From<Rejection>`, so the step is explicit; as a
/// type of its own it can be named in a struct field, which `map_err` with a closure cannot.
///
/// ```
/// use seawall_core::{Error, LiftLayer};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut client = ServiceBuilder::new()
///     .layer(LiftLayer)
///     .service(service_fn(|_: ()| async { Err::<(), _>("down") }));
/// let answer = client.ready().await.unwrap().call(()).await;
/// assert_eq!(answer, Err(Error::Inner("down")));
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LiftLayer;

impl<S> Layer<S> for LiftLayer {
    type Service = Lift<S>;

    fn layer(&self, inner: S) -> Lift<S> {
        Lift::new(inner)
    }
}

/// A service whose error is [`Error<S::Error>`](Error); see [`LiftLayer`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Lift<S> {
    inner: S,
}

impl<S> Lift<S> {
    /// Lifts the error of `inner`.
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

impl<S: Service<Req>, Req> Service<Req> for Lift<S> {
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = LiftFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        LiftFuture {
            inner: self.inner.call(req),
        }
    }
}

pin_project! {
    /// The answer of a [`Lift`].
    #[derive(Debug)]
    pub struct LiftFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, T, E> Future for LiftFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.project().inner.poll(cx));
        Poll::Ready(answer.map_err(Error::Inner))
    }
}

//! The one explicit step from a channel's own error to one that can carry a rejection.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tonic::Status;
use tower_layer::Layer;
use tower_service::Service;

use crate::GrpcError;

/// Turns the error of a channel into a [`GrpcError`], so that layers above can reject.
///
/// It goes right around the channel; its type can be named. An error of the transport becomes the
/// status that tonic gives it and keeps its source; a [`Status`] stays what it is.
///
/// ```
/// use seawall_grpc::WrapStatusLayer;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let channel = ServiceBuilder::new()
///     .layer(WrapStatusLayer)
///     .service(service_fn(|_: ()| async { Err::<(), _>(tonic::Status::aborted("again")) }));
/// let error = channel.oneshot(()).await.unwrap_err();
/// assert_eq!(error.status().code(), tonic::Code::Aborted);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WrapStatusLayer;

impl<S> Layer<S> for WrapStatusLayer {
    type Service = WrapStatus<S>;

    fn layer(&self, inner: S) -> WrapStatus<S> {
        WrapStatus { inner }
    }
}

/// A service whose error is a [`GrpcError`]; see [`WrapStatusLayer`].
#[derive(Clone, Copy, Debug, Default)]
pub struct WrapStatus<S> {
    inner: S,
}

impl<S> WrapStatus<S> {
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

impl<S, Req> Service<Req> for WrapStatus<S>
where
    S: Service<Req>,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = S::Response;
    type Error = GrpcError;
    type Future = WrapStatusFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), GrpcError>> {
        self.inner.poll_ready(cx).map_err(lift)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        WrapStatusFuture {
            inner: self.inner.call(req),
        }
    }
}

fn lift(error: impl Into<Box<dyn StdError + Send + Sync>>) -> GrpcError {
    match error.into().downcast::<GrpcError>() {
        Ok(lifted) => *lifted,
        Err(error) => GrpcError::from(Status::from_error(error)),
    }
}

pin_project! {
    /// The answer of a [`WrapStatus`].
    #[derive(Debug)]
    pub struct WrapStatusFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, T, E> Future for WrapStatusFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    type Output = Result<T, GrpcError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.project().inner.poll(cx)).map_err(lift))
    }
}

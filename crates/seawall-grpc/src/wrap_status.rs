//! The one explicit step from a channel's own error to one that can carry a rejection.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tonic::Status;
use tower_layer::Layer;
use tower_service::Service;

use crate::error::GrpcError;
use crate::expired::correct_timeout;

/// Turns the error of a channel into a [`GrpcError`], so that layers above can reject.
///
/// It goes right around the channel; its type can be named. An error of the transport becomes the
/// status that tonic gives it and keeps its source, a timeout of the channel becomes
/// `DEADLINE_EXCEEDED` ([`correct_timeout`]), and a [`Status`] is kept as it is.
///
/// # Retries
///
/// A retry needs a copy of the request, and tonic's body has none. [`replayable`] makes one of it
/// that can be copied, in front of the layers; [`sendable`] gives it back to the channel:
///
/// ```
/// # use tower::layer::util::Identity as RetryLayer;
/// use seawall_grpc::{WrapStatusLayer, replayable, sendable};
/// use tonic::body::Body;
/// use tower::{Service, ServiceBuilder};
///
/// fn client<C>(channel: C) -> impl Service<http::Request<Body>>
/// where
///     C: Service<http::Request<Body>, Response = http::Response<Body>>,
///     C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
/// {
///     # let retry = RetryLayer::new();
///     ServiceBuilder::new()
///         .map_request(replayable)
///         // with `.classify(GrpcClassifier)` and `.copy(seawall_http::copy_request)`
///         .layer(retry)
///         .layer(WrapStatusLayer)
///         .map_request(sendable)
///         .service(channel)
/// }
/// # let _ = client::<tower::util::BoxService<http::Request<Body>, http::Response<Body>, tonic::Status>>;
/// ```
///
/// [`replayable`]: crate::replayable
/// [`sendable`]: crate::sendable
///
/// # Example
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

seawall_core::inner_accessors!(WrapStatus<S>);

impl<S, Req> Service<Req> for WrapStatus<S>
where
    S: Service<Req>,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = S::Response;
    type Error = GrpcError;
    type Future = WrapStatusFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), GrpcError>> {
        self.inner.poll_ready(cx).map_err(wrap)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        WrapStatusFuture {
            inner: self.inner.call(req),
        }
    }
}

fn wrap(error: impl Into<Box<dyn StdError + Send + Sync>>) -> GrpcError {
    match error.into().downcast::<GrpcError>() {
        Ok(wrapped) => *wrapped,
        Err(error) => GrpcError::from(correct_timeout(Status::from_error(error))),
    }
}

pin_project! {
    /// The future of a [`WrapStatus`].
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
        Poll::Ready(ready!(self.project().inner.poll(cx)).map_err(wrap))
    }
}

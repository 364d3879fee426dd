//! Layers in a tonic server: rejections become answers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;
use seawall_core::{Error, Rejection, WrapError};
use tower_layer::Layer;
use tower_service::Service;

use crate::status_of;

/// Runs layers around a service of a tonic server and answers their rejections with a status.
///
/// Generated services cannot fail (their error is `Infallible`), and a layer that rejects needs
/// an error that can carry the rejection. This layer lifts the service's error, puts the layers
/// around, and takes the lift off again: rejections are answered with the status of
/// [`status_of`], the service's own errors pass. Several layers go in as a tuple, the first one
/// outermost. Clones share what the layers share.
///
/// ```
/// # use tower::layer::util::Identity as BulkheadLayer;
/// # use tower::{Layer, ServiceExt, service_fn};
/// use seawall_grpc::GrpcRejectionLayer;
/// # use std::convert::Infallible;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let bulkhead = BulkheadLayer::new();
/// # let routes = service_fn(|()| async { Ok::<_, Infallible>(http::Response::new(())) });
/// // With tonic: `Server::builder().layer(GrpcRejectionLayer::new(bulkhead))`
/// let server = GrpcRejectionLayer::new(bulkhead).layer(routes);
/// # server.oneshot(()).await.unwrap();
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcRejectionLayer<L> {
    layers: L,
}

impl<L> GrpcRejectionLayer<L> {
    /// Answers the rejections of `layers`.
    pub const fn new(layers: L) -> Self {
        Self { layers }
    }
}

impl<L, S> Layer<S> for GrpcRejectionLayer<L>
where
    L: Layer<WrapError<S>>,
{
    type Service = GrpcRejection<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        GrpcRejection::new(self.layers.layer(WrapError::new(inner)))
    }
}

/// A service that answers rejections instead of failing with them; see [`GrpcRejectionLayer`].
#[derive(Debug, Default)]
pub struct GrpcRejection<S> {
    inner: S,
    /// Layers reject in `call`. One that does so in `poll_ready` is answered in `call` too,
    /// since this service has no error for it.
    rejected: Option<Rejection>,
}

impl<S> GrpcRejection<S> {
    /// Answers the rejections of `inner`, whose error is a [`seawall_core::Error`].
    pub const fn new(inner: S) -> Self {
        Self {
            inner,
            rejected: None,
        }
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

impl<S: Clone> Clone for GrpcRejection<S> {
    /// The rejection was met by this instance; the clone has not been asked for readiness yet.
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl<S, Req, B, E> Service<Req> for GrpcRejection<S>
where
    S: Service<Req, Response = Response<B>, Error = Error<E>>,
    B: Default,
{
    type Response = Response<B>;
    type Error = E;
    type Future = GrpcRejectionFuture<S::Future>;

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
        GrpcRejectionFuture {
            state: match self.rejected.take() {
                Some(rejection) => State::Rejected { rejection },
                None => State::Called {
                    inner: self.inner.call(req),
                },
            },
        }
    }
}

pin_project! {
    /// The answer of an [`GrpcRejection`].
    ///
    /// # Panics
    ///
    /// When it is polled again after it has answered.
    #[derive(Debug)]
    pub struct GrpcRejectionFuture<F> {
        #[pin]
        state: State<F>,
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

impl<F, B, E> Future for GrpcRejectionFuture<F>
where
    F: Future<Output = Result<Response<B>, Error<E>>>,
    B: Default,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let answer = match state.as_mut().project() {
            StateProj::Called { inner } => match ready!(inner.poll(cx)) {
                Ok(response) => Ok(response),
                Err(Error::Rejected(rejection)) => Ok(status_of(&rejection).into_http()),
                Err(Error::Inner(error)) => Err(error),
            },
            StateProj::Rejected { rejection } => Ok(status_of(rejection).into_http()),
            StateProj::Done => panic!("polled after it has answered"),
        };
        state.set(State::Done);
        Poll::Ready(answer)
    }
}

//! Layers in a tonic server: rejections become responses.

use http::Response;
use seawall_core::{Rejection, WrapError};
use seawall_http::{RejectionResponder, RejectionResponse, RejectionResponseFuture};
use tower_layer::Layer;

use crate::error::status_of;

/// Responds to a rejection with the status of [`status_of`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusResponder;

impl<B: Default> RejectionResponder<B> for StatusResponder {
    fn respond(&self, rejection: &Rejection) -> Response<B> {
        status_of(rejection).into_http()
    }
}

/// Runs layers around a service of a tonic server and turns their rejections into statuses.
///
/// Generated services cannot fail (their error is `Infallible`), and a layer that rejects needs
/// an error that can carry the rejection. This layer wraps the service's error, puts the layers
/// around it, and unwraps the error again: rejections become the status of [`status_of`], the
/// service's own errors pass. Several layers go in as a tuple, the first one outermost. Clones
/// share what the layers share.
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
    /// Turns the rejections of `layers` into statuses.
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
        let inner = self.layers.layer(WrapError::new(inner));
        GrpcRejection::with_responder(inner, StatusResponder)
    }
}

/// A service that responds to rejections with a status; see [`GrpcRejectionLayer`].
pub type GrpcRejection<S> = RejectionResponse<S, StatusResponder>;

/// The future of a [`GrpcRejection`].
pub type GrpcRejectionFuture<F> = RejectionResponseFuture<F, StatusResponder>;

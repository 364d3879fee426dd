//! The service: a call begins with its first poll, so that making it costs nothing.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use seawall_core::{Describe, Rejectable, RequestMeta};
use seawall_http::deadline::deadline_of;
use seawall_http::{Routes, TransportError};
use tower_service::Service;

use super::parts::Parts;
use super::progress::Progress;
use super::{RouteFuture, RouteRecorder, RouterHandle};

/// Sends each request to the deployment that has the most left, and on to another one where the failure
/// of the first allows it; see the [module](super).
///
/// It reserves nothing: it is always ready, and each attempt polls a clone of its deployment's service
/// ready. A clone costs one reference count.
pub struct Router<S, B, D = Routes> {
    pub(crate) parts: Arc<Parts<S, B, D>>,
}

impl<S, B, D> Router<S, B, D> {
    /// A handle to read and to control the router from outside.
    pub fn handle(&self) -> RouterHandle {
        RouterHandle::new(Arc::clone(&self.parts.state))
    }
}

impl<S, B, D> Clone for Router<S, B, D> {
    fn clone(&self) -> Self {
        Self {
            parts: Arc::clone(&self.parts),
        }
    }
}

impl<S, B, R, D> Service<Request<B>> for Router<S, B, D>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Rejectable + TransportError,
    B: Clone,
    R: Body<Data = Bytes> + From<Bytes>,
    D: Describe<Request<B>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = RouteFuture<S, B, R, D>;

    // Which deployment a call goes to is not known before.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut meta = self.parts.describer.describe(&request);
        meta.deadline = earlier(&meta, &request);
        let recorder = request.extensions().get::<RouteRecorder>().cloned();
        let read = self.parts.read_model.as_ref();
        let model = read.and_then(|read| read(&request));
        let progress = Progress::new(&self.parts.state, meta, model, recorder);
        RouteFuture::new(Arc::clone(&self.parts), request, progress)
    }
}

fn earlier<B>(meta: &RequestMeta, request: &Request<B>) -> Option<tokio::time::Instant> {
    match (meta.deadline, deadline_of(request)) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

seawall_core::impl_debug!(Router<S, B, D>: |this|
    name = this.parts.state.events.name(),
    deployments = this.parts.services.len(),
);

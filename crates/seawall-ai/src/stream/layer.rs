//! The layer and its service.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use seawall_core::InstanceName;
use tower_layer::Layer;
use tower_service::Service;

use super::body::StreamBody;
use super::config::StreamConfig;
use super::error::{BoxError, CallError};
use super::future::{Call, StreamFuture};
use super::handle::StreamHandle;
use super::state::{self, State, StateAnchor};

/// Sees to it that the responses of an AI API have something in them, in time and to their end; see
/// the [module](crate::stream).
#[derive(Clone)]
pub struct StreamLayer {
    state: State,
}

impl StreamLayer {
    /// A layer of that name with these settings.
    pub fn new(name: impl Into<InstanceName>, config: StreamConfig) -> Self {
        Self {
            state: state::new(name.into(), config),
        }
    }

    /// A handle to read and to control the layer.
    pub fn handle(&self) -> StreamHandle {
        StreamHandle {
            state: self.state.clone(),
        }
    }
}

impl<S> Layer<S> for StreamLayer {
    type Service = StreamService<S>;

    fn layer(&self, client: S) -> StreamService<S> {
        StreamService {
            client,
            state: self.state.anchor(),
        }
    }
}

seawall_core::impl_debug!(StreamLayer: |this|
    name = this.state.common().name,
    config = this.state.here().config());

/// A client whose responses have something in them, in time and to their end; see the
/// [module](crate::stream).
#[derive(Clone)]
pub struct StreamService<S> {
    client: S,
    state: StateAnchor,
}

impl<S> StreamService<S> {
    /// The client.
    pub const fn get_ref(&self) -> &S {
        &self.client
    }
}

impl<S, A, B> Service<Request<A>> for StreamService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Response = Response<StreamBody<B>>;
    type Error = CallError<S::Error>;
    type Future = StreamFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.client.poll_ready(cx).map_err(CallError::Client)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let has_body = request.method() != Method::HEAD;
        let bound = request.extensions().get().copied();
        let call = Call::new(self.state.local(), has_body, bound);
        StreamFuture::new(self.client.call(request), call)
    }
}

seawall_core::impl_debug!(StreamService<S> where [S: std::fmt::Debug]: |this|
    client = this.client,
    name = this.state.common().name);

//! The layer and its service.

use std::task::{Context, Poll};

use http::{Request, Response};
use seawall_core::striped::Anchor;
use seawall_core::{InstanceName, Rejectable};
use tower_layer::Layer;
use tower_service::Service;

use super::body::TimedBody;
use super::config::BodyTimeoutConfig;
use super::future::BodyTimeoutFuture;
use super::handle::BodyTimeoutHandle;
use super::state::{self, Common, State};
use crate::deadline::deadline_of;

/// Ends responses whose body does not come in time; see the [module](crate::body_timeout).
#[derive(Clone)]
pub struct BodyTimeoutLayer {
    pub(super) state: State,
}

impl BodyTimeoutLayer {
    /// A layer of that name with these limits.
    pub fn new(name: impl Into<InstanceName>, config: BodyTimeoutConfig) -> Self {
        Self {
            state: state::new(name.into(), config),
        }
    }

    /// A handle to read and to control the layer.
    pub fn handle(&self) -> BodyTimeoutHandle {
        BodyTimeoutHandle {
            state: self.state.clone(),
        }
    }
}

impl<S> Layer<S> for BodyTimeoutLayer {
    type Service = BodyTimeout<S>;

    fn layer(&self, inner: S) -> BodyTimeout<S> {
        BodyTimeout {
            inner,
            state: self.state.anchor(),
        }
    }
}

seawall_core::impl_debug!(BodyTimeoutLayer: |this|
    name = this.state.common().name,
    config = this.state.common().config());

/// A service whose responses have a body that ends in time; see the [module](crate::body_timeout).
#[derive(Clone)]
pub struct BodyTimeout<S> {
    inner: S,
    state: Anchor<Common, ()>,
}

seawall_core::inner_accessors!(BodyTimeout<S>);

impl<S, A, B> Service<Request<A>> for BodyTimeout<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Rejectable,
{
    type Response = Response<TimedBody<B>>;
    type Error = S::Error;
    type Future = BodyTimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let state = self.state.local();
        let within = state.common().limits.within_deadline();
        let until = if within { deadline_of(&request) } else { None };
        BodyTimeoutFuture::new(self.inner.call(request), state, until)
    }
}

seawall_core::impl_debug!(BodyTimeout<S> where [S: std::fmt::Debug]: |this|
    inner = this.inner,
    name = this.state.common().name);

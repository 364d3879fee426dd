//! The service: sends the first attempt and keeps what another one needs.

use std::fmt;
use std::task::{Context, Poll};

use seawall_core::{Classify, Describe, ErrorIsFailure, Refusable, Undescribed};
use tower_service::Service;

use crate::decide::wants_copy;
use crate::layer::CommonAnchor;
use crate::{CloneRequest, CopyRequest, ResponseFuture};

/// A service whose calls are tried again; see [`RetryLayer`](crate::RetryLayer).
///
/// A clone costs one reference count beside the clone of the inner service. Readiness is the
/// inner service's own.
pub struct Retry<S, C = ErrorIsFailure, D = Undescribed, P = CloneRequest> {
    inner: S,
    common: CommonAnchor<S, C, D, P>,
}

impl<S, C, D, P> Retry<S, C, D, P> {
    pub(crate) const fn new(inner: S, common: CommonAnchor<S, C, D, P>) -> Self {
        Self { inner, common }
    }

    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below, mutably. Later attempts go through clones of the service as it was
    /// when the layer was applied.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service below, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, C, D, P, Req> Service<Req> for Retry<S, C, D, P>
where
    S: Service<Req> + Clone,
    S::Error: Refusable,
    C: Classify<S::Response, S::Error>,
    D: Describe<Req>,
    P: CopyRequest<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, C, D, P>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Readiness is for the first attempt only: reserving for an attempt that may never be
        // made would starve others.
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let common = self.common.local();
        let meta = common.common().describe.describe(&request);
        let copy = if wants_copy(&common.common().core.config, meta.replay, 1) {
            common.common().copy.copy(&request)
        } else {
            None
        };
        // The instance that was polled ready is the one that is called.
        ResponseFuture::new(self.inner.call(request), common, copy, meta)
    }
}

impl<S: Clone, C, D, P> Clone for Retry<S, C, D, P> {
    /// Shares budget, counters and the spare service; readiness is the inner clone's affair.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            common: self.common.clone(),
        }
    }
}

impl<S: fmt::Debug, C, D, P> fmt::Debug for Retry<S, C, D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = &self.common.common().core;
        f.debug_struct("Retry")
            .field("inner", &self.inner)
            .field("name", &core.ledger.observer.name())
            .field("config", &core.config)
            .finish_non_exhaustive()
    }
}

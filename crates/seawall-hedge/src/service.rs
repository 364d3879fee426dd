//! The service: sends the first attempt and keeps what another one needs.

use std::fmt;
use std::task::{Context, Poll};

use seawall_core::{
    Classify, CloneRequest, CopyRequest, DefaultMeta, Describe, ErrorIsFailure, Rejectable,
    RequestMeta,
};
use tower_service::Service;

use crate::ResponseFuture;
use crate::layer::{CommonAnchor, CommonLocal};
use crate::observe::Skip;

/// A service whose slow calls are made again; see [`HedgeLayer`](crate::HedgeLayer).
///
/// A clone costs one reference count beside the clone of the inner service. Readiness is the
/// inner service's own.
pub struct Hedge<S, C = ErrorIsFailure, D = DefaultMeta, P = CloneRequest> {
    inner: S,
    common: CommonAnchor<S, C, D, P>,
}

impl<S, C, D, P> Hedge<S, C, D, P> {
    pub(crate) const fn new(inner: S, common: CommonAnchor<S, C, D, P>) -> Self {
        Self { inner, common }
    }

    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below, mutably. Extra attempts go through clones of the service as it was
    /// when the layer was applied.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service below, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, C, D, P, Req> Service<Req> for Hedge<S, C, D, P>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
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
        let common = self.common.follow();
        let meta = common.common().describe.describe(&request);
        let copy = copy(&common, &meta, &request);
        // The instance that was polled ready is the one that is called.
        ResponseFuture::new(self.inner.call(request), common, copy, meta)
    }
}

/// The copy from which extra attempts are made, when there can be any.
#[inline]
fn copy<S, C, D, P, Req>(
    common: &CommonLocal<S, C, D, P>,
    meta: &RequestMeta,
    request: &Req,
) -> Option<Req>
where
    P: CopyRequest<Req>,
{
    let counters = common.stripe();
    let common = common.common();
    if !meta.replay.is_safe() {
        counters.skipped(Skip::Unsafe);
        return None;
    }
    if !common.core.ledger.has_delay() {
        return None;
    }
    let copy = common.copy.copy(request);
    if copy.is_none() {
        counters.skipped(Skip::NoCopy);
    }
    copy
}

impl<S: Clone, C, D, P> Clone for Hedge<S, C, D, P> {
    /// Shares everything but the inner service; readiness is the inner clone's affair.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            common: self.common.clone(),
        }
    }
}

impl<S: fmt::Debug, C, D, P> fmt::Debug for Hedge<S, C, D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ledger = &self.common.common().core.ledger;
        f.debug_struct("Hedge")
            .field("inner", &self.inner)
            .field("name", &ledger.observer.name())
            .field("config", &ledger.config)
            .finish_non_exhaustive()
    }
}

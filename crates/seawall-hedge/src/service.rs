//! The service: sends the first attempt and keeps what another one needs.

use std::task::{Context, Poll};

use seawall_core::{
    Classify, CopyRequest, Describe, KeepResponse, Policies, Policy, Rejectable, RequestMeta,
    impl_debug,
};
use tower_service::Service;

use crate::ResponseFuture;
use crate::state::{CallSettings, CommonAnchor, CommonLocal};

/// A service whose slow calls are made again; see [`HedgeLayer`](crate::HedgeLayer).
///
/// A clone costs one reference count beside the clone of the inner service. Readiness is the
/// inner service's own. Later attempts go through clones of the service as it was when the layer
/// was applied, whatever `get_mut` has changed since.
pub struct Hedge<S, X = Policy> {
    inner: S,
    common: CommonAnchor<S, X>,
}

impl<S, X> Hedge<S, X> {
    pub(crate) const fn new(inner: S, common: CommonAnchor<S, X>) -> Self {
        Self { inner, common }
    }
}

seawall_core::inner_accessors!(Hedge<S, X>);

impl<S, X, Req> Service<Req> for Hedge<S, X>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Classifier: Classify<S::Response, S::Error>,
    X::Describer: Describe<Req>,
    X::Copier: CopyRequest<Req>,
    X::Keeper: KeepResponse<S::Response>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, X>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Readiness is for the first attempt only: reserving for an attempt that may never be
        // made would starve others.
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let common = self.common.follow().again();
        let meta = common.common().policy.describer().describe(&request);
        let settings = common.common().core.state.call_settings();
        let copy = copy(&common, settings, &meta, &request);
        // The instance that was polled ready is the one that is called.
        ResponseFuture::new(self.inner.call(request), common, settings, copy, meta)
    }
}

/// The copy from which extra attempts are made, when there can be any.
#[inline]
fn copy<S, X, Req>(
    common: &CommonLocal<S, X>,
    settings: CallSettings,
    meta: &RequestMeta,
    request: &Req,
) -> Option<Req>
where
    X: Policies<Describer: Describe<Req>, Copier: CopyRequest<Req>>,
{
    let skipped = &common.stripe().skipped;
    let common = common.common();
    if !meta.replay.is_safe() {
        if X::Describer::IS_DEFAULT {
            skipped.not_described.add();
            common.core.state.not_described();
        } else {
            skipped.not_replay_safe.add();
        }
        return None;
    }
    if !common.core.state.has_delay(settings) {
        return None;
    }
    let copy = common.policy.copier().copy(request);
    if copy.is_none() {
        skipped.no_copy.add();
    }
    copy
}

impl<S: Clone, X> Clone for Hedge<S, X> {
    /// Shares everything but the inner service; readiness is up to the inner clone.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            common: self.common.clone(),
        }
    }
}

impl_debug!(Hedge<S, X> where [S: std::fmt::Debug]: |this|
    inner = this.inner,
    name = this.common.common().core.state.events.name(),
    config = this.common.common().core.state.config(),
);

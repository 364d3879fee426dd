//! The service.

use std::task::{Context, Poll};

use seawall_core::{
    Classify, CopyRequest, Describe, KeepResponse, MarkDegraded, Policies, Reason, Rejectable,
    Rejection, WantsFresh,
};
use tower_service::Service;

use crate::depth;
use crate::envelope::Envelope;
use crate::future::{Call, FallbackFuture, May, Stage};
use crate::rules::RulesAnchor;

/// A service whose failed calls are answered; see [`FallbackLayer`](crate::FallbackLayer).
///
/// Readiness is the inner service's own; what it reserved is given up where a call is rejected. A clone costs one
/// reference count beside the clone of the inner service.
pub struct Fallback<S, X, Req, Res, M, W, V> {
    inner: S,
    rules: RulesAnchor<X, Req, Res, M, W, V>,
}

impl<S, X, Req, Res, M, W, V> Fallback<S, X, Req, Res, M, W, V> {
    pub(crate) const fn new(inner: S, rules: RulesAnchor<X, Req, Res, M, W, V>) -> Self {
        Self { inner, rules }
    }
}

seawall_core::inner_accessors!(Fallback<S, X, Req, Res, M, W, V>);

impl<S: Clone, X, Req, Res, M, W, V> Fallback<S, X, Req, Res, M, W, V> {
    /// Rejects a call that is not made.
    #[cold]
    #[inline(never)]
    fn reject(&mut self, reason: Reason) -> Rejection {
        // The instance's reservation below would be missing while its owner does not call again.
        self.inner = self.inner.clone(); // clone: gives the reservation up
        let rules = self.rules.follow();
        rules.common().core.reject(reason)
    }
}

impl<S, X, Req, Res, M, W, V, T> Service<T> for Fallback<S, X, Req, Res, M, W, V>
where
    S: Service<T> + Clone,
    S::Response: Send + 'static,
    S::Error: Rejectable + Send + 'static,
    X: Policies + Send + Sync + 'static,
    X::Classifier: Classify<S::Response, S::Error>,
    X::Describer: Describe<T>,
    X::Copier: CopyRequest<T>,
    X::Keeper: KeepResponse<S::Response, Keeping: Send>,
    M: MarkDegraded<Res> + Send + Sync + 'static,
    W: WantsFresh<T> + Send + Sync + 'static,
    V: Envelope<T, S::Response, Request = Req, Response = Res> + 'static,
    T: Send + 'static,
    Req: 'static,
    Res: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = FallbackFuture<S::Future, T, S::Response, S::Error, X, Req, Res, M, W, V>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: T) -> Self::Future {
        let here = self.rules.follow();
        let rules = here.common();
        let meta = rules.policy.describer().describe(&request);
        let mode = rules.core.mode();
        if mode.rejects(meta.replay) {
            return FallbackFuture::rejected(self.reject(Reason::Paused));
        }
        if depth::is_within(rules.id()) {
            return FallbackFuture::rejected(self.reject(Reason::NoRoute));
        }
        let may = if mode.is_bypassed() {
            May::Bypassed
        } else if !rules.steps.may_answer(&meta) {
            May::NotAnswerable
        } else if rules.fresh.wants_fresh(&request) {
            May::WantsFresh
        } else {
            May::Answer
        };
        let wanted = rules.need_request() && matches!(may, May::Answer | May::WantsFresh);
        let mut kept = None;
        let mut began = None;
        if wanted {
            kept = rules.policy.copier().copy(&request);
            if rules.learn() {
                began = Some(rules.core.clock.instant_now());
            }
        }
        // Field by field, so that the future is built where it stays.
        FallbackFuture {
            stage: Stage::Calling {
                inner: self.inner.call(request),
            },
            call: Some(Call {
                rules: here.again(),
                kept,
                began,
                replay: meta.replay,
                operation: meta.operation,
                deadline: meta.deadline,
                may,
            }),
        }
    }
}

impl<S: Clone, X, Req, Res, M, W, V> Clone for Fallback<S, X, Req, Res, M, W, V> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            rules: self.rules.clone(),
        }
    }
}

seawall_core::impl_debug!(Fallback<S, X, Req, Res, M, W, V> where [S: std::fmt::Debug]: |this|
    inner = this.inner,
    name = this.rules.common().core.source.name(),
);

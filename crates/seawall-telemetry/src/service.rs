//! The service: opens a call, or an attempt.

use std::task::{Context, Poll};

use seawall_core::{Classify, Describe, Policies, Policy, Rejectable, TrackCompletion, is_large};
use tower_service::Service;

use crate::state::Id;
use crate::{OpenCall, ResponseFuture};

/// A service whose calls are measured; made by [`TelemetryLayer`](crate::TelemetryLayer) and
/// [`AttemptTelemetryLayer`](crate::AttemptTelemetryLayer).
///
/// It holds no reference: when the layer and its handles are gone, nobody can read, and nothing is counted.
// Nothing here is per instance: readiness is the inner service's, so `Clone` can be derived.
#[derive(Clone)]
pub struct Telemetry<S, X = Policy> {
    inner: S,
    id: Id,
    is_attempt: bool,
    policy: X,
}

impl<S, X> Telemetry<S, X> {
    pub(crate) const fn new(inner: S, id: Id, is_attempt: bool, policy: X) -> Self {
        Self {
            inner,
            id,
            is_attempt,
            policy,
        }
    }
}

seawall_core::inner_accessors!(Telemetry<S, X>);

impl<S, X, Req> Service<Req> for Telemetry<S, X>
where
    S: Service<Req>,
    S::Error: Rejectable,
    X: Policies,
    X::Classifier: Classify<S::Response, S::Error> + Clone,
    X::Describer: Describe<Req>,
    X::Completion: TrackCompletion<OpenCall, S::Response> + Clone,
{
    type Response = <X::Completion as TrackCompletion<OpenCall, S::Response>>::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, X::Classifier, X::Completion>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    // Always, as the future's poll; but apart from what calls it where the inner future is large, so
    // that this one can be built where it stays.
    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        if is_large::<S::Future>() {
            self.call_apart(request)
        } else {
            self.call_inline(request)
        }
    }
}

/// The future of a policy `X`.
type Response<F, X> = ResponseFuture<F, <X as Policies>::Classifier, <X as Policies>::Completion>;

impl<S, X> Telemetry<S, X>
where
    X: Policies<Classifier: Clone, Completion: Clone>,
{
    #[inline(never)]
    fn call_apart<Req>(&mut self, request: Req) -> Response<S::Future, X>
    where
        S: Service<Req>,
        X::Describer: Describe<Req>,
    {
        self.call_inline(request)
    }

    #[inline(always)]
    fn call_inline<Req>(&mut self, request: Req) -> Response<S::Future, X>
    where
        S: Service<Req>,
        X::Describer: Describe<Req>,
    {
        let operation = self.policy.describer().describe(&request).operation;
        // The call first: if the inner service panics here, it was abandoned.
        let mut open = OpenCall::new(self.id, operation, self.is_attempt);
        if open.is_watched() {
            return self.call_watched(request, &mut open);
        }
        let (classifier, completion) = self.ending();
        ResponseFuture::calling(
            || self.inner.call(request),
            &mut open,
            classifier,
            completion,
        )
    }

    #[cold]
    #[inline(never)]
    fn call_watched<Req>(&mut self, request: Req, open: &mut OpenCall) -> Response<S::Future, X>
    where
        S: Service<Req>,
    {
        let running = open.enter();
        let inner = self.inner.call(request);
        open.leave(running);
        let (classifier, completion) = self.ending();
        ResponseFuture::calling(|| inner, open, classifier, completion)
    }

    /// What a future needs of the policy.
    #[inline]
    fn ending(&self) -> (X::Classifier, X::Completion) {
        let policy = &self.policy;
        (policy.classifier().clone(), policy.completion().clone())
    }
}

seawall_core::impl_debug!(Telemetry<S, X> where [S: std::fmt::Debug]: |this| inner = this.inner);

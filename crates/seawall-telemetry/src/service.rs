//! The service: opens a call, or an attempt.

use std::task::{Context, Poll};

use seawall_core::{Classify, Describe, Policies, Policy, Rejectable, TrackCompletion};
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

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let operation = self.policy.describer().describe(&request).operation;
        // The call first: if the inner service panics here, it was abandoned.
        let mut open = OpenCall::new(self.id, operation, self.is_attempt);
        let inner = open.run(|| self.inner.call(request));
        let (classifier, completion) = (self.policy.classifier(), self.policy.completion());
        ResponseFuture::new(inner, open, classifier.clone(), completion.clone())
    }
}

seawall_core::impl_debug!(Telemetry<S, X> where [S: std::fmt::Debug]: |this| inner = this.inner);

//! The service: observes each call.

use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{Classify, Policies, Policy, Rejectable, TrackCompletion};
use tower_service::Service;

use crate::state::{Common, Stripe};
use crate::{Observation, ResponseFuture};

/// A service whose calls are observed; see [`HealthLayer`](crate::HealthLayer).
// Nothing here is per instance: readiness is the inner service's, so `Clone` can be derived.
#[derive(Clone, Debug)]
pub struct Health<S, X = Policy> {
    inner: S,
    state: Anchor<Common, Stripe>,
    policy: X,
}

impl<S, X> Health<S, X> {
    pub(crate) const fn new(inner: S, state: Anchor<Common, Stripe>, policy: X) -> Self {
        Self {
            inner,
            state,
            policy,
        }
    }
}

seawall_core::inner_accessors!(Health<S, X>);

impl<S, X, Req> Service<Req> for Health<S, X>
where
    S: Service<Req>,
    S::Error: Rejectable,
    X: Policies,
    X::Classifier: Classify<S::Response, S::Error> + Clone,
    X::Completion: TrackCompletion<Observation, S::Response> + Clone,
{
    type Response = <X::Completion as TrackCompletion<Observation, S::Response>>::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, X::Classifier, X::Completion>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        // The observation first: if the inner service panics here, the call was abandoned.
        let observation = Observation::new(self.state.local());
        ResponseFuture::new(
            self.inner.call(request),
            observation,
            self.policy.classifier().clone(),
            self.policy.completion().clone(),
        )
    }
}

//! The service: a random draw in `call`, and a record of what passes.

use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{Classify, Describe, Policies, Policy, Rejectable};
use tower_service::Service;

use crate::in_flight::InFlight;
use crate::state::{Common, Stripe};
use crate::{PriorityClass, ResponseFuture};

/// A service that sends an upstream little more than it accepts; made by
/// [`AdaptiveThrottleLayer`](crate::AdaptiveThrottleLayer).
///
/// An instance holds nothing, ready or not; a clone costs one reference count.
#[derive(Clone)]
pub struct AdaptiveThrottle<S, X = Policy> {
    inner: S,
    state: Anchor<Common, Stripe>,
    policy: X,
}

impl<S, X> AdaptiveThrottle<S, X> {
    pub(crate) const fn new(inner: S, state: Anchor<Common, Stripe>, policy: X) -> Self {
        Self {
            inner,
            state,
            policy,
        }
    }
}

impl<S, X, Req> Service<Req> for AdaptiveThrottle<S, X>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Classifier: Classify<S::Response, S::Error> + Clone,
    X::Describer: Describe<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, X::Classifier>;

    // The inner service alone: a rejection is an error of `call`, and the draw is made there, so
    // that each call has its own.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, req: Req) -> Self::Future {
        let class = PriorityClass::of(self.policy.describer().describe(&req).priority);
        let common = self.state.common();
        if common.is_due() {
            common.evaluate(self.state.stripes());
        }
        let stripe = self.state.here();
        if common.draw(class, stripe)
            && let Some(rejection) = common.reject(class, stripe)
        {
            // Callers whose idle instances keep the last reservations below would wait for each
            // other, and one that was rejected may never call again.
            self.inner = self.inner.clone(); // clone: gives the reservation up
            return ResponseFuture::rejected(rejection);
        }
        // Before the inner call: one that panics is abandoned.
        let in_flight = InFlight::new(self.state.follow().again(), class);
        let classifier = self.policy.classifier().clone();
        ResponseFuture::calling(self.inner.call(req), in_flight, classifier)
    }
}

seawall_core::inner_accessors!(AdaptiveThrottle<S, X>);

seawall_core::impl_debug!(AdaptiveThrottle<S, X> where [S: std::fmt::Debug]: |this|
    inner = this.inner,
    name = this.state.common().events.name(),
);

//! The service.

use std::marker::PhantomData;
use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{Describe, Policies, Policy, ReadFor, Rejectable};
use tower_service::Service;

use super::mode::Mode;
use super::state::State;
use super::{AttemptTimeoutFuture, Fixed, NoOverride, PerRequestTimeout};
use crate::instance::TimeoutKind;
use crate::limit::{BYPASSED, limit_ns};
use crate::race::{Limits, Race};

/// A service whose attempts time out; see [`AttemptTimeoutLayer`](crate::AttemptTimeoutLayer).
#[derive(Clone)]
pub struct AttemptTimeout<S, X = Policy, O = NoOverride, M = Fixed> {
    inner: S,
    state: Anchor<State, ()>,
    policy: X,
    per_request: O,
    mode: PhantomData<M>,
}

impl<S, X, O, M> AttemptTimeout<S, X, O, M> {
    pub(super) const fn new(inner: S, state: Anchor<State, ()>, policy: X, per_request: O) -> Self {
        Self {
            inner,
            state,
            policy,
            per_request,
            mode: PhantomData,
        }
    }
}

seawall_core::inner_accessors!(AttemptTimeout<S, X, O, M>);

impl<S, X, O, M, Req> Service<Req> for AttemptTimeout<S, X, O, M>
where
    S: Service<Req>,
    S::Error: Rejectable,
    X: Policies,
    X::Describer: Describe<Req>,
    O: PerRequestTimeout<Req>,
    M: Mode<X::Classifier, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = AttemptTimeoutFuture<S::Future, M::Measurement>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let state = &self.state.common().common;
        let mut limits = Limits {
            limit_ns: state.limit_ns(),
            until: self.policy.describer().describe(&request).deadline,
            instance: state.id(),
        };
        let classifier = self.policy.classifier();
        let own = self.per_request.timeout_of(&request);
        if limits.limit_ns == BYPASSED {
            limits.until = None;
            let race = Race::start(self.inner.call(request), limits);
            return AttemptTimeoutFuture::new(race, M::not_measured(classifier));
        }
        // The clock is read only for requests that have a deadline.
        let clock = || limits.instance.clock();
        let has_passed = |until| clock().shared_has_passed(until, ReadFor::Departure);
        if limits.until.is_some_and(has_passed) {
            let race = Race::rejected(TimeoutKind::ExpiredOnArrival, limits);
            return AttemptTimeoutFuture::new(race, M::not_measured(classifier));
        }
        let measurement = M::measure(&self.state, classifier);
        limits.limit_ns = own.map_or(limits.limit_ns, limit_ns);
        AttemptTimeoutFuture::new(Race::start(self.inner.call(request), limits), measurement)
    }
}

seawall_core::impl_debug!(AttemptTimeout<S, X, O, M>: |this|
    state = this.state.common().snapshot());

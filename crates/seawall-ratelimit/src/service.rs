//! The service: takes tokens in `call`, or waits for them.

use std::task::{Context, Poll};

use seawall_core::{Describe, Policies, Policy, ReadFor, Rejectable, RequestMeta};
use tower_service::Service;

use crate::costs::{CostFn, MetaCost};
use crate::counts::{count_granted, reject_rate_limited};
use crate::future::ResponseFuture;
use crate::limiter_ref::{Decision, LimiterRef, TokenRequests};
use crate::queued::Queued;
use crate::state::StateAnchor;

/// A service that lets a bounded number of calls depart per period; made by
/// [`RateLimitLayer`](crate::RateLimitLayer).
///
/// An instance holds no token, ready or not; a clone costs one reference count.
#[derive(Clone)]
pub struct RateLimit<S, X = Policy, M = MetaCost> {
    inner: S,
    state: StateAnchor,
    policy: X,
    cost: M,
}

impl<S, X, M> RateLimit<S, X, M> {
    pub(crate) const fn new(inner: S, state: StateAnchor, policy: X, cost: M) -> Self {
        Self {
            inner,
            state,
            policy,
            cost,
        }
    }

    /// Everything but a token that is there.
    #[cold]
    #[inline(never)]
    fn call_slow<Req>(
        &mut self,
        req: Req,
        meta: &RequestMeta,
        now_ns: u64,
    ) -> ResponseFuture<S, Req>
    where
        S: Service<Req> + Clone,
        M: CostFn<Req>,
    {
        let limiter = LimiterRef::new(self.state.local(), None);
        let cost = |unit| self.cost.cost(&req, meta, unit);
        let mut requests = TokenRequests::new(&limiter, meta, cost);
        let decision = limiter.decide(now_ns, &mut requests);
        carry_out(&mut self.inner, req, limiter, decision)
    }
}

/// Makes the call, rejects it, or lets it wait, as was decided.
pub(crate) fn carry_out<S, Req>(
    inner: &mut S,
    req: Req,
    limiter: LimiterRef,
    decision: Decision,
) -> ResponseFuture<S, Req>
where
    S: Service<Req> + Clone,
{
    match decision {
        Decision::Depart => ResponseFuture::running(inner.call(req)),
        // What the ready instance has reserved below is released wherever its call does not depart:
        // callers whose idle instances keep the last reservations would otherwise wait for each
        // other, and a rejected one may never call again.
        Decision::Reject(rejection) => {
            *inner = inner.clone(); // clone: gives the reservation up
            ResponseFuture::rejected(rejection)
        }
        Decision::Wait(requests) => {
            let service = inner.clone(); // clone: waits, polled ready later
            *inner = service.clone();
            ResponseFuture::waiting(Queued::new(limiter, requests), service, req)
        }
    }
}

impl<S, X, M, Req> Service<Req> for RateLimit<S, X, M>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Describer: Describe<Req>,
    M: CostFn<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req>;

    // The inner service alone: tokens that were taken here could belong to an instance that is
    // never called.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, req: Req) -> Self::Future {
        let meta = self.policy.describer().describe(&req);
        let state = self.state.common();
        let limiter = &state.limiter;
        let cost = self.cost.cost(&req, &meta, limiter.first_unit());
        if cost == 0 && limiter.is_single() {
            count_granted(self.state.here_alone());
            return ResponseFuture::running(self.inner.call(req));
        }
        // In any case: a token is taken for the time of the departure.
        let now = state.clock.now();
        // Without a deadline hardly a layer below asks for the time.
        if let Some(deadline) = meta.deadline {
            state.clock.share(now, ReadFor::Departure);
            if deadline <= state.clock.instant(now) {
                return self.call_slow(req, &meta, now);
            }
        }
        match limiter.try_admit(now, cost) {
            Some(Ok(())) => {
                count_granted(self.state.here_alone());
                ResponseFuture::running(self.inner.call(req))
            }
            Some(Err(wait_ns)) => {
                let rejection =
                    reject_rate_limited(&state.events, self.state.here_alone(), wait_ns);
                self.inner = self.inner.clone(); // clone: gives the reservation up
                ResponseFuture::rejected(rejection)
            }
            None => self.call_slow(req, &meta, now),
        }
    }
}

seawall_core::inner_accessors!(RateLimit<S, X, M>);

seawall_core::impl_debug!(RateLimit<S, X, M> where [S: std::fmt::Debug]: |this|
    inner = this.inner,
    name = this.state.common().events.name(),
);

//! The service: finds the limit of a request's key, and takes from it.

use std::sync::Arc;
use std::task::{Context, Poll};

use seawall_core::{Describe, Policies, Policy, ReadFor, Rejectable, RequestMeta};
use tower_service::Service;

use super::keys::{KeyAdmission, Keys};
use crate::costs::{CostFn, MetaCost};
use crate::counts::{count_granted, reject};
use crate::denial::Denial;
use crate::future::ResponseFuture;
use crate::limiter::Limiter;
use crate::limiter_ref::{LimiterRef, TokenRequests};
use crate::service::carry_out;
use crate::state::StateAnchor;

/// A service with a rate limit per key; made by [`KeyedRateLimitLayer`](crate::KeyedRateLimitLayer).
///
/// It is ready when the inner service is, an instance holds no token, and a clone costs one
/// reference count.
#[derive(Clone)]
pub struct KeyedRateLimit<S, X = Policy, M = MetaCost> {
    inner: S,
    state: StateAnchor,
    policy: X,
    cost: M,
}

impl<S, X, M> KeyedRateLimit<S, X, M> {
    pub(crate) const fn new(inner: S, state: StateAnchor, policy: X, cost: M) -> Self {
        Self {
            inner,
            state,
            policy,
            cost,
        }
    }

    fn keys(&self) -> &Keys {
        let keys = self.state.common().keys.as_ref();
        keys.expect("the layer has made the state with keys")
    }

    #[cold]
    fn reject<Req>(&mut self, denial: Denial) -> ResponseFuture<S, Req>
    where
        S: Service<Req> + Clone,
    {
        let events = &self.state.common().events;
        let rejection = reject(events, self.state.here(), denial);
        self.inner = self.inner.clone(); // clone: gives the reservation up
        ResponseFuture::rejected(rejection)
    }

    /// A key that is not a word.
    #[cold]
    #[inline(never)]
    fn call_limiter<Req>(
        &mut self,
        req: Req,
        meta: &RequestMeta,
        now_ns: u64,
        limiter: Arc<Limiter>,
    ) -> ResponseFuture<S, Req>
    where
        S: Service<Req> + Clone,
        M: CostFn<Req>,
    {
        let limiter = LimiterRef::new(self.state.local(), Some(limiter));
        let cost = |unit| self.cost.cost(&req, meta, unit);
        let mut requests = TokenRequests::new(&limiter, meta, cost);
        let decision = limiter.decide(now_ns, &mut requests);
        carry_out(&mut self.inner, req, limiter, decision)
    }
}

impl<S, X, M, Req> Service<Req> for KeyedRateLimit<S, X, M>
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

    // The inner service alone: the key is known with the request.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, req: Req) -> Self::Future {
        let meta = self.policy.describer().describe(&req);
        let keys = self.keys();
        let cost = self.cost.cost(&req, &meta, keys.first_unit());
        if cost == 0 && keys.counts_one_unit() {
            count_granted(self.state.here_alone());
            return ResponseFuture::running(self.inner.call(req));
        }
        let clock = &self.state.common().clock;
        // In any case: a token is taken for the time of the departure.
        let now = clock.now();
        // Without a deadline hardly a layer below asks for the time.
        if let Some(deadline) = meta.deadline {
            clock.share(now, ReadFor::Departure);
            if deadline <= clock.instant(now) {
                let limiter = keys.limiter(meta.key, now);
                return self.call_limiter(req, &meta, now, limiter);
            }
        }
        let admission = if keys.is_clear(now) {
            keys.try_admit(meta.key, now, cost)
        } else {
            match keys.admit_paused(meta.key, now, cost) {
                Ok(admission) => admission,
                Err(denial) => return self.reject(denial),
            }
        };
        match admission {
            KeyAdmission::Granted => {
                count_granted(self.state.here_alone());
                ResponseFuture::running(self.inner.call(req))
            }
            KeyAdmission::Denied(wait_ns) => self.reject(Denial::rate_limited(wait_ns)),
            KeyAdmission::Limiter(limiter) => self.call_limiter(req, &meta, now, limiter),
        }
    }
}

seawall_core::inner_accessors!(KeyedRateLimit<S, X, M>);

seawall_core::impl_debug!(KeyedRateLimit<S, X, M> where [S: std::fmt::Debug]: |this|
    inner = this.inner,
    name = this.state.common().events.name(),
);

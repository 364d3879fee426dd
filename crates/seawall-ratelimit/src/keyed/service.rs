//! The service: finds the limit of a request's key, and asks that.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{DefaultMeta, Describe, Reason, Rejectable, RequestMeta};
use tower_service::Service;

use super::Keyed;
use super::keys::Found;
use crate::limiter::{Denial, Limiter};
use crate::observe::{Stripe, reject};
use crate::service::{carry_out, decide};
use crate::wait::{Lane, Wishes};
use crate::{CostFn, MetaCost, ResponseFuture};

/// A service with a rate limit per key; made by [`KeyedRateLimitLayer`](crate::KeyedRateLimitLayer).
///
/// It is ready when the inner service is, an instance holds no token, and a clone costs one
/// reference count.
#[derive(Clone)]
pub struct KeyedRateLimit<S, D = DefaultMeta, P = MetaCost> {
    inner: S,
    state: Anchor<Keyed, Stripe>,
    describe: D,
    price: P,
}

impl<S, D, P> KeyedRateLimit<S, D, P> {
    pub(crate) const fn new(inner: S, state: Anchor<Keyed, Stripe>, describe: D, price: P) -> Self {
        Self {
            inner,
            state,
            describe,
            price,
        }
    }

    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service below, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// The upstream accepts nothing, whatever the key.
    #[cold]
    fn reject_all<Req>(&mut self, wait_ns: u64) -> ResponseFuture<S, Req>
    where
        S: Service<Req> + Clone,
    {
        let rejection = Denial {
            reason: Reason::Paused,
            wait_ns,
        };
        let observer = &self.state.common().observer;
        let rejection = reject(observer, self.state.here(), rejection);
        self.inner = self.inner.clone(); // clone: gives the reservation up
        ResponseFuture::rejected(rejection)
    }

    /// A key with a limiter of its own.
    #[cold]
    #[inline(never)]
    fn call_carefully<Req>(
        &mut self,
        req: Req,
        meta: &RequestMeta,
        now_ns: u64,
        limiter: Arc<Limiter>,
    ) -> ResponseFuture<S, Req>
    where
        S: Service<Req> + Clone,
        P: CostFn<Req>,
    {
        let lane = Lane::PartitionKey(self.state.local(), limiter);
        let price = |unit| self.price.price(&req, meta, unit);
        let wishes = Wishes::of(&lane, meta, price);
        let decision = decide(&lane, now_ns, wishes);
        carry_out(&mut self.inner, req, lane, decision)
    }
}

impl<S, D, P, Req> Service<Req> for KeyedRateLimit<S, D, P>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    D: Describe<Req>,
    P: CostFn<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req>;

    // The inner service alone: which key is asked is known with the request.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, req: Req) -> Self::Future {
        let meta = self.describe.describe(&req);
        let keyed = self.state.common();
        let cost = self.price.price(&req, &meta, keyed.first_unit);
        if cost == 0 && keyed.alike.load(Ordering::Relaxed) {
            self.state.here().granted();
            return ResponseFuture::running(self.inner.call(req));
        }
        let now = keyed.clock.now();
        if let Some(wait_ns) = keyed.hushed(now) {
            return self.reject_all(wait_ns);
        }
        match keyed.keys.ask(meta.key, now, cost) {
            Found::Granted => {
                self.state.here().granted();
                ResponseFuture::running(self.inner.call(req))
            }
            Found::Later(wait_ns) => {
                let rejection = Denial::used_up(wait_ns);
                let rejection = reject(&keyed.observer, self.state.here(), rejection);
                self.inner = self.inner.clone(); // clone: gives the reservation up
                ResponseFuture::rejected(rejection)
            }
            Found::Own(limiter) => self.call_carefully(req, &meta, now, limiter),
        }
    }
}

impl<S: fmt::Debug, D, P> fmt::Debug for KeyedRateLimit<S, D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKeyLimit")
            .field("inner", &self.inner)
            .field("name", &self.state.common().observer.name())
            .finish_non_exhaustive()
    }
}

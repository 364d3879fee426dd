//! The service: tokens at `call`, or a place in the line.

use std::fmt;
use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{DefaultMeta, Describe, Rejectable, Rejection, RequestMeta};
use tower_service::Service;

use crate::limiter::{Denial, Verdict};
use crate::observe::{Common, NEVER, Stripe, reject, shadow};
use crate::wait::{Lane, Waiting, Wishes};
use crate::{CostFn, MetaCost, ResponseFuture};

/// A service that lets a bounded number of calls depart per time; made by
/// [`RateLimitLayer`](crate::RateLimitLayer).
///
/// An instance holds no token, ready or not; a clone costs one reference count.
#[derive(Clone)]
pub struct RateLimit<S, D = DefaultMeta, P = MetaCost> {
    inner: S,
    state: Anchor<Common, Stripe>,
    describe: D,
    price: P,
}

impl<S, D, P> RateLimit<S, D, P> {
    pub(crate) const fn new(
        inner: S,
        state: Anchor<Common, Stripe>,
        describe: D,
        price: P,
    ) -> Self {
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
}

/// What a call does that may not depart on the short way.
#[derive(Clone, Copy)]
pub(crate) enum Decision {
    Depart,
    Wait(Wishes),
    Reject(Rejection),
}

/// Asks the limiters for a call that the short way is closed to, and counts what becomes of it.
pub(crate) fn decide(lane: &Lane, now_ns: u64, wishes: Wishes) -> Decision {
    let (observer, stripe) = (lane.observer(), lane.stripe());
    let verdict = if wishes.are_free() {
        Verdict::Granted
    } else {
        let above = wishes.above(lane, None);
        let above = above.filter(|above| !above.wish.costs.is_free());
        lane.limiter().admit(now_ns, &wishes.own, above)
    };
    match verdict {
        Verdict::Granted => {
            stripe.granted();
            Decision::Depart
        }
        Verdict::Wait => Decision::Wait(wishes),
        Verdict::Later(rejection) => Decision::Reject(reject(observer, stripe, rejection)),
        Verdict::Never => Decision::Reject(reject(observer, stripe, NEVER)),
        Verdict::Watched(rejection) => {
            shadow(observer, stripe, rejection);
            Decision::Depart
        }
        Verdict::NeverWatched => {
            shadow(observer, stripe, NEVER);
            Decision::Depart
        }
    }
}

/// Makes the call, rejects it, or lets it wait, as was decided.
pub(crate) fn carry_out<S, Req>(
    inner: &mut S,
    req: Req,
    lane: Lane,
    decision: Decision,
) -> ResponseFuture<S, Req>
where
    S: Service<Req> + Clone,
{
    match decision {
        Decision::Depart => ResponseFuture::running(inner.call(req)),
        // Whatever the ready instance has reserved below is given up wherever the call that it
        // was for goes another way: callers whose idle instances keep the last reservations
        // would otherwise wait for each other, and a rejected one may never call again.
        Decision::Reject(rejection) => {
            *inner = inner.clone(); // clone: gives the reservation up
            ResponseFuture::rejected(rejection)
        }
        Decision::Wait(wishes) => {
            let service = inner.clone(); // clone: waits, polled ready later
            *inner = service.clone();
            ResponseFuture::waiting(Waiting::new(lane, wishes), service, req)
        }
    }
}

impl<S, D, P> RateLimit<S, D, P> {
    /// Everything but a token that is there.
    #[cold]
    #[inline(never)]
    fn call_carefully<Req>(
        &mut self,
        req: Req,
        meta: &RequestMeta,
        now_ns: u64,
    ) -> ResponseFuture<S, Req>
    where
        S: Service<Req> + Clone,
        P: CostFn<Req>,
    {
        let lane = Lane::Whole(self.state.local());
        let price = |unit| self.price.price(&req, meta, unit);
        let wishes = Wishes::of(&lane, meta, price);
        let decision = decide(&lane, now_ns, wishes);
        carry_out(&mut self.inner, req, lane, decision)
    }
}

impl<S, D, P, Req> Service<Req> for RateLimit<S, D, P>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    D: Describe<Req>,
    P: CostFn<Req>,
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
        let meta = self.describe.describe(&req);
        let common = self.state.common();
        let limiter = &common.limiter;
        let cost = self.price.price(&req, &meta, limiter.first_unit());
        if cost == 0 && limiter.is_single() {
            self.state.here().granted();
            return ResponseFuture::running(self.inner.call(req));
        }
        let now = common.clock.now();
        match limiter.try_admit(now, cost) {
            Some(Ok(())) => {
                self.state.here().granted();
                ResponseFuture::running(self.inner.call(req))
            }
            Some(Err(wait_ns)) => {
                let rejection = Denial::used_up(wait_ns);
                let rejection = reject(&common.observer, self.state.here(), rejection);
                self.inner = self.inner.clone(); // clone: gives the reservation up
                ResponseFuture::rejected(rejection)
            }
            None => self.call_carefully(req, &meta, now),
        }
    }
}

impl<S: fmt::Debug, D, P> fmt::Debug for RateLimit<S, D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("name", &self.state.common().observer.name())
            .finish_non_exhaustive()
    }
}

//! The service: a draw at `call`, and a ticket for what passes.

use std::fmt;
use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{Classify, DefaultMeta, Describe, ErrorIsFailure, Rejectable};
use tower_service::Service;

use super::state::{Common, Stripe};
use super::ticket::Ticket;
use super::{AdaptiveThrottleFuture, PriorityClass};

/// A service that sends an upstream little more than it accepts; made by
/// [`AdaptiveThrottleLayer`](crate::AdaptiveThrottleLayer).
///
/// An instance holds nothing, ready or not; a clone costs one reference count.
#[derive(Clone)]
pub struct AdaptiveThrottle<S, C = ErrorIsFailure, D = DefaultMeta> {
    inner: S,
    state: Anchor<Common, Stripe>,
    classify: C,
    describe: D,
}

impl<S, C, D> AdaptiveThrottle<S, C, D> {
    pub(crate) const fn new(
        inner: S,
        state: Anchor<Common, Stripe>,
        classify: C,
        describe: D,
    ) -> Self {
        Self {
            inner,
            state,
            classify,
            describe,
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

impl<S, C, D, Req> Service<Req> for AdaptiveThrottle<S, C, D>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    C: Classify<S::Response, S::Error> + Clone,
    D: Describe<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = AdaptiveThrottleFuture<S::Future, C>;

    // The inner service alone: a rejection is an error of `call`, and the draw is made there, so
    // that each call has its own.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, req: Req) -> Self::Future {
        let class = PriorityClass::of(self.describe.describe(&req).priority);
        let common = self.state.common();
        if common.is_due() {
            common.look(self.state.stripes());
        }
        let stripe = self.state.here();
        if common.is_unlucky(class, stripe)
            && let Some(rejection) = common.reject(class, stripe)
        {
            // Callers whose idle instances keep the last reservations below would wait for each
            // other, and one that was rejected may never call again.
            self.inner = self.inner.clone(); // clone: gives the reservation up
            return AdaptiveThrottleFuture::rejected(rejection);
        }
        // The ticket first: a call that panics was abandoned.
        let ticket = Ticket::new(self.state.follow(), class);
        AdaptiveThrottleFuture::calling(self.inner.call(req), ticket, self.classify.clone())
    }
}

impl<S: fmt::Debug, C, D> fmt::Debug for AdaptiveThrottle<S, C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle")
            .field("inner", &self.inner)
            .field("name", &self.state.common().observer.name())
            .finish_non_exhaustive()
    }
}

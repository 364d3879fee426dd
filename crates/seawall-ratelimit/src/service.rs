//! The service: tokens at `call`, or a place in the line.

use std::fmt;
use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{Describe, Refusable, Undescribed};
use tower_service::Service;

use crate::ResponseFuture;
use crate::line::{Limiter, Verdict};
use crate::observe::{Common, Stripe, refuse, refuse_for_ever};
use crate::wait::Waiting;

/// A service that lets a bounded number of calls depart per time; made by
/// [`RateLimitLayer`](crate::RateLimitLayer).
///
/// An instance holds no token, ready or not; a clone costs one reference count.
#[derive(Clone)]
pub struct RateLimit<S, D = Undescribed> {
    inner: S,
    state: Anchor<Common, Stripe>,
    describe: D,
}

impl<S, D> RateLimit<S, D> {
    pub(crate) const fn new(inner: S, state: Anchor<Common, Stripe>, describe: D) -> Self {
        Self {
            inner,
            state,
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

impl<S, D, Req> Service<Req> for RateLimit<S, D>
where
    S: Service<Req> + Clone,
    S::Error: Refusable,
    D: Describe<Req>,
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
        let cost = self.describe.describe(&req).cost;
        let common = self.state.common();
        let verdict = if Limiter::is_free(cost) {
            Verdict::Granted
        } else {
            common.limiter.admit(common.clock.now(), cost)
        };
        match verdict {
            Verdict::Granted => {
                self.state.here().granted();
                ResponseFuture::running(self.inner.call(req))
            }
            // Whatever the ready instance has reserved below is given up wherever the call that it
            // was for goes another way: callers whose idle instances keep the last reservations
            // would otherwise wait for each other, and a refused one may never call again.
            Verdict::Later(wait_ns) => {
                let rejection = refuse(common, self.state.here(), wait_ns);
                self.inner = self.inner.clone(); // clone: gives the reservation up
                ResponseFuture::refused(rejection)
            }
            Verdict::Never => {
                let rejection = refuse_for_ever(common, self.state.here());
                self.inner = self.inner.clone(); // clone: gives the reservation up
                ResponseFuture::refused(rejection)
            }
            Verdict::Wait => {
                let waiting = Waiting::new(self.state.local(), cost);
                let service = self.inner.clone(); // clone: waits, polled ready later
                self.inner = service.clone();
                ResponseFuture::waiting(waiting, service, req)
            }
        }
    }
}

impl<S: fmt::Debug, D> fmt::Debug for RateLimit<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("name", &self.state.common().observer.name())
            .finish_non_exhaustive()
    }
}

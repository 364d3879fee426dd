//! The service: a place at `call`, or a place in the line.

use std::fmt;
use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{Hold, Refusable, UntilAnswered};
use tower_service::Service;

use crate::observe::{Common, Stripe, refuse_full};
use crate::places::Taken;
use crate::{Permit, ResponseFuture};

/// A service that runs a bounded number of calls at once; made by
/// [`BulkheadLayer`](crate::BulkheadLayer).
///
/// An instance holds no place, ready or not; a clone costs one reference count.
#[derive(Clone)]
pub struct Bulkhead<S, H = UntilAnswered> {
    inner: S,
    state: Anchor<Common, Stripe>,
    hold: H,
}

impl<S, H> Bulkhead<S, H> {
    pub(crate) const fn new(inner: S, state: Anchor<Common, Stripe>, hold: H) -> Self {
        Self { inner, state, hold }
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

impl<S, H, Req> Service<Req> for Bulkhead<S, H>
where
    S: Service<Req> + Clone,
    S::Error: Refusable,
    H: Hold<Permit, S::Response> + Clone,
{
    type Response = H::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, H>;

    // The inner service alone: a place that was taken here could be held for ever by an instance
    // that is never called.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, req: Req) -> Self::Future {
        match self.state.common().places.try_take() {
            Ok(()) => {
                // Before the inner call: if that panics, the place goes back.
                let permit = Permit::of(self.state.local());
                let hold = self.hold.clone();
                ResponseFuture::running(self.inner.call(req), permit, hold)
            }
            // Whatever the ready instance has reserved below is given up wherever the call that it
            // was for goes another way: callers whose idle instances keep the last reservations
            // would otherwise wait for each other, and a refused one may never call again.
            Err(Taken::Full) => {
                let rejection = refuse_full(self.state.common(), self.state.here());
                self.inner = self.inner.clone(); // clone: gives the reservation up
                ResponseFuture::refused(rejection)
            }
            Err(Taken::Wait) => {
                let waiting = self.inner.clone(); // clone: waits, polled ready later
                self.inner = waiting.clone();
                ResponseFuture::waiting(waiting, req, self.state.local(), self.hold.clone())
            }
        }
    }
}

impl<S: fmt::Debug, H> fmt::Debug for Bulkhead<S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulkhead")
            .field("inner", &self.inner)
            .field("name", &self.state.common().observer.name())
            .finish_non_exhaustive()
    }
}

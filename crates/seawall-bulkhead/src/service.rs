//! The service: a place at `call`, or a place in the line.

use std::fmt;
use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{
    Classify, CompleteOnResponse, DefaultMeta, Describe, ErrorIsFailure, Reason, Rejectable,
    TrackCompletion,
};
use tower_service::Service;

use crate::observe::{Common, Stripe, reject, shadow};
use crate::permit::Waiting;
use crate::places::Entry;
use crate::word::SHADOW;
use crate::{Permit, ResponseFuture};

/// A service that runs a bounded number of calls at once; made by
/// [`BulkheadLayer`](crate::BulkheadLayer).
///
/// An instance holds no place, ready or not; a clone costs one reference count.
#[derive(Clone)]
pub struct Bulkhead<S, H = CompleteOnResponse, D = DefaultMeta, C = ErrorIsFailure> {
    inner: S,
    state: Anchor<Common, Stripe>,
    hooks: Hooks<H, D, C>,
}

/// What a layer was told of its calls.
#[derive(Clone, Copy)]
pub(crate) struct Hooks<H, D, C> {
    pub(crate) hold: H,
    pub(crate) describe: D,
    pub(crate) classify: C,
    /// Whether a tuner wants to know how long a place is held.
    pub(crate) measured: bool,
}

impl<S, H, D, C> Bulkhead<S, H, D, C> {
    pub(crate) const fn new(
        inner: S,
        state: Anchor<Common, Stripe>,
        hooks: Hooks<H, D, C>,
    ) -> Self {
        Self {
            inner,
            state,
            hooks,
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

    // Whatever the ready instance has reserved below is given up wherever the call that it was for
    // goes another way: callers whose idle instances keep the last reservations would otherwise
    // wait for each other, and a rejected one may never call again.
    #[cold]
    fn reject<Req>(&mut self, reason: Reason) -> ResponseFuture<S, Req, H, C>
    where
        S: Service<Req> + Clone,
    {
        let rejection = reject(&self.state.common().observer, self.state.here(), reason);
        self.inner = self.inner.clone();
        ResponseFuture::rejected(rejection)
    }
}

impl<S, H, D, C, Req> Service<Req> for Bulkhead<S, H, D, C>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    H: TrackCompletion<Permit, S::Response> + Clone,
    D: Describe<Req>,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = H::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, H, C>;

    // The inner service alone: a place that was taken here could be held for ever by an instance
    // that is never called.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, req: Req) -> Self::Future {
        let meta = self.hooks.describe.describe(&req);
        let common = self.state.common();
        let mut counted = false;
        if let Some(deadline) = meta.deadline
            && tokio::time::Instant::now() >= deadline
        {
            let late = Reason::DeadlineExceeded;
            if !common.places.has(SHADOW) {
                return self.reject(late);
            }
            shadow(&common.observer, self.state.here(), Some(late));
            counted = true;
        }
        match common.places.enter() {
            Entry::Taken => {}
            // One that is late would not have come so far.
            Entry::Watched(_) if counted => {}
            Entry::Watched(reason) => shadow(&common.observer, self.state.here(), reason),
            Entry::Rejected(reason) => return self.reject(reason),
            Entry::Wait => {
                let state = self.state.local();
                let waiting = Waiting::new(state, &meta, self.hooks.measured);
                let service = self.inner.clone(); // clone: waits, polled ready later
                self.inner = service.clone();
                let (hold, classify) = (self.hooks.hold.clone(), self.hooks.classify.clone());
                return ResponseFuture::waiting(service, req, waiting, hold, classify);
            }
        }
        // Before the inner call: if that panics, the place goes back.
        let permit = Permit::of(self.state.local(), self.hooks.measured);
        let (hold, classify) = (self.hooks.hold.clone(), self.hooks.classify.clone());
        ResponseFuture::running(self.inner.call(req), permit, hold, classify)
    }
}

impl<S: fmt::Debug, H, D, C> fmt::Debug for Bulkhead<S, H, D, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulkhead")
            .field("inner", &self.inner)
            .field("name", &self.state.common().observer.name())
            .finish_non_exhaustive()
    }
}

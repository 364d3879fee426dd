//! The breaker: admits the call that departs now, and judges its answer.

use std::fmt;
use std::task::{Context, Poll};

use seawall_core::{
    Classify, CompleteOnResponse, EventKind, Rejectable, Rejection, TrackCompletion,
};
use tower_service::Service;

use crate::circuit::Asks;
use crate::circuits::{Circuits, UNMEASURED};
use crate::future::ResponseFuture;
use crate::ready::Readiness;
use crate::shared::Anchored;
use crate::ticket::Permit;
use crate::word::Word;

/// A service behind a circuit breaker; see the [crate] for how it works.
///
/// Made by [`BreakerLayer`](crate::BreakerLayer). Clones share the circuit.
pub struct Breaker<S, C = seawall_core::ErrorIsFailure, H = CompleteOnResponse> {
    inner: S,
    anchor: Anchored,
    classify: C,
    hold: H,
    ready: Readiness,
}

impl<S, C, H> Breaker<S, C, H> {
    pub(crate) fn new(inner: S, anchor: Anchored, classify: C, hold: H) -> Self {
        Self {
            inner,
            anchor,
            classify,
            hold,
            ready: Readiness::new(),
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

    /// Looks at the calls under way where slow ones are watched; whether the circuit has changed.
    #[inline]
    fn looks(&self, word: Word, start: u64) -> bool {
        start != UNMEASURED && self.anchor.look(word, start)
    }

    /// Admits a call of a circuit that is not simply closed.
    #[cold]
    fn admit(&mut self) -> Result<Permit, Rejection> {
        let word = self.anchor.common().word();
        let word = match self.ready.reserved(word) {
            // Its place is the ticket's from now on.
            Some(pass) => pass.into_word(),
            None => self.anchor.admit(Asks::Breaker)?,
        };
        let held = self.anchor.follow();
        let start = held.start(word);
        let stub = held.stub(word, start);
        Ok(Permit::new(held, stub))
    }

    /// Rejects, or calls the inner service as a probe.
    #[cold]
    fn call_cold<Req>(&mut self, req: Req) -> ResponseFuture<S::Future, C, H>
    where
        S: Service<Req>,
        C: Clone,
        H: Clone,
    {
        if let Some(rejected) = self.ready.take(&self.anchor, Asks::Breaker) {
            return self.reject(rejected);
        }
        match self.admit() {
            // The ticket is taken first: if the inner service panics, the probe's place is free.
            Ok(ticket) => ResponseFuture::calling(
                || self.inner.call(req),
                || ticket,
                self.classify.clone(),
                self.hold.clone(),
            ),
            Err(rejected) => self.reject(rejected),
        }
    }

    #[inline]
    fn reject<F>(&self, rejected: Rejection) -> ResponseFuture<F, C, H> {
        let common = self.anchor.common();
        common.count_rejection(self.anchor.here(), Asks::Breaker, rejected.reason());
        common.setup.observer.emit(|| EventKind::Rejected(rejected));
        ResponseFuture::rejected(rejected)
    }
}

impl<S, C, H, Req> Service<Req> for Breaker<S, C, H>
where
    S: Service<Req>,
    S::Error: Rejectable,
    C: Classify<S::Response, S::Error> + Clone,
    H: TrackCompletion<Permit, S::Response> + Clone,
{
    type Response = H::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, C, H>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.ready
            .poll(&self.anchor, Asks::Breaker, &mut self.inner, cx)
    }

    // Always, as the future's poll.
    #[inline(always)]
    fn call(&mut self, req: Req) -> Self::Future {
        let word = self.anchor.common().word();
        let start = self.anchor.start(word);
        if !word.is_passing() || !self.ready.take_inner_ready() || self.looks(word, start) {
            return self.call_cold(req);
        }
        // The ticket is made after the call, which lets the future be built in its place: while
        // the circuit is closed an admission holds nothing that a panic of the inner service
        // could keep.
        ResponseFuture::calling(
            || self.inner.call(req),
            || {
                let held = self.anchor.follow();
                let stub = held.stub(word, start);
                Permit::new(held, stub)
            },
            self.classify.clone(),
            self.hold.clone(),
        )
    }
}

impl<S: Clone, C: Clone, H: Clone> Clone for Breaker<S, C, H> {
    // By hand: readiness belongs to the instance, the circuit to all of them.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            anchor: self.anchor.clone(),
            classify: self.classify.clone(),
            hold: self.hold.clone(),
            ready: Readiness::new(),
        }
    }
}

impl<S: fmt::Debug, C, H> fmt::Debug for Breaker<S, C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("inner", &self.inner)
            .field("name", &self.anchor.common().setup.observer.name())
            .field("state", &self.anchor.common().word().state())
            .finish_non_exhaustive()
    }
}

//! The gate: rejects early, outside of every wait.

use std::task::{Context, Poll};

use seawall_core::{ReadFor, Rejectable, Rejection, is_large};
use tower_layer::Layer;
use tower_service::Service;

use crate::access::Single;
use crate::admission::Admit;
use crate::entry_point::EntryPoint;
use crate::gate_future::GateFuture;
use crate::overdue::CheckOverdue;
use crate::permit::Reservation;
use crate::readiness::Readiness;
use crate::state::AnchoredState;
use crate::state_word::StateWord;

/// Puts the outer half of a breaker around a service; made by
/// [`BreakerLayer::gate`](crate::BreakerLayer::gate).
///
/// Stack it outside of everything that waits (bulkhead, rate limit) and the breaker inside of
/// it. While the circuit is open the gate rejects before a permit or a token is taken; while it is
/// half-open the gate lets only as many calls pass at once as there are probes. Clones share the
/// circuit.
#[derive(Clone, Debug)]
pub struct GateLayer {
    circuit: Single,
}

impl GateLayer {
    pub(crate) fn new(circuit: Single) -> Self {
        Self { circuit }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner,
            anchor: self.circuit.anchor(),
            ready: Readiness::new(),
        }
    }
}

/// A service behind the gate of a circuit; see [`GateLayer`].
///
/// An instance whose call is rejected gives up what the inner service had reserved for it, by
/// replacing it with a fresh clone.
#[derive(Debug)]
pub struct Gate<S> {
    inner: S,
    anchor: AnchoredState,
    ready: Readiness,
}

impl<S> Gate<S> {
    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Admits a call of a circuit that is not simply closed.
    #[cold]
    fn admit(&mut self) -> Result<Option<Reservation>, Rejection> {
        let at = EntryPoint::Gate;
        let common = self.anchor.common();
        if let Some(slot) = self.ready.take_reserved(common.word()) {
            return Ok(Some(slot));
        }
        let word = self.anchor.admit_locked(at, common.ramps(at))?;
        // The circuit may have closed meanwhile, or be in shadow mode; then no slot was taken.
        let probe = word.is_probe();
        Ok(probe.then(|| Reservation::new(self.anchor.local(), at, word)))
    }

    /// Rejects, or lets the call pass as one of the probe queue.
    #[cold]
    fn call_cold<Req>(&mut self, req: Req) -> GateFuture<S::Future>
    where
        S: Service<Req> + Clone,
    {
        // What the inner service may have held was given up by `poll_ready` then.
        match self.ready.take(&self.anchor, EntryPoint::Gate) {
            Some(rejection) => self.reject(rejection),
            None => self.call_queued(req),
        }
    }

    // Apart, so that a rejection costs nothing of it.
    #[inline(never)]
    fn call_queued<Req>(&mut self, req: Req) -> GateFuture<S::Future>
    where
        S: Service<Req> + Clone,
    {
        match self.admit() {
            Ok(slot) => GateFuture::queued(slot, || self.inner.call(req)),
            Err(rejection) => {
                self.ready.give_up(&mut self.inner);
                self.reject(rejection)
            }
        }
    }

    #[inline]
    fn reject<F>(&self, rejection: Rejection) -> GateFuture<F> {
        self.anchor.count_rejection(EntryPoint::Gate, rejection);
        GateFuture::rejected(rejection)
    }

    /// Lets a call pass, or goes the long way.
    #[inline(always)]
    fn call_passing<Req>(&mut self, req: Req) -> GateFuture<S::Future>
    where
        S: Service<Req> + Clone,
    {
        let word = self.anchor.common().word();
        if word.is_passing() && self.ready.take_inner_ready() && !self.has_changed(word) {
            return GateFuture::passing(|| self.inner.call(req));
        }
        self.call_cold(req)
    }

    /// The same with a large inner future, which is built where it stays.
    #[inline(never)]
    fn call_in_place<Req>(&mut self, req: Req) -> GateFuture<S::Future>
    where
        S: Service<Req> + Clone,
    {
        self.call_passing(req)
    }

    /// Checks the calls in flight where slow ones are watched; whether the circuit has changed.
    /// When they have taken every permit behind the gate, no call comes to the breaker any more.
    #[inline]
    fn has_changed(&self, word: StateWord) -> bool {
        let common = self.anchor.common();
        let watches = common.settings(word).in_flight() != 0;
        watches
            && self
                .anchor
                .check_overdue(word, common.shared_now(ReadFor::Arrival))
    }
}

impl<S, Req> Service<Req> for Gate<S>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = GateFuture<S::Future>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.ready
            .poll(&self.anchor, EntryPoint::Gate, &mut self.inner, cx)
    }

    // Always, as the future's poll.
    #[inline(always)]
    fn call(&mut self, req: Req) -> Self::Future {
        if is_large::<S::Future>() {
            return self.call_in_place(req);
        }
        self.call_passing(req)
    }
}

impl<S: Clone> Clone for Gate<S> {
    // By hand: readiness belongs to the instance, the circuit to all of them.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            anchor: self.anchor.clone(),
            ready: Readiness::new(),
        }
    }
}

//! The gate: rejects early, outside of every wait.

use std::fmt;
use std::task::{Context, Poll};

use seawall_core::{EventKind, Rejectable, Rejection};
use tower_layer::Layer;
use tower_service::Service;

use crate::circuit::Asks;
use crate::circuits::Circuits;
use crate::future::GateFuture;
use crate::ready::Readiness;
use crate::shared::{Anchored, Root};
use crate::ticket::Pass;
use crate::word::Word;

/// Puts the outer half of a breaker around a service; made by
/// [`BreakerLayer::gate`](crate::BreakerLayer::gate).
///
/// Stack it outside of everything that waits (bulkhead, rate limit) and the breaker inside of
/// it. While the circuit is open the gate rejects before a place or a token is taken; while it is
/// half-open the gate lets only as many calls on their way as there are probes. Clones share the
/// circuit.
#[derive(Clone, Debug)]
pub struct GateLayer {
    root: Root,
}

impl GateLayer {
    pub(crate) fn new(root: Root) -> Self {
        Self { root }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            inner,
            anchor: self.root.anchor(),
            ready: Readiness::new(),
        }
    }
}

/// A service behind the gate of a circuit; see [`GateLayer`].
pub struct Gate<S> {
    inner: S,
    anchor: Anchored,
    ready: Readiness,
}

impl<S> Gate<S> {
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

    /// Admits a call of a circuit that is not simply closed.
    #[cold]
    fn admit(&mut self) -> Result<Option<Pass>, Rejection> {
        if let Some(rejected) = self.ready.take(&self.anchor, Asks::Gate) {
            return Err(rejected);
        }
        let word = self.anchor.common().word();
        if let Some(pass) = self.ready.reserved(word) {
            return Ok(Some(pass));
        }
        let word = self.anchor.admit(Asks::Gate)?;
        // The circuit may have closed between the two looks, or rejects only for show; then there
        // is no herd to leave.
        let in_herd = !word.is_passing() && !word.is_outside();
        Ok(in_herd.then(|| Pass::new(self.anchor.local(), Asks::Gate, word)))
    }

    /// Rejects, or lets the call pass as one of the herd.
    #[cold]
    fn call_cold<Req>(&mut self, req: Req) -> GateFuture<S::Future>
    where
        S: Service<Req>,
    {
        match self.admit() {
            Ok(pass) => GateFuture::of_herd(pass, || self.inner.call(req)),
            Err(rejected) => {
                let common = self.anchor.common();
                common.count_rejection(self.anchor.here(), Asks::Gate, rejected.reason());
                common
                    .setup
                    .gate_observer
                    .emit(|| EventKind::Rejected(rejected));
                GateFuture::rejected(rejected)
            }
        }
    }

    /// Looks at the calls under way where slow ones are watched; whether the circuit has changed.
    /// When they have taken every place behind the gate, no call comes to the breaker any more.
    #[inline]
    fn looks(&self, word: Word) -> bool {
        let common = self.anchor.common();
        common.beat(word).flight() != 0 && self.anchor.look(word, common.now())
    }
}

impl<S, Req> Service<Req> for Gate<S>
where
    S: Service<Req>,
    S::Error: Rejectable,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = GateFuture<S::Future>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.ready
            .poll(&self.anchor, Asks::Gate, &mut self.inner, cx)
    }

    // Always, as the future's poll.
    #[inline(always)]
    fn call(&mut self, req: Req) -> Self::Future {
        let word = self.anchor.common().word();
        if word.is_passing() && self.ready.take_inner_ready() && !self.looks(word) {
            return GateFuture::passing(|| self.inner.call(req));
        }
        self.call_cold(req)
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

impl<S: fmt::Debug> fmt::Debug for Gate<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("inner", &self.inner)
            .field("name", &self.anchor.common().setup.gate_observer.name())
            .field("state", &self.anchor.common().word().state())
            .finish_non_exhaustive()
    }
}

//! The service: finds the circuit of a request's key, and asks that.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{Classify, CompleteOnResponse, ErrorIsFailure, Rejectable, TrackCompletion};
use tower_service::Service;

use super::future::{KeyedBreakerFuture, may_wait};
use super::single::{Held, Keys};
use super::ticket::CircuitPermit;
use crate::call::enter;
use crate::circuits::{Circuits, UNMEASURED};

/// A service with one circuit per key; made by [`KeyedBreakerLayer`](crate::KeyedBreakerLayer).
///
/// # Readiness
///
/// Readiness is the inner service's: which circuit to ask is known with the request. So every
/// rejection comes from `call`, whose instance then gives up what the inner service had reserved
/// for it; and a call that [waits while probes run](crate::HalfOpenPolicy::Wait) waits in its
/// future, with a clone of the inner service that is made ready when a place is free. That is
/// why the inner service must be `Clone`.
///
/// An instance holds nothing of any circuit. Clones share the circuits.
pub struct KeyedBreaker<S, K, X, C = ErrorIsFailure, H = CompleteOnResponse, B = RandomState>
where
    K: ToOwned + ?Sized,
{
    inner: S,
    keys: Anchor<Keys<K, B>, ()>,
    extract: X,
    classify: C,
    hold: H,
}

impl<S, K: ToOwned + ?Sized, X, C, H, B> KeyedBreaker<S, K, X, C, H, B> {
    pub(crate) const fn new(
        inner: S,
        keys: Anchor<Keys<K, B>, ()>,
        extract: X,
        classify: C,
        hold: H,
    ) -> Self {
        Self {
            inner,
            keys,
            extract,
            classify,
            hold,
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

impl<S, K: ToOwned + ?Sized, X, C: Clone, H: Clone, B> KeyedBreaker<S, K, X, C, H, B> {
    /// Rejects, waits, or calls the inner service as a probe.
    #[cold]
    fn call_cold<Req>(&mut self, req: Req, circuit: Held<K>) -> KeyedBreakerFuture<S, Req, K, C, H>
    where
        S: Service<Req> + Clone,
    {
        match enter(&circuit) {
            // The ticket is made first: if the inner service panics, a probe's place is free.
            Ok(stub) => {
                let ticket = CircuitPermit::new(circuit, stub);
                let (classify, hold) = (self.classify.clone(), self.hold.clone());
                KeyedBreakerFuture::calling(|| self.inner.call(req), || ticket, classify, hold)
            }
            // Whatever the ready instance has reserved below is given up: a call that is rejected
            // may be this instance's last, one that waits asks again, and others may need it.
            Err(rejected) if may_wait(&circuit, rejected.cause()) => {
                let service = self.inner.clone(); // clone: waits, polled ready later
                self.inner = service.clone();
                let (classify, hold) = (self.classify.clone(), self.hold.clone());
                KeyedBreakerFuture::waiting(service, req, circuit, classify, hold)
            }
            Err(rejected) => {
                self.inner = self.inner.clone(); // clone: gives the reservation up
                KeyedBreakerFuture::rejected(&circuit, rejected)
            }
        }
    }
}

impl<S, K, X, C, H, B, Req> Service<Req> for KeyedBreaker<S, K, X, C, H, B>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    K: ToOwned + Hash + Eq + ?Sized,
    X: for<'a> Fn(&'a Req) -> Cow<'a, K>,
    C: Classify<S::Response, S::Error> + Clone,
    H: TrackCompletion<CircuitPermit<K>, S::Response> + Clone,
    B: BuildHasher,
{
    type Response = H::Response;
    type Error = S::Error;
    type Future = KeyedBreakerFuture<S, Req, K, C, H>;

    // The inner service alone: which circuit will be asked is known with the request.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, req: Req) -> Self::Future {
        let circuit = self.keys.common().circuit((self.extract)(&req));
        let word = circuit.common().word();
        let start = circuit.start(word);
        let changed = start != UNMEASURED && circuit.look(word, start);
        if !word.is_passing() || changed {
            return self.call_cold(req, circuit);
        }
        // The ticket is made after the call, which lets the future be built in its place: while
        // the circuit is closed an admission holds nothing that a panic of the inner service
        // could keep.
        KeyedBreakerFuture::calling(
            || self.inner.call(req),
            || {
                let stub = circuit.stub(word, start);
                CircuitPermit::new(circuit, stub)
            },
            self.classify.clone(),
            self.hold.clone(),
        )
    }
}

impl<S, K, X, C, H, B> Clone for KeyedBreaker<S, K, X, C, H, B>
where
    S: Clone,
    K: ToOwned + ?Sized,
    X: Clone,
    C: Clone,
    H: Clone,
{
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            keys: self.keys.clone(),
            extract: self.extract.clone(),
            classify: self.classify.clone(),
            hold: self.hold.clone(),
        }
    }
}

impl<S: fmt::Debug, K: ToOwned + ?Sized, X, C, H, B> fmt::Debug for KeyedBreaker<S, K, X, C, H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey")
            .field("inner", &self.inner)
            .field("name", &self.keys.common().setup.observer.name())
            .field("keys", &self.keys.common().map.len())
            .finish_non_exhaustive()
    }
}

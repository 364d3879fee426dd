//! The service: finds the circuit of a request's key, which admits the call.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{Classify, Policies, Rejectable, TrackCompletion};
use tower_service::Service;

use super::circuit::Keyed;
use super::key::ExtractKey;
use super::state::KeyedState;
use super::wait::{KeyedResponse, KeyedWait};
use crate::access::Access;
use crate::admission::Admit;
use crate::entry_point::EntryPoint;
use crate::future::ResponseFuture;
use crate::overdue::CheckOverdue;
use crate::permit::{Departing, Permit};
use crate::probe_wait::may_wait;
use crate::record::{AdmissionRecord, UNMEASURED};

/// A service with one circuit per key; made by [`KeyedBreakerLayer`](crate::KeyedBreakerLayer).
///
/// # Readiness
///
/// Readiness is the inner service's: the circuit is known with the request. So every rejection
/// comes from `call`, whose instance then gives up what the inner service had reserved for it; and a
/// call that [waits while probes are in flight](crate::HalfOpenPolicy::Wait) waits in its future,
/// with a clone of the inner service that is made ready when a slot is free. That is why the inner
/// service must be `Clone`.
///
/// An instance holds nothing of any circuit. Clones share the circuits.
pub struct KeyedBreaker<S, X, K: ToOwned + ?Sized, F, B = RandomState> {
    inner: S,
    state: Anchor<KeyedState<K, B>, ()>,
    key_fn: F,
    policy: X,
}

impl<S, X, K: ToOwned + ?Sized, F, B> KeyedBreaker<S, X, K, F, B> {
    pub(super) const fn new(
        inner: S,
        state: Anchor<KeyedState<K, B>, ()>,
        key_fn: F,
        policy: X,
    ) -> Self {
        Self {
            inner,
            state,
            key_fn,
            policy,
        }
    }

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
}

impl<S, X: Policies, K: ToOwned + ?Sized, F, B> KeyedBreaker<S, X, K, F, B>
where
    X::Classifier: Clone,
    X::Completion: Clone,
{
    /// Rejects, waits, or calls the inner service as a probe.
    #[cold]
    fn call_cold<Req>(&mut self, req: Req, circuit: Keyed<K>) -> KeyedResponse<S, Req, X, K>
    where
        S: Service<Req> + Clone,
    {
        let classifier = self.policy.classifier().clone();
        let completion = self.policy.completion().clone();
        match circuit.admit() {
            // The permit is made first: if the inner service panics, the probe slot is free.
            Ok(record) => {
                let mut permit = Departing(Permit::new(circuit, record));
                ResponseFuture::calling(
                    || self.inner.call(req),
                    &mut permit.0,
                    classifier,
                    completion,
                )
            }
            // What the ready instance has reserved below is given up: a call that is rejected may
            // be the last one of this instance, one that waits is made ready again, and others may
            // need it.
            Err(rejection) if may_wait(&circuit, &rejection) => {
                let service = self.inner.clone(); // clone: waits, polled ready later
                self.inner = service.clone();
                let wait = Box::new(KeyedWait::new(service, req, circuit));
                ResponseFuture::waiting(wait, classifier, completion)
            }
            Err(rejection) => {
                self.inner = self.inner.clone(); // clone: gives the reservation up
                circuit.count_rejection(EntryPoint::Breaker, rejection);
                ResponseFuture::rejected(rejection, classifier, completion)
            }
        }
    }
}

impl<S, X, K, F, B, Req> Service<Req> for KeyedBreaker<S, X, K, F, B>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Classifier: Classify<S::Response, S::Error> + Clone,
    X::Completion: TrackCompletion<Permit<Keyed<K>>, S::Response> + Clone,
    K: ToOwned + Hash + Eq + ?Sized,
    F: ExtractKey<Req, K>,
    B: BuildHasher,
{
    type Response = <X::Completion as TrackCompletion<Permit<Keyed<K>>, S::Response>>::Response;
    type Error = S::Error;
    type Future = KeyedResponse<S, Req, X, K>;

    // The inner service alone: the circuit is known with the request.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, req: Req) -> Self::Future {
        let circuit = self.state.common().circuit(self.key_fn.extract_key(&req));
        let word = circuit.common().word();
        let start = circuit.start(word);
        let changed = start != UNMEASURED && circuit.check_overdue(word, start);
        if !word.is_passing() || changed {
            return self.call_cold(req, circuit);
        }
        let record = AdmissionRecord::new(word, start);
        let mut permit = Departing(Permit::new(circuit, record));
        ResponseFuture::calling(
            || self.inner.call(req),
            &mut permit.0,
            self.policy.classifier().clone(),
            self.policy.completion().clone(),
        )
    }
}

impl<S: Clone, X: Clone, K: ToOwned + ?Sized, F: Clone, B> Clone for KeyedBreaker<S, X, K, F, B> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            state: self.state.clone(),
            key_fn: self.key_fn.clone(),
            policy: self.policy.clone(),
        }
    }
}

impl<S: fmt::Debug, X, K: ToOwned + ?Sized, F, B> fmt::Debug for KeyedBreaker<S, X, K, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.common();
        f.debug_struct("KeyedBreaker")
            .field("inner", &self.inner)
            .field("name", &state.setup.name())
            .field("keys", &state.map.len())
            .finish_non_exhaustive()
    }
}

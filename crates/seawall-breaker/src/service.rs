//! The breaker: admits the call that departs now, and settles it by its result.

use std::fmt;
use std::task::{Context, Poll};

use seawall_core::{Classify, Policies, Policy, Rejectable, Rejection, TrackCompletion, is_large};
use tower_service::Service;

use crate::admission::Admit;
use crate::entry_point::EntryPoint;
use crate::future::ResponseFuture;
use crate::overdue::CheckOverdue;
use crate::permit::{Departing, Permit};
use crate::readiness::Readiness;
use crate::record::{AdmissionRecord, UNMEASURED};
use crate::state::AnchoredState;
use crate::state_word::StateWord;

/// A service behind a circuit breaker; see the [crate] for how it works.
///
/// Made by [`BreakerLayer`](crate::BreakerLayer). Clones share the circuit. An instance whose call
/// is rejected gives up what the inner service had reserved for it, by replacing it with a fresh
/// clone; that is why the inner service must be `Clone`.
pub struct Breaker<S, X = Policy> {
    inner: S,
    anchor: AnchoredState,
    policy: X,
    ready: Readiness,
}

impl<S, X> Breaker<S, X> {
    pub(crate) const fn new(inner: S, anchor: AnchoredState, policy: X) -> Self {
        Self {
            inner,
            anchor,
            policy,
            ready: Readiness::new(),
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

    /// Checks the calls in flight where slow ones are watched; whether the circuit has changed.
    #[inline]
    fn has_changed(&self, word: StateWord, start: u64) -> bool {
        start != UNMEASURED && self.anchor.check_overdue(word, start)
    }

    /// Admits a call of a circuit that does not simply pass.
    #[cold]
    fn admit(&mut self) -> Result<Permit, Rejection> {
        let at = EntryPoint::Breaker;
        let common = self.anchor.common();
        let word = match self.ready.take_reserved(common.word()) {
            // Its slot is the permit's from now on.
            Some(slot) => slot.into_word(),
            None => self.anchor.admit_locked(at, common.ramps(at))?,
        };
        let here = self.anchor.follow();
        let record = AdmissionRecord::new(word, here.start(word));
        Ok(Permit::new(here.again(), record))
    }
}

/// The future of a breaker of this policy.
type Response<F, X> = ResponseFuture<F, <X as Policies>::Classifier, <X as Policies>::Completion>;

impl<S, X: Policies> Breaker<S, X>
where
    X::Classifier: Clone,
    X::Completion: Clone,
{
    /// Rejects, or calls the inner service as a probe.
    #[cold]
    fn call_cold<Req>(&mut self, req: Req) -> Response<S::Future, X>
    where
        S: Service<Req> + Clone,
    {
        // What the inner service may have held was given up by `poll_ready` then.
        match self.ready.take(&self.anchor, EntryPoint::Breaker) {
            Some(rejection) => self.reject(rejection),
            None => self.call_as_probe(req),
        }
    }

    // Apart, so that a rejection costs nothing of it.
    #[inline(never)]
    fn call_as_probe<Req>(&mut self, req: Req) -> Response<S::Future, X>
    where
        S: Service<Req> + Clone,
    {
        match self.admit() {
            // The permit is taken first: if the inner service panics, the probe slot is free.
            Ok(permit) => {
                let mut permit = Departing(permit);
                let (classifier, completion) = self.ending();
                ResponseFuture::calling(
                    || self.inner.call(req),
                    &mut permit.0,
                    classifier,
                    completion,
                )
            }
            Err(rejection) => {
                self.ready.give_up(&mut self.inner);
                self.reject(rejection)
            }
        }
    }

    #[inline(never)]
    fn call_apart<Req>(&mut self, req: Req) -> Response<S::Future, X>
    where
        S: Service<Req> + Clone,
    {
        self.call_inline(req)
    }

    #[inline(always)]
    fn call_inline<Req>(&mut self, req: Req) -> Response<S::Future, X>
    where
        S: Service<Req> + Clone,
    {
        let word = self.anchor.common().word();
        let start = self.anchor.start(word);
        if !word.is_passing() || !self.ready.take_inner_ready() || self.has_changed(word, start) {
            return self.call_cold(req);
        }
        let here = self.anchor.follow();
        let record = AdmissionRecord::new(word, start);
        let mut permit = Departing(Permit::new(here.again(), record));
        let (classifier, completion) = self.ending();
        ResponseFuture::calling(
            || self.inner.call(req),
            &mut permit.0,
            classifier,
            completion,
        )
    }

    /// What a future needs of the policy.
    #[inline]
    fn ending(&self) -> (X::Classifier, X::Completion) {
        let policy = &self.policy;
        (policy.classifier().clone(), policy.completion().clone())
    }

    #[inline]
    fn reject<F>(&self, rejection: Rejection) -> Response<F, X> {
        self.anchor.count_rejection(EntryPoint::Breaker, rejection);
        let (classifier, completion) = self.ending();
        ResponseFuture::rejected(rejection, classifier, completion)
    }
}

impl<S, X, Req> Service<Req> for Breaker<S, X>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Classifier: Classify<S::Response, S::Error> + Clone,
    X::Completion: TrackCompletion<Permit, S::Response> + Clone,
{
    type Response = <X::Completion as TrackCompletion<Permit, S::Response>>::Response;
    type Error = S::Error;
    type Future = Response<S::Future, X>;

    #[inline(always)]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.ready
            .poll(&self.anchor, EntryPoint::Breaker, &mut self.inner, cx)
    }

    // Always, as the future's poll; but apart from what calls it where the inner future is large, so
    // that this one can be built where it stays.
    #[inline(always)]
    fn call(&mut self, req: Req) -> Self::Future {
        if is_large::<S::Future>() {
            self.call_apart(req)
        } else {
            self.call_inline(req)
        }
    }
}

impl<S: Clone, X: Clone> Clone for Breaker<S, X> {
    // By hand: readiness belongs to the instance, the circuit to all of them.
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            anchor: self.anchor.clone(),
            policy: self.policy.clone(),
            ready: Readiness::new(),
        }
    }
}

impl<S: fmt::Debug, X> fmt::Debug for Breaker<S, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("inner", &self.inner)
            .field("circuit", self.anchor.common())
            .finish_non_exhaustive()
    }
}

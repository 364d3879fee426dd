//! Responses with the guards of their call: what it holds until it is over.

use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{Carried, CarriedOutcome, Classified, ClassifiedResponse, Storage};
use crate::{Classify, Complete, KeepResponse, Outcome, Rejection, TrackCompletion};

/// A [`Classified`] response in its [`Storage`], with the guards of its call: permits, votes.
///
/// A layer adds its own guard and passes the response on as it is, where a body that is wrapped by
/// each layer would be moved and grow each time. The outermost layer hands all guards to the
/// [completion](TrackCompletion) of the service. Dropped before, as a response whose call is tried
/// again, it completes them with its outcome.
pub struct GuardedResponse<P, G>
where
    P: Storage<Value: HasOutcome>,
    G: Guards,
{
    // `None` once it is taken apart.
    response: Option<P>,
    guards: G,
}

/// What a response or an error means.
pub trait HasOutcome {
    /// What it means.
    fn outcome(&self) -> Outcome;
}

impl<T> HasOutcome for Classified<T> {
    fn outcome(&self) -> Outcome {
        Self::outcome(self)
    }
}

/// The guards of a call as a [`GuardList`].
pub trait Guards: Default {
    /// Completes those that are there, the first one first.
    fn complete_all(&mut self, outcome: Outcome);
}

impl Guards for () {
    fn complete_all(&mut self, _: Outcome) {}
}

/// A guard, and those of the layers below.
#[derive(Debug)]
pub struct GuardList<G, Rest> {
    guard: Option<G>,
    rest: Rest,
}

impl<G, Rest: Default> Default for GuardList<G, Rest> {
    fn default() -> Self {
        Self {
            guard: None,
            rest: Rest::default(),
        }
    }
}

impl<G: Complete, Rest: Guards> Guards for GuardList<G, Rest> {
    #[inline]
    fn complete_all(&mut self, outcome: Outcome) {
        self.rest.complete_all(outcome);
        if let Some(guard) = self.guard.take() {
            guard.complete(outcome);
        }
    }
}

/// All guards of a call as one.
#[derive(Debug, Default)]
pub struct AllGuards<G>(G);

impl<G: Guards> Complete for AllGuards<G> {
    #[inline]
    fn complete(mut self, outcome: Outcome) {
        self.0.complete_all(outcome);
    }
}

const WHOLE: &str = "a response is whole until it is taken apart by value";

impl<P, G> GuardedResponse<P, G>
where
    P: Storage<Value: HasOutcome>,
    G: Guards,
{
    /// This response, with these guards.
    pub const fn new(response: P, guards: G) -> Self {
        Self {
            response: Some(response),
            guards,
        }
    }

    /// The response, in its place.
    #[inline]
    pub fn get(&self) -> &P::Value {
        self.response.as_ref().expect(WHOLE).get()
    }

    /// The response, in its place.
    #[inline]
    pub fn get_mut(&mut self) -> &mut P::Value {
        self.response.as_mut().expect(WHOLE).get_mut()
    }

    /// The response in its place, and what its call holds.
    #[inline]
    pub fn into_parts(mut self) -> (P, AllGuards<G>) {
        let response = self.response.take().expect(WHOLE);
        (response, AllGuards(mem::take(&mut self.guards)))
    }

    #[inline(always)]
    fn hold<N: Complete>(mut self, guard: N) -> GuardedResponse<P, GuardList<N, G>> {
        GuardedResponse {
            response: self.response.take(),
            guards: GuardList {
                guard: Some(guard),
                rest: mem::take(&mut self.guards),
            },
        }
    }
}

impl<P, G> Drop for GuardedResponse<P, G>
where
    P: Storage<Value: HasOutcome>,
    G: Guards,
{
    #[inline]
    fn drop(&mut self) {
        if let Some(response) = self.response.take() {
            let outcome = response.get().outcome();
            // What the response holds is given back before the layers let the next call pass.
            drop(response);
            self.guards.complete_all(outcome);
        }
    }
}

crate::impl_debug!(GuardedResponse<P, G> where [P: Storage<Value: HasOutcome + std::fmt::Debug>, G: Guards]:
    |this| response = this.get());

impl<P, G, Res, Err> Classify<GuardedResponse<P, G>, Classified<Err>> for CarriedOutcome
where
    P: Storage<Value = Classified<Res>>,
    G: Guards,
{
    #[inline]
    fn classify(&self, result: Result<&GuardedResponse<P, G>, &Classified<Err>>) -> Outcome {
        match result {
            Ok(response) => response.get().outcome(),
            Err(error) => error.outcome(),
        }
    }

    #[inline]
    fn retry_after(
        &self,
        result: Result<&GuardedResponse<P, G>, &Classified<Err>>,
    ) -> Option<Duration> {
        match result {
            Ok(response) => response.get().retry_after(),
            Err(error) => error.retry_after(),
        }
    }
}

/// The guard waits until the outermost layer asks the completion `T` of the service.
impl<T, N, P, G> TrackCompletion<N, GuardedResponse<P, G>> for Carried<T>
where
    N: Complete,
    P: Storage<Value: HasOutcome>,
    G: Guards,
{
    type Response = GuardedResponse<P, GuardList<N, G>>;

    #[inline(always)]
    fn track_completion(
        &self,
        guard: N,
        _: Outcome,
        response: GuardedResponse<P, G>,
    ) -> Self::Response {
        response.hold(guard)
    }
}

/// The meaning and the guards of a response without it.
type Rest<G> = GuardedResponse<Classified<()>, G>;

impl<G: Guards> From<Classified<()>> for Rest<G> {
    fn from(meaning: Classified<()>) -> Self {
        Self::new(meaning, G::default())
    }
}

impl<P, G, Res> ClassifiedResponse for GuardedResponse<P, G>
where
    P: Storage<Value = Classified<Res>>,
    G: Guards,
{
    type Value = Res;
    type Rest = Rest<G>;

    fn value(&self) -> &Res {
        self.get().value()
    }

    fn split(mut self) -> (Res, Rest<G>) {
        let (response, meaning) = self.response.take().expect(WHOLE).take().into_parts();
        (
            response,
            GuardedResponse::new(meaning, mem::take(&mut self.guards)),
        )
    }

    fn join(response: Res, mut rest: Rest<G>) -> Self {
        let guards = mem::take(&mut rest.guards);
        Self::new(P::put(rest.get().map(|()| response)), guards)
    }

    fn meaning(rest: &Rest<G>) -> Classified<()> {
        *rest.get()
    }
}

impl<P, G, Res, K> KeepResponse<GuardedResponse<P, G>> for Carried<K>
where
    P: Storage<Value = Classified<Res>>,
    G: Guards,
    K: KeepResponse<Res>,
{
    type Keeping = KeepingGuarded<K::Keeping, P, G>;

    fn keep(&self, response: GuardedResponse<P, G>) -> Self::Keeping {
        let (response, rest) = response.split();
        KeepingGuarded::new(self.0.keep(response), rest)
    }

    fn keep_until(
        &self,
        response: GuardedResponse<P, G>,
        deadline: Option<Instant>,
    ) -> Self::Keeping {
        let (response, rest) = response.split();
        KeepingGuarded::new(self.0.keep_until(response, deadline), rest)
    }

    fn mark(&self, response: &mut GuardedResponse<P, G>, rejection: Rejection) {
        self.0.mark(response.get_mut().value_mut(), rejection);
    }
}

pin_project! {
    /// Keeps a response; what its call held is released when that is done.
    pub struct KeepingGuarded<F, P, G: Guards> {
        #[pin]
        keeping: F,
        rest: Option<Rest<G>>,
        storage: PhantomData<fn() -> P>,
    }
}

impl<F, P, G: Guards> KeepingGuarded<F, P, G> {
    const fn new(keeping: F, rest: Rest<G>) -> Self {
        Self {
            keeping,
            rest: Some(rest),
            storage: PhantomData,
        }
    }
}

impl<F, P, G, Res> Future for KeepingGuarded<F, P, G>
where
    F: Future<Output = Option<Res>>,
    P: Storage<Value = Classified<Res>>,
    G: Guards,
{
    type Output = Option<GuardedResponse<P, G>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let kept = ready!(this.keeping.poll(cx));
        let held = this.rest.take();
        Poll::Ready(kept.zip(held).map(|(response, held)| {
            // What is kept holds nothing of the layers below.
            let free = Rest::from(GuardedResponse::<P, G>::meaning(&held));
            drop(held);
            GuardedResponse::join(response, free)
        }))
    }
}

crate::impl_debug!(KeepingGuarded<F, P, G> where [G: Guards]:);

//! The policy of the layers between.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{Classified, Described, Storage};
use crate::{
    Classify, CopyRequest, Describe, KeepResponse, Outcome, Policies, Policy, Rejection,
    RequestMeta, SharedReadings, TrackCompletion,
};

/// The policy of layers that stand between a [`DescribeLayer`](super::DescribeLayer) and a
/// [`ClassifyLayer`](super::ClassifyLayer), of a service whose own policy is `X`.
pub type CarriedPolicy<X> = Policy<
    CarriedOutcome,
    CarriedMeta<<X as Policies>::Describer>,
    Carried<<X as Policies>::Completion>,
    Carried<<X as Policies>::Copier>,
    Carried<<X as Policies>::Keeper>,
>;

/// The policy of the layers between, of a service whose own policy is `policy`. Classifier and
/// describer read what is carried; the other parts are clones of the service's.
pub fn carried<X>(policy: &X) -> CarriedPolicy<X>
where
    X: Policies<Completion: Clone, Copier: Clone, Keeper: Clone>,
{
    Policy::new()
        .classify(CarriedOutcome)
        .describe(CarriedMeta::new())
        .track_completion(Carried(policy.completion().clone()))
        .copy(Carried(policy.copier().clone()))
        .keep(Carried(policy.keeper().clone()))
}

/// A part of a service's policy, or a hook, for requests that are [`Described`] and results that are
/// [`Classified`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried<T>(pub T);

/// The describer that reads what a [`Described`] request carries, of a service described by `D`.
pub struct CarriedMeta<D>(PhantomData<fn() -> D>);

impl<D> CarriedMeta<D> {
    /// It has no state.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<D> Default for CarriedMeta<D> {
    fn default() -> Self {
        Self::new()
    }
}

impl<D> Clone for CarriedMeta<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for CarriedMeta<D> {}

crate::impl_debug!(CarriedMeta<D>:);

impl<T, D, Req> Describe<T> for CarriedMeta<D>
where
    T: Storage<Value = Described<Req>>,
    D: Describe<Req>,
{
    const IS_DEFAULT: bool = D::IS_DEFAULT;

    #[inline]
    fn describe(&self, described: &T) -> RequestMeta {
        described.get().meta
    }
}

/// The classifier that reads what a [`Classified`] result carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CarriedOutcome;

impl<Res, Err> Classify<Classified<Res>, Classified<Err>> for CarriedOutcome {
    #[inline]
    fn classify(&self, result: Result<&Classified<Res>, &Classified<Err>>) -> Outcome {
        match result {
            Ok(response) => response.outcome(),
            Err(error) => error.outcome(),
        }
    }

    #[inline]
    fn retry_after(&self, result: Result<&Classified<Res>, &Classified<Err>>) -> Option<Duration> {
        match result {
            Ok(response) => response.retry_after(),
            Err(error) => error.retry_after(),
        }
    }
}

impl<T, G, Res> TrackCompletion<G, Classified<Res>> for Carried<T>
where
    T: TrackCompletion<G, Res>,
{
    const ON_RESPONSE: bool = T::ON_RESPONSE;

    type Response = Classified<T::Response>;

    #[inline(always)]
    fn track_completion(
        &self,
        guard: G,
        outcome: Outcome,
        response: Classified<Res>,
    ) -> Self::Response {
        response.map(|response| self.0.track_completion(guard, outcome, response))
    }
}

impl<T, P, Req> CopyRequest<T> for Carried<P>
where
    T: Storage<Value = Described<Req>>,
    P: CopyRequest<Req>,
{
    #[inline]
    fn copy(&self, described: &T) -> Option<T> {
        let Described { request, meta } = described.get();
        let copy = SharedReadings::apart(|| self.0.copy(request));
        copy.map(|request| {
            let meta = *meta;
            T::put(Described { request, meta })
        })
    }

    fn can_copy(&self, described: &T) -> bool {
        SharedReadings::apart(|| self.0.can_copy(&described.get().request))
    }
}

impl<Res, K: KeepResponse<Res>> KeepResponse<Classified<Res>> for Carried<K> {
    type Keeping = KeepingClassified<K::Keeping>;

    fn keep(&self, response: Classified<Res>) -> Self::Keeping {
        KeepingClassified::new(response, |response| self.0.keep(response))
    }

    fn keep_until(&self, response: Classified<Res>, deadline: Option<Instant>) -> Self::Keeping {
        KeepingClassified::new(response, |response| self.0.keep_until(response, deadline))
    }

    fn mark(&self, response: &mut Classified<Res>, rejection: Rejection) {
        self.0.mark(response.value_mut(), rejection);
    }
}

pin_project! {
    /// Keeps a response, and what it means.
    pub struct KeepingClassified<F> {
        #[pin]
        keeping: F,
        meaning: Classified<()>,
    }
}

impl<F> KeepingClassified<F> {
    fn new<Res>(response: Classified<Res>, keep: impl FnOnce(Res) -> F) -> Self {
        let (response, meaning) = response.into_parts();
        Self {
            keeping: keep(response),
            meaning,
        }
    }
}

impl<F, Res> Future for KeepingClassified<F>
where
    F: Future<Output = Option<Res>>,
{
    type Output = Option<Classified<Res>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let kept = ready!(this.keeping.poll(cx));
        Poll::Ready(kept.map(|response| this.meaning.map(|()| response)))
    }
}

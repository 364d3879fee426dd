//! The response futures of the breakers.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{
    Classify, Complete, Outcome, Rejectable, Rejection, TrackCompletion, classify_error, is_large,
    on_unwind,
};

use crate::access::{CircuitRef, Single};
use crate::permit::Permit;

pin_project! {
    /// The response future of a [`Breaker`](crate::Breaker) and of a
    /// [`KeyedBreaker`](crate::KeyedBreaker).
    ///
    /// Dropped before it has completed, it counts as abandoned; dropped while it waits for a probe
    /// slot, it has changed nothing. Once it has completed it holds nothing of the circuit.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed; and, if it has to wait for a probe slot, outside of
    /// a Tokio runtime with time enabled.
    pub struct ResponseFuture<F, C, T, D: CircuitRef = Single, W = NoWait> {
        #[pin]
        stage: Stage<F, W>,
        // Beside the stage and not in one variant with the inner future, which would then be moved
        // when it is made.
        permit: Permit<D>,
        classifier: C,
        completion: T,
    }
}

pin_project! {
    /// Where the future is.
    #[project = StageProj]
    enum Stage<F, W> {
        Calling {
            #[pin]
            inner: F,
        },
        Rejected { rejection: Rejection },
        Waiting { wait: W },
        Done,
    }
}

/// What follows a wait.
pub(crate) enum AfterWait<F, D: CircuitRef> {
    Called(F, Permit<D>),
    Rejected(Rejection),
}

/// What waits for a probe slot, and then makes the call.
pub(crate) trait Wait<F, D: CircuitRef, E>: Sized {
    /// Whether a future ever waits.
    const WAITS: bool;

    /// Waits.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<AfterWait<F, D>, E>>;
}

/// Of futures that never wait: a single breaker waits in `poll_ready`.
#[derive(Clone, Copy, Debug)]
pub struct NoWait(Infallible);

impl<F, D: CircuitRef, E> Wait<F, D, E> for NoWait {
    const WAITS: bool = false;

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<Result<AfterWait<F, D>, E>> {
        match self.0 {}
    }
}

impl<F, C, T, D: CircuitRef, W> ResponseFuture<F, C, T, D, W> {
    /// Makes a call, and takes its permit when it is made.
    #[inline(always)]
    pub(crate) fn calling(
        call: impl FnOnce() -> F,
        permit: &mut Permit<D>,
        classifier: C,
        completion: T,
    ) -> Self {
        if is_large::<F>() {
            return Self::calling_in_place(call, permit, classifier, completion);
        }
        Self {
            stage: Stage::Calling { inner: call() },
            permit: permit.take(),
            classifier,
            completion,
        }
    }

    /// The same with a large inner future, which is built where it stays.
    // In here nothing is to be dropped should the call panic: else the inner future would be put
    // somewhere first, and copied from there.
    #[inline(never)]
    fn calling_in_place(
        call: impl FnOnce() -> F,
        permit: &mut Permit<D>,
        classifier: C,
        completion: T,
    ) -> Self {
        Self {
            stage: Stage::Calling { inner: call() },
            permit: permit.take(),
            classifier,
            completion,
        }
    }

    pub(crate) const fn rejected(rejection: Rejection, classifier: C, completion: T) -> Self {
        Self {
            stage: Stage::Rejected { rejection },
            permit: Permit::NONE,
            classifier,
            completion,
        }
    }

    pub(crate) const fn waiting(wait: W, classifier: C, completion: T) -> Self {
        Self {
            stage: Stage::Waiting { wait },
            permit: Permit::NONE,
            classifier,
            completion,
        }
    }
}

impl<F, C, T, D: CircuitRef, W> ResponseFuture<F, C, T, D, W> {
    /// Polls a future that waits, if it does, until it has made its call.
    #[cold]
    #[inline(never)]
    fn poll_wait<E>(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>>
    where
        W: Wait<F, D, E>,
    {
        let mut this = self.project();
        let StageProj::Waiting { wait } = this.stage.as_mut().project() else {
            return Poll::Ready(Ok(()));
        };
        let (next, result) = match ready!(wait.poll(cx)) {
            Ok(AfterWait::Called(inner, permit)) => {
                *this.permit = permit;
                (Stage::Calling { inner }, Ok(()))
            }
            Ok(AfterWait::Rejected(rejection)) => (Stage::Rejected { rejection }, Ok(())),
            Err(error) => (Stage::Done, Err(error)),
        };
        this.stage.set(next);
        Poll::Ready(result)
    }
}

impl<F, C, T, D, W, R, E> Future for ResponseFuture<F, C, T, D, W>
where
    F: Future<Output = Result<R, E>>,
    E: Rejectable,
    C: Classify<R, E>,
    T: TrackCompletion<Permit<D>, R>,
    D: CircuitRef,
    W: Wait<F, D, E>,
{
    type Output = Result<T::Response, E>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if W::WAITS && matches!(self.stage, Stage::Waiting { .. }) {
            ready!(self.as_mut().poll_wait(cx))?;
        }
        let mut this = self.project();
        let (permit, classifier, completion) = (this.permit, this.classifier, this.completion);
        let result = match this.stage.as_mut().project() {
            StageProj::Calling { inner } => {
                let Poll::Ready(result) = on_unwind(|| inner.poll(cx), || permit.panicked()) else {
                    permit.watch();
                    return Poll::Pending;
                };
                // A classifier that panics leaves the permit here, to be abandoned.
                match result {
                    Ok(response) => {
                        let outcome = classifier.classify(Ok(&response));
                        if may_ask(&outcome)
                            && let Some(wait) = classifier.retry_after(Ok(&response))
                        {
                            permit.delay_probe(wait);
                        }
                        if !T::ON_RESPONSE {
                            permit.watch();
                        }
                        Ok(completion.track_completion(permit.take(), outcome, response))
                    }
                    Err(error) => {
                        let outcome = classify_error::<_, R, _>(classifier, &error);
                        if may_ask(&outcome)
                            && error.rejection().is_none()
                            && let Some(wait) = classifier.retry_after(Err(&error))
                        {
                            permit.delay_probe(wait);
                        }
                        permit.take().complete(outcome);
                        Err(error)
                    }
                }
            }
            StageProj::Rejected { rejection } => Err(E::from(*rejection)),
            StageProj::Waiting { .. } | StageProj::Done => panic!("polled after it has completed"),
        };
        this.stage.set(Stage::Done);
        Poll::Ready(result)
    }
}

/// Whether the wait that a result of this outcome names delays the probe. Bans and throttles have it
/// in their outcome, and rules of their own.
#[inline(always)]
pub(crate) const fn may_ask(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failure(_) | Outcome::Unknown)
}

impl<F, C, T, D: CircuitRef, W> fmt::Debug for ResponseFuture<F, C, T, D, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.stage {
            Stage::Calling { .. } => "calling",
            Stage::Rejected { .. } => "rejected",
            Stage::Waiting { .. } => "waiting",
            Stage::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish()
    }
}

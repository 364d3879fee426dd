//! The response futures of the breakers.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{
    Classify, Complete, Outcome, Rejectable, Rejection, TrackCompletion, classify_error,
};

use crate::access::{CircuitRef, Single};
use crate::permit::Permit;
use crate::unwind::on_unwind;

pin_project! {
    /// The response future of a [`Breaker`](crate::Breaker) and of a
    /// [`KeyedBreaker`](crate::KeyedBreaker).
    ///
    /// Dropped before it has completed, it counts as abandoned; dropped while it waits for a probe
    /// slot, it has changed nothing. Once it has completed it holds nothing.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed; and, if it has to wait for a probe slot, outside of
    /// a Tokio runtime with time enabled.
    pub struct ResponseFuture<F, C, T, D: CircuitRef = Single, W = NoWait> {
        #[pin]
        state: State<F, C, T, D, W>,
    }
}

pin_project! {
    /// Where the future is.
    #[project = StateProj]
    pub(crate) enum State<F, C, T, D: CircuitRef, W> {
        Calling {
            #[pin]
            inner: F,
            permit: Permit<D>,
            classifier: C,
            completion: T,
        },
        Rejected { rejection: Rejection },
        Waiting { wait: W },
        Done,
    }
}

/// The state after a wait, or the error of the inner service.
pub(crate) type AfterWait<F, C, T, D, W, E> = Poll<Result<State<F, C, T, D, W>, E>>;

/// What waits for a probe slot, and then makes the call.
pub(crate) trait Wait<F, C, T, D: CircuitRef, E>: Sized {
    /// Whether a future ever waits.
    const WAITS: bool;

    /// Waits.
    fn poll(&mut self, cx: &mut Context<'_>) -> AfterWait<F, C, T, D, Self, E>;
}

/// Of futures that never wait: a single breaker waits in `poll_ready`.
#[derive(Clone, Copy, Debug)]
pub struct NoWait(Infallible);

impl<F, C, T, D: CircuitRef, E> Wait<F, C, T, D, E> for NoWait {
    const WAITS: bool = false;

    fn poll(&mut self, _: &mut Context<'_>) -> AfterWait<F, C, T, D, Self, E> {
        match self.0 {}
    }
}

impl<F, C, T, D: CircuitRef, W> ResponseFuture<F, C, T, D, W> {
    /// Makes the call with `held`, which then becomes its permit. The future is built in place.
    #[inline(always)]
    pub(crate) fn calling<H>(
        mut held: H,
        call: impl FnOnce(&mut H) -> F,
        permit: impl FnOnce(H) -> Permit<D>,
        classifier: C,
        completion: T,
    ) -> Self {
        Self {
            state: State::Calling {
                inner: call(&mut held),
                permit: permit(held),
                classifier,
                completion,
            },
        }
    }

    pub(crate) const fn rejected(rejection: Rejection) -> Self {
        Self {
            state: State::Rejected { rejection },
        }
    }

    pub(crate) const fn waiting(wait: W) -> Self {
        Self {
            state: State::Waiting { wait },
        }
    }
}

impl<F, C, T, D: CircuitRef, W> ResponseFuture<F, C, T, D, W> {
    /// Polls a future that waits, if it does, until it has made its call.
    #[cold]
    #[inline(never)]
    fn poll_wait<E>(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), E>>
    where
        W: Wait<F, C, T, D, E>,
    {
        let mut state = self.project().state;
        let StateProj::Waiting { wait } = state.as_mut().project() else {
            return Poll::Ready(Ok(()));
        };
        let (next, result) = match ready!(wait.poll(cx)) {
            Ok(next) => (next, Ok(())),
            Err(error) => (State::Done, Err(error)),
        };
        state.set(next);
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
    W: Wait<F, C, T, D, E>,
{
    type Output = Result<T::Response, E>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if W::WAITS && matches!(self.state, State::Waiting { .. }) {
            ready!(self.as_mut().poll_wait(cx))?;
        }
        let mut state = self.project().state;
        let result = match state.as_mut().project() {
            StateProj::Calling {
                inner,
                permit,
                classifier,
                completion,
            } => {
                // A classifier that panics leaves the permit here, to be abandoned.
                match ready!(on_unwind(|| inner.poll(cx), || permit.panicked())) {
                    Ok(response) => {
                        let outcome = classifier.classify(Ok(&response));
                        if may_ask(&outcome)
                            && let Some(wait) = classifier.retry_after(Ok(&response))
                        {
                            permit.delay_probe(wait);
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
            StateProj::Rejected { rejection } => Err(E::from(*rejection)),
            StateProj::Waiting { .. } | StateProj::Done => panic!("polled after it has completed"),
        };
        state.set(State::Done);
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
        let state = match &self.state {
            State::Calling { .. } => "calling",
            State::Rejected { .. } => "rejected",
            State::Waiting { .. } => "waiting",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish()
    }
}

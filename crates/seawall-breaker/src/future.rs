//! The response futures of the breakers.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{Classify, Complete, Rejectable, Rejection, TrackCompletion, judge};

use crate::access::{CircuitRef, Single};
use crate::permit::Permit;

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

/// What waits for a probe slot, and then makes the call.
pub(crate) trait Wait<F, C, T, D: CircuitRef, E>: Sized {
    /// The state after the wait, or the error of the inner service.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next<F, C, T, D>, E>>;
}

/// What a wait ends with.
pub(crate) enum Next<F, C, T, D: CircuitRef> {
    /// The call was made.
    Calling {
        /// The future of the inner service.
        inner: F,
        /// Its permit.
        permit: Permit<D>,
        /// Finds the outcome.
        classifier: C,
        /// Finds when the call is over.
        completion: T,
    },
    /// The circuit has rejected.
    Rejected(Rejection),
}

/// Of futures that never wait: a single breaker waits in `poll_ready`.
#[derive(Clone, Copy, Debug)]
pub struct NoWait(Infallible);

impl<F, C, T, D: CircuitRef, E> Wait<F, C, T, D, E> for NoWait {
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<Result<Next<F, C, T, D>, E>> {
        match self.0 {}
    }
}

impl<F, C, T, D: CircuitRef, W> ResponseFuture<F, C, T, D, W> {
    #[inline]
    pub(crate) fn calling(
        call: impl FnOnce() -> F,
        permit: impl FnOnce() -> Permit<D>,
        classifier: C,
        completion: T,
    ) -> Self {
        Self {
            state: State::Calling {
                inner: call(),
                permit: permit(),
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
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let result = match state.as_mut().project() {
                StateProj::Calling {
                    inner,
                    permit,
                    classifier,
                    completion,
                } => {
                    let result = ready!(inner.poll(cx));
                    // A classifier that panics leaves the permit here, to be abandoned.
                    let outcome = judge(classifier, &result);
                    let permit = permit.take();
                    match result {
                        Ok(response) => Ok(completion.track_completion(permit, outcome, response)),
                        Err(error) => {
                            permit.complete(outcome);
                            Err(error)
                        }
                    }
                }
                StateProj::Rejected { rejection } => Err(E::from(*rejection)),
                StateProj::Waiting { wait } => match ready!(wait.poll(cx)) {
                    Ok(Next::Calling {
                        inner,
                        permit,
                        classifier,
                        completion,
                    }) => {
                        state.set(State::Calling {
                            inner,
                            permit,
                            classifier,
                            completion,
                        });
                        continue;
                    }
                    Ok(Next::Rejected(rejection)) => Err(E::from(rejection)),
                    Err(error) => Err(error),
                },
                StateProj::Done => panic!("polled after it has completed"),
            };
            state.set(State::Done);
            return Poll::Ready(result);
        }
    }
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

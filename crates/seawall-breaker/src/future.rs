//! The answers of the breaker and of the gate.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{Classify, Rejectable, Rejection, TrackCompletion, judge};

use crate::ticket::{Admitted, Pass, Permit};

pin_project! {
    /// The answer of a [`Breaker`](crate::Breaker).
    ///
    /// Dropped before it has answered, it counts as abandoned. Once it has answered it holds
    /// nothing.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered, as futures may.
    pub struct ResponseFuture<F, C, H, T = Permit> {
        #[pin]
        state: State<F, C, H, T>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, C, H, T> {
        Calling {
            #[pin]
            inner: F,
            ticket: T,
            classify: C,
            hold: H,
        },
        Rejected { rejection: Rejection },
        Done,
    }
}

impl<F, C, H, T> ResponseFuture<F, C, H, T> {
    #[inline]
    pub(crate) fn calling(
        call: impl FnOnce() -> F,
        ticket: impl FnOnce() -> T,
        classify: C,
        hold: H,
    ) -> Self {
        Self {
            state: State::Calling {
                inner: call(),
                ticket: ticket(),
                classify,
                hold,
            },
        }
    }

    pub(crate) fn rejected(rejection: Rejection) -> Self {
        Self {
            state: State::Rejected { rejection },
        }
    }
}

#[allow(private_bounds, reason = "sealed: only this crate makes tickets")]
impl<F, C, H, T, R, E> Future for ResponseFuture<F, C, H, T>
where
    F: Future<Output = Result<R, E>>,
    E: Rejectable,
    C: Classify<R, E>,
    H: TrackCompletion<T, R>,
    T: Admitted,
{
    type Output = Result<H::Response, E>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let answer = match state.as_mut().project() {
            StateProj::Calling {
                inner,
                ticket,
                classify,
                hold,
            } => {
                let answer = ready!(inner.poll(cx));
                // A classifier that panics leaves the ticket here, to be abandoned.
                let outcome = judge(classify, &answer);
                let ticket = ticket.take();
                match answer {
                    Ok(response) => Ok(hold.track_completion(ticket, outcome, response)),
                    Err(error) => {
                        ticket.complete(outcome);
                        Err(error)
                    }
                }
            }
            StateProj::Rejected { rejection } => Err(E::from(*rejection)),
            StateProj::Done => panic!("polled after it has answered"),
        };
        state.set(State::Done);
        Poll::Ready(answer)
    }
}

impl<F, C, H, T> fmt::Debug for ResponseFuture<F, C, H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Calling { .. } => "calling",
            State::Rejected { .. } => "rejected",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish()
    }
}

pin_project! {
    /// The answer of a [`Gate`](crate::Gate).
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered, as futures may.
    pub struct GateFuture<F> {
        #[pin]
        state: GateState<F>,
    }
}

pin_project! {
    #[project = GateProj]
    enum GateState<F> {
        Calling {
            #[pin]
            inner: F,
            // Held, never read.
            pass: Option<Pass>,
        },
        Rejected { rejection: Rejection },
        Done,
    }
}

impl<F> GateFuture<F> {
    /// A call through a closed circuit.
    #[inline]
    pub(crate) fn passing(inner: impl FnOnce() -> F) -> Self {
        Self {
            state: GateState::Calling {
                inner: inner(),
                pass: None,
            },
        }
    }

    /// A call of the herd, whose place was taken before it.
    pub(crate) fn of_herd(pass: Option<Pass>, inner: impl FnOnce() -> F) -> Self {
        Self {
            state: GateState::Calling {
                inner: inner(),
                pass,
            },
        }
    }

    pub(crate) fn rejected(rejection: Rejection) -> Self {
        Self {
            state: GateState::Rejected { rejection },
        }
    }
}

impl<F, T, E> Future for GateFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
{
    type Output = Result<T, E>;

    // Always: a future that holds others is polled through all of them at every call, and each
    // call that is not inlined costs more than most layers do.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let answer = match state.as_mut().project() {
            GateProj::Calling { inner, .. } => ready!(inner.poll(cx)),
            GateProj::Rejected { rejection } => Err(E::from(*rejection)),
            GateProj::Done => panic!("polled after it has answered"),
        };
        state.set(GateState::Done);
        Poll::Ready(answer)
    }
}

impl<F> fmt::Debug for GateFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            GateState::Calling { pass: Some(_), .. } => "calling, of the herd",
            GateState::Calling { .. } => "calling",
            GateState::Rejected { .. } => "rejected",
            GateState::Done => "done",
        };
        f.debug_struct("GateFuture").field("state", &state).finish()
    }
}

//! The answer of an observed call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::{Classify, Complete, Rejectable, TrackCompletion, judge};

use crate::ticket::Observation;

pin_project! {
    /// The answer of a [`Health`](crate::Health) service.
    ///
    /// The call's time starts when the inner future is pending for the first time: one that
    /// answers at once is not slow, and costs no second look at the clock.
    ///
    /// Once it has answered it holds nothing, even if it is kept.
    ///
    /// # Panics
    ///
    /// When it is polled again after it has answered.
    pub struct ResponseFuture<F, C, H> {
        #[pin]
        state: State<F, C, H>,
    }
}

pin_project! {
    #[project = StateProj]
    #[project_replace = StateDone]
    enum State<F, C, H> {
        Called { #[pin] inner: F, ticket: Observation, classify: C, hold: H },
        Done,
    }
}

impl<F, C, H> ResponseFuture<F, C, H> {
    pub(crate) const fn new(inner: F, ticket: Observation, classify: C, hold: H) -> Self {
        Self {
            state: State::Called {
                inner,
                ticket,
                classify,
                hold,
            },
        }
    }
}

impl<F, T, E, C, H> Future for ResponseFuture<F, C, H>
where
    F: Future<Output = Result<T, E>>,
    E: Rejectable,
    C: Classify<T, E>,
    H: TrackCompletion<Observation, T>,
{
    type Output = Result<H::Response, E>;

    // Always: a future that holds others is polled through all of them at every call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let result = match state.as_mut().project() {
            StateProj::Called { inner, ticket, .. } => match inner.poll(cx) {
                Poll::Ready(result) => result,
                Poll::Pending => {
                    ticket.start();
                    return Poll::Pending;
                }
            },
            StateProj::Done => panic!("polled after it has answered"),
        };
        // The inner future goes first; if the classifier panics, the ticket is dropped with it.
        let StateDone::Called {
            ticket,
            classify,
            hold,
            ..
        } = state.project_replace(State::Done)
        else {
            unreachable!("it was called")
        };
        let outcome = judge(&classify, &result);
        Poll::Ready(match result {
            Ok(response) => Ok(hold.track_completion(ticket, outcome, response)),
            Err(error) => {
                ticket.complete(outcome);
                Err(error)
            }
        })
    }
}

impl<F, C, H> fmt::Debug for ResponseFuture<F, C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = matches!(self.state, State::Done);
        f.debug_struct("ResponseFuture")
            .field("done", &done)
            .finish_non_exhaustive()
    }
}

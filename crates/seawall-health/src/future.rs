//! The answer of an observed call.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::{Classify, Hold, Refusable, Settle, judge};

use crate::ticket::Ticket;

pin_project! {
    /// The answer of a [`Health`](crate::Health) service.
    ///
    /// The call's time starts when the inner future is pending for the first time: one that
    /// answers at once is not slow, and costs no second look at the clock.
    ///
    /// # Panics
    ///
    /// When it is polled again after it has answered.
    pub struct ResponseFuture<F, C, H> {
        #[pin]
        state: State<F>,
        ticket: Option<Ticket>,
        classify: C,
        hold: H,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Called { #[pin] inner: F },
        Done,
    }
}

impl<F, C, H> ResponseFuture<F, C, H> {
    pub(crate) const fn new(inner: F, ticket: Ticket, classify: C, hold: H) -> Self {
        Self {
            state: State::Called { inner },
            ticket: Some(ticket),
            classify,
            hold,
        }
    }
}

impl<F, T, E, C, H> Future for ResponseFuture<F, C, H>
where
    F: Future<Output = Result<T, E>>,
    E: Refusable,
    C: Classify<T, E>,
    H: Hold<Ticket, T>,
{
    type Output = Result<H::Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = match this.state.as_mut().project() {
            StateProj::Called { inner } => match inner.poll(cx) {
                Poll::Ready(result) => result,
                Poll::Pending => {
                    if let Some(ticket) = this.ticket {
                        ticket.start();
                    }
                    return Poll::Pending;
                }
            },
            StateProj::Done => panic!("polled after it has answered"),
        };
        this.state.set(State::Done);
        // If the classifier panics, the ticket is still here and dropped with this future.
        let outcome = judge(this.classify, &result);
        let Some(ticket) = this.ticket.take() else {
            panic!("polled after it has answered");
        };
        Poll::Ready(match result {
            Ok(response) => Ok(this.hold.hold(ticket, outcome, response)),
            Err(error) => {
                ticket.settle(outcome);
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

//! The future: waits for its turn if it must, runs, gives the place back.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{FailureKind, Hold, Outcome, Refusable, Rejection, Settle, deadline};
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use crate::Permit;
use crate::observe::{State, refuse_full, refuse_timeout};
use crate::permit::Waiting;
use crate::places::Turn;

pin_project! {
    /// The answer of a [`Bulkhead`](crate::Bulkhead).
    ///
    /// Dropped at any point, it gives back what it holds. Once it has answered it holds nothing,
    /// even if it is kept.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered; and, if it has to wait, outside of a Tokio
    /// runtime with time enabled.
    pub struct ResponseFuture<S, Req, H>
    where
        S: Service<Req>,
    {
        #[pin]
        step: Step<S, Req, H, S::Future>,
    }
}

pin_project! {
    #[project = StepProj]
    #[project_replace = StepDone]
    enum Step<S, Req, H, F> {
        Running { #[pin] inner: F, permit: Permit, hold: H },
        // Boxed, so that the futures of those who need not wait stay small.
        Waiting { line: Pin<Box<Line<S, Req>>>, hold: Option<H> },
        Refused { rejection: Rejection },
        Done,
    }
}

pin_project! {
    struct Line<S, Req> {
        // First, so that it leaves the line before the service and the request are dropped.
        waiting: Waiting,
        service: S,
        req: Option<Req>,
        #[pin]
        timeout: Option<Sleep>,
    }
}

impl<S: Service<Req>, Req, H> ResponseFuture<S, Req, H> {
    #[inline]
    pub(crate) const fn running(inner: S::Future, permit: Permit, hold: H) -> Self {
        Self {
            step: Step::Running {
                inner,
                permit,
                hold,
            },
        }
    }

    #[cold]
    pub(crate) fn waiting(service: S, req: Req, state: State, hold: H) -> Self {
        let line = Box::pin(Line {
            waiting: Waiting::new(state),
            service,
            req: Some(req),
            timeout: None,
        });
        let hold = Some(hold);
        Self {
            step: Step::Waiting { line, hold },
        }
    }

    #[cold]
    pub(crate) const fn refused(rejection: Rejection) -> Self {
        Self {
            step: Step::Refused { rejection },
        }
    }
}

/// The call that was made with a place, or why there was none.
type Departure<S, Req> = Result<(<S as Service<Req>>::Future, Permit), <S as Service<Req>>::Error>;

impl<S, Req> Line<S, Req>
where
    S: Service<Req> + Clone,
    S::Error: Refusable,
{
    /// Waits for the turn, then makes the call: readiness first, the place last, and the call in
    /// the same poll, so that no place is held by a call that cannot go.
    // Never inlined: only calls that wait come here, and the others should not carry it.
    #[inline(never)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Departure<S, Req>> {
        let mut this = self.project();
        let mut late = false;
        loop {
            let Some(turn) = this.waiting.turn(late, cx.waker()) else {
                return Poll::Ready(Err(this.waiting.refuse(refuse_full).into()));
            };
            let mut stuck = false;
            if turn == Turn::Go {
                match this.service.poll_ready(cx) {
                    Poll::Pending => {
                        this.waiting.stand_aside();
                        stuck = true;
                    }
                    Poll::Ready(Err(error)) => {
                        this.waiting
                            .refuse(|_, stripe| stripe.settled(&meaning(&error)));
                        return Poll::Ready(Err(error));
                    }
                    Poll::Ready(Ok(())) => {
                        if let Some(permit) = this.waiting.take(late, cx.waker()) {
                            let req = this.req.take().expect("a request departs once");
                            return Poll::Ready(Ok((this.service.call(req), permit)));
                        }
                        // It had stood aside, or somebody of a higher rank came back and took
                        // it. It waits for a place without what it has reserved below.
                        let fresh = this.service.clone();
                        *this.service = fresh;
                    }
                }
            }
            if this.timeout.is_none() {
                let wait = this.waiting.patience();
                this.timeout
                    .set(Some(sleep_until(deadline(Instant::now(), wait))));
            }
            if let Some(timeout) = this.timeout.as_mut().as_pin_mut()
                && !late
            {
                ready!(timeout.poll(cx));
            }
            if late || stuck {
                return Poll::Ready(Err(this.waiting.refuse(refuse_timeout).into()));
            }
            // The last chance: it takes a place that is free, ahead of those who were called for
            // it and are not polled.
            late = true;
        }
    }
}

/// What an error of the inner service means to the one who counts.
fn meaning(error: &impl Refusable) -> Outcome {
    error
        .rejection()
        .map_or(Outcome::Failure(FailureKind::Other), Rejection::outcome)
}

impl<S, Req, H> Future for ResponseFuture<S, Req, H>
where
    S: Service<Req> + Clone,
    S::Error: Refusable,
    H: Hold<Permit, S::Response>,
{
    type Output = Result<H::Response, S::Error>;

    // Always: a future that holds others is polled through all of them at every call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        loop {
            match step.as_mut().project() {
                StepProj::Running { inner, .. } => {
                    let answer = ready!(inner.poll(cx));
                    // The inner future goes first, the place after it, the answer last.
                    let StepDone::Running { permit, hold, .. } =
                        step.as_mut().project_replace(Step::Done)
                    else {
                        unreachable!("it was running")
                    };
                    return Poll::Ready(match answer {
                        Ok(response) => Ok(hold.hold(permit, Outcome::Success, response)),
                        Err(error) => {
                            permit.settle(meaning(&error));
                            Err(error)
                        }
                    });
                }
                StepProj::Waiting { line, hold } => match ready!(line.as_mut().poll(cx)) {
                    Ok((inner, permit)) => {
                        let hold = hold.take().expect("a call departs once");
                        step.set(Step::Running {
                            inner,
                            permit,
                            hold,
                        });
                    }
                    Err(error) => {
                        step.set(Step::Done);
                        return Poll::Ready(Err(error));
                    }
                },
                StepProj::Refused { rejection } => {
                    let error = S::Error::from(*rejection);
                    step.set(Step::Done);
                    return Poll::Ready(Err(error));
                }
                StepProj::Done => panic!("`ResponseFuture` polled after it has answered"),
            }
        }
    }
}

impl<S: Service<Req>, Req, H> fmt::Debug for ResponseFuture<S, Req, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match &self.step {
            Step::Running { .. } => "running",
            Step::Waiting { .. } => "waiting",
            Step::Refused { .. } => "refused",
            Step::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("step", &step)
            .finish()
    }
}

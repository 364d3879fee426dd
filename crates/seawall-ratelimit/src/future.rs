//! The future: the inner one, after its turn in line if it needs one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{Refusable, Rejection};
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;

use crate::line::Turn;
use crate::wait::Waiting;

pin_project! {
    /// The answer of a [`RateLimit`](crate::RateLimit).
    ///
    /// Dropped while it waits, it leaves the line and has cost nothing. Once it has answered it
    /// holds nothing, even if it is kept.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered; and, if it has to wait, outside of a Tokio
    /// runtime with time enabled.
    pub struct ResponseFuture<S, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        step: Step<S, Req, S::Future>,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<S, Req, F> {
        Running { #[pin] inner: F },
        // Boxed, so that the futures of those who need not wait stay small.
        Waiting { line: Pin<Box<Line<S, Req>>> },
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
        timer: Option<Sleep>,
    }
}

impl<S: Service<Req>, Req> ResponseFuture<S, Req> {
    #[inline]
    pub(crate) const fn running(inner: S::Future) -> Self {
        Self {
            step: Step::Running { inner },
        }
    }

    #[cold]
    pub(crate) fn waiting(waiting: Waiting, service: S, req: Req) -> Self {
        let line = Box::pin(Line {
            waiting,
            service,
            req: Some(req),
            timer: None,
        });
        Self {
            step: Step::Waiting { line },
        }
    }

    #[cold]
    pub(crate) const fn refused(rejection: Rejection) -> Self {
        Self {
            step: Step::Refused { rejection },
        }
    }
}

impl<S, Req> Line<S, Req>
where
    S: Service<Req> + Clone,
    S::Error: Refusable,
{
    /// Waits for the turn, then makes the call: readiness first, the tokens last, and the call in
    /// the same poll, so that what departs is what was granted.
    // Never inlined: only calls that wait come here, and the others should not carry it.
    #[inline(never)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Future, S::Error>> {
        let mut this = self.project();
        loop {
            let now = this.waiting.now();
            let deadline = this.waiting.deadline_ns();
            // The last chance: it takes what is there, ahead of those who were called and are
            // not polled.
            let late = now >= deadline;
            let mut turn = this.waiting.turn::<S::Error>(now, late, cx.waker())?;
            if turn == Turn::Go {
                match this.service.poll_ready(cx) {
                    Poll::Pending => this.waiting.stand_aside(),
                    Poll::Ready(Err(error)) => {
                        this.waiting.end(|_, stripe| stripe.inner_failed());
                        return Poll::Ready(Err(error));
                    }
                    // The clock is read again: what departs now is granted now.
                    Poll::Ready(Ok(())) => match this.waiting.take(late, cx.waker()) {
                        Ok(()) => {
                            let req = this.req.take().expect("a request departs once");
                            return Poll::Ready(Ok(this.service.call(req)));
                        }
                        // It had stood aside, or somebody of a higher rank came back.
                        Err(later) => {
                            turn = later;
                            // It waits for tokens without what it has reserved below.
                            let fresh = this.service.clone();
                            *this.service = fresh;
                        }
                    },
                }
            }
            if late {
                return Poll::Ready(Err(this.waiting.refuse(now).into()));
            }
            // The first in line has a timer for its tokens. All others have one for their patience:
            // one who stands aside may never be woken by its service, and one farther back never
            // be called by those before it, which may not be polled any more.
            let deadline = this.waiting.deadline_ns();
            let at = match turn {
                Turn::In(wait) => deadline.min(now.saturating_add(wait)),
                Turn::Go | Turn::Wait => deadline,
            };
            let at = this.waiting.instant(at);
            match this.timer.as_mut().as_pin_mut() {
                Some(timer) if timer.deadline() == at => {}
                Some(timer) => timer.reset(at),
                None => this.timer.set(Some(sleep_until(at))),
            }
            if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                ready!(timer.poll(cx));
            }
        }
    }
}

impl<S, Req> Future for ResponseFuture<S, Req>
where
    S: Service<Req> + Clone,
    S::Error: Refusable,
{
    type Output = Result<S::Response, S::Error>;

    // Always: a future that holds others is polled through all of them at every call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        loop {
            match step.as_mut().project() {
                StepProj::Running { inner } => {
                    let answer = inner.poll(cx);
                    if answer.is_ready() {
                        step.set(Step::Done);
                    }
                    return answer;
                }
                StepProj::Waiting { line } => match ready!(line.as_mut().poll(cx)) {
                    Ok(inner) => step.set(Step::Running { inner }),
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

impl<S: Service<Req>, Req> fmt::Debug for ResponseFuture<S, Req> {
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

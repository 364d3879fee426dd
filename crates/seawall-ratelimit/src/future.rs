//! The future: the inner one, after its turn in line if it needs one.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{Rejectable, Rejection};
use tower_service::Service;

use crate::seat::{Below, Seat};
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
        Rejected { rejection: Rejection },
        Done,
    }
}

pin_project! {
    struct Line<S, Req> {
        // First, so that it leaves the line before the service and the request are dropped.
        #[pin]
        seat: Seat,
        service: S,
        req: Option<Req>,
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
            seat: Seat::new(waiting),
            service,
            req: Some(req),
        });
        Self {
            step: Step::Waiting { line },
        }
    }

    #[cold]
    pub(crate) const fn rejected(rejection: Rejection) -> Self {
        Self {
            step: Step::Rejected { rejection },
        }
    }
}

impl<S, Req> Line<S, Req>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
{
    /// Waits for the turn, then makes the call, in the same poll in which the tokens are taken, so
    /// that what departs is what was granted.
    // Never inlined: only calls that wait come here, and the others should not carry it.
    #[inline(never)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Future, S::Error>> {
        let this = self.project();
        let mut service = Waiter::<S, Req> {
            service: this.service,
            of: PhantomData,
        };
        ready!(this.seat.poll(cx, &mut service))?;
        let req = this.req.take().expect("a request departs once");
        Poll::Ready(Ok(this.service.call(req)))
    }
}

/// The clone of the inner service that a waiter will call.
struct Waiter<'a, S, Req> {
    service: &'a mut S,
    of: PhantomData<fn(Req)>,
}

impl<S, Req> Below for Waiter<'_, S, Req>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
{
    type Error = S::Error;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn give_up_reservation(&mut self) {
        let fresh = self.service.clone();
        *self.service = fresh;
    }
}

impl<S, Req> Future for ResponseFuture<S, Req>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
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
                StepProj::Rejected { rejection } => {
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
            Step::Rejected { .. } => "rejected",
            Step::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("step", &step)
            .finish()
    }
}

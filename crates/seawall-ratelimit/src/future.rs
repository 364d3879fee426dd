//! The future: the inner one, after waiting for tokens if there are none.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::queue::{InnerService, Stopped, Waiter};
use seawall_core::{Rejectable, Rejection};
use tower_service::Service;

use crate::queued::Queued;

pin_project! {
    /// The future of a [`RateLimit`](crate::RateLimit).
    ///
    /// Dropped while it waits, it leaves the queue and has taken no token. Once it has completed it
    /// holds nothing, even if it is kept.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed; and, if it has to wait, outside of a Tokio runtime
    /// with time enabled.
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
        // Boxed, so that the futures of calls that do not wait stay small.
        Waiting { call: Pin<Box<WaitingCall<S, Req>>> },
        Rejected { rejection: Rejection },
        Done,
    }
}

pin_project! {
    struct WaitingCall<S, Req> {
        // First, so that it leaves the queue before the service and the request are dropped.
        #[pin]
        waiter: Waiter<Queued>,
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
    pub(crate) fn waiting(queued: Queued, service: S, req: Req) -> Self {
        let call = Box::pin(WaitingCall {
            waiter: Waiter::new(queued),
            service,
            req: Some(req),
        });
        Self {
            step: Step::Waiting { call },
        }
    }

    #[cold]
    pub(crate) const fn rejected(rejection: Rejection) -> Self {
        Self {
            step: Step::Rejected { rejection },
        }
    }
}

impl<S, Req> WaitingCall<S, Req>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
{
    /// Waits, then makes the call in the same poll in which the tokens are taken, so that what
    /// departs is what was granted.
    // Never inlined: only calls that wait need it, and the others should not carry it.
    #[inline(never)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<S::Future, S::Error>> {
        let mut this = self.project();
        let mut target = InnerService::<S, Req>::new(this.service);
        match ready!(this.waiter.as_mut().poll(cx, &mut target)) {
            Ok(()) => {}
            Err(Stopped::Rejected(rejection)) => return Poll::Ready(Err(rejection.into())),
            Err(Stopped::Failed(error)) => {
                this.waiter.call_mut().inner_failed();
                return Poll::Ready(Err(error));
            }
        }
        let req = this.req.take().expect("a request departs once");
        Poll::Ready(Ok(this.service.call(req)))
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
                    let result = inner.poll(cx);
                    if result.is_ready() {
                        step.set(Step::Done);
                    }
                    return result;
                }
                StepProj::Waiting { call } => match ready!(call.as_mut().poll(cx)) {
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
                StepProj::Done => panic!("`ResponseFuture` polled after it has completed"),
            }
        }
    }
}

seawall_core::impl_debug!(ResponseFuture<S, Req> where [S: Service<Req>]: |this|
    waiting = matches!(this.step, Step::Waiting { .. }),
    done = matches!(this.step, Step::Done),
);

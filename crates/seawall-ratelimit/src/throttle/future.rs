//! The future: the inner one, whose answer is counted.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{Classify, Rejectable, Rejection};

use super::formula::Verdict;
use super::ticket::Ticket;

pin_project! {
    /// The answer of a [`AdaptiveThrottle`](crate::AdaptiveThrottle).
    ///
    /// Dropped before it has answered, it counts as abandoned. Once it has answered it holds
    /// nothing, even if it is kept.
    ///
    /// # Panics
    ///
    /// When it is polled after it has answered.
    pub struct AdaptiveThrottleFuture<F, C> {
        #[pin]
        step: Step<F, C>,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<F, C> {
        Calling {
            #[pin]
            inner: F,
            ticket: Ticket,
            classify: C,
        },
        Rejected { rejection: Rejection },
        Done,
    }
}

impl<F, C> AdaptiveThrottleFuture<F, C> {
    #[inline]
    pub(crate) const fn calling(inner: F, ticket: Ticket, classify: C) -> Self {
        Self {
            step: Step::Calling {
                inner,
                ticket,
                classify,
            },
        }
    }

    pub(crate) const fn rejected(rejection: Rejection) -> Self {
        Self {
            step: Step::Rejected { rejection },
        }
    }
}

impl<F, C, Res, E> Future for AdaptiveThrottleFuture<F, C>
where
    F: Future<Output = Result<Res, E>>,
    E: Rejectable,
    C: Classify<Res, E>,
{
    type Output = Result<Res, E>;

    // Always: a future that holds others is polled through all of them at every call.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut step = self.project().step;
        let answer = match step.as_mut().project() {
            StepProj::Calling {
                inner,
                ticket,
                classify,
            } => {
                let answer = ready!(inner.poll(cx));
                ticket.settle(|failures| Verdict::judge(classify, &answer, failures));
                answer
            }
            StepProj::Rejected { rejection } => Err(E::from(*rejection)),
            StepProj::Done => panic!("`ThrottleFuture` polled after it has answered"),
        };
        step.set(Step::Done);
        Poll::Ready(answer)
    }
}

impl<F, C> fmt::Debug for AdaptiveThrottleFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match &self.step {
            Step::Calling { .. } => "calling",
            Step::Rejected { .. } => "rejected",
            Step::Done => "done",
        };
        f.debug_struct("ThrottleFuture")
            .field("step", &step)
            .finish()
    }
}

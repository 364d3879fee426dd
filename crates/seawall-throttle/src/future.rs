//! The future: the inner one, whose result is counted.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use seawall_core::{Classify, Rejectable, Rejection};

use crate::acceptance::Acceptance;
use crate::in_flight::InFlight;

pin_project! {
    /// The future of an [`AdaptiveThrottle`](crate::AdaptiveThrottle).
    ///
    /// Dropped before it has completed, it counts as abandoned. Once it has completed it holds
    /// nothing, even if it is kept.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed.
    pub struct ResponseFuture<F, C> {
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
            in_flight: InFlight,
            classifier: C,
        },
        Rejected { rejection: Rejection },
        Done,
    }
}

impl<F, C> ResponseFuture<F, C> {
    #[inline]
    pub(crate) const fn calling(inner: F, in_flight: InFlight, classifier: C) -> Self {
        Self {
            step: Step::Calling {
                inner,
                in_flight,
                classifier,
            },
        }
    }

    pub(crate) const fn rejected(rejection: Rejection) -> Self {
        Self {
            step: Step::Rejected { rejection },
        }
    }
}

impl<F, C, Res, E> Future for ResponseFuture<F, C>
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
        let result = match step.as_mut().project() {
            StepProj::Calling {
                inner,
                in_flight,
                classifier,
            } => {
                let result = ready!(inner.poll(cx));
                in_flight.complete(|failures| Acceptance::of_result(classifier, &result, failures));
                result
            }
            StepProj::Rejected { rejection } => Err(E::from(*rejection)),
            StepProj::Done => panic!("`ResponseFuture` polled after it has completed"),
        };
        step.set(Step::Done);
        Poll::Ready(result)
    }
}

seawall_core::impl_debug!(ResponseFuture<F, C>: |this| done = matches!(this.step, Step::Done));

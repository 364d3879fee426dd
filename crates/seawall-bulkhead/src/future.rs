//! The future of a call: its [steps](crate::wait) with a place of the bulkhead.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::{Classify, Rejectable, Rejection, TrackCompletion};
use tower_service::Service;

use crate::Permit;
use crate::permit::Waiting;
use crate::wait::Step;

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
    pub struct ResponseFuture<S, Req, H, C = seawall_core::ErrorIsFailure>
    where
        S: Service<Req>,
    {
        #[pin]
        step: Step<S, Req, H, C, S::Future, Waiting>,
    }
}

impl<S: Service<Req>, Req, H, C> ResponseFuture<S, Req, H, C> {
    #[inline]
    pub(crate) const fn running(inner: S::Future, permit: Permit, hold: H, classify: C) -> Self {
        Self {
            step: Step::Running {
                inner,
                permit,
                hold,
                classify,
            },
        }
    }

    #[cold]
    pub(crate) fn waiting(service: S, req: Req, waiting: Waiting, hold: H, classify: C) -> Self {
        Self {
            step: Step::waiting(service, req, waiting, hold, classify),
        }
    }

    #[cold]
    pub(crate) const fn rejected(rejection: Rejection) -> Self {
        Self {
            step: Step::Rejected { rejection },
        }
    }
}

impl<S, Req, H, C> Future for ResponseFuture<S, Req, H, C>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    H: TrackCompletion<Permit, S::Response>,
    C: Classify<S::Response, S::Error>,
{
    type Output = Result<H::Response, S::Error>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().step.poll(cx)
    }
}

impl<S: Service<Req>, Req, H, C> fmt::Debug for ResponseFuture<S, Req, H, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("step", &self.step.name())
            .finish()
    }
}

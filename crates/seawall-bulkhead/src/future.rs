//! The future of a call: its [steps](crate::call) with a permit of the bulkhead.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::{Classify, Policies, Policy, Rejectable, Rejection, TrackCompletion};
use tower_service::Service;

use crate::call::{CallStep, Ending};
use crate::permit::Permit;
use crate::waiter::PermitWaiter;

pin_project! {
    /// The response of a [`Bulkhead`](crate::Bulkhead) or a
    /// [`ReservingBulkhead`](crate::ReservingBulkhead).
    ///
    /// Dropped at any point, it releases what it holds. Once it has completed it holds nothing,
    /// even if it is kept.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed; and, if it has to wait, outside of a Tokio
    /// runtime with time enabled.
    pub struct ResponseFuture<S, Req, X = Policy>
    where
        S: Service<Req>,
        X: Policies,
    {
        #[pin]
        step: CallStep<S, Req, X, S::Future, PermitWaiter>,
    }
}

impl<S: Service<Req>, Req, X: Policies> ResponseFuture<S, Req, X> {
    #[inline]
    pub(crate) const fn running(inner: S::Future, permit: Permit, ending: Ending<X>) -> Self {
        Self {
            step: CallStep::Running {
                inner,
                permit,
                ending,
            },
        }
    }

    #[cold]
    pub(crate) fn waiting(service: S, req: Req, waiter: PermitWaiter, ending: Ending<X>) -> Self {
        Self {
            step: CallStep::waiting(service, req, waiter, ending),
        }
    }

    #[cold]
    pub(crate) const fn rejected(rejection: Rejection) -> Self {
        Self {
            step: CallStep::Rejected { rejection },
        }
    }
}

impl<S, Req, X> Future for ResponseFuture<S, Req, X>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Completion: TrackCompletion<Permit, S::Response>,
    X::Classifier: Classify<S::Response, S::Error>,
{
    type Output =
        Result<<X::Completion as TrackCompletion<Permit, S::Response>>::Response, S::Error>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().step.poll(cx)
    }
}

seawall_core::impl_debug!(ResponseFuture<S, Req, X> where [S: Service<Req>, X: Policies]:
    |this| step = this.step.name());

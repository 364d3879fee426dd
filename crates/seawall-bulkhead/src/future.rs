//! The future of a call: its [steps](crate::call) with a permit of the bulkhead.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::{Classify, Policies, Policy, Rejectable, TrackCompletion, is_large};
use tower_service::Service;

use crate::call::{BoundedCall, Ending};
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
        call: BoundedCall<S, Req, X, S::Future, PermitWaiter>,
    }
}

impl<S: Service<Req>, Req, X: Policies> ResponseFuture<S, Req, X> {
    /// Makes a call, and takes its permit when it is made.
    #[inline(always)]
    pub(crate) fn running(
        call: impl FnOnce() -> S::Future,
        permit: &mut Permit,
        ending: Ending<X>,
    ) -> Self {
        if is_large::<S::Future>() {
            return Self::running_in_place(call, permit, ending);
        }
        Self::new(BoundedCall::running(call, permit, ending))
    }

    /// The same with a large inner future, which is built where it stays.
    // In here nothing is to be dropped should the call panic: else the inner future would be put
    // somewhere first, and copied from there.
    #[inline(never)]
    fn running_in_place(
        call: impl FnOnce() -> S::Future,
        permit: &mut Permit,
        ending: Ending<X>,
    ) -> Self {
        Self::new(BoundedCall::running(call, permit, ending))
    }

    pub(crate) const fn new(call: BoundedCall<S, Req, X, S::Future, PermitWaiter>) -> Self {
        Self { call }
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
        self.project().call.poll(cx)
    }
}

seawall_core::impl_debug!(ResponseFuture<S, Req, X> where [S: Service<Req>, X: Policies]:
    |this| step = this.call.name());

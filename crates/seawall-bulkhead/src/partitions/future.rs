//! The future of a call: its [steps](crate::call) with a permit of its key.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use seawall_core::{Classify, Policies, Policy, Rejectable, TrackCompletion};
use tower_service::Service;

use super::permit::PartitionPermit;
use super::queued::PartitionCall;
use crate::call::BoundedCall;

pin_project! {
    /// The response of a [`PartitionedBulkhead`](super::PartitionedBulkhead).
    ///
    /// Dropped at any point, it releases what it holds. Once it has completed it holds nothing,
    /// even if it is kept.
    ///
    /// # Panics
    ///
    /// When it is polled after it has completed; and, if it has to wait, outside of a Tokio
    /// runtime with time enabled.
    pub struct PartitionedFuture<S, Req, X = Policy>
    where
        S: Service<Req>,
        X: Policies,
    {
        #[pin]
        call: BoundedCall<S, Req, X, S::Future, PartitionCall>,
    }
}

impl<S: Service<Req>, Req, X: Policies> PartitionedFuture<S, Req, X> {
    pub(crate) const fn new(call: BoundedCall<S, Req, X, S::Future, PartitionCall>) -> Self {
        Self { call }
    }
}

impl<S, Req, X> Future for PartitionedFuture<S, Req, X>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Completion: TrackCompletion<PartitionPermit, S::Response>,
    X::Classifier: Classify<S::Response, S::Error>,
{
    type Output = Result<
        <X::Completion as TrackCompletion<PartitionPermit, S::Response>>::Response,
        S::Error,
    >;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().call.poll(cx)
    }
}

seawall_core::impl_debug!(PartitionedFuture<S, Req, X> where [S: Service<Req>, X: Policies]:
    |this| step = this.call.name());

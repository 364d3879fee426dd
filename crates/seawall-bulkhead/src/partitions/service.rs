//! The service: a permit of the key's share at `call`, or a wait in the key's queue.

use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{
    Classify, Describe, Policies, Policy, ReadFor, Reason, Rejectable, TrackCompletion,
};
use tower_service::Service;

use super::future::PartitionedFuture;
use super::permit::PartitionPermit;
use super::queued::PartitionCall;
use super::state::PartitionState;
use crate::call::{BoundedCall, Ending};
use crate::counts::BulkheadStripe;
use crate::semaphore::Admission;

/// A service whose calls share permits fairly by key; made by
/// [`PartitionedBulkheadLayer`](super::PartitionedBulkheadLayer).
///
/// An instance holds no permit, ready or not; a clone costs one reference count.
#[derive(Clone)]
pub struct PartitionedBulkhead<S, X = Policy> {
    inner: S,
    state: Anchor<PartitionState, BulkheadStripe>,
    policy: X,
}

seawall_core::inner_accessors!(PartitionedBulkhead<S, X>);

impl<S, X> PartitionedBulkhead<S, X> {
    pub(crate) const fn new(
        inner: S,
        state: Anchor<PartitionState, BulkheadStripe>,
        policy: X,
    ) -> Self {
        Self {
            inner,
            state,
            policy,
        }
    }
}

impl<S, X, Req> Service<Req> for PartitionedBulkhead<S, X>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Completion: TrackCompletion<PartitionPermit, S::Response> + Clone,
    X::Describer: Describe<Req>,
    X::Classifier: Classify<S::Response, S::Error> + Clone,
{
    type Response = <X::Completion as TrackCompletion<PartitionPermit, S::Response>>::Response;
    type Error = S::Error;
    type Future = PartitionedFuture<S, Req, X>;

    // The inner service alone: a permit that was acquired here could be held forever by an
    // instance that is never called.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        let meta = self.policy.describer().describe(&req);
        let state = self.state.common();
        let clock = state.permits.clock();
        let has_passed = |at| clock.shared_has_passed(at, ReadFor::Arrival);
        let expired = meta.deadline.is_some_and(has_passed);
        let admission = if expired {
            Admission::Rejected(Reason::DeadlineExceeded)
        } else {
            state.permits.try_acquire(meta.key)
        };
        if let Admission::Shadowed(reason) = admission {
            self.state.here().shadow(&state.source, reason);
        }
        PartitionedFuture::new(match admission {
            Admission::Admitted | Admission::Shadowed(_) => {
                // Before the inner call: if that panics, the permit is released.
                let mut permit = PartitionPermit::new(self.state.local(), meta.key);
                let ending = Ending::of(&self.policy);
                BoundedCall::running(|| self.inner.call(req), &mut permit, ending)
            }
            // A reservation below would be kept from others by an instance that may never call
            // again.
            Admission::Rejected(reason) => {
                let rejection = self.state.here().reject(&state.source, reason);
                self.inner = self.inner.clone(); // clone: gives the reservation up
                BoundedCall::rejected(rejection)
            }
            Admission::Wait => {
                let queued = PartitionCall::new(self.state.local(), meta.key, meta.deadline);
                let service = self.inner.clone(); // clone: waits, polled ready later
                self.inner = service.clone();
                BoundedCall::waiting(service, req, queued, Ending::of(&self.policy))
            }
        })
    }
}

seawall_core::impl_debug!(PartitionedBulkhead<S, X> where [S: std::fmt::Debug]:
    |this| inner = this.inner, name = this.state.common().source.name());

//! The service: a permit at `call`, or a wait in the queue.

use std::task::{Context, Poll};

use seawall_core::striped::Anchor;
use seawall_core::{
    Classify, Describe, Policies, Policy, ReadFor, Reason, Rejectable, TrackCompletion,
};
use tower_service::Service;

use crate::call::{BoundedCall, Ending};
use crate::counts::BulkheadStripe;
use crate::future::ResponseFuture;
use crate::permit::Permit;
use crate::semaphore::Admission;
use crate::semaphore::packed::{BYPASS, SHADOW};
use crate::state::State;
use crate::waiter::PermitWaiter;

/// A service that runs a bounded number of calls at once; made by
/// [`BulkheadLayer`](crate::BulkheadLayer).
///
/// An instance holds no permit, ready or not; a clone costs one reference count.
#[derive(Clone)]
pub struct Bulkhead<S, X = Policy> {
    inner: S,
    state: Anchor<State, BulkheadStripe>,
    policy: X,
    /// Whether an algorithm measures how long permits are held.
    measured: bool,
}

seawall_core::inner_accessors!(Bulkhead<S, X>);

impl<S, X> Bulkhead<S, X> {
    pub(crate) const fn new(
        inner: S,
        state: Anchor<State, BulkheadStripe>,
        policy: X,
        measured: bool,
    ) -> Self {
        Self {
            inner,
            state,
            policy,
            measured,
        }
    }

    // A reservation of the ready instance is given up wherever the call that it was for goes
    // another way: callers whose idle instances keep the last reservations would otherwise wait for
    // each other, and a rejected one may never call again.
    #[cold]
    fn reject<Req>(&mut self, reason: Reason) -> ResponseFuture<S, Req, X>
    where
        S: Service<Req> + Clone,
        X: Policies,
    {
        let source = &self.state.common().source;
        let rejection = self.state.here().reject(source, reason);
        self.inner = self.inner.clone();
        ResponseFuture::new(BoundedCall::rejected(rejection))
    }

    #[cold]
    fn shadow(&self, reason: Option<Reason>) {
        let source = &self.state.common().source;
        self.state.here().shadow(source, reason);
    }
}

impl<S, X, Req> Service<Req> for Bulkhead<S, X>
where
    S: Service<Req> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Completion: TrackCompletion<Permit, S::Response> + Clone,
    X::Describer: Describe<Req>,
    X::Classifier: Classify<S::Response, S::Error> + Clone,
{
    type Response = <X::Completion as TrackCompletion<Permit, S::Response>>::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, X>;

    // The inner service alone: a permit that was acquired here could be held forever by an
    // instance that is never called.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, req: Req) -> Self::Future {
        let meta = self.policy.describer().describe(&req);
        let common = self.state.common();
        let mut counted = false;
        if let Some(deadline) = meta.deadline
            && common.clock.shared_has_passed(deadline, ReadFor::Arrival)
        {
            let expired = Reason::DeadlineExceeded;
            if !common.semaphore.has(SHADOW | BYPASS) {
                return self.reject(expired);
            }
            self.shadow(Some(expired));
            counted = true;
        }
        match common.semaphore.try_acquire(|| common.clock.now()) {
            Admission::Admitted => {}
            // An expired call would not have come so far.
            Admission::Shadowed(_) if counted => {}
            Admission::Shadowed(reason) => self.shadow(reason),
            Admission::Rejected(reason) => return self.reject(reason),
            Admission::Wait => {
                let state = self.state.follow().again();
                let waiter = PermitWaiter::new(state, &meta, self.measured);
                let service = self.inner.clone(); // clone: waits, polled ready later
                self.inner = service.clone();
                return ResponseFuture::new(BoundedCall::waiting(
                    service,
                    req,
                    waiter,
                    Ending::of(&self.policy),
                ));
            }
        }
        // Before the inner call: if that panics, the permit is released.
        let start_ns = common.start_ns(self.measured);
        let mut permit = Permit::new(self.state.follow().again(), start_ns);
        let ending = Ending::of(&self.policy);
        let call = || self.inner.call(req);
        ResponseFuture::running(call, &mut permit, ending)
    }
}

seawall_core::impl_debug!(Bulkhead<S, X> where [S: std::fmt::Debug]:
    |this| inner = this.inner, name = this.state.common().source.name());

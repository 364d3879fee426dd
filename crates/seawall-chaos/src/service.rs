//! The service: one load while no fault is on.

use std::sync::Arc;
use std::task::{Context, Poll};

use seawall_core::{CopyRequest, Describe, Policies, Policy};
use tower_service::Service;

use crate::call::{FaultedCall, Plan};
use crate::state::State;
use crate::store::Store;
use crate::{ChaosFuture, ErrorFaults, FaultHooks, MakeFault};

/// A service that fails on purpose; made by [`ChaosLayer`](crate::ChaosLayer).
///
/// An instance holds nothing, ready or not; a clone costs two reference counts.
pub struct Chaos<S, X = Policy, H: FaultHooks = ErrorFaults> {
    inner: S,
    state: Arc<State>,
    policy: X,
    hooks: H,
    store: Arc<Store<H::Kept>>,
}

// A derived one would ask `Clone` of what is kept.
impl<S: Clone, X: Clone, H: FaultHooks + Clone> Clone for Chaos<S, X, H> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            state: Arc::clone(&self.state),
            policy: self.policy.clone(),
            hooks: self.hooks.clone(),
            store: Arc::clone(&self.store),
        }
    }
}

impl<S, X, H: FaultHooks> Chaos<S, X, H> {
    pub(crate) const fn new(
        inner: S,
        state: Arc<State>,
        policy: X,
        hooks: H,
        store: Arc<Store<H::Kept>>,
    ) -> Self {
        Self {
            inner,
            state,
            policy,
            hooks,
            store,
        }
    }

    // Out of line, so that the way of a call without faults stays short.
    #[cold]
    #[inline(never)]
    fn call_with_faults<Req>(&mut self, request: Req) -> ChaosFuture<S, Req, H>
    where
        S: Service<Req> + Clone,
        X: Policies<Describer: Describe<Req>, Copier: CopyRequest<Req>>,
        H: MakeFault<Req, S::Response, S::Error> + Clone,
    {
        let meta = self.policy.describer().describe(&request);
        let drawn = self.state.draw(&meta, !X::Describer::IS_DEFAULT);
        if drawn.is_empty() {
            return ChaosFuture::passing(self.inner.call(request), self.hooks.clone());
        }
        let name = self.state.source.name();
        let plan = Plan::new(drawn, &request, &self.hooks, &self.store, name);
        if plan.replaces_call() {
            // Callers whose idle instances keep the last reservations below would wait for each
            // other, and one whose call was replaced may never call again.
            self.inner = self.inner.clone(); // clone: gives the reservation up
            return ChaosFuture::faulted(FaultedCall::replaced(plan, self.hooks.clone()));
        }
        // A clone: it is polled ready before it is called.
        let second = (plan.duplicates())
            .then(|| self.policy.copier().copy(&request))
            .flatten()
            .map(|copy| (self.inner.clone(), copy));
        let first = self.inner.call(request);
        ChaosFuture::faulted(FaultedCall::sent(plan, first, second, self.hooks.clone()))
    }
}

impl<S, X, H, Req> Service<Req> for Chaos<S, X, H>
where
    S: Service<Req> + Clone,
    X: Policies<Describer: Describe<Req>, Copier: CopyRequest<Req>>,
    H: MakeFault<Req, S::Response, S::Error> + Clone,
{
    type Response = H::Response;
    type Error = S::Error;
    type Future = ChaosFuture<S, Req, H>;

    // The inner service alone: faults belong to calls.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        if self.state.is_on() {
            return self.call_with_faults(request);
        }
        ChaosFuture::passing(self.inner.call(request), self.hooks.clone())
    }
}

impl<S, X, H: FaultHooks> Chaos<S, X, H> {
    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutably.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, by value.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

seawall_core::impl_debug!(Chaos<S, X, H> where [S: std::fmt::Debug, H: FaultHooks]: |this|
    inner = this.inner,
    name = this.state.source.name(),
);

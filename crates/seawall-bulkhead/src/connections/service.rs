//! The connector: a permit at `call`, or a wait in the queue.

use std::sync::Arc;
use std::task::{Context, Poll};

use seawall_core::{Describe, Policies, Policy, Rejectable};
use tower_service::Service;

use super::future::ConnectFuture;
use super::limited::Limited;
use crate::pool::{PoolPermit, PoolState};
use crate::semaphore::Admission;

/// A connector that has a bounded number of connections open; made by
/// [`ConnectionLimitLayer`](super::ConnectionLimitLayer).
///
/// An instance holds no permit, ready or not.
#[derive(Clone)]
pub struct ConnectionLimit<S, X = Policy> {
    inner: S,
    state: Arc<PoolState>,
    policy: X,
}

seawall_core::inner_accessors!(ConnectionLimit<S, X>);

impl<S, X> ConnectionLimit<S, X> {
    pub(crate) const fn new(inner: S, state: Arc<PoolState>, policy: X) -> Self {
        Self {
            inner,
            state,
            policy,
        }
    }
}

impl<S, X, Target> Service<Target> for ConnectionLimit<S, X>
where
    S: Service<Target> + Clone,
    S::Error: Rejectable,
    X: Policies,
    X::Describer: Describe<Target>,
{
    type Response = Limited<S::Response>;
    type Error = S::Error;
    type Future = ConnectFuture<S, Target>;

    // The connector alone: a permit that was acquired here could be held forever by an instance
    // that is never called.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let key = self.policy.describer().describe(&target).key;
        let state = Arc::clone(&self.state);
        let admission = state.permits.try_acquire(key);
        if let Admission::Shadowed(reason) = admission {
            state.counters.shadow(&state.source, reason);
        }
        match admission {
            Admission::Admitted | Admission::Shadowed(_) => {
                // Before the inner call: if that panics, the permit is released.
                let permit = PoolPermit::new(Arc::clone(&state), key);
                ConnectFuture::connecting(self.inner.call(target), permit, state)
            }
            // A reservation of the ready instance is given up, or callers whose idle instances
            // keep the last reservations would wait for each other.
            Admission::Rejected(reason) => {
                self.inner = self.inner.clone(); // clone: gives the reservation up
                ConnectFuture::rejected(state.reject(reason))
            }
            Admission::Wait => {
                let waiting = self.inner.clone(); // clone: waits, polled ready later
                self.inner = waiting.clone();
                ConnectFuture::waiting(waiting, target, state, key)
            }
        }
    }
}

seawall_core::impl_debug!(ConnectionLimit<S, X> where [S: std::fmt::Debug]:
    |this| inner = this.inner, name = this.state.source.name());

//! What a call has of a pool: its permit, and a guard that counts it once.

use std::sync::Arc;

use seawall_core::PartitionKey;

use super::state::PoolState;

/// A permit that was acquired; released when it is dropped.
#[derive(Debug)]
pub(crate) struct PoolPermit {
    state: Arc<PoolState>,
    key: PartitionKey,
}

impl PoolPermit {
    /// The permit that was acquired just now.
    pub(crate) const fn new(state: Arc<PoolState>, key: PartitionKey) -> Self {
        Self { state, key }
    }

    pub(crate) fn state(&self) -> &PoolState {
        &self.state
    }
}

impl Drop for PoolPermit {
    fn drop(&mut self) {
        self.state.permits.release(self.key);
    }
}

/// One call, which is counted once; dropped before it has ended, it counts as abandoned.
#[derive(Debug)]
pub(crate) struct CallGuard {
    state: Option<Arc<PoolState>>,
}

impl CallGuard {
    pub(crate) const fn new(state: Arc<PoolState>) -> Self {
        Self { state: Some(state) }
    }

    /// A call that was counted already.
    pub(crate) const fn counted() -> Self {
        Self { state: None }
    }

    /// Counts the end of the call, and lets go of the state.
    pub(crate) fn end<T>(&mut self, count: impl FnOnce(&PoolState) -> T) -> Option<T> {
        self.state.take().map(|state| count(&state))
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.end(|state| state.counters.abandon(&state.source));
    }
}

//! What a running call of a key holds.

use std::mem::ManuallyDrop;

use seawall_core::{Complete, EventKind, Outcome, PartitionKey};

use super::state::PartitionCallState;
use crate::call::HeldPermit;

/// The right of a key to make one call, released when the call is complete or dropped; see
/// [`Permit`](crate::Permit).
pub struct PartitionPermit {
    /// `None` once released. Dropped by hand, as that of [`Permit`](crate::Permit).
    state: ManuallyDrop<Option<PartitionCallState>>,
    key: PartitionKey,
}

impl PartitionPermit {
    /// The permit that was acquired just now.
    pub(crate) const fn new(state: PartitionCallState, key: PartitionKey) -> Self {
        Self {
            state: ManuallyDrop::new(Some(state)),
            key,
        }
    }

    /// The key whose share it is of.
    pub const fn key(&self) -> PartitionKey {
        self.key
    }

    fn release(&self, state: &PartitionCallState) {
        state.common().permits.release(self.key);
    }

    #[cold]
    fn abandon(&mut self) {
        if let Some(state) = self.state.take() {
            state.stripe().abandoned.add();
            self.release(&state);
            state.common().source.emit_call(|| EventKind::Abandoned);
        }
    }
}

impl HeldPermit for PartitionPermit {
    const NONE: Self = Self {
        state: ManuallyDrop::new(None),
        key: PartitionKey(0),
    };

    #[inline(always)]
    fn take(&mut self) -> Self {
        Self {
            state: ManuallyDrop::new(self.state.take()),
            key: self.key,
        }
    }
}

impl Complete for PartitionPermit {
    fn complete(mut self, outcome: Outcome) {
        if let Some(state) = self.state.take() {
            // Counted first: what releasing wakes may panic.
            state.stripe().completed(&outcome);
            self.release(&state);
        }
    }
}

impl Drop for PartitionPermit {
    #[inline(always)]
    fn drop(&mut self) {
        if self.state.is_some() {
            self.abandon();
        }
    }
}

seawall_core::impl_debug!(PartitionPermit:
    |this| bulkhead = this.state.as_ref().map(|state| state.common().source.name()), key = this.key);

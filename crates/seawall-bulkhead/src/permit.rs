//! What a running call holds.

use std::mem::ManuallyDrop;

use seawall_core::{Complete, EventKind, Outcome};

use crate::call::HeldPermit;
use crate::state::CallState;

/// The right to make one call, released when the call is complete or dropped.
///
/// It is handed to the layer's [`TrackCompletion`](seawall_core::TrackCompletion) with the
/// response, so that it can live on in the body of the response. Dropped before that, the call
/// counts as abandoned.
pub struct Permit {
    /// `None` once released. Dropped by hand: what the compiler adds to `drop` would be a function
    /// call per response.
    state: ManuallyDrop<Option<CallState>>,
    /// When the permit was acquired, if an algorithm measures it; 0 otherwise.
    start_ns: u64,
}

impl Permit {
    /// A permit that was acquired at this time, or at 0 if no algorithm measures it.
    #[inline]
    pub(crate) const fn new(state: CallState, start_ns: u64) -> Self {
        Self {
            state: ManuallyDrop::new(Some(state)),
            start_ns,
        }
    }

    pub(crate) fn start_measuring(&mut self) {
        if let Some(state) = &*self.state {
            self.start_ns = state.common().start_ns(true);
        }
    }

    /// Releases the permit as if it had not been acquired.
    pub(crate) fn cancel(mut self) {
        if let Some(state) = self.state.take() {
            release(&state);
        }
    }
}

#[inline]
fn release(state: &CallState) -> u32 {
    let common = state.common();
    common.semaphore.release(|| common.clock.now())
}

impl HeldPermit for Permit {
    const NONE: Self = Self {
        state: ManuallyDrop::new(None),
        start_ns: 0,
    };

    #[inline(always)]
    fn take(&mut self) -> Self {
        Self {
            state: ManuallyDrop::new(self.state.take()),
            start_ns: self.start_ns,
        }
    }
}

impl Complete for Permit {
    #[inline]
    fn complete(mut self, outcome: Outcome) {
        if let Some(state) = self.state.take() {
            // Counted first: what releasing wakes may panic.
            let alone = state.is_here_alone();
            state.stripe().completed_here(&outcome, alone);
            let in_flight = release(&state);
            if self.start_ns != 0 {
                state.common().measured(self.start_ns, in_flight, &outcome);
            }
        }
    }
}

impl Permit {
    #[cold]
    fn abandon(&mut self) {
        if let Some(state) = self.state.take() {
            state.stripe().abandoned.add();
            release(&state);
            state.common().source.emit_call(|| EventKind::Abandoned);
        }
    }
}

impl Drop for Permit {
    #[inline(always)]
    fn drop(&mut self) {
        if self.state.is_some() {
            self.abandon();
        }
    }
}

seawall_core::impl_debug!(Permit:
    |this| bulkhead = this.state.as_ref().map(|state| state.common().source.name()));

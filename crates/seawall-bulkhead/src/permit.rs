//! What a running call holds.

use seawall_core::{Complete, Outcome};

use crate::state::CallState;

/// The right to make one call, released when the call is complete or dropped.
///
/// It is handed to the layer's [`TrackCompletion`](seawall_core::TrackCompletion) with the
/// response, so that it can live on in the body of the response. Dropped before that, the call
/// counts as abandoned.
pub struct Permit {
    /// `None` once released.
    state: Option<CallState>,
    /// When the permit was acquired, if an algorithm measures it; 0 otherwise.
    start_ns: u64,
}

impl Permit {
    /// A permit that was acquired just now.
    #[inline]
    pub(crate) fn new(state: CallState, measured: bool) -> Self {
        let mut permit = Self {
            state: Some(state),
            start_ns: 0,
        };
        if measured {
            permit.start_measuring();
        }
        permit
    }

    pub(crate) fn start_measuring(&mut self) {
        if let Some(state) = &self.state {
            self.start_ns = state.common().clock.now().max(1);
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

impl Complete for Permit {
    #[inline]
    fn complete(mut self, outcome: Outcome) {
        if let Some(state) = self.state.take() {
            let in_flight = release(&state);
            state.stripe().completed(&outcome);
            if self.start_ns != 0 {
                state.common().measured(self.start_ns, in_flight, &outcome);
            }
        }
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            release(&state);
            state.stripe().abandon(&state.common().source);
        }
    }
}

seawall_core::impl_debug!(Permit:
    |this| bulkhead = this.state.as_ref().map(|state| state.common().source.name()));

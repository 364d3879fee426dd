//! One admission by the circuit of a key, one outcome.

use std::fmt;

use seawall_core::{Complete, Outcome};

use super::single::Held;
use crate::circuits::Stub;
use crate::ticket::{Admission, Admitted};

/// The admission of one call by the circuit of its key, settled exactly once; see
/// [`Permit`](crate::Permit).
///
/// While it lives, its circuit is not evicted.
#[must_use = "a dropped ticket counts as abandoned"]
pub struct CircuitPermit<K: ToOwned + ?Sized>(Admission<Held<K>>);

impl<K: ToOwned + ?Sized> CircuitPermit<K> {
    #[inline]
    pub(crate) fn new(held: Held<K>, stub: Stub) -> Self {
        Self(Admission::new(held, stub))
    }

    /// Whether the call decides about a half-open circuit: as a probe, or as one of its ramp.
    pub const fn is_probe(&self) -> bool {
        self.0.is_probe()
    }
}

impl<K: ToOwned + ?Sized> Admitted for CircuitPermit<K> {
    #[inline(always)]
    fn take(&mut self) -> Self {
        Self(self.0.take())
    }
}

impl<K: ToOwned + ?Sized> Complete for CircuitPermit<K> {
    #[inline(always)]
    fn complete(self, outcome: Outcome) {
        self.0.complete(&outcome);
    }
}

impl<K: ToOwned + ?Sized> fmt::Debug for CircuitPermit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyTicket")
            .field("is_probe", &self.is_probe())
            .finish_non_exhaustive()
    }
}

//! Where a call comes to its circuit.

/// The layer in which a call comes to its circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryPoint {
    /// The gate: takes a slot in the queue for the probes of a half-open circuit.
    Gate,
    /// The breaker: takes a probe slot.
    Breaker,
}

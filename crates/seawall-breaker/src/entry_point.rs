//! Where a call asks its circuit for admission.

/// The layer in which a call asks for admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryPoint {
    /// The gate: takes a slot in the queue for the probes of a half-open circuit.
    Gate,
    /// The breaker: takes a probe slot.
    Breaker,
}

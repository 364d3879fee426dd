//! What a circuit shows of itself.

use std::time::Duration;

use crate::cause::Transition;
use crate::rule::WindowStats;
use crate::word::State;

/// Counters of a circuit since it was made.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that succeeded.
    pub successes: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls that said nothing about the upstream: throttled, bad request, local rejection.
    pub abstained: u64,
    /// Calls that took longer than the slow threshold, whatever they came to; they are counted by
    /// their outcome too.
    pub slow: u64,
    /// Calls that were dropped before they were answered.
    pub abandoned: u64,
    /// Results that came in a later period than they were admitted in, and did not vote.
    pub late: u64,
    /// Calls that a shadow let pass though the circuit was open; their results did not vote.
    pub unjudged: u64,
    /// Calls that would have been rejected, had the circuit not been a shadow.
    pub would_reject: u64,
    /// Calls that the breaker rejected since the circuit was open.
    pub rejected: u64,
    /// Calls that the breaker rejected since it was open when readiness was asked.
    pub not_ready: u64,
    /// Calls that the gate rejected since the circuit was open.
    pub gate_rejected: u64,
    /// Calls that the gate rejected since it was open when readiness was asked.
    pub gate_not_ready: u64,
    /// Transitions into the open state, by rules and by force.
    pub opened: u64,
    /// Transitions into the half-open state.
    pub half_opened: u64,
    /// Transitions into the closed state, and into that of a disabled circuit.
    pub closed: u64,
}

/// What a circuit is doing and why.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitSnapshot {
    /// The state.
    pub state: State,
    /// Whether rejections are only counted and told.
    pub shadow: bool,
    /// When an open circuit will probe, from now; `None` in the other states, and where it never
    /// will by itself.
    pub probes_in: Option<Duration>,
    /// The share of the calls that pass, from 0 to 1, while the circuit ramps up.
    pub ramp_share: Option<f64>,
    /// The window of the failure rate over the last calls.
    pub calls: Option<WindowStats>,
    /// The window of the slow-call rate over the last calls.
    pub slow_calls: Option<WindowStats>,
    /// The time window.
    pub time: Option<WindowStats>,
    /// Failures in a row.
    pub failures_in_a_row: u32,
    /// Calls that are still under way and slow already.
    pub overdue: u64,
    /// Openings that followed each other, which the open time grows with.
    pub openings_in_a_row: u32,
    /// The last transitions, up to eight, oldest first.
    pub transitions: Vec<Transition>,
    /// Counters.
    pub counts: Counts,
}

impl CircuitSnapshot {
    /// The last transition, if there was one.
    pub fn last(&self) -> Option<&Transition> {
        self.transitions.last()
    }
}

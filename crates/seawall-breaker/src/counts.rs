//! What a circuit counts, and what its handle shows of it.

use std::time::Duration;

use seawall_core::{InstanceName, Samples};

use crate::rule::WindowStats;
use crate::state_word::CircuitState;
use crate::transition::{Change, Transition, TransitionCounts};

seawall_core::counters! {
    /// Counters since a circuit was made, or of all circuits of a registry.
    pub struct CircuitCounts;

    /// The counters of one stripe.
    #[derive(Debug, Default)]
    pub(crate) struct Counters {
        /// Calls that succeeded.
        success => "seawall_calls_total" [layer = "breaker", outcome = "success"],
        /// Calls that failed.
        failure => "seawall_calls_total" [layer = "breaker", outcome = "failure"],
        /// Calls that do not vote: throttled, bad request, local rejection.
        abstained => "seawall_calls_total" [layer = "breaker", outcome = "abstained"],
        /// Calls that were dropped before they responded.
        abandoned => "seawall_calls_total" [layer = "breaker", outcome = "abandoned"],
        /// Results that came in a later period than the one of their admission, and did not vote.
        late => "seawall_calls_total" [layer = "breaker", outcome = "late"],
        /// Calls that passed in shadow mode though the circuit was open; they did not vote.
        unjudged => "seawall_calls_total" [layer = "breaker", outcome = "unjudged"],
        /// Calls that took longer than the slow threshold, whatever their outcome, by which they
        /// are counted too.
        slow => "seawall_breaker_slow_calls_total",
        /// Calls that passed by shadow mode alone: without it they would have been rejected.
        shadowed => "seawall_breaker_shadowed_total",
        /// Calls that the breaker rejected because the circuit was open.
        rejected => "seawall_rejections_total" [layer = "breaker", reason = "circuit_open"],
        /// Calls that the breaker rejected because the circuit was open at the time of
        /// `poll_ready`.
        not_ready => "seawall_rejections_total" [layer = "breaker", reason = "not_ready"],
        /// Calls that the gate rejected because the circuit was open.
        gate_rejected => "seawall_rejections_total" [layer = "gate", reason = "circuit_open"],
        /// Calls that the gate rejected because the circuit was open at the time of `poll_ready`.
        gate_not_ready => "seawall_rejections_total" [layer = "gate", reason = "not_ready"],
        /// Calls that panicked; those that count as a failure are among the failures, too.
        panicked => "seawall_breaker_panics_total",
        /// Open times that were made longer by a `Retry-After` of a failure.
        delayed => "seawall_breaker_delayed_probes_total",
        /// Waits named by a `Retry-After` of a failure that were cut to the longest that is accepted.
        retry_after_capped => "seawall_breaker_retry_after_capped_total",
        /// Transitions into the open and the forced-open state.
        opened => (),
        /// Transitions into the half-open state.
        half_opened => (),
        /// Transitions into the closed and the forced-closed state.
        closed => (),
    }
}

impl Counters {
    /// Counts a transition.
    pub(crate) fn count_change(&self, change: &Change) {
        if change.by_retry_after {
            self.delayed.add();
        }
        match change.to {
            CircuitState::Open | CircuitState::ForcedOpen => &self.opened,
            CircuitState::HalfOpen => &self.half_opened,
            CircuitState::Closed | CircuitState::ForcedClosed => &self.closed,
        }
        .add();
    }
}

/// Everything that the handle of a circuit knows at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CircuitSnapshot {
    /// The name of the layer instance.
    pub name: InstanceName,
    /// The state.
    pub state: CircuitState,
    /// How long it has been in this state. Serialized in seconds.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::seconds")
    )]
    pub in_state: Duration,
    /// Whether the circuit is in shadow mode: rejections are only counted and reported.
    pub shadow: bool,
    /// When an open circuit will probe, from now; `None` in the other states, and where it never
    /// will by itself. Serialized in seconds.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
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
    /// Calls that are still in flight and slow already.
    pub overdue: u64,
    /// Openings that followed each other, which the open time grows with.
    pub openings_in_a_row: u32,
    /// The last transitions, up to eight, oldest first.
    pub transitions: Vec<Transition>,
    /// Counters.
    pub counts: CircuitCounts,
}

impl CircuitSnapshot {
    /// The last transition, if there was one.
    pub fn last(&self) -> Option<&Transition> {
        self.transitions.last()
    }

    /// Hands the gauges and counters to `sink`.
    pub(crate) fn samples(&self, transitions: &TransitionCounts, sink: &mut Samples<'_>) {
        for (metric, value) in [
            ("seawall_breaker_state", f64::from(self.state.gauge())),
            ("seawall_breaker_shadow", f64::from(u8::from(self.shadow))),
            ("seawall_breaker_state_seconds", self.in_state.as_secs_f64()),
            (
                "seawall_breaker_next_probe_seconds",
                self.probes_in.unwrap_or_default().as_secs_f64(),
            ),
            ("seawall_breaker_overdue_calls", self.overdue as f64),
            (
                "seawall_breaker_openings_in_a_row",
                f64::from(self.openings_in_a_row),
            ),
            (
                "seawall_breaker_failures_in_a_row",
                f64::from(self.failures_in_a_row),
            ),
        ] {
            sink.gauge(metric, &[], value);
        }
        totals(&self.counts, transitions, sink);
        for (window, stats) in [
            ("calls", self.calls),
            ("slow_calls", self.slow_calls),
            ("time", self.time),
        ] {
            let Some(stats) = stats else { continue };
            for (metric, value) in [
                ("seawall_breaker_window_calls", stats.calls),
                ("seawall_breaker_window_failures", stats.failures),
                ("seawall_breaker_window_slow", stats.slow),
                ("seawall_breaker_window_min_calls", stats.min_calls.into()),
            ] {
                sink.gauge(metric, &[("window", window)], value as f64);
            }
        }
    }
}

/// Hands what only grows, of one circuit or of many, to `sink`.
pub(crate) fn totals(
    counts: &CircuitCounts,
    transitions: &TransitionCounts,
    sink: &mut Samples<'_>,
) {
    counts.samples(sink);
    for (from, to, total) in transitions.samples() {
        let labels = [("from", from.as_str()), ("to", to.as_str())];
        sink.counter("seawall_breaker_transitions_total", &labels, total);
    }
}

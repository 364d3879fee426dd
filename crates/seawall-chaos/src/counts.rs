//! What was injected, as numbers.

use seawall_core::counters::Counter;

use crate::FaultKind;

seawall_core::counters! {
    /// What was injected so far. Faults are counted when they have had an effect, and not when they
    /// were drawn; one call may have several.
    pub struct ChaosCounts;

    #[derive(Debug, Default)]
    pub(crate) struct ChaosCounters {
        /// Responses that were held back for a time.
        delay => "seawall_chaos_injected_total" [fault = "delay"],
        /// Responses that were held back until the end of the fault.
        hang => "seawall_chaos_injected_total" [fault = "hang"],
        /// Errors before a request was sent.
        error_before_sending => "seawall_chaos_injected_total" [fault = "error_before_sending"],
        /// Responses that were lost.
        lost_response => "seawall_chaos_injected_total" [fault = "lost_response"],
        /// Connections that were refused.
        refused_connection => "seawall_chaos_injected_total" [fault = "refused_connection"],
        /// Responses of a status.
        status => "seawall_chaos_injected_total" [fault = "status"],
        /// Bodies that broke off.
        truncated_body => "seawall_chaos_injected_total" [fault = "truncated_body"],
        /// Bodies with other bytes.
        corrupted_body => "seawall_chaos_injected_total" [fault = "corrupted_body"],
        /// Bodies that were held back.
        slow_body => "seawall_chaos_injected_total" [fault = "slow_body"],
        /// Earlier responses in place of a call.
        stale_response => "seawall_chaos_injected_total" [fault = "stale_response"],
        /// Requests that were sent twice.
        duplicated_request => "seawall_chaos_injected_total" [fault = "duplicated_request"],
        /// Responses whose timestamps were changed.
        clock_skew => "seawall_chaos_injected_total" [fault = "clock_skew"],
        /// Faults that were drawn and changed nothing: an empty body, nothing kept yet, a result that
        /// was an error already, a call that was dropped before.
        without_effect => "seawall_chaos_without_effect_total",
        /// Calls that passed while faults were on, since their request is no read and the upstream is not
        /// simulated.
        spared => "seawall_chaos_spared_total",
    }
}

impl ChaosCounters {
    pub(crate) const fn of(&self, kind: FaultKind) -> &Counter {
        match kind {
            FaultKind::Delay => &self.delay,
            FaultKind::Hang => &self.hang,
            FaultKind::ErrorBeforeSending => &self.error_before_sending,
            FaultKind::LostResponse => &self.lost_response,
            FaultKind::RefusedConnection => &self.refused_connection,
            FaultKind::Status => &self.status,
            FaultKind::TruncatedBody => &self.truncated_body,
            FaultKind::CorruptedBody => &self.corrupted_body,
            FaultKind::SlowBody => &self.slow_body,
            FaultKind::StaleResponse => &self.stale_response,
            FaultKind::DuplicatedRequest => &self.duplicated_request,
            FaultKind::ClockSkew => &self.clock_skew,
        }
    }
}

impl ChaosCounts {
    /// How many faults of that kind had an effect.
    pub const fn of(&self, kind: FaultKind) -> u64 {
        match kind {
            FaultKind::Delay => self.delay,
            FaultKind::Hang => self.hang,
            FaultKind::ErrorBeforeSending => self.error_before_sending,
            FaultKind::LostResponse => self.lost_response,
            FaultKind::RefusedConnection => self.refused_connection,
            FaultKind::Status => self.status,
            FaultKind::TruncatedBody => self.truncated_body,
            FaultKind::CorruptedBody => self.corrupted_body,
            FaultKind::SlowBody => self.slow_body,
            FaultKind::StaleResponse => self.stale_response,
            FaultKind::DuplicatedRequest => self.duplicated_request,
            FaultKind::ClockSkew => self.clock_skew,
        }
    }

    /// How many faults had an effect.
    pub fn injected(&self) -> u64 {
        let counts = FaultKind::ALL.map(|kind| self.of(kind));
        counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

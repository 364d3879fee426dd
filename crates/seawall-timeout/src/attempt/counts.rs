//! What an attempt timeout counts.

use seawall_core::counters::Counter;
use seawall_core::{Reason, Samples};

use crate::instance::{Pattern, TimeoutKind};

seawall_core::counters! {
    /// How many attempts timed out, by cause. Responses in time are not counted.
    pub struct AttemptTimeoutCounts;

    /// The counters of a layer.
    #[derive(Debug, Default)]
    pub(crate) struct AttemptTimeoutCounters {
        /// Attempts that took longer than the timeout.
        timed_out => "seawall_timeouts_total" [layer = "attempt_timeout", cause = "attempt"],
        /// Attempts that ended at the deadline of their request.
        deadline_exceeded => "seawall_timeouts_total" [layer = "attempt_timeout", cause = "deadline"],
        /// Attempts that were not begun, since the deadline of their request had passed.
        expired_on_arrival => "seawall_timeouts_total" [layer = "attempt_timeout", cause = "late"],
    }
}

impl Pattern for AttemptTimeoutCounters {
    const NAME: &'static str = "attempt_timeout";

    fn counter(&self, kind: TimeoutKind) -> Option<&Counter> {
        match kind {
            TimeoutKind::Attempt { .. } => Some(&self.timed_out),
            TimeoutKind::Deadline { .. } => Some(&self.deadline_exceeded),
            TimeoutKind::ExpiredOnArrival => Some(&self.expired_on_arrival),
            TimeoutKind::Readiness { .. } => None,
        }
    }
}

impl AttemptTimeoutCounts {
    /// Hands out the counters by cause, and their sums by reason, as other layers have them.
    pub(super) fn all_samples(&self, sink: &mut Samples<'_>) {
        let by_reason = [
            (Reason::AttemptTimeout, self.timed_out),
            (
                Reason::DeadlineExceeded,
                self.deadline_exceeded.wrapping_add(self.expired_on_arrival),
            ),
        ];
        for (reason, total) in by_reason {
            let labels = [
                ("layer", AttemptTimeoutCounters::NAME),
                ("reason", reason.as_str()),
            ];
            sink.counter("seawall_rejections_total", &labels, total);
        }
        self.samples(sink);
    }
}

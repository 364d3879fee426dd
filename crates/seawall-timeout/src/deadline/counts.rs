//! What a deadline counts.

use seawall_core::counters::Counter;
use seawall_core::{Reason, Samples};

use crate::instance::{Pattern, TimeoutKind};

seawall_core::counters! {
    /// How many calls missed their deadline, by cause. Responses in time are not counted.
    pub struct DeadlineCounts;

    /// The counters of a layer.
    #[derive(Debug, Default)]
    pub(crate) struct DeadlineCounters {
        /// Calls whose deadline passed while the inner service worked.
        deadline_exceeded => "seawall_timeouts_total" [layer = "deadline", cause = "deadline"],
        /// Calls whose request came with a deadline that had passed.
        expired_on_arrival => "seawall_timeouts_total" [layer = "deadline", cause = "late"],
        /// Calls whose deadline passed while the inner service was not ready.
        readiness_timeouts => "seawall_timeouts_total" [layer = "deadline", cause = "readiness"],
    }
}

impl Pattern for DeadlineCounters {
    const NAME: &'static str = "deadline";

    fn counter(&self, kind: TimeoutKind) -> Option<&Counter> {
        match kind {
            TimeoutKind::Deadline { .. } => Some(&self.deadline_exceeded),
            TimeoutKind::ExpiredOnArrival => Some(&self.expired_on_arrival),
            TimeoutKind::Readiness { .. } => Some(&self.readiness_timeouts),
            TimeoutKind::Attempt { .. } => None,
        }
    }
}

impl DeadlineCounts {
    /// Calls that missed their deadline, whatever the cause.
    pub const fn total(&self) -> u64 {
        self.deadline_exceeded
            .wrapping_add(self.expired_on_arrival)
            .wrapping_add(self.readiness_timeouts)
    }

    /// Hands out the counters by cause, and their sum by reason, as other layers have it.
    pub(super) fn all_samples(&self, sink: &mut Samples<'_>) {
        let labels = [
            ("layer", DeadlineCounters::NAME),
            ("reason", Reason::DeadlineExceeded.as_str()),
        ];
        sink.counter("seawall_rejections_total", &labels, self.total());
        self.samples(sink);
    }
}

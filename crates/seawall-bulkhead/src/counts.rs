//! What every kind of bulkhead counts.

use seawall_core::counters::OwnedCounter;
use seawall_core::{EventKind, EventSource, Outcome, Reason, Rejection, Vote};

seawall_core::counters! {
    /// What became of the calls of a bulkhead so far, of whichever kind it is. Each call that has
    /// ended is in exactly one of the fields, but for `waited`, `shadowed` and `rejected_doomed`,
    /// which count calls that are counted elsewhere, too.
    pub struct BulkheadCounts;

    /// The counters of one stripe. A call is counted once, when it ends.
    #[derive(Debug, Default)]
    pub(crate) struct BulkheadStripe {
        /// Completed as a success; for connections: made.
        success: OwnedCounter => "seawall_calls_total" [layer = "bulkhead", outcome = "success"],
        /// Completed with a failure of the inner service.
        failure => "seawall_calls_total" [layer = "bulkhead", outcome = "failure"],
        /// Completed with a result that does not count for the upstream, such as a rejection of a
        /// layer below.
        ignored => "seawall_calls_total" [layer = "bulkhead", outcome = "ignored"],
        /// Dropped by the caller before the result, while they waited or ran.
        abandoned => "seawall_calls_total" [layer = "bulkhead", outcome = "abandoned"],
        /// Rejected, since every permit was held and the queue was full.
        rejected_full => "seawall_rejections_total" [layer = "bulkhead", reason = "bulkhead_full"],
        /// Rejected, since their turn did not come in time.
        rejected_timeout => "seawall_rejections_total" [layer = "bulkhead", reason = "queue_timeout"],
        /// Rejected, since their deadline had passed, or would have passed before their turn.
        rejected_deadline => "seawall_rejections_total" [layer = "bulkhead", reason = "deadline_exceeded"],
        /// Rejected, since the layer was paused.
        rejected_paused => "seawall_rejections_total" [layer = "bulkhead", reason = "paused"],
        /// Rejected, since the layer was draining.
        rejected_draining => "seawall_rejections_total" [layer = "bulkhead", reason = "draining"],
        /// Panicked on a thread of an isolated pool.
        panicked => "seawall_rejections_total" [layer = "bulkhead", reason = "panicked"],
        /// Had to wait for a permit, whatever became of them afterwards; in shadow mode, those
        /// that would have.
        waited: OwnedCounter => "seawall_bulkhead_waited_total",
        /// Of the calls rejected by their deadline, those rejected before they waited.
        rejected_doomed => "seawall_bulkhead_shed_total",
        /// Admitted by shadow mode alone: without it they would have been rejected.
        shadowed => "seawall_bulkhead_shadowed_total",
    }
}

impl BulkheadCounts {
    /// All that were rejected, for whichever reason.
    pub const fn rejected(&self) -> u64 {
        self.rejected_full
            + self.rejected_timeout
            + self.rejected_deadline
            + self.rejected_paused
            + self.rejected_draining
    }
}

impl BulkheadStripe {
    /// Counts a call that has completed, on any thread.
    #[inline]
    pub(crate) fn completed(&self, outcome: &Outcome) {
        self.completed_here(outcome, false);
    }

    /// The same, on a thread that may have the stripe alone.
    #[inline]
    pub(crate) fn completed_here(&self, outcome: &Outcome, alone: bool) {
        match outcome.vote() {
            Vote::Success => self.success.add_here(alone),
            Vote::Failure => self.failure.add(),
            Vote::Abstain => self.ignored.add(),
        }
    }

    /// Counts and emits the rejection of a call.
    #[cold]
    pub(crate) fn reject(&self, source: &EventSource, reason: Reason) -> Rejection {
        match reason {
            Reason::QueueTimeout => &self.rejected_timeout,
            Reason::DeadlineExceeded => &self.rejected_deadline,
            Reason::Paused => &self.rejected_paused,
            Reason::Draining => &self.rejected_draining,
            _ => &self.rejected_full,
        }
        .add();
        let rejection = source.rejection(reason);
        source.emit_call(|| EventKind::Rejected(rejection));
        rejection
    }

    /// A call is admitted by shadow mode alone. Without a reason, it would have waited.
    #[cold]
    pub(crate) fn shadow(&self, source: &EventSource, reason: Option<Reason>) {
        let Some(reason) = reason else {
            return self.waited.add();
        };
        self.shadowed.add();
        source.emit_call(|| EventKind::Shadowed(source.rejection(reason)));
    }

    #[cold]
    pub(crate) fn abandon(&self, source: &EventSource) {
        self.abandoned.add();
        source.emit_call(|| EventKind::Abandoned);
    }
}

//! What became of the calls, as numbers.

use std::time::Duration;

use seawall_core::counters::OwnedCounter;
use seawall_core::{EventKind, EventSource, Reason, Rejection};

use crate::bounds::{Applied, Bounded};
use crate::denial::Denial;

seawall_core::counters! {
    /// What became of the calls of a rate limit so far. Each call is in exactly one of the fields,
    /// `waited` and `shadowed` aside; those that wait now are in none. `bounded` and `unplaced` count
    /// what the upstream has reported, `clock_jumps` and `files_not_written` what became of this machine.
    pub struct RateLimitCounts;

    /// The counters of one stripe.
    #[derive(Debug, Default)]
    pub(crate) struct Counters {
        /// Passed on to the inner service, free calls (cost 0) and reservations included.
        granted: OwnedCounter => "seawall_calls_total" [layer = "ratelimit", outcome = "granted"],
        /// Dropped by the caller while they waited.
        abandoned => "seawall_calls_total" [layer = "ratelimit", outcome = "abandoned"],
        /// Failed while they waited, since the readiness of the inner service failed.
        inner_failed => "seawall_calls_total" [layer = "ratelimit", outcome = "failure"],
        /// Rejected: the rate was used up.
        rejected: OwnedCounter => "seawall_rejections_total" [layer = "ratelimit", reason = "rate_limited"],
        /// Rejected: they cost more than a limit can grant.
        too_expensive => "seawall_rejections_total" [layer = "ratelimit", reason = "too_expensive"],
        /// Rejected: the quota of a day, or of an hour or more, was used up.
        quota_exhausted => "seawall_rejections_total" [layer = "ratelimit", reason = "quota_exhausted"],
        /// Rejected: the layer was paused, by an operator or by the upstream.
        paused => "seawall_rejections_total" [layer = "ratelimit", reason = "paused"],
        /// Rejected: the layer was draining.
        draining => "seawall_rejections_total" [layer = "ratelimit", reason = "draining"],
        /// Rejected: their deadline had passed when they came.
        deadline_exceeded => "seawall_rejections_total" [layer = "ratelimit", reason = "deadline_exceeded"],
        /// Had to wait for their tokens, whatever became of them afterwards.
        waited => "seawall_ratelimit_waited_total",
        /// Passed in shadow mode, and would have been rejected otherwise.
        shadowed => "seawall_ratelimit_shadowed_total",
        /// Values of the upstream beyond a bound of the settings, which was applied in their place.
        bounded => "seawall_ratelimit_signals_bounded_total",
        /// Reports of the upstream that no limit counts the unit of, or that say nothing about what
        /// is left.
        unplaced => "seawall_ratelimit_signals_unplaced_total",
        /// How often the clock of the machine was found to be set, where a limit counts by it.
        clock_jumps => "seawall_ratelimit_clock_jumps_total",
        /// How often a quota file could not be written.
        files_not_written => "seawall_ratelimit_files_not_written_total",
    }
}

impl Counters {
    fn reject(&self, reason: Reason) {
        match reason {
            Reason::TooExpensive => self.too_expensive.add(),
            Reason::QuotaExhausted => self.quota_exhausted.add(),
            Reason::Paused => self.paused.add(),
            Reason::Draining => self.draining.add(),
            Reason::DeadlineExceeded => self.deadline_exceeded.add(),
            _ => self.rejected.add(),
        }
    }
}

impl RateLimitCounts {
    /// Which share of all calls was rejected, from 0 to 1; 0 when there were none.
    pub fn rejection_rate(&self) -> f64 {
        let rejected = self.all_rejected();
        let all = rejected + self.granted + self.abandoned + self.inner_failed;
        if all == 0 {
            0.0
        } else {
            rejected as f64 / all as f64
        }
    }

    const fn all_rejected(&self) -> u64 {
        let by_limits = self.rejected + self.too_expensive + self.quota_exhausted;
        by_limits + self.paused + self.draining + self.deadline_exceeded
    }
}

/// Counts a call that departs at once, on the stripe of its thread.
#[inline]
pub(crate) fn count_granted((counters, alone): (&Counters, bool)) {
    counters.granted.add_here(alone);
}

/// Counts and emits a rejection.
#[cold]
pub(crate) fn reject(events: &EventSource, counters: &Counters, denial: Denial) -> Rejection {
    counters.reject(denial.reason);
    emit_rejection(events, denial)
}

/// Counts and emits the rejection of a call that finds the rate used up, as most are.
// Apart, since a denial would go through memory and be asked what it is.
#[cold]
pub(crate) fn reject_rate_limited(
    events: &EventSource,
    (counters, alone): (&Counters, bool),
    wait_ns: u64,
) -> Rejection {
    counters.rejected.add_here(alone);
    emit_rejection(events, Denial::rate_limited(wait_ns))
}

#[inline(always)]
fn emit_rejection(events: &EventSource, denial: Denial) -> Rejection {
    let rejection = rejection(events, denial);
    events.emit_call(|| EventKind::Rejected(rejection));
    rejection
}

/// Counts and emits a call that passes in shadow mode, and would be rejected otherwise.
#[cold]
pub(crate) fn shadow(events: &EventSource, counters: &Counters, denial: Denial) {
    counters.shadowed.add();
    counters.granted.add();
    events.emit_call(|| EventKind::Shadowed(rejection(events, denial)));
}

/// Emits a pause, and counts and emits what was not applied as the upstream has reported it.
pub(crate) fn applied(events: &EventSource, counters: &Counters, applied: Applied) {
    if applied.unplaced {
        counters.unplaced.add();
    }
    if applied.pause_ns > 0 {
        let wait = Duration::from_nanos(applied.pause_ns);
        events.emit_call(|| EventKind::Throttled { wait });
    }
    if let Some(Bounded {
        what,
        reported,
        applied,
    }) = applied.bounded
    {
        counters.bounded.add();
        events.emit_call(|| EventKind::Bounded {
            what,
            reported,
            applied,
        });
    }
}

#[cold]
pub(crate) fn abandon(events: &EventSource, counters: &Counters) {
    counters.abandoned.add();
    events.emit_call(|| EventKind::Abandoned);
}

fn rejection(events: &EventSource, denial: Denial) -> Rejection {
    let rejection = events.rejection(denial.reason);
    if let Some((cost, capacity)) = denial.cost {
        return rejection.with_cost(cost, capacity);
    }
    if denial.wait_ns == u64::MAX {
        return rejection;
    }
    rejection.with_retry_after(Duration::from_nanos(denial.wait_ns))
}

//! What a layer has observed, at one moment.

use seawall_core::InstanceName;

use crate::window::Sum;
use crate::{CheckResult, HealthConfig, HealthCounts, Status};

/// Everything that is known of a layer at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HealthSnapshot {
    /// The name of the layer.
    pub name: InstanceName,
    /// How healthy the service is, judged by the calls of the window.
    pub state: Status,
    /// The calls of the window.
    pub window: PassiveStats,
    /// What was counted since the layer was made.
    pub counts: HealthCounts,
}

/// The calls of a window. Rejected, throttled and ignored ones are not among them: they say
/// nothing about the upstream. Neither are those that were answered degraded, which are counted by
/// themselves.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PassiveStats {
    /// How healthy the service is, judged by these calls.
    pub status: Status,
    /// Calls that ended in the window.
    pub calls: u64,
    /// How many of them failed.
    pub failures: u64,
    /// How many of them took longer than they should.
    pub slow: u64,
    /// Calls that were answered by something else than the upstream: by a fallback, or by a stale entry of
    /// a cache. A layer that stands inside of the fallback sees what failed instead.
    pub degraded: u64,
}

impl PassiveStats {
    pub(crate) fn of(config: HealthConfig, window: Sum) -> Self {
        let mut stats = Self {
            status: Status::Unknown,
            calls: window.calls,
            failures: window.failures,
            slow: window.slow,
            degraded: window.degraded,
        };
        stats.status = if stats.calls < u64::from(config.min_calls()) {
            Status::Unknown
        } else if stats.error_rate() > config.max_error_rate().get() {
            Status::Unhealthy
        } else if stats.slow_rate() > config.max_slow_rate().get() {
            Status::Degraded
        } else {
            Status::Healthy
        };
        stats
    }

    /// The share of calls that failed, from 0 to 1; 0 without calls.
    pub fn error_rate(&self) -> f64 {
        share(self.failures, self.calls)
    }

    /// The share of calls that were slow, from 0 to 1; 0 without calls.
    pub fn slow_rate(&self) -> f64 {
        share(self.slow, self.calls)
    }

    /// The share of degraded answers among all calls of the window, degraded ones included, from 0 to 1; 0
    /// without calls.
    pub fn degraded_rate(&self) -> f64 {
        share(self.degraded, self.answered())
    }

    /// All calls of the window, degraded ones included.
    pub(crate) const fn answered(&self) -> u64 {
        self.calls.saturating_add(self.degraded)
    }

    /// The share of failed calls among all of them, degraded ones included.
    pub(crate) fn failed_of_answered(&self) -> f64 {
        share(self.failures, self.answered())
    }

    /// The result of a passive check.
    pub(crate) fn check_result(&self) -> CheckResult {
        let calls = self.calls;
        match self.status {
            Status::Healthy => CheckResult::healthy(),
            // No traffic proves nothing: an upstream that was down may be why there is none.
            Status::Unknown => {
                CheckResult::inconclusive(format!("{calls} calls are too few to judge by"))
            }
            Status::Degraded => CheckResult::degraded(format!(
                "{:.1} % of {calls} calls were slow",
                self.slow_rate() * 100.0
            )),
            Status::Unhealthy => CheckResult::failed(format!(
                "{:.1} % of {calls} calls failed",
                self.error_rate() * 100.0
            )),
        }
    }
}

fn share(part: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    // Counters are read one after the other; a call that ends in between makes no 101 %.
    (part as f64 / all as f64).min(1.0)
}

//! Reads what a layer has observed.

use std::sync::atomic::{AtomicU64, Ordering};

use seawall_core::InstanceName;
use seawall_core::striped::Shared;
use tokio::time::Instant;

use crate::ticket::{Common, Stripe};
use crate::window::Sum;
use crate::{CheckResult, HealthConfig, Status};

/// What a [`HealthLayer`](crate::HealthLayer) has observed. Clones share.
#[derive(Clone, Debug)]
pub struct HealthHandle {
    shared: Shared<Common, Stripe>,
}

/// The calls of a window. Rejected, throttled and ignored ones are not among them: they say
/// nothing about the upstream.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassiveStats {
    /// How well the service is, judged by these calls.
    pub status: Status,
    /// Calls that ended in the window.
    pub calls: u64,
    /// How many of them failed.
    pub failures: u64,
    /// How many of them took longer than they should.
    pub slow: u64,
}

impl PassiveStats {
    /// The share of calls that failed, from 0 to 1; 0 without calls.
    pub fn error_rate(&self) -> f64 {
        share(self.failures, self.calls)
    }

    /// The share of calls that were slow, from 0 to 1; 0 without calls.
    pub fn slow_rate(&self) -> f64 {
        share(self.slow, self.calls)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    // Counters are read one after the other; a call that ends in between makes no 101 %.
    (part as f64 / whole as f64).min(1.0)
}

impl HealthHandle {
    pub(crate) const fn new(shared: Shared<Common, Stripe>) -> Self {
        Self { shared }
    }

    /// The name of the layer.
    pub fn name(&self) -> InstanceName {
        self.common().observer.name()
    }

    /// The settings.
    pub fn config(&self) -> HealthConfig {
        self.common().config
    }

    /// How well the service is, judged by the calls of the window.
    pub fn status(&self) -> Status {
        self.passive_stats().status
    }

    /// The calls of the window.
    pub fn passive_stats(&self) -> PassiveStats {
        let common = self.common();
        let period = common.period(Instant::now());
        let sum = self.shared.stripes().fold(Sum::default(), |sum, stripe| {
            let more = stripe.window.sum(period);
            Sum {
                calls: sum.calls + more.calls,
                failures: sum.failures + more.failures,
                slow: sum.slow + more.slow,
            }
        });
        let mut observed = PassiveStats {
            status: Status::Unknown,
            calls: sum.calls,
            failures: sum.failures,
            slow: sum.slow,
        };
        observed.status = judge(&common.config, &observed);
        observed
    }

    /// Forgets the window; totals stay.
    pub fn reset(&self) {
        for stripe in self.shared.stripes() {
            stripe.window.clear();
        }
    }

    /// What a passive check of this layer finds.
    pub(crate) fn finding(&self) -> CheckResult {
        let seen = self.passive_stats();
        let percent = |share: f64| share * 100.0;
        let calls = seen.calls;
        match seen.status {
            Status::Healthy => CheckResult::healthy(),
            // No traffic proves nothing: an upstream that was down may be why nobody calls.
            Status::Unknown => {
                CheckResult::inconclusive(format!("{calls} calls are too few to judge by"))
            }
            Status::Degraded => CheckResult::degraded(format!(
                "{:.1} % of {calls} calls were slow",
                percent(seen.slow_rate())
            )),
            Status::Unhealthy => CheckResult::failed(format!(
                "{:.1} % of {calls} calls failed",
                percent(seen.error_rate())
            )),
        }
    }

    pub(crate) fn common(&self) -> &Common {
        self.shared.common()
    }

    pub(crate) fn total(&self, of: impl Fn(&Stripe) -> &AtomicU64) -> u64 {
        let totals = self.shared.stripes().map(|s| of(s).load(Ordering::Relaxed));
        totals.sum()
    }
}

fn judge(config: &HealthConfig, seen: &PassiveStats) -> Status {
    if seen.calls < u64::from(config.min_calls()) {
        Status::Unknown
    } else if seen.error_rate() > config.max_error_rate().get() {
        Status::Unhealthy
    } else if seen.slow_rate() > config.max_slow_rate().get() {
        Status::Degraded
    } else {
        Status::Healthy
    }
}

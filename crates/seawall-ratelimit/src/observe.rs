//! What a rate limit counts, and where.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seawall_core::striped::{Local, Shared};
use seawall_core::{Clock, EventKind, EventSource, Reason, Rejection, Samples};

use crate::limiter::{Denial, Limiter};

/// What every service of a layer shares.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) limiter: Limiter,
    pub(crate) clock: Clock,
    pub(crate) observer: EventSource,
}

pub(crate) type State = Local<Common, Stripe>;

/// The counters of one stripe.
#[derive(Debug, Default)]
pub(crate) struct Stripe {
    granted: AtomicU64,
    waited: AtomicU64,
    rejected: AtomicU64,
    too_expensive: AtomicU64,
    quota_exhausted: AtomicU64,
    paused: AtomicU64,
    draining: AtomicU64,
    shadowed: AtomicU64,
    abandoned: AtomicU64,
    inner_failed: AtomicU64,
}

impl Stripe {
    #[inline]
    pub(crate) fn granted(&self) {
        self.granted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn waits(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn inner_failed(&self) {
        self.inner_failed.fetch_add(1, Ordering::Relaxed);
    }

    fn rejected(&self, reason: Reason) {
        let counter = match reason {
            Reason::TooExpensive => &self.too_expensive,
            Reason::QuotaExhausted => &self.quota_exhausted,
            Reason::Paused => &self.paused,
            Reason::Draining => &self.draining,
            _ => &self.rejected,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn add_to(&self, counts: &mut RateLimitCounts) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        counts.granted += read(&self.granted);
        counts.waited += read(&self.waited);
        counts.rejected += read(&self.rejected);
        counts.too_expensive += read(&self.too_expensive);
        counts.quota_exhausted += read(&self.quota_exhausted);
        counts.paused += read(&self.paused);
        counts.draining += read(&self.draining);
        counts.shadowed += read(&self.shadowed);
        counts.abandoned += read(&self.abandoned);
        counts.inner_failed += read(&self.inner_failed);
    }
}

/// The sum over all stripes.
pub(crate) fn counts<C>(shared: &Shared<C, Stripe>) -> RateLimitCounts {
    let mut counts = RateLimitCounts::default();
    for stripe in shared.stripes() {
        stripe.add_to(&mut counts);
    }
    counts
}

/// The call does not depart.
#[cold]
pub(crate) fn reject(observer: &EventSource, stripe: &Stripe, denial: Denial) -> Rejection {
    stripe.rejected(denial.reason);
    let rejection = rejection(observer, denial);
    observer.emit(|| EventKind::Rejected(rejection));
    rejection
}

/// The call departs, although it would be rejected if the layer were not in shadow mode.
#[cold]
pub(crate) fn shadow(observer: &EventSource, stripe: &Stripe, denial: Denial) {
    stripe.shadowed.fetch_add(1, Ordering::Relaxed);
    stripe.granted();
    observer.emit(|| EventKind::Shadowed(rejection(observer, denial)));
}

fn rejection(observer: &EventSource, denial: Denial) -> Rejection {
    let rejection = observer.rejection(denial.reason);
    if denial.wait_ns == u64::MAX {
        return rejection;
    }
    rejection.with_retry_after(Duration::from_nanos(denial.wait_ns))
}

/// No rest is long enough for this cost.
pub(crate) const NEVER: Denial = Denial {
    reason: Reason::TooExpensive,
    wait_ns: u64::MAX,
};

#[cold]
pub(crate) fn abandoned(observer: &EventSource, stripe: &Stripe) {
    stripe.abandoned.fetch_add(1, Ordering::Relaxed);
    observer.emit(|| EventKind::Abandoned);
}

/// What became of the calls of a rate limit so far. Each call is in exactly one of the fields,
/// `waited` and `shadowed` aside; those that wait now are in none.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimitCounts {
    /// Passed on to the inner service, the free ones (cost 0) and the reserved ones included.
    pub granted: u64,
    /// Had to wait for a turn, whatever became of it afterwards.
    pub waited: u64,
    /// Rejected, since the rate was used up.
    pub rejected: u64,
    /// Rejected, since they cost more than a limit can grant.
    pub too_expensive: u64,
    /// Rejected, since the quota of the day, or of an hour or more, was used up.
    pub quota_exhausted: u64,
    /// Rejected, since the layer was paused, by an operator or by the upstream.
    pub paused: u64,
    /// Rejected, since the layer accepted no new calls.
    pub draining: u64,
    /// Passed on, though they would have been rejected if the layer did more than watch.
    pub shadowed: u64,
    /// Dropped by the caller while they waited.
    pub abandoned: u64,
    /// Failed while they waited, since the readiness of the inner service did.
    pub inner_failed: u64,
}

impl RateLimitCounts {
    /// Which share of all calls that came was rejected, from 0 to 1; 0 when none came.
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
        self.rejected + self.too_expensive + self.quota_exhausted + self.paused + self.draining
    }

    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        let outcomes = [
            ("granted", self.granted),
            ("abandoned", self.abandoned),
            ("failure", self.inner_failed),
        ];
        for (outcome, total) in outcomes {
            sink.counter(
                "seawall_calls_total",
                &[("layer", "ratelimit"), ("outcome", outcome)],
                total,
            );
        }
        let rejections = [
            ("rate_limited", self.rejected),
            ("too_expensive", self.too_expensive),
            ("quota_exhausted", self.quota_exhausted),
            ("paused", self.paused),
            ("draining", self.draining),
        ];
        for (reason, total) in rejections {
            sink.counter(
                "seawall_rejections_total",
                &[("layer", "ratelimit"), ("reason", reason)],
                total,
            );
        }
        let others = [
            ("seawall_ratelimit_waited_total", self.waited),
            ("seawall_ratelimit_shadowed_total", self.shadowed),
        ];
        for (metric, total) in others {
            sink.counter(metric, &[], total);
        }
    }
}

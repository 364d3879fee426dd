//! What a rate limit counts, and where.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seawall_core::striped::Local;
use seawall_core::{Clock, Observer, Reason, Rejection, What};

use crate::RateLimitConfig;
use crate::line::Limiter;

/// What every service of a layer shares.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) limiter: Limiter,
    pub(crate) clock: Clock,
    pub(crate) config: RateLimitConfig,
    pub(crate) observer: Observer,
}

pub(crate) type State = Local<Common, Stripe>;

/// The counters of one stripe.
#[derive(Debug, Default)]
pub(crate) struct Stripe {
    granted: AtomicU64,
    waited: AtomicU64,
    refused: AtomicU64,
    too_expensive: AtomicU64,
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

    pub(crate) fn add_to(&self, counts: &mut RateLimitCounts) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        counts.granted += read(&self.granted);
        counts.waited += read(&self.waited);
        counts.refused += read(&self.refused);
        counts.too_expensive += read(&self.too_expensive);
        counts.abandoned += read(&self.abandoned);
        counts.inner_failed += read(&self.inner_failed);
    }
}

/// The rate is used up for so many nanoseconds.
#[cold]
pub(crate) fn refuse(common: &Common, stripe: &Stripe, wait_ns: u64) -> Rejection {
    stripe.refused.fetch_add(1, Ordering::Relaxed);
    let rejection = common.observer.rejection(Reason::RateLimited);
    let rejection = rejection.with_retry_after(Duration::from_nanos(wait_ns));
    common.observer.tell(|| What::Refused(rejection));
    rejection
}

/// No rest is long enough for this cost.
#[cold]
pub(crate) fn refuse_for_ever(common: &Common, stripe: &Stripe) -> Rejection {
    stripe.too_expensive.fetch_add(1, Ordering::Relaxed);
    let rejection = common.observer.rejection(Reason::TooExpensive);
    common.observer.tell(|| What::Refused(rejection));
    rejection
}

#[cold]
pub(crate) fn abandoned(common: &Common, stripe: &Stripe) {
    stripe.abandoned.fetch_add(1, Ordering::Relaxed);
    common.observer.tell(|| What::Abandoned);
}

/// What became of the calls of a rate limit so far. Each call is in exactly one of the fields,
/// `waited` aside; those that wait now are in none.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimitCounts {
    /// Passed on to the inner service, the free ones (cost 0) included.
    pub granted: u64,
    /// Had to wait for a turn, whatever became of it afterwards.
    pub waited: u64,
    /// Refused, since the rate was used up.
    pub refused: u64,
    /// Refused, since they cost more than the burst.
    pub too_expensive: u64,
    /// Dropped by the caller while they waited.
    pub abandoned: u64,
    /// Failed while they waited, since the readiness of the inner service did.
    pub inner_failed: u64,
}

//! What a bulkhead counts, and where.

use std::sync::atomic::{AtomicU64, Ordering};

use seawall_core::striped::Local;
use seawall_core::{Observer, Outcome, Reason, Rejection, Vote, What};

use crate::BulkheadConfig;
use crate::places::Places;

/// What every service of a layer shares.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) places: Places,
    pub(crate) config: BulkheadConfig,
    pub(crate) observer: Observer,
}

pub(crate) type State = Local<Common, Stripe>;

/// The counters of one stripe. A call is counted once, when it ends.
#[derive(Debug, Default)]
pub(crate) struct Stripe {
    success: AtomicU64,
    failure: AtomicU64,
    ignored: AtomicU64,
    abandoned: AtomicU64,
    waited: AtomicU64,
    full: AtomicU64,
    timeout: AtomicU64,
}

impl Stripe {
    pub(crate) fn settled(&self, outcome: &Outcome) {
        let counter = match outcome.vote() {
            Vote::Success => &self.success,
            Vote::Failure => &self.failure,
            Vote::Abstain => &self.ignored,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn waits(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_to(&self, counts: &mut BulkheadCounts) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        counts.success += read(&self.success);
        counts.failure += read(&self.failure);
        counts.ignored += read(&self.ignored);
        counts.abandoned += read(&self.abandoned);
        counts.waited += read(&self.waited);
        counts.refused_full += read(&self.full);
        counts.refused_timeout += read(&self.timeout);
    }
}

/// Every place and every place in the queue is taken.
#[cold]
pub(crate) fn refuse_full(common: &Common, stripe: &Stripe) -> Rejection {
    stripe.full.fetch_add(1, Ordering::Relaxed);
    tell_refused(common, Reason::BulkheadFull)
}

/// The turn in the queue did not come in time.
#[cold]
pub(crate) fn refuse_timeout(common: &Common, stripe: &Stripe) -> Rejection {
    stripe.timeout.fetch_add(1, Ordering::Relaxed);
    tell_refused(common, Reason::QueueTimeout)
}

#[cold]
pub(crate) fn abandoned(common: &Common, stripe: &Stripe) {
    stripe.abandoned.fetch_add(1, Ordering::Relaxed);
    common.observer.tell(|| What::Abandoned);
}

fn tell_refused(common: &Common, reason: Reason) -> Rejection {
    let rejection = common.observer.rejection(reason);
    common.observer.tell(|| What::Refused(rejection));
    rejection
}

/// What became of the calls of a bulkhead so far. Each call that has ended is in exactly one of
/// the fields, `waited` aside.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkheadCounts {
    /// Answered, and settled as a success.
    pub success: u64,
    /// Answered with a failure of the inner service.
    pub failure: u64,
    /// Answered in a way that says nothing of the upstream, such as a refusal of a layer below.
    pub ignored: u64,
    /// Dropped by the caller before the answer, while it waited or ran.
    pub abandoned: u64,
    /// Had to wait for a place, whatever became of it afterwards.
    pub waited: u64,
    /// Refused, since every place and every place in the queue was taken.
    pub refused_full: u64,
    /// Refused, since the turn in the queue did not come in time.
    pub refused_timeout: u64,
}

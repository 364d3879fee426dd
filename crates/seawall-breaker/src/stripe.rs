//! One stripe of the state: what calls write.

use std::ops::Deref;
use std::sync::OnceLock;

use seawall_core::Reason;
use seawall_core::counters::Counter;

use crate::config::BreakerConfig;
use crate::counts::Counters;
use crate::entry_point::EntryPoint;
use crate::in_flight::{InFlight, StartBucket};
use crate::votes::Slots;

/// The counts and words that calls of one thread write; that of nearly every call comes first.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Stripe {
    pub(crate) successes: Slots,
    /// Made when slow calls are watched for the first time.
    pub(crate) in_flight: OnceLock<Box<InFlight>>,
    /// Calls that the breaker rejected because the circuit was open: while it is, each call.
    pub(crate) rejected: Counter,
    pub(crate) counters: RareCounters,
}

/// The other counters, in a box of their own, made by the first of them that counts: most circuits of
/// a registry have nothing but successes.
#[derive(Debug, Default)]
pub(crate) struct RareCounters(OnceLock<Box<Counters>>);

impl RareCounters {
    /// The counters, if one of them has counted.
    pub(crate) fn get(&self) -> Option<&Counters> {
        self.0.get().map(AsRef::as_ref)
    }
}

impl Deref for RareCounters {
    type Target = Counters;

    #[inline]
    fn deref(&self) -> &Counters {
        self.0.get_or_init(Box::default)
    }
}

impl Stripe {
    pub(crate) fn new(config: &BreakerConfig) -> Self {
        let stripe = Self {
            successes: Slots::new(),
            in_flight: OnceLock::new(),
            rejected: Counter::default(),
            counters: RareCounters::default(),
        };
        stripe.begin_watch(config, 0);
        stripe
    }

    /// Begins another watch of slow calls, if they are watched.
    pub(crate) fn begin_watch(&self, config: &BreakerConfig, watch: u64) {
        if config.slow_after.is_some() {
            let in_flight = self.in_flight.get_or_init(|| Box::new(InFlight::new()));
            in_flight.begin(watch);
        }
    }

    /// A watched call has ended.
    #[inline]
    pub(crate) fn end(&self, start: StartBucket) {
        if let Some(in_flight) = self.in_flight.get() {
            in_flight.end(start);
        }
    }

    /// Counts a rejection.
    #[inline]
    pub(crate) fn count_rejection(&self, at: EntryPoint, reason: Reason) {
        match (at, reason) {
            (EntryPoint::Breaker, Reason::NotReady) => &self.counters.not_ready,
            (EntryPoint::Breaker, _) => &self.rejected,
            (EntryPoint::Gate, Reason::NotReady) => &self.counters.gate_not_ready,
            (EntryPoint::Gate, _) => &self.counters.gate_rejected,
        }
        .add();
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_stripe_is_as_large_as_the_two_cache_lines_that_are_its_own() {
        assert!(size_of::<Stripe>() <= 128, "{}", size_of::<Stripe>());
    }
}

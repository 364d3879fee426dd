//! One stripe of the state: what calls write.

use std::sync::OnceLock;

use seawall_core::Reason;

use crate::config::BreakerConfig;
use crate::counts::Counters;
use crate::entry_point::EntryPoint;
use crate::in_flight::{InFlight, StartBucket};
use crate::votes::Slots;

/// The counts and words that calls of one thread write.
#[derive(Debug)]
pub(crate) struct Stripe {
    pub(crate) successes: Slots,
    /// Made when slow calls are watched for the first time.
    pub(crate) in_flight: OnceLock<Box<InFlight>>,
    pub(crate) counters: Counters,
}

impl Stripe {
    pub(crate) fn new(config: &BreakerConfig) -> Self {
        let stripe = Self {
            successes: Slots::new(),
            in_flight: OnceLock::new(),
            counters: Counters::default(),
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
            (EntryPoint::Breaker, _) => &self.counters.rejected,
            (EntryPoint::Gate, Reason::NotReady) => &self.counters.gate_not_ready,
            (EntryPoint::Gate, _) => &self.counters.gate_rejected,
        }
        .add();
    }
}

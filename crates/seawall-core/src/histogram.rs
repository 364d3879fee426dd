//! How long calls took: a histogram that every thread counts into by itself.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use crate::ns;
use crate::striped::{Stripes, thread_index};

pub(crate) mod layout;
mod snapshot;
mod stripe;
#[cfg(test)]
mod tests;

pub use snapshot::{HISTOGRAM_BOUNDS, HistogramSnapshot};
pub use stripe::HistogramStripe;

/// A histogram of durations that many threads record into at once.
///
/// A record is one load and one store of a counter that only its thread writes, and the same for
/// the sum: no lock, no atomic read-modify-write (but where there are more threads than stripes),
/// and no allocation after the first one of a thread.
///
/// # Error
///
/// Sixteen buckets per octave from 1.024 us to 73 minutes, the log-linear layout of G. Tene's
/// HdrHistogram. So a [quantile](HistogramSnapshot::quantile) is never below that of the samples,
/// and above it by at most a sixteenth (6.25 %) and 1.024 us. What is shorter than 1.024 us lies in
/// the first bucket, what is longer than 73 minutes in the last one. Count, sum and maximum are exact;
/// the sum wraps around after 584 years.
///
/// # Memory
///
/// The buckets are fixed, so no sample makes it larger: 3.7 kB for each thread that records, up
/// to the number of [`Stripes`], and as much again where threads share a stripe. So 15 kB on two
/// cores, and at most 119 kB.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::Histogram;
///
/// let latencies = Histogram::new();
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| (1..=100).for_each(|ms| latencies.record(Duration::from_millis(ms))));
///     }
/// });
/// let snapshot = latencies.snapshot();
/// assert_eq!((snapshot.count(), snapshot.max()), (400, Duration::from_millis(100)));
/// let p99 = snapshot.quantile(0.99).unwrap();
/// assert!((99..=105).contains(&p99.as_millis()));
/// ```
pub struct Histogram {
    stripes: Box<[OnceLock<Box<HistogramStripe>>]>,
}

impl Histogram {
    /// A histogram without a sample.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stripes: (0..Stripes::auto().get())
                .map(|_| OnceLock::new())
                .collect(),
        }
    }

    /// Records a duration.
    #[inline]
    pub fn record(&self, duration: Duration) {
        self.record_ns(ns(duration));
    }

    /// Records a duration in nanoseconds.
    #[inline]
    pub fn record_ns(&self, ns: u64) {
        let thread = thread_index();
        let stripe = &self.stripes[thread & (self.stripes.len() - 1)];
        let alone = thread < self.stripes.len();
        match stripe.get() {
            Some(stripe) => stripe.record_here(ns, alone),
            None => stripe.get_or_init(Box::default).record_here(ns, alone),
        }
    }

    /// What was recorded so far.
    pub fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot::of(self.stripes.iter().filter_map(|s| s.get().map(|s| &**s)))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("snapshot", &self.snapshot())
            .finish()
    }
}

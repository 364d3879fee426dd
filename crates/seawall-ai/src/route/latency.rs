//! How long a deployment takes to respond.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// An average that follows a rise at once and a fall slowly: the peak-sensitive average of Finagle's
/// `PeakEwma` load balancer, which tower's `load::PeakEwma` follows, too.
///
/// One word: microseconds in the upper half, when they were noted in milliseconds in the lower.
#[derive(Debug, Default)]
pub(crate) struct PeakLatency(AtomicU64);

/// How long it takes until a latency counts for a third: tower's default.
const DECAY_MS: f64 = 10_000.0;
const MS: u64 = 1_000_000;

impl PeakLatency {
    /// Notes how long a call took.
    pub(crate) fn observe(&self, now: u64, latency: Duration) {
        // Zero is no latency.
        let latency = u32::try_from(latency.as_micros())
            .unwrap_or(u32::MAX)
            .max(1);
        let stamp = (now / MS) as u32;
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let average = average_after(word, stamp, latency);
            let next = u64::from(average) << 32 | u64::from(stamp);
            match self
                .0
                .compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(other) => word = other,
            }
        }
    }

    /// The average in microseconds; `None` before the first call.
    pub(crate) fn micros(&self) -> Option<u32> {
        let micros = (self.0.load(Ordering::Relaxed) >> 32) as u32;
        (micros > 0).then_some(micros)
    }

    /// What one more call costs beside `in_flight` others: it grows with both. A deployment of which
    /// nothing is known is tried first, by one call.
    pub(crate) fn load(&self, in_flight: u32) -> u64 {
        const UNKNOWN: u64 = 1_000_000;
        match self.micros() {
            Some(micros) => u64::from(micros).saturating_mul(u64::from(in_flight) + 1),
            None => UNKNOWN * u64::from(in_flight),
        }
    }

    pub(crate) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

fn average_after(word: u64, stamp: u32, latency: u32) -> u32 {
    let (before, noted) = ((word >> 32) as u32, word as u32);
    if before <= latency {
        return latency;
    }
    let weight = (-f64::from(stamp.wrapping_sub(noted)) / DECAY_MS).exp();
    let average = f64::from(before) * weight + f64::from(latency) * (1.0 - weight);
    (average as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000 * MS;

    #[test]
    fn a_rise_counts_at_once_and_a_fall_slowly() {
        let latency = PeakLatency::default();
        assert_eq!((latency.micros(), latency.load(0)), (None, 0));
        latency.observe(0, Duration::from_millis(100));
        latency.observe(0, Duration::from_millis(10));
        assert_eq!(latency.micros(), Some(100_000));
        latency.observe(10 * SECOND, Duration::from_millis(10));
        let third = latency.micros().unwrap();
        assert!((40_000..45_000).contains(&third), "{third}");
        latency.observe(11 * SECOND, Duration::from_secs(2));
        assert_eq!(latency.micros(), Some(2_000_000));
        assert_eq!(latency.load(2), 6_000_000);
    }

    #[test]
    fn extremes_saturate() {
        let latency = PeakLatency::default();
        latency.observe(u64::MAX, Duration::MAX);
        assert_eq!(latency.micros(), Some(u32::MAX));
        assert_eq!(latency.load(u32::MAX), u64::from(u32::MAX) << 32);
        latency.forget();
        latency.observe(0, Duration::ZERO);
        assert_eq!(latency.micros(), Some(1));
        assert_eq!(PeakLatency::default().load(3), 3_000_000);
    }
}

//! What the calls of one window show, and the counters that gather it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use seawall_core::striped::{Stripes, thread_index};
use seawall_core::{FailureKind, Outcome};

/// What one finished call shows of the load of the upstream.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleKind {
    /// It was completed by the upstream; the latency counts.
    Completed,
    /// It was rejected or lost for lack of capacity. Its latency does not count: a rejection is
    /// quick and a timeout takes what the caller has configured.
    Dropped,
    /// It shows nothing about the load.
    Ignored,
}

impl SampleKind {
    /// What an outcome shows of the load. Throttles, overload, timeouts and requests of unknown fate
    /// are drops. Other failures are ignored: a bug of the upstream, or an order it rejects, is
    /// neither cured by fewer calls nor timed like a success.
    pub const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Completed,
            Outcome::Throttled { .. }
            | Outcome::Unknown
            | Outcome::Failure(FailureKind::Overloaded | FailureKind::Timeout) => Self::Dropped,
            _ => Self::Ignored,
        }
    }
}

/// The calls that finished in one window of time, summed up.
///
/// Calls that began before the limit was last lowered are left out: what they saw is the load of
/// the old limit, and one burst of drops would otherwise be counted against every limit that
/// follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// Calls that were completed.
    pub(crate) samples: u32,
    /// Their mean latency in nanoseconds.
    pub(crate) mean: u64,
    /// The configured quantile of their latencies in nanoseconds.
    pub(crate) latency: u64,
    /// The lowest of their latencies in nanoseconds.
    pub(crate) min: u64,
    /// The most calls that were in flight at once.
    pub(crate) max_in_flight: u32,
    /// Calls that were dropped.
    pub(crate) drops: u32,
    /// How long the window was open.
    pub(crate) length: Duration,
}

impl Window {
    /// Whether the limit was used: no fewer calls in flight than half of it.
    pub(crate) fn uses(&self, limit: f64) -> bool {
        2.0 * f64::from(self.max_in_flight) >= limit
    }
}

// Buckets are 1/16 of an octave wide: 6 % of the latency, of which interpolation takes the most.
const SUB_BITS: u32 = 4;
const SUBS: usize = 1 << SUB_BITS;
// From 1 us to 4 h.
const BUCKETS: usize = 32 * SUBS;
const UNIT_BITS: u32 = 10;

const fn bucket(latency: u64) -> usize {
    let units = latency >> UNIT_BITS;
    if units < SUBS as u64 {
        return units as usize;
    }
    let octave = 63 - units.leading_zeros();
    let sub = (units >> (octave - SUB_BITS)) as usize & (SUBS - 1);
    let index = (octave - SUB_BITS + 1) as usize * SUBS + sub;
    if index < BUCKETS { index } else { BUCKETS - 1 }
}

/// The least latency of a bucket and its width, in nanoseconds.
const fn bounds(bucket: usize) -> (u64, u64) {
    if bucket < SUBS {
        return ((bucket as u64) << UNIT_BITS, 1 << UNIT_BITS);
    }
    let shift = (bucket / SUBS - 1) as u32;
    let low = (SUBS + bucket % SUBS) as u64;
    (low << (shift + UNIT_BITS), 1 << (shift + UNIT_BITS))
}

#[repr(align(128))]
#[derive(Debug)]
struct Stripe {
    samples: AtomicU32,
    drops: AtomicU32,
    max_in_flight: AtomicU32,
    sum: AtomicU64,
    min: AtomicU64,
    buckets: Box<[AtomicU32]>,
}

impl Stripe {
    fn new() -> Self {
        Self {
            samples: AtomicU32::new(0),
            drops: AtomicU32::new(0),
            max_in_flight: AtomicU32::new(0),
            sum: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
            buckets: (0..BUCKETS).map(|_| AtomicU32::new(0)).collect(),
        }
    }
}

/// The counters of the open window, a few stripes of them.
///
/// A call that finishes while the window is being closed counts in this window or the next, in
/// part in either: an estimate does not mind, and nothing waits.
#[derive(Debug)]
pub(crate) struct Collector {
    stripes: Box<[Stripe]>,
}

impl Collector {
    pub(crate) fn new(stripes: Stripes) -> Self {
        Self {
            stripes: (0..stripes.get()).map(|_| Stripe::new()).collect(),
        }
    }

    /// Two counters of the thread's own stripe are written for a completed call; the extremes only
    /// when they move.
    #[inline]
    pub(crate) fn add(&self, latency: u64, in_flight: u32, kind: SampleKind) {
        let stripe = &self.stripes[thread_index() & (self.stripes.len() - 1)];
        if in_flight > stripe.max_in_flight.load(Ordering::Relaxed) {
            stripe.max_in_flight.fetch_max(in_flight, Ordering::Relaxed);
        }
        match kind {
            SampleKind::Completed => {
                stripe.samples.fetch_add(1, Ordering::Relaxed);
                stripe.sum.fetch_add(latency, Ordering::Relaxed);
                stripe.buckets[bucket(latency)].fetch_add(1, Ordering::Relaxed);
                if latency < stripe.min.load(Ordering::Relaxed) {
                    stripe.min.fetch_min(latency, Ordering::Relaxed);
                }
            }
            SampleKind::Dropped => {
                stripe.drops.fetch_add(1, Ordering::Relaxed);
            }
            SampleKind::Ignored => {}
        }
    }

    /// How many calls counted so far.
    pub(crate) fn gathered(&self) -> u32 {
        self.stripes.iter().fold(0, |sum: u32, stripe| {
            sum.saturating_add(stripe.samples.load(Ordering::Relaxed))
                .saturating_add(stripe.drops.load(Ordering::Relaxed))
        })
    }

    /// Sums the window up and begins the next.
    pub(crate) fn take(&self, length: Duration, quantile: f64) -> Window {
        let mut buckets = [0_u32; BUCKETS];
        let mut window = Window {
            min: u64::MAX,
            length,
            ..Window::default()
        };
        let mut sum = 0_u64;
        for stripe in &self.stripes {
            stripe.samples.store(0, Ordering::Relaxed);
            window.drops = window
                .drops
                .saturating_add(stripe.drops.swap(0, Ordering::Relaxed));
            window.max_in_flight = window
                .max_in_flight
                .max(stripe.max_in_flight.swap(0, Ordering::Relaxed));
            sum = sum.saturating_add(stripe.sum.swap(0, Ordering::Relaxed));
            window.min = window.min.min(stripe.min.swap(u64::MAX, Ordering::Relaxed));
            for (all, one) in buckets.iter_mut().zip(&stripe.buckets) {
                if one.load(Ordering::Relaxed) != 0 {
                    *all += one.swap(0, Ordering::Relaxed);
                }
            }
        }
        window.samples = buckets.iter().fold(0, |sum, n| sum.saturating_add(*n));
        if window.samples == 0 {
            window.min = 0;
            return window;
        }
        window.mean = sum / u64::from(window.samples);
        window.latency = quantile_of(quantile, &buckets, window.samples);
        window
    }
}

fn quantile_of(quantile: f64, buckets: &[u32; BUCKETS], samples: u32) -> u64 {
    let rank = quantile * f64::from(samples);
    let mut below = 0.0;
    for (index, count) in buckets.iter().enumerate().filter(|(_, n)| **n > 0) {
        let count = f64::from(*count);
        if below + count >= rank {
            let (low, width) = bounds(index);
            return low + ((rank - below) / count * width as f64) as u64;
        }
        below += count;
    }
    // Rounding left the rank above the last sample.
    buckets
        .iter()
        .rposition(|n| *n > 0)
        .map_or(0, |last| bounds(last).0 + bounds(last).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_lies_within_the_bounds_of_its_bucket() {
        for latency in (0..62).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (3 << bit) / 2]) {
            let index = bucket(latency);
            let (low, width) = bounds(index);
            assert!(latency >= low, "{latency}");
            if index < BUCKETS - 1 {
                assert!(latency < low + width, "{latency}");
                assert!(width <= (low / SUBS as u64).max(1 << UNIT_BITS));
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_window_sums_up_its_calls_and_starts_again() {
        let collector = Collector::new(Stripes::ONE);
        for ms in 1..=99_u64 {
            collector.add(ms * 1_000_000, ms as u32, SampleKind::Completed);
        }
        collector.add(u64::MAX, 3, SampleKind::Dropped);
        collector.add(u64::MAX, 120, SampleKind::Ignored);
        assert_eq!(collector.gathered(), 100);
        let window = collector.take(Duration::from_secs(1), 0.5);
        assert_eq!((window.samples, window.drops), (99, 1));
        assert_eq!(window.mean, 50_000_000);
        assert_eq!((window.min, window.max_in_flight), (1_000_000, 120));
        assert!(
            (48_500_000..=51_500_000).contains(&window.latency),
            "{window:?}"
        );
        let empty = collector.take(Duration::ZERO, 0.5);
        assert_eq!(empty, Window::default());
    }

    #[test]
    fn an_order_that_is_rejected_is_no_sign_of_load() {
        assert_eq!(SampleKind::of(&Outcome::Success), SampleKind::Completed);
        assert_eq!(SampleKind::of(&Outcome::Unknown), SampleKind::Dropped);
        for kind in [FailureKind::Overloaded, FailureKind::Timeout] {
            assert_eq!(SampleKind::of(&Outcome::Failure(kind)), SampleKind::Dropped);
        }
        for kind in [
            FailureKind::Server,
            FailureKind::NotSent,
            FailureKind::Other,
        ] {
            assert_eq!(SampleKind::of(&Outcome::Failure(kind)), SampleKind::Ignored);
        }
        assert_eq!(SampleKind::of(&Outcome::Ignored), SampleKind::Ignored);
    }
}

//! A histogram of latencies: sixteen buckets per octave.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::ns;

/// The bits of a sample below its leading one that choose a bucket: sixteen buckets per octave.
const SUB_BITS: u32 = 4;
const SUBS: u32 = 1 << SUB_BITS;
/// Samples differ from 1,024 ns on.
const UNIT_BITS: u32 = 10;
/// Sixteen single units, and sixteen buckets for each octave of a 32-bit number above them.
pub(super) const BUCKETS: usize = ((32 - SUB_BITS + 1) * SUBS) as usize;
/// A bucket that has counted so many samples in one slice counts no more.
pub(super) const FULL: u32 = 1 << 31;

#[derive(Debug)]
pub(super) struct Slice {
    pub(super) exact: [AtomicU32; BUCKETS],
    /// Samples that are only known to be at least as long.
    pub(super) at_least: [AtomicU32; BUCKETS],
}

impl Slice {
    pub(super) fn new() -> Self {
        Self {
            exact: std::array::from_fn(|_| AtomicU32::new(0)),
            at_least: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    pub(super) fn clear(&self) {
        for count in self.exact.iter().chain(&self.at_least) {
            count.store(0, Ordering::Relaxed);
        }
    }
}

/// The counts of all slices together.
pub(super) struct Merged {
    exact: [u64; BUCKETS],
    at_least: [u64; BUCKETS],
    pub(super) samples: u64,
}

impl Merged {
    pub(super) fn of(slices: &[Slice]) -> Self {
        let mut merged = Self {
            exact: [0; BUCKETS],
            at_least: [0; BUCKETS],
            samples: 0,
        };
        let add = |sum: &mut u64, count: &AtomicU32, samples: &mut u64| {
            let count = u64::from(count.load(Ordering::Relaxed));
            *sum += count;
            *samples += count;
        };
        for slice in slices {
            for (sum, count) in merged.exact.iter_mut().zip(&slice.exact) {
                add(sum, count, &mut merged.samples);
            }
            for (sum, count) in merged.at_least.iter_mut().zip(&slice.at_least) {
                add(sum, count, &mut merged.samples);
            }
        }
        merged
    }

    /// The upper end, in nanoseconds, of the bucket in which the share of those that are answered
    /// reaches `quantile`; of the last bucket with a sample when it does not. 0 without samples.
    pub(super) fn quantile(&self, quantile: f64) -> u64 {
        // The product is rounded at each of at most 464 factors.
        const ROUNDING: f64 = 1e-12;
        let (mut unanswered, mut at_risk, mut last) = (1.0_f64, self.samples, 0);
        for (index, (&exact, &at_least)) in self.exact.iter().zip(&self.at_least).enumerate() {
            if exact == 0 && at_least == 0 {
                continue;
            }
            last = upper(index);
            // Who gave up in a bucket was still waiting when others were answered in it.
            unanswered *= 1.0 - exact as f64 / at_risk as f64;
            if 1.0 - unanswered >= quantile - ROUNDING {
                return last;
            }
            at_risk -= exact + at_least;
        }
        last
    }
}

#[inline]
pub(super) fn bucket(latency: Duration) -> usize {
    let units = ns(latency) >> UNIT_BITS;
    let units = if units > u64::from(u32::MAX) {
        u32::MAX
    } else {
        units as u32
    };
    if units < SUBS {
        return units as usize;
    }
    let octave = units.ilog2();
    let sub = (units >> (octave - SUB_BITS)) & (SUBS - 1);
    ((octave - SUB_BITS + 1) * SUBS + sub) as usize
}

/// The end of a bucket in nanoseconds, which the next one begins with.
pub(super) const fn upper(index: usize) -> u64 {
    let (row, sub) = (index as u32 / SUBS, (index as u32 % SUBS) as u64);
    let units = match row.checked_sub(1) {
        None => sub + 1,
        Some(shift) => (SUBS as u64 + sub + 1) << shift,
    };
    units << UNIT_BITS
}

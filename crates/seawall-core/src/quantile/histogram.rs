//! The counts of a slice of the window.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::histogram::layout::{BUCKETS, upper};

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

//! Recent calls, in buckets of time; no lock, no clock of its own.
//!
//! Each counter of a bucket is one word: the period that it counts (40 bits) and how much (24
//! bits). The first call in a new period takes the word over with one compare-exchange, so
//! nothing has to clear old buckets, an idle gap of any length is over at once, and a thread that
//! was delayed in an old period cannot count into the new one.

use crate::sync::{AtomicU64, Ordering};

const BUCKETS: u64 = 10;
const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const PERIOD_MAX: u64 = (1 << (64 - COUNT_BITS)) - 1;

/// One bucket's counters; each of one bucket counts the same period or an older one.
#[derive(Debug)]
struct Bucket {
    calls: AtomicU64,
    failures: AtomicU64,
    slow: AtomicU64,
    degraded: AtomicU64,
}

/// Ten buckets.
#[derive(Debug)]
pub(crate) struct Window {
    buckets: [Bucket; BUCKETS as usize],
}

/// What was counted in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
    /// Not among the calls.
    pub(crate) degraded: u64,
}

impl std::ops::Add for Sum {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            calls: self.calls + more.calls,
            failures: self.failures + more.failures,
            slow: self.slow + more.slow,
            degraded: self.degraded + more.degraded,
        }
    }
}

impl Window {
    pub(crate) fn new() -> Self {
        Self {
            buckets: std::array::from_fn(|_| Bucket {
                calls: AtomicU64::new(0),
                failures: AtomicU64::new(0),
                slow: AtomicU64::new(0),
                degraded: AtomicU64::new(0),
            }),
        }
    }

    /// Counts one call that ended in `period`.
    #[inline]
    pub(crate) fn count(&self, period: u64, failed: bool, slow: bool) {
        let bucket = &self.buckets[(period % BUCKETS) as usize];
        // The total first: a call that does not count there, since the bucket is full or a later
        // period's, must not count as a failure, or the shares would grow. A reader in between
        // sees at most a share that is too low, by one.
        if !bump(&bucket.calls, period) {
            return;
        }
        if failed {
            bump(&bucket.failures, period);
        }
        if slow {
            bump(&bucket.slow, period);
        }
    }

    /// Counts one call that was answered in `period` by something else than the upstream.
    pub(crate) fn count_degraded(&self, period: u64) {
        bump(&self.buckets[(period % BUCKETS) as usize].degraded, period);
    }

    /// What was counted in `period` and the nine before it.
    pub(crate) fn sum(&self, period: u64) -> Sum {
        let oldest = tag(period.saturating_sub(BUCKETS - 1));
        let newest = tag(period);
        let read = |word: &AtomicU64| {
            let word = word.load(Ordering::Relaxed);
            let live = (oldest..=newest).contains(&(word >> COUNT_BITS));
            if live { word & COUNT_MASK } else { 0 }
        };
        let sums = self.buckets.iter().map(|bucket| Sum {
            calls: read(&bucket.calls),
            failures: read(&bucket.failures),
            slow: read(&bucket.slow),
            degraded: read(&bucket.degraded),
        });
        sums.fold(Sum::default(), std::ops::Add::add)
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        for b in &self.buckets {
            for word in [&b.calls, &b.failures, &b.slow, &b.degraded] {
                word.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// Periods count from 1 in a word, so that an empty word is older than each.
const fn tag(period: u64) -> u64 {
    if period < PERIOD_MAX {
        period + 1
    } else {
        PERIOD_MAX
    }
}

/// Adds one; `false` when it does not count.
#[inline]
fn bump(word: &AtomicU64, period: u64) -> bool {
    let tag = tag(period);
    let mut now = word.load(Ordering::Relaxed);
    loop {
        let next = match (now >> COUNT_BITS).cmp(&tag) {
            // A full bucket stays full: 16 million calls show as much as 17.
            std::cmp::Ordering::Equal if now & COUNT_MASK == COUNT_MASK => return false,
            std::cmp::Ordering::Equal => now + 1,
            std::cmp::Ordering::Less => (tag << COUNT_BITS) | 1,
            // This thread was delayed, and the bucket is a later period's by now.
            std::cmp::Ordering::Greater => return false,
        };
        match word.compare_exchange_weak(now, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(current) => now = current,
        }
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn calls(window: &Window, period: u64) -> u64 {
        window.sum(period).calls
    }

    #[test]
    fn what_is_older_than_ten_buckets_is_forgotten() {
        let window = Window::new();
        window.count(0, true, false);
        window.count(9, false, true);
        window.count_degraded(9);
        let both = Sum {
            calls: 2,
            failures: 1,
            slow: 1,
            degraded: 1,
        };
        assert_eq!(window.sum(9), both);
        assert_eq!(calls(&window, 10), 1);
        assert_eq!(calls(&window, 18), 1);
        assert_eq!(window.sum(18).degraded, 1);
        assert_eq!(window.sum(19), Sum::default());
    }

    #[test]
    fn idle_gaps_of_any_length_forget_everything() {
        // Once around the ring, around the 24 bits, around 32 bits, to the end of time.
        for gap in [10, 20, 1 << 24, 1 << 33, PERIOD_MAX - 1, u64::MAX] {
            let window = Window::new();
            window.count(0, false, false);
            assert_eq!(calls(&window, gap), 0, "{gap}");
            window.count(gap, false, false);
            assert_eq!(calls(&window, gap), 1, "{gap}");
        }
    }

    #[test]
    fn a_late_thread_cannot_count_into_a_later_period() {
        let window = Window::new();
        window.count(10, false, false);
        window.count(0, true, true);
        let one = Sum {
            calls: 1,
            ..Sum::default()
        };
        assert_eq!(window.sum(10).calls, one.calls);
    }

    /// Had the failures counted on in a bucket whose calls no longer do, a share of 5 % would have
    /// grown to 100 % in a window of very many calls.
    #[test]
    fn a_full_bucket_stays_full_and_its_shares_stay_right() {
        let window = Window::new();
        window.buckets[0]
            .calls
            .store((1 << COUNT_BITS) | (COUNT_MASK - 1), Ordering::Relaxed);
        for _ in 0..3 {
            window.count(0, true, true);
        }
        let full = Sum {
            calls: COUNT_MASK,
            failures: 1,
            slow: 1,
            degraded: 0,
        };
        assert_eq!(window.sum(0), full);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_list_of_calls(
            steps in proptest::collection::vec((0_u64..14, any::<bool>(), any::<bool>(), 0_u64..3), 0..60),
        ) {
            let window = Window::new();
            let mut list = Vec::new();
            let mut period = 0;
            for (gap, failed, slow, degraded) in steps {
                period += gap;
                window.count(period, failed, slow);
                for _ in 0..degraded {
                    window.count_degraded(period);
                }
                list.push((period, failed, slow, degraded));
                let live = || list.iter().filter(|(p, ..)| p + BUCKETS > period);
                let expected = Sum {
                    calls: live().count() as u64,
                    failures: live().filter(|(_, failed, ..)| *failed).count() as u64,
                    slow: live().filter(|(.., slow, _)| *slow).count() as u64,
                    degraded: live().map(|(.., degraded)| degraded).sum(),
                };
                prop_assert_eq!(window.sum(period), expected);
            }
        }
    }
}

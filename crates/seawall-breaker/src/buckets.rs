//! The calls of the last T, in ten buckets.
//!
//! The window is the present bucket and the nine before it, so a call counts for at least 0.9 T
//! and at most T after it ended. The cost of entering and reading depends neither on the traffic
//! nor on idle time.

use std::time::Duration;

use crate::rule::WindowStats;

/// Buckets of a window.
pub(crate) const BUCKETS: u64 = 10;

/// How the clock is divided into buckets: an epoch is the number of a bucket since the clock's
/// start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// 2^64 / width, rounded up; 0 without a time window.
    reciprocal: u64,
    width: u64,
}

impl Pace {
    /// No time window: everything happens in epoch 0.
    pub(crate) const NONE: Self = Self {
        reciprocal: 0,
        width: 0,
    };

    pub(crate) fn of(window: Duration) -> Self {
        Self::with_width(seawall_core::ns(window) / BUCKETS)
    }

    /// Buckets of so many nanoseconds, at least 2.
    pub(crate) fn with_width(width: u64) -> Self {
        let width = width.max(2);
        // Rounded up, a bucket is never longer than `width`, and shorter by less than a millionth.
        let reciprocal = u64::try_from((1_u128 << 64).div_ceil(u128::from(width)));
        Self {
            reciprocal: reciprocal.unwrap_or(u64::MAX),
            width,
        }
    }

    /// The multiplier of [`epoch_by`], for a copy in an atomic.
    pub(crate) const fn reciprocal(self) -> u64 {
        self.reciprocal
    }

    #[inline]
    pub(crate) const fn epoch(self, now: u64) -> u64 {
        epoch_by(self.reciprocal, now)
    }

    /// When a bucket began, give or take a millionth of its width per bucket of the clock's age.
    const fn begins(self, epoch: u64) -> u64 {
        epoch.saturating_mul(self.width)
    }
}

/// The bucket of a time without a division: the upper half of a product.
#[inline]
pub(crate) const fn epoch_by(reciprocal: u64, now: u64) -> u64 {
    ((now as u128 * reciprocal as u128) >> 64) as u64
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    epoch: u64,
    /// Calls that voted.
    calls: u64,
    failures: u32,
    slow: u32,
    /// Slow ones that did not vote; among `slow`, not among `calls`.
    slow_only: u32,
}

/// Ten cells and the newest epoch that was seen.
#[derive(Debug)]
pub(crate) struct Buckets {
    cells: [Cell; BUCKETS as usize],
    newest: u64,
}

impl Buckets {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self {
            cells: [Cell::default(); BUCKETS as usize],
            newest: 0,
        })
    }

    pub(crate) fn clear(&mut self) {
        // The newest epoch stays: what is out of the window does not come back.
        self.cells = [Cell::default(); BUCKETS as usize];
    }

    /// The cell of an epoch, unless it is out of the window.
    fn cell(&mut self, epoch: u64) -> Option<&mut Cell> {
        self.newest = self.newest.max(epoch);
        if self.newest - epoch >= BUCKETS {
            return None;
        }
        let cell = &mut self.cells[(epoch % BUCKETS) as usize];
        if cell.epoch != epoch {
            *cell = Cell {
                epoch,
                ..Cell::default()
            };
        }
        Some(cell)
    }

    /// Enters `count` calls that succeeded and were not slow.
    pub(crate) fn succeed(&mut self, epoch: u64, count: u64) {
        if let Some(cell) = self.cell(epoch) {
            cell.calls = cell.calls.saturating_add(count);
        }
    }

    /// Enters one call: whether it failed, if it votes, and whether it was slow.
    pub(crate) fn enter(&mut self, epoch: u64, failed: Option<bool>, slow: bool) {
        let Some(cell) = self.cell(epoch) else { return };
        let more = |count: &mut u32, by: bool| *count = count.saturating_add(u32::from(by));
        cell.calls = cell.calls.saturating_add(u64::from(failed.is_some()));
        more(&mut cell.failures, failed == Some(true));
        more(&mut cell.slow, slow);
        more(&mut cell.slow_only, slow && failed.is_none());
    }

    fn sum(&self, epoch: u64, count: impl Fn(&Cell) -> u64) -> u64 {
        let newest = self.newest.max(epoch);
        let within = |cell: &&Cell| newest.saturating_sub(cell.epoch) < BUCKETS;
        self.cells
            .iter()
            .filter(within)
            .fold(0, |sum, cell| u64::saturating_add(sum, count(cell)))
    }

    /// The calls that voted, with their failures and slow ones, as seen in `epoch`.
    pub(crate) fn voted(&self, epoch: u64) -> WindowStats {
        WindowStats::of(
            self.sum(epoch, |c| c.calls),
            self.sum(epoch, |c| c.failures.into()),
            self.sum(epoch, |c| (c.slow - c.slow_only).into()),
        )
    }

    /// The calls whose time counts: those that voted and the slow ones that did not.
    pub(crate) fn timed(&self, epoch: u64) -> WindowStats {
        let only = self.sum(epoch, |c| c.slow_only.into());
        let voted = self.voted(epoch);
        WindowStats {
            calls: voted.calls.saturating_add(only),
            slow: voted.slow.saturating_add(only),
            ..voted
        }
    }

    /// The same calls in a window of another length, each as old as the beginning of its bucket,
    /// so that none counts for longer than the new length.
    pub(crate) fn rebinned(&self, old: Pace, new: Pace, now: u64) -> Box<Self> {
        let mut buckets = Self::new();
        buckets.newest = new.epoch(now);
        for cell in self
            .cells
            .iter()
            .filter(|c| self.newest - c.epoch < BUCKETS)
        {
            let epoch = new.epoch(old.begins(cell.epoch).min(now));
            if let Some(into) = buckets.cell(epoch) {
                into.calls = into.calls.saturating_add(cell.calls);
                into.failures = into.failures.saturating_add(cell.failures);
                into.slow = into.slow.saturating_add(cell.slow);
                into.slow_only = into.slow_only.saturating_add(cell.slow_only);
            }
        }
        buckets
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn an_epoch_is_a_tenth_of_the_window_however_old_the_clock() {
        let pace = Pace::of(Duration::from_secs(10));
        assert_eq!(pace.epoch(999_999_999), 0);
        assert_eq!(pace.epoch(1_000_000_000), 1);
        assert_eq!(Pace::NONE.epoch(u64::MAX), 0);
        for window in [Duration::from_millis(10), Duration::from_secs(24 * 3600)] {
            let pace = Pace::of(window);
            let exact = u64::MAX / pace.width;
            let off = pace.epoch(u64::MAX) - exact;
            assert!(off as f64 <= exact as f64 * 1e-6 + 1.0, "{off} of {exact}");
        }
    }

    #[test]
    fn counts_stay_where_they_overflow() {
        let mut buckets = Buckets::new();
        buckets.succeed(0, u64::MAX);
        buckets.succeed(1, u64::MAX);
        buckets.enter(1, Some(true), true);
        assert_eq!(buckets.voted(1).calls, u64::MAX);
        assert_eq!(buckets.voted(u64::MAX).calls, 0);
    }

    #[test]
    fn a_call_keeps_its_age_when_the_window_changes() {
        let (long, short) = (
            Pace::of(Duration::from_secs(100)),
            Pace::of(Duration::from_secs(10)),
        );
        let second = 1_000_000_000;
        let mut buckets = Buckets::new();
        buckets.enter(long.epoch(20 * second), Some(true), false);
        buckets.enter(long.epoch(90 * second), Some(true), false);
        let now = 95 * second;
        let shorter = buckets.rebinned(long, short, now);
        assert_eq!(shorter.voted(short.epoch(now)).failures, 1);
        assert_eq!(shorter.voted(short.epoch(now + 5 * second)).failures, 0);
        let longer = shorter.rebinned(short, long, now);
        assert_eq!(longer.voted(long.epoch(now + 80 * second)).failures, 1);
    }

    proptest! {
        #[test]
        fn the_window_is_the_present_bucket_and_the_nine_before(
            steps in proptest::collection::vec(
                (prop_oneof![20 => 0_u64..25, 1 => any::<u64>()], 0_u64..14,
                 any::<Option<bool>>(), any::<bool>()),
                0..120,
            ),
        ) {
            let mut buckets = Buckets::new();
            let mut model: VecDeque<(u64, Option<bool>, bool)> = VecDeque::new();
            let mut now = 0_u64;
            for (gap, back, failed, slow) in steps {
                now = now.saturating_add(gap);
                // Late ones come up to fourteen buckets after their time.
                let epoch = now.saturating_sub(back);
                buckets.enter(epoch, failed, slow);
                model.push_back((epoch, failed, slow));
                let within: Vec<_> = model.iter().filter(|c| now - c.0 < BUCKETS).collect();
                let count = |of: &dyn Fn(Option<bool>, bool) -> bool| {
                    within.iter().filter(|c| of(c.1, c.2)).count() as u64
                };
                let voted = buckets.voted(now);
                prop_assert_eq!(voted.calls, count(&|f, _| f.is_some()));
                prop_assert_eq!(voted.failures, count(&|f, _| f == Some(true)));
                prop_assert_eq!(voted.slow, count(&|f, s| f.is_some() && s));
                let timed = buckets.timed(now);
                prop_assert_eq!(timed.calls, count(&|f, s| f.is_some() || s));
                prop_assert_eq!(timed.slow, count(&|_, s| s));
            }
        }
    }
}

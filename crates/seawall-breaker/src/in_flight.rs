//! Calls in start that take too long, counted before they end.
//!
//! A call that hangs never ends, so its end cannot show that it is slow. A call that is pending
//! increments the bucket of its start, an eighth of the threshold wide, and decrements it when it
//! ends; what is left in buckets older than the threshold is overdue now. Both are one
//! compare-exchange on the stripe, and the cost of reading does not depend on the traffic. A call
//! that ends at its first poll costs neither.
//!
//! When a bucket is used again, what it still held is moved to a count of its own; a call that
//! does not find its bucket any more is subtracted there. A change of the threshold begins another
//! *watch*: calls that started before it are no longer watched while they are in start, and still
//! count as slow if they are slow when they end.

use crate::sync::{AtomicU64, Ordering};

/// Buckets from the start of a call until it is overdue, and one each for the start's own bucket
/// and the present one.
const SLOTS: usize = 10;
/// How many buckets the threshold is long.
pub(crate) const PER_THRESHOLD: u64 = 8;

const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const EPOCH_BITS: u32 = 32;
const EPOCH_MASK: u64 = (1 << EPOCH_BITS) - 1;
const WATCH_MASK: u64 = 0xff;

/// Where a call in flight is counted: its watch (8 bits) and the bucket of its start (32);
/// 41 bits are enough for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StartBucket(pub(crate) u64);

impl StartBucket {
    /// A call that is not watched.
    pub(crate) const NONE: Self = Self(1 << 40);
    /// A call that is not counted yet, since nothing has waited for it.
    pub(crate) const NOT_YET: Self = Self(Self::NONE.0 | 1);

    #[inline]
    pub(crate) const fn new(watch: u64, epoch: u64) -> Self {
        Self(((watch & WATCH_MASK) << EPOCH_BITS) | (epoch & EPOCH_MASK))
    }

    #[inline]
    pub(crate) const fn is_watched(self) -> bool {
        self.0 & Self::NONE.0 == 0
    }

    const fn slot(self) -> usize {
        ((self.0 & EPOCH_MASK) % SLOTS as u64) as usize
    }

    const fn watch(self) -> u64 {
        self.0 >> EPOCH_BITS
    }

    /// By how many buckets this start lies before `now`; 0 when it lies after it.
    const fn age(self, now: Self) -> u64 {
        let age = now.0.wrapping_sub(self.0) & EPOCH_MASK;
        if age <= EPOCH_MASK / 2 { age } else { 0 }
    }

    /// Whether a call that started then has been in flight for the full threshold.
    const fn is_overdue(self, now: Self) -> bool {
        self.age(now) > PER_THRESHOLD
    }
}

/// The calls in flight of one stripe.
#[derive(Debug)]
pub(crate) struct InFlight {
    /// The start bucket (40 bits) and the count (24).
    slots: [AtomicU64; SLOTS],
    /// Watch (8 bits) and the count, which may be below zero for a moment, in 56 bits.
    overdue: AtomicU64,
}

const OVERDUE_BITS: u32 = 56;
const OVERDUE_MASK: u64 = (1 << OVERDUE_BITS) - 1;

impl InFlight {
    pub(crate) fn new() -> Self {
        Self {
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
            overdue: AtomicU64::new(0),
        }
    }

    /// Begins another watch. Called under the lock, before the number of the watch is published.
    pub(crate) fn begin(&self, watch: u64) {
        let watch = (watch & WATCH_MASK) << OVERDUE_BITS;
        self.overdue.swap(watch, Ordering::AcqRel);
    }

    /// The number of the present watch.
    fn watch(&self) -> u64 {
        self.overdue.load(Ordering::Acquire) >> OVERDUE_BITS
    }

    /// A call starts.
    #[inline(always)]
    pub(crate) fn start(&self, start: StartBucket) {
        let slot = &self.slots[start.slot()];
        let seen = slot.load(Ordering::Acquire);
        let found = StartBucket(seen >> COUNT_BITS) == start && seen & COUNT_MASK != COUNT_MASK;
        let started = || slot.compare_exchange(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire);
        if !found || started().is_err() {
            self.start_contended(start);
        }
    }

    #[cold]
    #[inline(never)]
    fn start_contended(&self, start: StartBucket) {
        let slot = &self.slots[start.slot()];
        let mut seen = slot.load(Ordering::Acquire);
        loop {
            let held = StartBucket(seen >> COUNT_BITS);
            let count = seen & COUNT_MASK;
            let (next, moved) = if held == start && count < COUNT_MASK {
                (seen + 1, 0)
            } else if held.watch() != start.watch() {
                if start.watch() != self.watch() {
                    // Its watch is over, and what the present one has counted here must stay.
                    return;
                }
                ((start.0 << COUNT_BITS) | 1, 0)
            } else if count == 0 || held.age(start) != 0 {
                ((start.0 << COUNT_BITS) | 1, count)
            } else {
                // Another thread, whose clock was read a full round later, was here first; or the
                // count is full. Better slow too early than in the wrong bucket.
                self.add_overdue(start, 1);
                return;
            };
            match slot.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    if moved != 0 {
                        self.add_overdue(held, moved);
                    }
                    return;
                }
                Err(now) => seen = now,
            }
        }
    }

    /// A call that started has ended.
    #[inline(always)]
    pub(crate) fn end(&self, start: StartBucket) {
        let slot = &self.slots[start.slot()];
        let seen = slot.load(Ordering::Acquire);
        let found = StartBucket(seen >> COUNT_BITS) == start && seen & COUNT_MASK != 0;
        let ended = || slot.compare_exchange(seen, seen - 1, Ordering::AcqRel, Ordering::Acquire);
        if !found || ended().is_err() {
            self.end_contended(start);
        }
    }

    #[cold]
    #[inline(never)]
    fn end_contended(&self, start: StartBucket) {
        let slot = &self.slots[start.slot()];
        let mut seen = slot.load(Ordering::Acquire);
        loop {
            if StartBucket(seen >> COUNT_BITS) != start || seen & COUNT_MASK == 0 {
                return self.add_overdue(start, OVERDUE_MASK);
            }
            match slot.compare_exchange_weak(seen, seen - 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Adds to the calls whose bucket was used again; `OVERDUE_MASK` is minus one.
    #[cold]
    fn add_overdue(&self, start: StartBucket, count: u64) {
        let mut seen = self.overdue.load(Ordering::Acquire);
        // Calls of an earlier watch are no longer counted.
        while seen >> OVERDUE_BITS == start.watch() {
            let sum = (seen & OVERDUE_MASK).wrapping_add(count) & OVERDUE_MASK;
            let next = (start.watch() << OVERDUE_BITS) | sum;
            match self.overdue.compare_exchange_weak(
                seen,
                next,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// The calls that are overdue. Exact to the last bucket when nothing happens meanwhile, and
    /// off by the calls that start or end meanwhile otherwise.
    pub(crate) fn overdue(&self, now: StartBucket) -> u64 {
        let lost = self.overdue.load(Ordering::Acquire);
        let mut sum = if lost >> OVERDUE_BITS == now.watch() {
            // Sign extension of 56 bits.
            ((lost << 8) as i64) >> 8
        } else {
            0
        };
        for slot in &self.slots {
            let seen = slot.load(Ordering::Acquire);
            let held = StartBucket(seen >> COUNT_BITS);
            if held.watch() == now.watch() && held.is_overdue(now) {
                sum += (seen & COUNT_MASK) as i64;
            }
        }
        u64::try_from(sum).unwrap_or(0)
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(epoch: u64) -> StartBucket {
        StartBucket::new(1, epoch)
    }

    fn watching(watch: u64) -> InFlight {
        let in_flight = InFlight::new();
        in_flight.begin(watch);
        in_flight
    }

    #[test]
    fn a_call_is_overdue_when_all_of_its_bucket_is_and_until_it_ends() {
        let in_flight = watching(1);
        in_flight.start(at(3));
        in_flight.start(at(3));
        assert_eq!(in_flight.overdue(at(11)), 0);
        assert_eq!(in_flight.overdue(at(12)), 2);
        in_flight.end(at(3));
        assert_eq!(in_flight.overdue(at(12)), 1);
        // Its bucket is used again.
        in_flight.start(at(13));
        assert_eq!(in_flight.overdue(at(13)), 1);
        in_flight.end(at(3));
        assert_eq!(in_flight.overdue(at(13)), 0);
        in_flight.end(at(13));
        assert_eq!(in_flight.overdue(at(13 + (1 << 20))), 0);
    }

    #[test]
    fn another_watch_starts_empty_and_is_not_disturbed_by_calls_of_the_one_before() {
        let in_flight = watching(1);
        in_flight.start(at(3));
        in_flight.start(at(4));
        in_flight.start(at(14));
        in_flight.begin(2);
        let next = |epoch| StartBucket::new(2, epoch);
        assert_eq!(in_flight.overdue(next(1_000)), 0);
        in_flight.start(next(23));
        assert_eq!(in_flight.overdue(next(40)), 1);
        for old in [3, 4, 14] {
            in_flight.end(at(old));
        }
        assert_eq!(in_flight.overdue(next(40)), 1);
        in_flight.end(next(23));
        assert_eq!(in_flight.overdue(next(40)), 0);
    }

    #[test]
    fn the_last_watch_is_followed_by_the_first() {
        let in_flight = watching(255);
        let (last, first) = (StartBucket::new(255, 0), StartBucket::new(256, 0));
        in_flight.start(last);
        in_flight.begin(256);
        in_flight.start(first);
        in_flight.end(last);
        assert_eq!(in_flight.overdue(StartBucket::new(256, 9)), 1);
    }

    #[test]
    fn a_start_of_a_watch_that_is_over_leaves_the_counts_of_the_present_one_alone() {
        let in_flight = watching(2);
        let next = |epoch| StartBucket::new(2, epoch);
        in_flight.start(next(3));
        in_flight.start(at(13));
        assert_eq!(in_flight.overdue(next(4)), 0);
        assert_eq!(in_flight.overdue(next(12)), 1);
        in_flight.end(at(13));
        in_flight.end(next(3));
        assert_eq!(in_flight.overdue(next(12)), 0);
    }

    #[test]
    fn a_full_bucket_counts_in_another_word() {
        let in_flight = watching(1);
        let full = (at(3).0 << COUNT_BITS) | COUNT_MASK;
        in_flight.slots[3].store(full, Ordering::Relaxed);
        in_flight.start(at(3));
        assert_eq!(in_flight.overdue(at(12)), COUNT_MASK + 1);
        in_flight.end(at(3));
        assert_eq!(in_flight.overdue(at(12)), COUNT_MASK);
    }

    proptest! {
        #[test]
        fn overdue_counts_are_those_of_a_list_of_starts(
            steps in proptest::collection::vec((0_u64..4, 0_usize..40), 1..200),
        ) {
            let in_flight = watching(1);
            let mut model: Vec<u64> = Vec::new();
            let mut now = 0;
            for (gap, what) in steps {
                now += gap;
                if what < 20 {
                    in_flight.start(at(now));
                    model.push(now);
                } else if !model.is_empty() {
                    let ended = model.swap_remove(what % model.len());
                    in_flight.end(at(ended));
                }
                let expected = model.iter().filter(|s| now - **s > PER_THRESHOLD).count();
                prop_assert_eq!(in_flight.overdue(at(now)), expected as u64);
            }
            for ended in model {
                in_flight.end(at(ended));
            }
            prop_assert_eq!(in_flight.overdue(at(now + 100)), 0);
        }
    }
}

#[cfg(all(test, seawall_loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    fn at(epoch: u64) -> StartBucket {
        StartBucket::new(0, epoch)
    }

    /// A call ends while its bucket is used again and another thread reads.
    #[test]
    fn a_call_that_ends_while_its_bucket_is_used_again_is_taken_out_once() {
        loom::model(|| {
            let in_flight = Arc::new(InFlight::new());
            in_flight.start(at(0));
            let ends = {
                let in_flight = Arc::clone(&in_flight);
                thread::spawn(move || in_flight.end(at(0)))
            };
            let starts = {
                let in_flight = Arc::clone(&in_flight);
                thread::spawn(move || in_flight.start(at(10)))
            };
            assert!(in_flight.overdue(at(10)) <= 1);
            ends.join().unwrap();
            starts.join().unwrap();
            assert_eq!(in_flight.overdue(at(10)), 0);
            assert_eq!(in_flight.overdue(at(19)), 1);
        });
    }

    /// The watch changes while a call of the one before is still about to start, another ends and
    /// one of the new watch starts in the same bucket.
    #[test]
    fn a_watch_that_begins_is_not_disturbed_by_starts_and_ends_of_the_one_before() {
        loom::model(|| {
            let in_flight = Arc::new(InFlight::new());
            let published = Arc::new(AtomicU64::new(0));
            in_flight.start(at(0));
            let old = {
                let in_flight = Arc::clone(&in_flight);
                thread::spawn(move || {
                    in_flight.start(at(10));
                    in_flight.end(at(0));
                })
            };
            let new = {
                let (in_flight, published) = (Arc::clone(&in_flight), Arc::clone(&published));
                thread::spawn(move || {
                    let knows = published.load(Ordering::Acquire) == 1;
                    if knows {
                        in_flight.start(StartBucket::new(1, 20));
                        assert_eq!(in_flight.overdue(StartBucket::new(1, 21)), 0);
                    }
                    u64::from(knows)
                })
            };
            in_flight.begin(1);
            published.store(1, Ordering::Release);
            old.join().unwrap();
            let started = new.join().unwrap();
            in_flight.end(at(10));
            assert_eq!(in_flight.overdue(StartBucket::new(1, 29)), started);
        });
    }

    /// Two calls of two rounds start in one bucket while that of the round before ends.
    #[test]
    fn calls_of_three_rounds_in_one_bucket_are_each_counted_once() {
        loom::model(|| {
            let in_flight = Arc::new(InFlight::new());
            in_flight.start(at(0));
            let starts = {
                let in_flight = Arc::clone(&in_flight);
                thread::spawn(move || in_flight.start(at(10)))
            };
            in_flight.start(at(20));
            in_flight.end(at(0));
            starts.join().unwrap();
            assert_eq!(in_flight.overdue(at(29)), 2);
            in_flight.end(at(10));
            in_flight.end(at(20));
            assert_eq!(in_flight.overdue(at(29)), 0);
        });
    }
}

//! Calls under way that take too long, counted before they end.
//!
//! A call that hangs tells nobody that it is slow. So a call that starts counts itself up in the
//! bucket of its start, an eighth of the threshold wide, and down when it ends; what is left in
//! buckets that are older than the threshold is overdue now. Both are one compare-exchange on the
//! stripe, and reading is the same work whatever the traffic.
//!
//! When a bucket is used again, what it still held is moved to a count of its own; a call that
//! does not find its bucket any more leaves from there. A change of the threshold begins another
//! *watch*: calls that started before it are no longer watched while they are under way, and are
//! still slow if they are when they end.

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

/// Where a call under way is counted: its watch (8 bits) and the bucket of its start (32).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flight(u64);

impl Flight {
    /// A call that is not watched.
    pub(crate) const NONE: Self = Self(u64::MAX);

    #[inline]
    pub(crate) const fn of(watch: u64, epoch: u64) -> Self {
        Self(((watch & WATCH_MASK) << EPOCH_BITS) | (epoch & EPOCH_MASK))
    }

    #[inline]
    pub(crate) const fn is_watched(self) -> bool {
        self.0 != u64::MAX
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

    /// Whether a call that started then has been under way for the whole threshold.
    const fn is_overdue(self, now: Self) -> bool {
        self.age(now) > PER_THRESHOLD
    }
}

/// The calls under way of one stripe.
#[derive(Debug)]
pub(crate) struct Flights {
    /// Flight (40 bits) and count (24).
    slots: [AtomicU64; SLOTS],
    /// Watch (8 bits) and the count, which may be below zero for a moment, in 56 bits.
    overdue: AtomicU64,
}

const OVERDUE_BITS: u32 = 56;
const OVERDUE_MASK: u64 = (1 << OVERDUE_BITS) - 1;

impl Flights {
    pub(crate) fn new() -> Self {
        Self {
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
            overdue: AtomicU64::new(0),
        }
    }

    /// Begins another watch. Called under the lock, before anybody may know of it.
    pub(crate) fn begin(&self, watch: u64) {
        let watch = (watch & WATCH_MASK) << OVERDUE_BITS;
        self.overdue.swap(watch, Ordering::AcqRel);
    }

    /// The number of the present watch.
    fn watch(&self) -> u64 {
        self.overdue.load(Ordering::Acquire) >> OVERDUE_BITS
    }

    /// A call starts.
    #[inline]
    pub(crate) fn start(&self, flight: Flight) {
        let slot = &self.slots[flight.slot()];
        let mut seen = slot.load(Ordering::Acquire);
        loop {
            let held = Flight(seen >> COUNT_BITS);
            let count = seen & COUNT_MASK;
            let (next, moved) = if held == flight && count < COUNT_MASK {
                (seen + 1, 0)
            } else if held.watch() != flight.watch() {
                if flight.watch() != self.watch() {
                    // Its watch is over, and what the present one has counted here must stay.
                    return;
                }
                ((flight.0 << COUNT_BITS) | 1, 0)
            } else if count == 0 || held.age(flight) != 0 {
                ((flight.0 << COUNT_BITS) | 1, count)
            } else {
                // Another thread, whose clock was read later by a whole round, was here first. Or
                // the count is full: rather slow too early than in the wrong bucket.
                self.add_overdue(flight, 1);
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
    #[inline]
    pub(crate) fn end(&self, flight: Flight) {
        let slot = &self.slots[flight.slot()];
        let mut seen = slot.load(Ordering::Acquire);
        loop {
            if Flight(seen >> COUNT_BITS) != flight || seen & COUNT_MASK == 0 {
                return self.add_overdue(flight, OVERDUE_MASK);
            }
            match slot.compare_exchange_weak(seen, seen - 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Adds to the calls that have lost their bucket; `OVERDUE_MASK` is minus one.
    #[cold]
    fn add_overdue(&self, flight: Flight, count: u64) {
        let mut seen = self.overdue.load(Ordering::Acquire);
        // Of a watch that is over nothing is counted any more.
        while seen >> OVERDUE_BITS == flight.watch() {
            let sum = (seen & OVERDUE_MASK).wrapping_add(count) & OVERDUE_MASK;
            let next = (flight.watch() << OVERDUE_BITS) | sum;
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
    pub(crate) fn overdue(&self, now: Flight) -> u64 {
        let lost = self.overdue.load(Ordering::Acquire);
        let mut sum = if lost >> OVERDUE_BITS == now.watch() {
            // Sign extension of 56 bits.
            ((lost << 8) as i64) >> 8
        } else {
            0
        };
        for slot in &self.slots {
            let seen = slot.load(Ordering::Acquire);
            let held = Flight(seen >> COUNT_BITS);
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

    fn at(epoch: u64) -> Flight {
        Flight::of(1, epoch)
    }

    fn watching(watch: u64) -> Flights {
        let flights = Flights::new();
        flights.begin(watch);
        flights
    }

    #[test]
    fn a_call_is_overdue_when_its_whole_bucket_is_and_until_it_ends() {
        let flights = watching(1);
        flights.start(at(3));
        flights.start(at(3));
        assert_eq!(flights.overdue(at(11)), 0);
        assert_eq!(flights.overdue(at(12)), 2);
        flights.end(at(3));
        assert_eq!(flights.overdue(at(12)), 1);
        // Its bucket is used again.
        flights.start(at(13));
        assert_eq!(flights.overdue(at(13)), 1);
        flights.end(at(3));
        assert_eq!(flights.overdue(at(13)), 0);
        flights.end(at(13));
        assert_eq!(flights.overdue(at(13 + (1 << 20))), 0);
    }

    #[test]
    fn another_watch_starts_anew_and_is_not_disturbed_by_calls_of_the_one_before() {
        let flights = watching(1);
        flights.start(at(3));
        flights.start(at(4));
        flights.start(at(14));
        flights.begin(2);
        let next = |epoch| Flight::of(2, epoch);
        assert_eq!(flights.overdue(next(1_000)), 0);
        flights.start(next(23));
        assert_eq!(flights.overdue(next(40)), 1);
        for old in [3, 4, 14] {
            flights.end(at(old));
        }
        assert_eq!(flights.overdue(next(40)), 1);
        flights.end(next(23));
        assert_eq!(flights.overdue(next(40)), 0);
    }

    #[test]
    fn the_last_watch_is_followed_by_the_first() {
        let flights = watching(255);
        let (last, first) = (Flight::of(255, 0), Flight::of(256, 0));
        flights.start(last);
        flights.begin(256);
        flights.start(first);
        flights.end(last);
        assert_eq!(flights.overdue(Flight::of(256, 9)), 1);
    }

    #[test]
    fn a_start_of_a_watch_that_is_over_leaves_the_counts_of_the_present_one_alone() {
        let flights = watching(2);
        let next = |epoch| Flight::of(2, epoch);
        flights.start(next(3));
        flights.start(at(13));
        assert_eq!(flights.overdue(next(4)), 0);
        assert_eq!(flights.overdue(next(12)), 1);
        flights.end(at(13));
        flights.end(next(3));
        assert_eq!(flights.overdue(next(12)), 0);
    }

    #[test]
    fn a_full_bucket_counts_in_another_place() {
        let flights = watching(1);
        let full = (at(3).0 << COUNT_BITS) | COUNT_MASK;
        flights.slots[3].store(full, Ordering::Relaxed);
        flights.start(at(3));
        assert_eq!(flights.overdue(at(12)), COUNT_MASK + 1);
        flights.end(at(3));
        assert_eq!(flights.overdue(at(12)), COUNT_MASK);
    }

    proptest! {
        #[test]
        fn what_is_overdue_is_what_a_list_of_starts_says(
            steps in proptest::collection::vec((0_u64..4, 0_usize..40), 1..200),
        ) {
            let flights = watching(1);
            let mut model: Vec<u64> = Vec::new();
            let mut now = 0;
            for (gap, what) in steps {
                now += gap;
                if what < 20 {
                    flights.start(at(now));
                    model.push(now);
                } else if !model.is_empty() {
                    let ended = model.swap_remove(what % model.len());
                    flights.end(at(ended));
                }
                let expected = model.iter().filter(|s| now - **s > PER_THRESHOLD).count();
                prop_assert_eq!(flights.overdue(at(now)), expected as u64);
            }
            for ended in model {
                flights.end(at(ended));
            }
            prop_assert_eq!(flights.overdue(at(now + 100)), 0);
        }
    }
}

#[cfg(all(test, seawall_loom))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    fn at(epoch: u64) -> Flight {
        Flight::of(0, epoch)
    }

    /// A call ends while its bucket is used again and somebody looks.
    #[test]
    fn a_call_that_ends_while_its_bucket_is_used_again_is_taken_out_once() {
        loom::model(|| {
            let flights = Arc::new(Flights::new());
            flights.start(at(0));
            let ends = {
                let flights = Arc::clone(&flights);
                thread::spawn(move || flights.end(at(0)))
            };
            let starts = {
                let flights = Arc::clone(&flights);
                thread::spawn(move || flights.start(at(10)))
            };
            assert!(flights.overdue(at(10)) <= 1);
            ends.join().unwrap();
            starts.join().unwrap();
            assert_eq!(flights.overdue(at(10)), 0);
            assert_eq!(flights.overdue(at(19)), 1);
        });
    }

    /// The watch changes while a call of the one before is still about to start, another ends and
    /// one of the new watch starts in the same bucket.
    #[test]
    fn a_watch_that_begins_is_not_disturbed_by_starts_and_ends_of_the_one_before() {
        loom::model(|| {
            let flights = Arc::new(Flights::new());
            let told = Arc::new(AtomicU64::new(0));
            flights.start(at(0));
            let old = {
                let flights = Arc::clone(&flights);
                thread::spawn(move || {
                    flights.start(at(10));
                    flights.end(at(0));
                })
            };
            let new = {
                let (flights, told) = (Arc::clone(&flights), Arc::clone(&told));
                thread::spawn(move || {
                    let knows = told.load(Ordering::Acquire) == 1;
                    if knows {
                        flights.start(Flight::of(1, 20));
                        assert_eq!(flights.overdue(Flight::of(1, 21)), 0);
                    }
                    u64::from(knows)
                })
            };
            flights.begin(1);
            told.store(1, Ordering::Release);
            old.join().unwrap();
            let started = new.join().unwrap();
            flights.end(at(10));
            assert_eq!(flights.overdue(Flight::of(1, 29)), started);
        });
    }

    /// Two calls of two rounds start in one bucket while that of the round before ends.
    #[test]
    fn calls_of_three_rounds_in_one_bucket_are_each_counted_once() {
        loom::model(|| {
            let flights = Arc::new(Flights::new());
            flights.start(at(0));
            let starts = {
                let flights = Arc::clone(&flights);
                thread::spawn(move || flights.start(at(10)))
            };
            flights.start(at(20));
            flights.end(at(0));
            starts.join().unwrap();
            assert_eq!(flights.overdue(at(29)), 2);
            flights.end(at(10));
            flights.end(at(20));
            assert_eq!(flights.overdue(at(29)), 0);
        });
    }
}

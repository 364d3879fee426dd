//! Votes of successes without a lock, exact whenever they are read.
//!
//! Successes are interchangeable; only failures need an order. So a success counts itself up in a
//! word of its stripe by one compare-exchange, and a failure, under the lock, drains all stripes
//! into the windows before it enters itself.
//!
//! A stripe has one word per bucket of the time window (one alone is used when there is none). A
//! word carries a **tag** beside its count: the number of the bucket, plus a million for each
//! generation. As the window is ten buckets long, what was counted in an earlier generation is
//! never within it.
//!
//! * A new generation stores its state word *first* and re-tags the stripes *after*. A success
//!   reads the stripe's word, then finds the state word of its permit in force, then exchanges the
//!   stripe's word: if it was re-tagged in between, the exchange fails, and the next round finds
//!   the new state. If it was not yet, the count is of the generation before, and the re-tagging
//!   takes it out. No thread waits for another.
//! * A success that needs the slot of a bucket which is out of the window *evicts* the count found
//!   there into a word of its own: those calls are too old for the time window, but still among
//!   the last N calls, and they still end a run of failures.
//! * What cannot be done here (the generation is another one, the count is full) is done under the
//!   lock.

use crate::state_word::StateWord;
use crate::sync::{AtomicU64, Ordering};

/// Buckets of a time window.
pub(crate) const SLOTS: usize = 10;

const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const TAG_MASK: u64 = (1 << 40) - 1;
/// By how many buckets a generation moves the tags: more than a window has, and more than pass
/// between the reading of the clock and the storing of a state word, so that no tag is of two
/// generations.
const STRIDE: u64 = 1 << 20;

/// The low bits of a generation, in the word of the evicted counts.
const EVICTED_BITS: u32 = 40;
const EVICTED_MASK: u64 = (1 << EVICTED_BITS) - 1;
const GENERATION_MASK: u64 = (1 << 24) - 1;

/// The successes of one stripe. Without a time window only the first word is touched.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Slots {
    words: [AtomicU64; SLOTS],
    evicted: AtomicU64,
}

/// The tag of a bucket in a generation.
#[inline]
pub(crate) const fn tag(word: StateWord, epoch: u64) -> u64 {
    word.generation().wrapping_mul(STRIDE).wrapping_add(epoch) & TAG_MASK
}

/// The slot of a tag.
#[inline]
const fn slot(tag: u64, timed: bool) -> usize {
    if timed {
        (tag % SLOTS as u64) as usize
    } else {
        0
    }
}

/// By how many buckets `tag` lies before `now`; `None` when it lies after it.
#[inline]
const fn age(tag: u64, now: u64) -> Option<u64> {
    let age = now.wrapping_sub(tag) & TAG_MASK;
    if age <= TAG_MASK / 2 { Some(age) } else { None }
}

/// Whether `tag` lies before `other`.
pub(crate) const fn is_before(tag: u64, other: u64) -> bool {
    age(other, tag).is_none()
}

/// The periods of a circuit, as its successes see them.
#[derive(Debug)]
pub(crate) struct Periods {
    /// The first tag of the present period.
    pub(crate) start: AtomicU64,
    /// Successes of earlier periods that a later one found.
    pub(crate) carried_over: AtomicU64,
}

impl Periods {
    /// Only the present one, which begins with this tag.
    pub(crate) fn new(start: u64) -> Self {
        Self {
            start: AtomicU64::new(start),
            carried_over: AtomicU64::new(0),
        }
    }
}

/// What a success needs beside its stripe. Two words, which are passed in registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedWords<'a> {
    pub(crate) state: &'a AtomicU64,
    pub(crate) periods: &'a Periods,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            evicted: AtomicU64::new(0),
        }
    }

    /// Counts one success in a slot that is in use already, which is what nearly every call does;
    /// `epoch` is 0 without a time window. `false` means to [`try_count`](Self::try_count).
    #[inline(always)]
    pub(crate) fn count(
        &self,
        state: &AtomicU64,
        permit: StateWord,
        epoch: u64,
        timed: bool,
    ) -> bool {
        let tag = tag(permit, epoch);
        let word = &self.words[slot(tag, timed)];
        let seen = word.load(Ordering::Acquire);
        let full = seen & COUNT_MASK == COUNT_MASK;
        if seen >> COUNT_BITS != tag || full || state.load(Ordering::Acquire) != permit.0 {
            return false;
        }
        word.compare_exchange(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Counts one success of a call that was admitted under `permit`, in the bucket of `epoch`;
    /// `false` when that must be done under the lock.
    #[cold]
    #[inline(never)]
    pub(crate) fn try_count(
        &self,
        shared: SharedWords<'_>,
        permit: StateWord,
        epoch: u64,
        timed: bool,
    ) -> bool {
        let tag = tag(permit, epoch);
        let slot = slot(tag, timed);
        let word = &self.words[slot];
        let mut seen = word.load(Ordering::Acquire);
        loop {
            if shared.state.load(Ordering::Acquire) != permit.0 {
                return false;
            }
            let (next, stale) = if seen >> COUNT_BITS == tag {
                if seen & COUNT_MASK == COUNT_MASK {
                    return false;
                }
                (seen + 1, 0)
            } else if age(seen >> COUNT_BITS, tag).is_some() {
                ((tag << COUNT_BITS) | 1, seen & COUNT_MASK)
            } else {
                // Another thread, whose clock was read a window later, was here first.
                self.evict(shared, permit, 1);
                return true;
            };
            match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    if stale != 0 {
                        self.evict_stale(shared, permit, seen >> COUNT_BITS, stale);
                    }
                    return true;
                }
                Err(now) => seen = now,
            }
        }
    }

    #[cold]
    fn evict_stale(&self, shared: SharedWords<'_>, permit: StateWord, tag: u64, count: u64) {
        let period_start = shared.periods.start.load(Ordering::Acquire);
        if age(period_start, tag).is_some() {
            self.evict(shared, permit, count);
        } else {
            shared
                .periods
                .carried_over
                .fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Counts successes that are out of the time window.
    #[cold]
    fn evict(&self, shared: SharedWords<'_>, permit: StateWord, count: u64) {
        let tag = permit.generation() & GENERATION_MASK;
        let mut seen = self.evicted.load(Ordering::Acquire);
        loop {
            if shared.state.load(Ordering::Acquire) != permit.0 {
                // The generation has ended since they were counted, and they with it.
                shared
                    .periods
                    .carried_over
                    .fetch_add(count, Ordering::Relaxed);
                return;
            }
            let (next, stale) = if seen >> EVICTED_BITS == tag {
                let sum = (seen & EVICTED_MASK)
                    .saturating_add(count)
                    .min(EVICTED_MASK);
                ((tag << EVICTED_BITS) | sum, 0)
            } else {
                ((tag << EVICTED_BITS) | count, seen & EVICTED_MASK)
            };
            match self.evicted.compare_exchange_weak(
                seen,
                next,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    if stale != 0 {
                        shared
                            .periods
                            .carried_over
                            .fetch_add(stale, Ordering::Relaxed);
                    }
                    return;
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Takes the successes out, and enters each count with its age in buckets, `None` for those
    /// before the time window. Called under the lock; `now` is the present tag.
    pub(crate) fn drain(&self, now: u64, mut enter: impl FnMut(Option<u8>, u64)) {
        // The evicted ones are the oldest.
        if self.evicted.load(Ordering::Acquire) & EVICTED_MASK != 0 {
            let evicted = self.evicted.fetch_and(!EVICTED_MASK, Ordering::AcqRel) & EVICTED_MASK;
            enter(None, evicted);
        }
        for word in &self.words {
            if word.load(Ordering::Acquire) & COUNT_MASK == 0 {
                continue;
            }
            let taken = word.fetch_and(!COUNT_MASK, Ordering::AcqRel);
            // A tag ahead of the present one is of a clock that was read a moment later.
            let age = age(taken >> COUNT_BITS, now).unwrap_or(0);
            let within = u8::try_from(age)
                .ok()
                .filter(|age| usize::from(*age) < SLOTS);
            enter(within, taken & COUNT_MASK);
        }
    }

    /// Tags every word for the generation of `word` and returns what was still counted. Called
    /// under the lock.
    pub(crate) fn retag_all(&self, word: StateWord, now: u64) -> u64 {
        let generation = word.generation() & GENERATION_MASK;
        let mut left = self
            .evicted
            .swap(generation << EVICTED_BITS, Ordering::AcqRel)
            & EVICTED_MASK;
        for slot in &self.words {
            left += slot.swap(now << COUNT_BITS, Ordering::AcqRel) & COUNT_MASK;
        }
        left
    }

    /// The same, but what successes of the generation of `word` have counted since its state word
    /// was stored stays. Called under the lock, where the clock is cut as in the generation before.
    pub(crate) fn retag_older(&self, word: StateWord, now: u64) -> u64 {
        let generation = word.generation() & GENERATION_MASK;
        let is_older = |seen: u64| seen >> EVICTED_BITS != generation;
        let evicted = take_if(&self.evicted, generation << EVICTED_BITS, is_older) & EVICTED_MASK;
        let is_older = |seen: u64| is_before(seen >> COUNT_BITS, now);
        let slots = self.words.iter();
        slots
            .map(|slot| take_if(slot, now << COUNT_BITS, is_older) & COUNT_MASK)
            .fold(evicted, u64::saturating_add)
    }

    /// The successes that have not been drained.
    pub(crate) fn peek(&self) -> u64 {
        let evicted = self.evicted.load(Ordering::Relaxed) & EVICTED_MASK;
        self.words
            .iter()
            .map(|word| word.load(Ordering::Relaxed) & COUNT_MASK)
            .fold(evicted, u64::saturating_add)
    }
}

/// Stores `next` in place of what is found, if that is to be taken, and returns it; 0 otherwise.
fn take_if(word: &AtomicU64, next: u64, takes: impl Fn(u64) -> bool) -> u64 {
    let mut seen = word.load(Ordering::Acquire);
    while takes(seen) {
        match word.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return seen,
            Err(now) => seen = now,
        }
    }
    0
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;

    struct World {
        state: AtomicU64,
        periods: Periods,
        slots: Slots,
    }

    impl World {
        fn new(word: StateWord) -> Self {
            Self {
                state: AtomicU64::new(word.0),
                periods: Periods::new(tag(word, 0)),
                slots: Slots::new(),
            }
        }

        fn success(&self, permit: StateWord, epoch: u64) -> bool {
            let shared = SharedWords {
                state: &self.state,
                periods: &self.periods,
            };
            self.slots.try_count(shared, permit, epoch, true)
        }

        fn drain(&self, now: u64) -> Vec<(Option<u8>, u64)> {
            let mut found = Vec::new();
            self.slots.drain(now, |age, count| found.push((age, count)));
            found.sort_unstable();
            found
        }
    }

    const FIRST: StateWord = StateWord::FIRST;

    #[test]
    fn each_bucket_has_its_own_count_and_its_age() {
        let world = World::new(FIRST);
        for epoch in [3, 3, 4, 12] {
            assert!(world.success(FIRST, epoch));
        }
        let found = world.drain(tag(FIRST, 12));
        assert_eq!(found, [(Some(0), 1), (Some(8), 1), (Some(9), 2)]);
        assert!(world.drain(tag(FIRST, 12)).is_empty());
    }

    #[test]
    fn a_bucket_that_is_used_again_evicts_its_count() {
        let world = World::new(FIRST);
        assert!(world.success(FIRST, 3));
        assert!(world.success(FIRST, 13));
        // The clock of this call was read a window earlier.
        assert!(world.success(FIRST, 3));
        assert_eq!(world.slots.peek(), 3);
        assert_eq!(world.drain(tag(FIRST, 13)), [(None, 2), (Some(0), 1)]);
        // After any idle time.
        assert!(world.success(FIRST, 13));
        assert!(world.success(FIRST, 13 + (1 << 38)));
        assert_eq!(
            world.drain(tag(FIRST, 13 + (1 << 38))),
            [(None, 1), (Some(0), 1)]
        );
    }

    #[test]
    fn counts_of_an_earlier_period_are_kept_for_the_total_only() {
        let second = FIRST.same_state();
        let world = World::new(second);
        let left = world.slots.words[3].swap((tag(FIRST, 3) << COUNT_BITS) | 7, Ordering::Relaxed);
        assert_eq!(left, 0);
        // The tags of the second generation fall into the same word thirty buckets on.
        let epoch = (3 + SLOTS as u64 - STRIDE % SLOTS as u64) % SLOTS as u64;
        assert!(world.success(second, epoch));
        assert_eq!(world.periods.carried_over.load(Ordering::Relaxed), 7);
        assert_eq!(world.drain(tag(second, epoch)), [(Some(0), 1)]);
    }

    #[test]
    fn a_permit_of_another_generation_and_a_full_word_are_for_the_lock() {
        let world = World::new(FIRST.same_state());
        assert!(!world.success(FIRST, 0));
        assert_eq!(world.slots.peek(), 0);
        let world = World::new(FIRST);
        world.slots.words[0].store(COUNT_MASK, Ordering::Relaxed);
        assert!(!world.success(FIRST, 0));
        assert_eq!(world.drain(0), [(Some(0), COUNT_MASK)]);
        assert!(world.success(FIRST, 0));
    }
}

#[cfg(all(test, seawall_loom))]
mod loom_tests {
    use super::*;
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    struct Model {
        state: AtomicU64,
        periods: Periods,
        slots: Slots,
        lock: Mutex<()>,
    }

    fn model() -> Arc<Model> {
        Arc::new(Model {
            state: AtomicU64::new(StateWord::FIRST.0),
            periods: Periods::new(0),
            slots: Slots::new(),
            lock: Mutex::new(()),
        })
    }

    impl Model {
        fn vote(&self, permit: StateWord, epoch: u64, timed: bool) -> u64 {
            let shared = SharedWords {
                state: &self.state,
                periods: &self.periods,
            };
            // As a call does it.
            let counted = self.slots.count(&self.state, permit, epoch, timed);
            u64::from(counted || self.slots.try_count(shared, permit, epoch, timed))
        }

        fn drain(&self, now: u64) -> u64 {
            let mut sum = 0;
            self.slots.drain(now, |_, count| sum += count);
            sum
        }
    }

    /// A transition races with a success of the generation before it and with one of the
    /// generation after it. Each counted vote is found once, and in its own generation.
    fn transition(keeps: bool) {
        loom::model(move || {
            let (first, second) = (StateWord::FIRST, StateWord::FIRST.same_state());
            let m = model();
            let old = {
                let m = Arc::clone(&m);
                thread::spawn(move || m.vote(first, 0, false))
            };
            let new = {
                let m = Arc::clone(&m);
                // Admitted only if the new state was seen, as a call would be.
                thread::spawn(move || {
                    if m.state.load(Ordering::Acquire) == second.0 {
                        m.vote(second, 0, false)
                    } else {
                        0
                    }
                })
            };
            let (before, after) = {
                let _guard = m.lock.lock().unwrap();
                let before = m.drain(tag(first, 0));
                if !keeps {
                    m.periods.start.store(tag(second, 0), Ordering::Release);
                }
                m.state.store(second.0, Ordering::Release);
                let retag = if keeps {
                    Slots::retag_all
                } else {
                    Slots::retag_older
                };
                (before, retag(&m.slots, second, tag(second, 0)))
            };
            let (old, new) = (old.join().unwrap(), new.join().unwrap());
            let carried_over = m.periods.carried_over.load(Ordering::Relaxed);
            let rest = m.drain(tag(second, 0));
            if keeps {
                // A success counts on whichever way it is found.
                assert_eq!(old + new, before + after + rest);
                assert_eq!(carried_over, 0);
            } else {
                assert_eq!(old, before + after + carried_over);
                assert_eq!(new, rest);
            }
        });
    }

    #[test]
    fn a_success_votes_in_its_own_period_or_not_at_all() {
        transition(false);
    }

    #[test]
    fn a_change_of_settings_loses_no_success() {
        transition(true);
    }

    #[test]
    fn successes_and_drains_lose_nothing() {
        loom::model(|| {
            let m = model();
            let voter = {
                let m = Arc::clone(&m);
                thread::spawn(move || {
                    m.vote(StateWord::FIRST, 0, true) + m.vote(StateWord::FIRST, 0, true)
                })
            };
            let drained = m.drain(0);
            assert_eq!(voter.join().unwrap(), 2);
            assert_eq!(drained + m.drain(0), 2);
        });
    }

    /// A bucket is used again by one thread while another one still counts in the old one and a
    /// third drains.
    #[test]
    fn a_bucket_that_is_used_again_loses_nothing() {
        loom::model(|| {
            let m = model();
            let threads = [3, 13].map(|epoch| {
                let m = Arc::clone(&m);
                thread::spawn(move || m.vote(StateWord::FIRST, epoch, true))
            });
            let drained = m.drain(tag(StateWord::FIRST, 13));
            let voted: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
            assert_eq!(voted, 2);
            assert_eq!(drained + m.drain(tag(StateWord::FIRST, 13)), 2);
            assert_eq!(m.periods.carried_over.load(Ordering::Relaxed), 0);
        });
    }
}

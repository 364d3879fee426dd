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
//!   reads the stripe's word, then finds the state word equal to its ticket, then exchanges the
//!   stripe's word: if it was re-tagged in between, the exchange fails, and the second look finds
//!   the new state. If it was not yet, the count is of the generation before, and the re-tagging
//!   takes it out. Nobody waits for anybody.
//! * Who finds a count of a bucket that is out of the window sweeps it together: the calls are too
//!   old for the time window, but still among the last N calls, and they still end a row of
//!   failures.
//! * What cannot be done here (the generation is another one, the count is full) is done under the
//!   lock.

use crate::sync::{AtomicU64, Ordering};
use crate::word::Word;

/// Buckets of a time window.
pub(crate) const SLOTS: usize = 10;

const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const TAG_MASK: u64 = (1 << 40) - 1;
/// By how many buckets a generation moves the tags: more than a window has, and more than pass
/// between the reading of the clock and the storing of a state word, so that no tag is of two
/// generations.
const STRIDE: u64 = 1 << 20;

/// The low bits of a generation, in the word of what was swept together.
const SWEPT_BITS: u32 = 40;
const SWEPT_MASK: u64 = (1 << SWEPT_BITS) - 1;
const GENERATION_MASK: u64 = (1 << 24) - 1;

/// The successes of one stripe.
#[derive(Debug)]
pub(crate) struct Slots {
    words: [AtomicU64; SLOTS],
    swept: AtomicU64,
}

/// The tag of a bucket in a generation.
#[inline]
pub(crate) const fn tag(word: Word, epoch: u64) -> u64 {
    word.generation().wrapping_mul(STRIDE).wrapping_add(epoch) & TAG_MASK
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

/// What a success needs beside its stripe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Poll<'a> {
    pub(crate) state: &'a AtomicU64,
    /// The first tag of the present period.
    pub(crate) born: &'a AtomicU64,
    /// Successes of earlier periods that a later one found.
    pub(crate) carried: &'a AtomicU64,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            swept: AtomicU64::new(0),
        }
    }

    /// Counts one success in a bucket that is in use already, if nothing stands in its way: what
    /// nearly every call comes to. `false` says to try [`success`](Self::success).
    #[inline(always)]
    pub(crate) fn count(&self, state: &AtomicU64, ticket: Word, epoch: u64, timed: bool) -> bool {
        let tag = tag(ticket, epoch);
        let word = &self.words[if timed {
            (tag % SLOTS as u64) as usize
        } else {
            0
        }];
        let seen = word.load(Ordering::Acquire);
        let full = seen & COUNT_MASK == COUNT_MASK;
        if seen >> COUNT_BITS != tag || full || state.load(Ordering::Acquire) != ticket.0 {
            return false;
        }
        word.compare_exchange(seen, seen + 1, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Counts one success of a call that was admitted under `ticket`, in the bucket of `epoch`;
    /// `false` when that must be done under the lock.
    #[inline(never)]
    pub(crate) fn success(&self, poll: Poll<'_>, ticket: Word, epoch: u64, timed: bool) -> bool {
        let tag = tag(ticket, epoch);
        let slot = if timed {
            (tag % SLOTS as u64) as usize
        } else {
            0
        };
        let word = &self.words[slot];
        let mut seen = word.load(Ordering::Acquire);
        loop {
            if poll.state.load(Ordering::Acquire) != ticket.0 {
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
                // Another thread, whose clock was read later by a whole window, was here first.
                self.sweep(poll, ticket, 1);
                return true;
            };
            match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    if stale != 0 {
                        self.sweep_stale(poll, ticket, seen >> COUNT_BITS, stale);
                    }
                    return true;
                }
                Err(now) => seen = now,
            }
        }
    }

    #[cold]
    fn sweep_stale(&self, poll: Poll<'_>, ticket: Word, tag: u64, count: u64) {
        let born = poll.born.load(Ordering::Acquire);
        if age(born, tag).is_some() {
            self.sweep(poll, ticket, count);
        } else {
            poll.carried.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Counts successes that are out of the time window.
    #[cold]
    fn sweep(&self, poll: Poll<'_>, ticket: Word, count: u64) {
        let tag = ticket.generation() & GENERATION_MASK;
        let mut seen = self.swept.load(Ordering::Acquire);
        loop {
            if poll.state.load(Ordering::Acquire) != ticket.0 {
                // The generation has ended since they were counted, and they with it.
                poll.carried.fetch_add(count, Ordering::Relaxed);
                return;
            }
            let (next, stale) = if seen >> SWEPT_BITS == tag {
                let sum = (seen & SWEPT_MASK).saturating_add(count).min(SWEPT_MASK);
                ((tag << SWEPT_BITS) | sum, 0)
            } else {
                ((tag << SWEPT_BITS) | count, seen & SWEPT_MASK)
            };
            match self
                .swept
                .compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => {
                    if stale != 0 {
                        poll.carried.fetch_add(stale, Ordering::Relaxed);
                    }
                    return;
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Takes the successes out, and tells of each count how many buckets ago it was, `None` for
    /// those before the time window. Called under the lock; `now` is the present tag.
    pub(crate) fn drain(&self, now: u64, mut enter: impl FnMut(Option<u8>, u64)) {
        // Those that were swept together are the oldest.
        if self.swept.load(Ordering::Acquire) & SWEPT_MASK != 0 {
            let swept = self.swept.fetch_and(!SWEPT_MASK, Ordering::AcqRel) & SWEPT_MASK;
            enter(None, swept);
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

    /// Tags every word for the generation of `word` and returns what was still counted, by
    /// whomever. Called under the lock.
    pub(crate) fn retag_all(&self, word: Word, now: u64) -> u64 {
        let generation = word.generation() & GENERATION_MASK;
        let mut left = self.swept.swap(generation << SWEPT_BITS, Ordering::AcqRel) & SWEPT_MASK;
        for slot in &self.words {
            left += slot.swap(now << COUNT_BITS, Ordering::AcqRel) & COUNT_MASK;
        }
        left
    }

    /// The same, but what successes of the generation of `word` have counted since its state word
    /// was stored stays. Called under the lock, where the clock is cut as in the generation before.
    pub(crate) fn retag_older(&self, word: Word, now: u64) -> u64 {
        let generation = word.generation() & GENERATION_MASK;
        let is_older = |seen: u64| seen >> SWEPT_BITS != generation;
        let swept = take_if(&self.swept, generation << SWEPT_BITS, is_older) & SWEPT_MASK;
        let is_older = |seen: u64| is_before(seen >> COUNT_BITS, now);
        let slots = self.words.iter();
        slots
            .map(|slot| take_if(slot, now << COUNT_BITS, is_older) & COUNT_MASK)
            .fold(swept, u64::saturating_add)
    }

    /// The successes that have not been drained.
    pub(crate) fn peek(&self) -> u64 {
        let swept = self.swept.load(Ordering::Relaxed) & SWEPT_MASK;
        self.words
            .iter()
            .map(|word| word.load(Ordering::Relaxed) & COUNT_MASK)
            .fold(swept, u64::saturating_add)
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
        born: AtomicU64,
        carried: AtomicU64,
        slots: Slots,
    }

    impl World {
        fn new(word: Word) -> Self {
            Self {
                state: AtomicU64::new(word.0),
                born: AtomicU64::new(tag(word, 0)),
                carried: AtomicU64::new(0),
                slots: Slots::new(),
            }
        }

        fn success(&self, ticket: Word, epoch: u64) -> bool {
            let poll = Poll {
                state: &self.state,
                born: &self.born,
                carried: &self.carried,
            };
            self.slots.success(poll, ticket, epoch, true)
        }

        fn drain(&self, now: u64) -> Vec<(Option<u8>, u64)> {
            let mut found = Vec::new();
            self.slots.drain(now, |age, count| found.push((age, count)));
            found.sort_unstable();
            found
        }
    }

    const FIRST: Word = Word::FIRST;

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
    fn a_bucket_that_is_used_again_sweeps_what_it_held() {
        let world = World::new(FIRST);
        assert!(world.success(FIRST, 3));
        assert!(world.success(FIRST, 13));
        // A clock that was read a whole window earlier comes last.
        assert!(world.success(FIRST, 3));
        assert_eq!(world.slots.peek(), 3);
        assert_eq!(world.drain(tag(FIRST, 13)), [(None, 2), (Some(0), 1)]);
        // However long nothing happened.
        assert!(world.success(FIRST, 13));
        assert!(world.success(FIRST, 13 + (1 << 38)));
        assert_eq!(
            world.drain(tag(FIRST, 13 + (1 << 38))),
            [(None, 1), (Some(0), 1)]
        );
    }

    #[test]
    fn counts_of_an_earlier_period_are_kept_for_the_total_only() {
        let second = FIRST.again();
        let world = World::new(second);
        let left = world.slots.words[3].swap((tag(FIRST, 3) << COUNT_BITS) | 7, Ordering::Relaxed);
        assert_eq!(left, 0);
        // The tags of the second generation fall into the same word thirty buckets on.
        let epoch = (3 + SLOTS as u64 - STRIDE % SLOTS as u64) % SLOTS as u64;
        assert!(world.success(second, epoch));
        assert_eq!(world.carried.load(Ordering::Relaxed), 7);
        assert_eq!(world.drain(tag(second, epoch)), [(Some(0), 1)]);
    }

    #[test]
    fn a_ticket_of_another_generation_and_a_full_word_are_for_the_lock() {
        let world = World::new(FIRST.again());
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
        born: AtomicU64,
        carried: AtomicU64,
        slots: Slots,
        lock: Mutex<()>,
    }

    fn model() -> Arc<Model> {
        Arc::new(Model {
            state: AtomicU64::new(Word::FIRST.0),
            born: AtomicU64::new(0),
            carried: AtomicU64::new(0),
            slots: Slots::new(),
            lock: Mutex::new(()),
        })
    }

    impl Model {
        fn vote(&self, ticket: Word, epoch: u64, timed: bool) -> u64 {
            let poll = Poll {
                state: &self.state,
                born: &self.born,
                carried: &self.carried,
            };
            // As a call does it.
            let counted = self.slots.count(&self.state, ticket, epoch, timed);
            u64::from(counted || self.slots.success(poll, ticket, epoch, timed))
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
            let (first, second) = (Word::FIRST, Word::FIRST.again());
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
                    m.born.store(tag(second, 0), Ordering::Release);
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
            let carried = m.carried.load(Ordering::Relaxed);
            let rest = m.drain(tag(second, 0));
            if keeps {
                // What is found in either way goes on counting.
                assert_eq!(old + new, before + after + rest);
                assert_eq!(carried, 0);
            } else {
                assert_eq!(old, before + after + carried);
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
                thread::spawn(move || m.vote(Word::FIRST, 0, true) + m.vote(Word::FIRST, 0, true))
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
                thread::spawn(move || m.vote(Word::FIRST, epoch, true))
            });
            let drained = m.drain(tag(Word::FIRST, 13));
            let voted: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
            assert_eq!(voted, 2);
            assert_eq!(drained + m.drain(tag(Word::FIRST, 13)), 2);
            assert_eq!(m.carried.load(Ordering::Relaxed), 0);
        });
    }
}

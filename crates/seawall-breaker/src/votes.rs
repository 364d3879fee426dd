//! Votes of successes without a lock, exact whenever they are read.
//!
//! Successes are interchangeable; only failures need an order. So a success counts itself up in
//! the word of a stripe by one compare-exchange, and a failure, under the lock, drains all
//! stripes into the window before it enters itself. Each stripe word carries the generation it
//! counts for, which makes a vote of an earlier generation impossible:
//!
//! * a transition stores the new state word *first* and re-tags the stripes *after*;
//! * a success compares its ticket with the state word, then exchanges a stripe word that has the
//!   tag of its ticket. If the stripes were re-tagged in between, the exchange fails, and the
//!   second look finds the new state. If they were not yet, the count is still of the old
//!   generation, and the re-tagging takes it out.
//! * a success of the *new* generation that comes before the re-tagging re-tags its stripe itself;
//!   nobody waits for anybody. Seeing a new tag implies seeing the new state (acquire loads), so
//!   no late success can take this way.

use crate::sync::{AtomicU64, Ordering};
use crate::word::Word;

const COUNT_BITS: u32 = 40;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// Counts one success of a call that was admitted under `ticket`; `false` when it comes late, in
/// a later generation, and must not vote. What the stripe had counted for an earlier generation,
/// if it has not been taken out yet, is added to `carried`.
#[inline]
pub(crate) fn success(
    state: &AtomicU64,
    stripe: &AtomicU64,
    carried: &AtomicU64,
    ticket: Word,
) -> bool {
    let mut seen = stripe.load(Ordering::Acquire);
    loop {
        if state.load(Ordering::Acquire) != ticket.0 {
            return false;
        }
        let (next, stale) = if seen >> COUNT_BITS == ticket.tag() {
            // 2^40 successes without one failure: stay there instead of running into the tag.
            (seen + u64::from(seen & COUNT_MASK != COUNT_MASK), 0)
        } else {
            ((ticket.tag() << COUNT_BITS) | 1, seen & COUNT_MASK)
        };
        match stripe.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                if stale != 0 {
                    carried.fetch_add(stale, Ordering::Relaxed);
                }
                return true;
            }
            Err(now) => seen = now,
        }
    }
}

/// Takes out what a stripe counted for earlier generations and tags it for that of `word`.
/// Called under the lock, after the state word was stored.
pub(crate) fn retag(stripe: &AtomicU64, word: Word) -> u64 {
    let mut seen = stripe.load(Ordering::Acquire);
    while seen >> COUNT_BITS != word.tag() {
        let fresh = word.tag() << COUNT_BITS;
        match stripe.compare_exchange(seen, fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return seen & COUNT_MASK,
            Err(now) => seen = now,
        }
    }
    0
}

/// Takes the successes of the generation in force, that of `word`, out of a stripe. Called under
/// the lock, which every transition takes.
pub(crate) fn drain(stripe: &AtomicU64, word: Word) -> u64 {
    stripe.swap(word.tag() << COUNT_BITS, Ordering::AcqRel) & COUNT_MASK
}

/// The successes in a stripe.
pub(crate) fn peek(stripe: &AtomicU64) -> u64 {
    stripe.load(Ordering::Relaxed) & COUNT_MASK
}

#[cfg(all(test, seawall_loom))]
mod loom_tests {
    use super::*;
    use crate::word::State;
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    struct Model {
        state: AtomicU64,
        stripe: AtomicU64,
        carried: AtomicU64,
        /// What the lock guards; the count is kept by the threads themselves.
        lock: Mutex<()>,
    }

    fn model() -> Arc<Model> {
        Arc::new(Model {
            state: AtomicU64::new(Word::FIRST.0),
            stripe: AtomicU64::new(0),
            carried: AtomicU64::new(0),
            lock: Mutex::new(()),
        })
    }

    fn vote(m: &Model, ticket: Word) -> u64 {
        u64::from(success(&m.state, &m.stripe, &m.carried, ticket))
    }

    /// A transition races with a success of the generation before it and with one of the
    /// generation after it. Each counted vote is found once, and in its own generation.
    #[test]
    fn a_success_votes_in_its_own_generation_or_not_at_all() {
        loom::model(|| {
            let (first, second) = (Word::FIRST, Word::FIRST.next(State::Closed));
            let m = model();
            let old = {
                let m = Arc::clone(&m);
                thread::spawn(move || vote(&m, first))
            };
            let new = {
                let m = Arc::clone(&m);
                // Admitted only if the new state was seen, as a call would be.
                thread::spawn(move || {
                    if m.state.load(Ordering::Acquire) == second.0 {
                        vote(&m, second)
                    } else {
                        0
                    }
                })
            };
            let stale = {
                let _guard = m.lock.lock().unwrap();
                let drained = drain(&m.stripe, first);
                m.state.store(second.0, Ordering::Release);
                drained + retag(&m.stripe, second)
            };
            let (old, new) = (old.join().unwrap(), new.join().unwrap());
            assert_eq!(old, stale + m.carried.load(Ordering::Relaxed));
            assert_eq!(new, drain(&m.stripe, second));
        });
    }

    #[test]
    fn successes_and_drains_lose_nothing() {
        loom::model(|| {
            let m = model();
            let voter = {
                let m = Arc::clone(&m);
                thread::spawn(move || vote(&m, Word::FIRST) + vote(&m, Word::FIRST))
            };
            let drained = drain(&m.stripe, Word::FIRST);
            assert_eq!(voter.join().unwrap(), 2);
            assert_eq!(drained + drain(&m.stripe, Word::FIRST), 2);
        });
    }
}

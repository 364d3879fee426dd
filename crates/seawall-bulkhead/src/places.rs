//! The places of a bulkhead and the line in front of them, without clock and executor.
//!
//! What a call needs to know while nobody waits is in one [word](crate::word). While one of its flags
//! closes the short way, a place is taken under the lock of the line only, so that nobody passes it.
//!
//! No wake-up is lost: `LINE` is set before a waiter sleeps, and shares one word with the free
//! places. Whoever gives a place back either sees it there and calls the waiter, or has done so
//! before it was set, and then the waiter sees the place.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, AtomicU32};
use std::task::Waker;

use seawall_core::queue::Ticket;
use seawall_core::{Priority, Reason};

use crate::line::{Line, Rules, Woken, wake};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::word::{
    ASKED, CLOSED, DRAINING, FREE, FULL, LINE, PAUSED, SHADOW, WATCHED, free, grants, places,
};

/// What a waiter does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Sleep: its waker is registered.
    Wait,
    /// Poll its service, then [`Places::take`] or [`Places::stand_aside`].
    Go,
}

/// What becomes of a call that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It has a place.
    Taken,
    /// It has a place, and would have been rejected or have waited (`None`) if the layer did more
    /// than watch.
    Watched(Option<Reason>),
    /// There is room in the line.
    Wait,
    /// It is rejected.
    Rejected(Reason),
}

/// What a waiter says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) priority: Priority,
    /// `u64::MAX` when it has none.
    pub(crate) deadline_ns: u64,
    /// It waits for as long as it takes, however many do.
    pub(crate) reserves: bool,
}

impl Wish {
    /// Whether its deadline has passed. Reads the clock only if there is one.
    pub(crate) fn is_over(&self, now: impl FnOnce() -> u64) -> bool {
        self.deadline_ns != u64::MAX && now() >= self.deadline_ns
    }
}

/// Why nobody may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    Away(Reason),
    /// Its deadline will pass before its turn comes.
    Shed,
}

/// A place in line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined {
    pub(crate) ticket: Ticket,
    /// How long it may wait, in nanoseconds.
    pub(crate) patience_ns: u64,
}

// A line of its own (and the one that the prefetcher fetches with it): every call writes here,
// and what lies beside it is read by every call.
#[repr(align(128))]
#[derive(Debug)]
pub(crate) struct Places {
    word: AtomicU64,
    /// The fewest that were free at any time. Not part of any protocol.
    lowest: AtomicI64,
    /// A copy of the line's, for estimates.
    limit: AtomicU32,
    line: Mutex<Line>,
}

impl Places {
    pub(crate) fn new(limit: u32, rules: Rules, shadow: bool) -> Self {
        let free = i64::from(limit);
        let full = if rules.max_waiting == 0 { FULL } else { 0 };
        let shadow = if shadow { SHADOW } else { 0 };
        Self {
            word: AtomicU64::new(places(free) | full | shadow),
            lowest: AtomicI64::new(free),
            limit: AtomicU32::new(limit),
            line: Mutex::new(Line::new(limit, rules)),
        }
    }

    /// Takes a place if one is free and nobody is in line for it.
    #[inline]
    pub(crate) fn enter(&self) -> Entry {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & CLOSED == 0 && free(word) > 0 {
            match self.word.compare_exchange_weak(
                word,
                word - FREE,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.low(free(word) - 1);
                    return Entry::Taken;
                }
                Err(now) => word = now,
            }
        }
        match word & (PAUSED | DRAINING | SHADOW | WATCHED) {
            0 if word & FULL != 0 => Entry::Rejected(Reason::BulkheadFull),
            0 => Entry::Wait,
            _ => self.enter_carefully(),
        }
    }

    #[cold]
    #[inline(never)]
    fn enter_carefully(&self) -> Entry {
        let line = self.lock();
        // Flags stand still meanwhile.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let rejected = if word & DRAINING != 0 {
                Some(Reason::Draining)
            } else if word & PAUSED != 0 {
                Some(Reason::Paused)
            } else {
                None
            };
            let entry = match rejected {
                _ if word & SHADOW != 0 => {
                    let beyond = -free(word);
                    match rejected {
                        None if beyond < 0 => Entry::Taken,
                        None if beyond < i64::from(line.rules.max_waiting) => Entry::Watched(None),
                        reason => Entry::Watched(Some(reason.unwrap_or(Reason::BulkheadFull))),
                    }
                }
                Some(reason) => return Entry::Rejected(reason),
                None if word & LINE == 0 && free(word) > 0 => Entry::Taken,
                None if word & FULL != 0 => return Entry::Rejected(Reason::BulkheadFull),
                None => return Entry::Wait,
            };
            match self.word.compare_exchange(
                word,
                word.wrapping_sub(FREE),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.low(free(word) - 1);
                    return entry;
                }
                Err(now) => word = now,
            }
        }
    }

    /// Remembers how few places were free.
    #[inline]
    fn low(&self, left: i64) {
        if left < self.lowest.load(Ordering::Relaxed) {
            self.lowest.fetch_min(left, Ordering::Relaxed);
        }
    }

    /// Gives a place back, and tells how many were taken until then.
    #[inline]
    pub(crate) fn release(&self, now: impl FnOnce() -> u64) -> u32 {
        let before = self.word.fetch_add(FREE, Ordering::AcqRel);
        if before & ASKED != 0 {
            self.released(now());
        }
        let taken = i64::from(self.limit.load(Ordering::Relaxed)) - free(before);
        u32::try_from(taken).unwrap_or(0)
    }

    #[cold]
    #[inline(never)]
    fn released(&self, now_ns: u64) {
        let mut line = self.lock();
        line.released(now_ns);
        let next = self.next(&mut line);
        let watchers = self.idle(&mut line);
        drop(line);
        wake(next);
        watchers.into_iter().for_each(Waker::wake);
    }

    /// Joins the line.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub(crate) fn join(&self, now_ns: u64, wish: &Wish, waker: &Waker) -> Result<Joined, Turned> {
        let waker = waker.clone();
        let mut line = self.lock();
        let word = self.word.load(Ordering::Acquire);
        let admitted = if word & SHADOW != 0 {
            Ok(())
        } else if word & DRAINING != 0 {
            Err(Turned::Away(Reason::Draining))
        } else if wish.reserves {
            Ok(())
        } else if word & PAUSED != 0 {
            Err(Turned::Away(Reason::Paused))
        } else {
            line.admit(now_ns, wish)
        };
        if let Err(turned) = admitted {
            drop(line);
            drop(waker);
            return Err(turned);
        }
        let joined = line.join(now_ns, wish, waker);
        self.mark(&line);
        drop(line);
        Ok(joined)
    }

    /// Asks whether the turn of a waiter has come. To one who is `late`, whose patience is over,
    /// its rank is of no account.
    pub(crate) fn turn(&self, ticket: Ticket, late: bool, waker: &Waker) -> Turn {
        let mut line = self.lock();
        let is_next = late || line.queue.is_first(ticket);
        if line.queue.is_aside(ticket) || (is_next && grants(self.word.load(Ordering::Acquire))) {
            return Turn::Go;
        }
        let old = line.wait(ticket, waker);
        drop(line);
        drop(old);
        Turn::Wait
    }

    /// Takes a place and leaves the line, if it is this waiter's turn or it is `late`; otherwise
    /// it waits in line, with its waker registered. `taken` makes of the place what gives it back
    /// when it is dropped, before anybody is woken: waking may panic.
    pub(crate) fn take<T>(
        &self,
        ticket: Ticket,
        late: bool,
        waker: &Waker,
        taken: impl FnOnce() -> T,
    ) -> Option<T> {
        let mut line = self.lock();
        line.rejoin(ticket);
        // Marked before `free` is looked at, see above.
        self.mark(&line);
        let has_place = if late || line.queue.is_first(ticket) {
            let word = self
                .word
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
                    grants(word).then(|| word.wrapping_sub(FREE))
                });
            word.inspect(|word| self.low(free(*word) - 1)).is_ok()
        } else {
            false
        };
        let (old, next) = if has_place {
            let mine = line.leave(ticket).flatten();
            self.mark(&line);
            (mine, self.next(&mut line))
        } else {
            // Whoever gives a place back from now on needs the lock to call somebody.
            (line.wait(ticket, waker), None)
        };
        drop(line);
        let taken = has_place.then(taken);
        drop(old);
        wake(next);
        taken
    }

    /// Lets others pass, since the waiter's own service is not ready.
    pub(crate) fn stand_aside(&self, ticket: Ticket) {
        let mut line = self.lock();
        if !line.stand_aside(ticket) {
            return;
        }
        self.mark(&line);
        // It may have been called for a place that it does not take now.
        let next = self.next(&mut line);
        drop(line);
        wake(next);
    }

    /// Leaves without a place.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut line = self.lock();
        let was_first = line.queue.is_first(ticket);
        let Some(mine) = line.leave(ticket) else {
            return;
        };
        self.mark(&line);
        // It may have been called for a place that it does not take now, if it was the first.
        let next = if was_first {
            self.next(&mut line)
        } else {
            None
        };
        let watchers = self.idle(&mut line);
        drop(line);
        drop(mine);
        wake(next);
        watchers.into_iter().for_each(Waker::wake);
    }

    /// Changes the number of places. Nobody waits for it and nobody loses a place: while more are
    /// taken than there are, none is given out.
    pub(crate) fn set_limit(&self, limit: u32) {
        self.resize_to(limit).wake();
    }

    /// [`set_limit`](Self::set_limit), for those who hold a lock of their own meanwhile.
    pub(crate) fn resize_to(&self, limit: u32) -> Woken {
        let mut line = self.lock();
        self.resize_line(&mut line, limit)
    }

    fn resize_line(&self, line: &mut Line, limit: u32) -> Woken {
        let by = line.set_limit(limit);
        // Both before the places: an estimate may be too high for a moment, never below zero.
        self.lowest.fetch_add(by, Ordering::Relaxed);
        self.limit.store(limit, Ordering::Relaxed);
        self.word.fetch_add(places(by), Ordering::AcqRel);
        Woken {
            next: self.next(line),
            watchers: self.idle(line),
        }
    }

    /// Other rules for those who come from now on, and as many places.
    pub(crate) fn configure(&self, limit: u32, rules: Rules, shadow: bool) -> Woken {
        let mut line = self.lock();
        line.rules = rules;
        self.mark(&line);
        self.flag(SHADOW, shadow);
        self.resize_line(&mut line, limit)
    }

    /// Sets some flags and clears others; calls who may go by that.
    pub(crate) fn command(&self, set: u64, clear: u64) {
        let mut line = self.lock();
        self.flag(set, true);
        self.flag(clear, false);
        if clear & PAUSED != 0 {
            // The line has stood: what a place took meanwhile says nothing of what it takes.
            line.pace.forget();
        }
        let next = self.next(&mut line);
        drop(line);
        wake(next);
    }

    /// Only under the lock.
    fn flag(&self, flag: u64, on: bool) {
        if on {
            self.word.fetch_or(flag, Ordering::AcqRel);
        } else {
            self.word.fetch_and(!flag, Ordering::AcqRel);
        }
    }

    pub(crate) fn has(&self, flag: u64) -> bool {
        self.word.load(Ordering::Acquire) & flag != 0
    }

    /// Says whether nobody has a place or waits for one; if somebody does, the waker is woken when
    /// that is over. `id` is the caller's, and is to be given to [`unwatch`](Self::unwatch).
    pub(crate) fn watch(&self, id: &mut Option<u64>, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut line = self.lock();
        // Set before the look: who gives back the last place from then on comes here.
        self.flag(WATCHED, true);
        if self.is_idle(&line) {
            let old = line.watchers.remove(id.take());
            self.flag(WATCHED, !line.watchers.is_empty());
            drop(line);
            drop(old);
            return true;
        }
        let old = line.watchers.put(id, waker);
        drop(line);
        drop(old);
        false
    }

    pub(crate) fn unwatch(&self, id: Option<u64>) {
        let mut line = self.lock();
        let old = line.watchers.remove(id);
        self.flag(WATCHED, !line.watchers.is_empty());
        drop(line);
        drop(old);
    }

    fn is_idle(&self, line: &Line) -> bool {
        let word = self.word.load(Ordering::Acquire);
        line.queue.is_empty() && free(word) >= i64::from(line.limit)
    }

    /// Those who are to be told that every place is free.
    fn idle(&self, line: &mut Line) -> Vec<Waker> {
        if line.watchers.is_empty() || !self.is_idle(line) {
            return Vec::new();
        }
        self.flag(WATCHED, false);
        line.watchers.take_all()
    }

    /// What is taken, the limit, who waits, and the fewest that were ever free, of one moment.
    pub(crate) fn reading(&self) -> Reading {
        let line = self.lock();
        let limit = i64::from(line.limit);
        let word = self.word.load(Ordering::Acquire);
        let count = |taken: i64| u32::try_from(taken.max(0)).unwrap_or(u32::MAX);
        Reading {
            taken: count(limit - free(word)),
            limit: line.limit,
            waiting: line.queue.len(),
            peak: count(limit - self.lowest.load(Ordering::Relaxed)),
            mean_hold_ns: line.mean_hold_ns(),
        }
    }

    /// The most that were taken at once, from now on.
    pub(crate) fn reset_peak(&self) {
        let _line = self.lock();
        let free = free(self.word.load(Ordering::Acquire));
        self.lowest.store(free, Ordering::Relaxed);
    }

    /// The number of places, as far as it is known without the lock.
    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    fn next(&self, line: &mut Line) -> Option<Waker> {
        if grants(self.word.load(Ordering::Acquire)) {
            line.queue.call_next()
        } else {
            None
        }
    }

    /// Says in the word how the line is.
    fn mark(&self, line: &Line) {
        let is = if line.is_empty() { 0 } else { LINE } | if line.is_full() { FULL } else { 0 };
        // Nobody else changes these while the lock is held.
        let wrong = (self.word.load(Ordering::Acquire) ^ is) & (LINE | FULL);
        if wrong != 0 {
            self.word.fetch_xor(wrong, Ordering::AcqRel);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the places at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) taken: u32,
    pub(crate) limit: u32,
    pub(crate) waiting: usize,
    pub(crate) peak: u32,
    pub(crate) mean_hold_ns: Option<u64>,
}

impl Reading {
    pub(crate) const fn free(&self) -> u32 {
        self.limit.saturating_sub(self.taken)
    }
}

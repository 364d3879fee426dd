//! The places of a bulkhead and the line in front of them, without clock and executor.
//!
//! One word has everything that a call needs to know while nobody waits: `free:32 | waiters:32`.
//! `free` may be changed by anybody; `waiters` only under the lock of the queue. While it is not
//! zero, a place is taken under the lock only, so that nobody passes the line.
//!
//! No wake-up is lost: a waiter is counted in the word before it sleeps, and both counts share
//! one word. Whoever gives a place back either sees the waiter there and calls it, or has done so
//! before the waiter was counted, and then the waiter sees the place.

use std::sync::PoisonError;
use std::task::Waker;

use seawall_core::queue::{Queue, Ticket};

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

const FREE: u64 = 1 << 32;
const WAITER: u64 = 1;

const fn free(word: u64) -> u32 {
    (word >> 32) as u32
}

/// How many are in line. Those who stand aside are not in line: they hold nobody up.
const fn waiters(word: u64) -> u32 {
    word as u32
}

/// What a waiter does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Sleep: its waker is registered.
    Wait,
    /// Poll its service, then [`Places::take`] or [`Places::stand_aside`].
    Go,
}

/// Why no place was had at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// There is room in the line.
    Wait,
    /// There is none.
    Full,
}

// A line of its own (and the one that the prefetcher fetches with it): every call writes here,
// and what lies beside it is read by every call.
#[repr(align(128))]
#[derive(Debug)]
pub(crate) struct Places {
    word: AtomicU64,
    max_waiting: u32,
    queue: Mutex<Queue<()>>,
}

impl Places {
    pub(crate) fn new(places: u32, max_waiting: u32) -> Self {
        Self {
            word: AtomicU64::new(u64::from(places) * FREE),
            max_waiting,
            queue: Mutex::new(Queue::new()),
        }
    }

    /// Takes a place if one is free and nobody is in line for it.
    #[inline]
    pub(crate) fn try_take(&self) -> Result<(), Taken> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if free(word) == 0 || waiters(word) != 0 {
                return Err(if waiters(word) < self.max_waiting {
                    Taken::Wait
                } else {
                    Taken::Full
                });
            }
            match self.word.compare_exchange_weak(
                word,
                word - FREE,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Gives a place back.
    #[inline]
    pub(crate) fn release(&self) {
        let before = self.word.fetch_add(FREE, Ordering::AcqRel);
        if waiters(before) != 0 {
            self.call_next();
        }
    }

    #[cold]
    fn call_next(&self) {
        let next = self.next(&mut self.lock());
        wake(next);
    }

    /// Joins the line; `None` when it is full.
    pub(crate) fn join(&self, waker: &Waker) -> Option<Ticket> {
        let waker = waker.clone();
        let mut queue = self.lock();
        if queue.len() >= self.max_waiting as usize {
            drop(queue);
            return None;
        }
        self.word.fetch_add(WAITER, Ordering::AcqRel);
        Some(queue.join((), waker))
    }

    /// Asks whether the turn of a waiter has come. To one who is `late`, whose patience is over,
    /// its rank is of no account.
    pub(crate) fn turn(&self, ticket: Ticket, late: bool, waker: &Waker) -> Turn {
        let mut queue = self.lock();
        let is_next = late || queue.is_first(ticket);
        if queue.is_aside(ticket) || (is_next && self.free() > 0) {
            return Turn::Go;
        }
        let old = queue.wait(ticket, waker);
        drop(queue);
        drop(old);
        Turn::Wait
    }

    /// Takes a place and leaves the line, if it is this waiter's turn or it is `late`; otherwise
    /// it waits in line, with its waker registered.
    pub(crate) fn take(&self, ticket: Ticket, late: bool, waker: &Waker) -> bool {
        let mut queue = self.lock();
        if queue.rejoin(ticket) {
            // Counted before `free` is looked at, see above.
            self.word.fetch_add(WAITER, Ordering::AcqRel);
        }
        let taken = (late || queue.is_first(ticket))
            && self
                .word
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
                    (free(word) > 0).then(|| word - FREE - WAITER)
                })
                .is_ok();
        let (old, next) = if taken {
            let mine = queue.leave(ticket).and_then(|((), waker)| waker);
            (mine, self.next(&mut queue))
        } else {
            // Whoever gives a place back from now on needs the lock to call somebody.
            (queue.wait(ticket, waker), None)
        };
        drop(queue);
        drop(old);
        wake(next);
        taken
    }

    /// Lets others pass, since the waiter's own service is not ready.
    pub(crate) fn stand_aside(&self, ticket: Ticket) {
        let mut queue = self.lock();
        if queue.is_aside(ticket) {
            return;
        }
        queue.stand_aside(ticket);
        self.word.fetch_sub(WAITER, Ordering::AcqRel);
        // It may have been called for a place that it does not take now.
        let next = self.next(&mut queue);
        drop(queue);
        wake(next);
    }

    /// Leaves without a place.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut queue = self.lock();
        let (was_first, was_aside) = (queue.is_first(ticket), queue.is_aside(ticket));
        let Some(mine) = queue.leave(ticket) else {
            return;
        };
        if !was_aside {
            self.word.fetch_sub(WAITER, Ordering::AcqRel);
        }
        // It may have been called for a place that it does not take now, if it was the first.
        let next = if was_first {
            self.next(&mut queue)
        } else {
            None
        };
        drop(queue);
        drop(mine);
        wake(next);
    }

    /// Places that nobody holds.
    pub(crate) fn free(&self) -> u32 {
        free(self.word.load(Ordering::Acquire))
    }

    /// How many wait, those who stand aside included.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().len()
    }

    fn next(&self, queue: &mut Queue<()>) -> Option<Waker> {
        if self.free() > 0 {
            queue.call_next()
        } else {
            None
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<()>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Outside of the lock: a waker runs code of the executor.
fn wake(next: Option<Waker>) {
    if let Some(waker) = next {
        waker.wake();
    }
}

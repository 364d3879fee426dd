//! The bucket and the line in front of it, without clock and executor: `now` is an argument.
//!
//! While nobody is in line, a token is taken from the bucket's one word. As soon as somebody is,
//! the first in line alone takes from it, at the moment of departure; only the first needs a
//! timer, and whoever ceases to be the first calls the next, which arms its own.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use seawall_core::queue::{Queue, Ticket};

use crate::RateLimitConfig;
use crate::bucket::Bucket;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The tokens are taken.
    Granted,
    /// Its tokens will be there in time.
    Wait,
    /// Not before so many nanoseconds from now.
    Later(u64),
    /// It costs more than the bucket holds.
    Never,
}

/// What a waiter does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Sleep: others go first, and its waker is registered.
    Wait,
    /// It is the first: sleep for so many nanoseconds.
    In(u64),
    /// Poll its service, then [`Limiter::take`] or [`Limiter::stand_aside`].
    Go,
}

// A line of its own (and the one that the prefetcher fetches with it), with what every call
// reads next to what every call writes.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Limiter {
    bucket: Bucket,
    /// Those whose turn comes before that of a new call; changed under the lock. It only keeps
    /// the order, wake-ups do not depend on it: relaxed is enough.
    in_line: AtomicU32,
    /// These and those who stand aside; a copy of the queue's length.
    waiting: AtomicU32,
    /// What all of them cost; changed under the lock.
    cost: AtomicU64,
    burst: u32,
    max_waiting: u32,
    max_wait_ns: u64,
    queue: Mutex<Queue<u32>>,
}

impl Limiter {
    pub(crate) fn new(config: &RateLimitConfig) -> Self {
        let per_ns = seawall_core::ns(config.per().get());
        let burst = config.burst().get();
        Self {
            bucket: Bucket::new(config.rate().get(), per_ns, burst),
            in_line: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            cost: AtomicU64::new(0),
            burst,
            max_waiting: config.max_waiting(),
            max_wait_ns: seawall_core::ns(config.max_wait()),
            queue: Mutex::new(Queue::new()),
        }
    }

    /// Whether a call of this cost needs no token, so that no clock need be read.
    #[inline]
    pub(crate) const fn is_free(cost: u32) -> bool {
        cost == 0
    }

    /// Takes the tokens of a new call, if nobody is in line for them.
    #[inline]
    pub(crate) fn admit(&self, now_ns: u64, cost: u32) -> Verdict {
        if cost > self.burst {
            return Verdict::Never;
        }
        if self.in_line.load(Ordering::Relaxed) == 0 {
            match self.bucket.try_take(now_ns, cost) {
                Ok(()) => return Verdict::Granted,
                // Nobody can be waiting.
                Err(wait) if self.max_wait_ns == 0 => return Verdict::Later(wait),
                Err(_) => {}
            }
        }
        self.foresee(now_ns, cost)
    }

    /// What becomes of a new call that joins the line now.
    #[cold]
    fn foresee(&self, now_ns: u64, cost: u32) -> Verdict {
        let wait = self.wait(now_ns, cost);
        if wait <= self.max_wait_ns && self.waiting.load(Ordering::Relaxed) < self.max_waiting {
            Verdict::Wait
        } else {
            Verdict::Later(wait)
        }
    }

    /// In how many nanoseconds this cost is granted after all that wait now.
    pub(crate) fn wait(&self, now_ns: u64, cost: u32) -> u64 {
        let ahead = self.cost.load(Ordering::Relaxed);
        self.bucket.wait(now_ns, ahead + u64::from(cost))
    }

    /// Joins the line.
    ///
    /// # Errors
    ///
    /// The wait in nanoseconds, when it would be too long or the line is full.
    pub(crate) fn join(&self, now_ns: u64, cost: u32, waker: &Waker) -> Result<Ticket, u64> {
        let waker = waker.clone();
        let mut queue = self.lock();
        // Once more, under the lock, which keeps the bound on the line exact.
        if let Verdict::Later(wait) = self.foresee(now_ns, cost) {
            drop(queue);
            return Err(wait);
        }
        self.in_line.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.cost.fetch_add(cost.into(), Ordering::Relaxed);
        Ok(queue.join(cost, waker))
    }

    /// Asks whether the turn of a waiter has come.
    pub(crate) fn turn(&self, now_ns: u64, cost: u32, ticket: Ticket, waker: &Waker) -> Turn {
        let mut queue = self.lock();
        let turn = if queue.is_aside(ticket) {
            Turn::Go
        } else if queue.is_first(ticket) {
            match self.bucket.wait(now_ns, cost.into()) {
                0 => Turn::Go,
                wait => Turn::In(wait),
            }
        } else {
            Turn::Wait
        };
        let old = match turn {
            Turn::Go => None,
            Turn::In(_) | Turn::Wait => queue.wait(ticket, waker),
        };
        drop(queue);
        drop(old);
        turn
    }

    /// Takes the tokens and leaves the line, if it is this waiter's turn.
    ///
    /// # Errors
    ///
    /// What to do instead; it waits in line then, with its waker registered.
    pub(crate) fn take(
        &self,
        now_ns: u64,
        cost: u32,
        ticket: Ticket,
        waker: &Waker,
    ) -> Result<(), Turn> {
        let mut queue = self.lock();
        if queue.is_aside(ticket) {
            self.in_line.fetch_add(1, Ordering::Relaxed);
        }
        let old = queue.wait(ticket, waker);
        let taken = if queue.is_first(ticket) {
            self.bucket.try_take(now_ns, cost).map_err(Turn::In)
        } else {
            Err(Turn::Wait)
        };
        let gone = taken.is_ok().then(|| self.remove(&mut queue, ticket));
        drop(queue);
        drop(old);
        wake(gone);
        taken
    }

    /// Lets others pass, since the waiter's own service is not ready.
    pub(crate) fn stand_aside(&self, ticket: Ticket) {
        let mut queue = self.lock();
        if queue.is_aside(ticket) {
            return;
        }
        queue.stand_aside(ticket);
        self.in_line.fetch_sub(1, Ordering::Relaxed);
        let next = queue.call_next();
        drop(queue);
        wake(Some((None, next)));
    }

    /// Leaves without tokens.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut queue = self.lock();
        let gone = self.remove(&mut queue, ticket);
        drop(queue);
        wake(Some(gone));
    }

    /// Tokens in the bucket now.
    pub(crate) fn available(&self, now_ns: u64) -> f64 {
        self.bucket.available(now_ns)
    }

    /// How many wait, those who stand aside included.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) const fn max_wait_ns(&self) -> u64 {
        self.max_wait_ns
    }

    fn remove(&self, queue: &mut Queue<u32>, ticket: Ticket) -> Gone {
        let was_in_line = !queue.is_aside(ticket);
        let Some((cost, waker)) = queue.leave(ticket) else {
            return (None, None);
        };
        if was_in_line {
            self.in_line.fetch_sub(1, Ordering::Relaxed);
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.cost.fetch_sub(cost.into(), Ordering::Relaxed);
        (waker, queue.call_next())
    }

    fn lock(&self) -> MutexGuard<'_, Queue<u32>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waker of who left, to be dropped, and that of the next, to be woken.
type Gone = (Option<Waker>, Option<Waker>);

/// Outside of the lock: a waker runs code of the executor.
fn wake(gone: Option<Gone>) {
    if let Some((_, Some(next))) = gone {
        next.wake();
    }
}

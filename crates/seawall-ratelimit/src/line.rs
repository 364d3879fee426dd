//! The bucket and the line in front of it, without clock and executor: `now` is an argument.
//!
//! While nobody is in line, a token is taken from the bucket's one word. As soon as somebody is,
//! the first in line alone takes from it, at the moment of departure. The first has a timer for
//! its tokens, and whoever ceases to be the first calls the next, which arms its own. All have
//! one for their patience: a first one that nobody polls calls nobody. Who is called by that
//! timer takes what is there, whatever its rank.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
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
    /// What those in line cost; changed under the lock. Those who stand aside are left out: they
    /// may be stuck for long, and nobody waits for them.
    cost: AtomicU64,
    burst: u32,
    max_waiting: u32,
    max_wait_ns: u64,
    /// How much later than their cost says those in line depart, see [`Bucket::delay_ns`];
    /// changed under the lock.
    delay_ns: AtomicU64,
    queue: Mutex<Queue<()>>,
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
            delay_ns: AtomicU64::new(0),
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
            Verdict::Later(self.at_least_a_token(wait))
        }
    }

    /// In how many nanoseconds this cost is granted after all that are in line now.
    fn wait(&self, now_ns: u64, cost: u32) -> u64 {
        let bucket = self.bucket.reading();
        // The other half is in `take`: who sees the bucket after a departure sees it out of line.
        fence(Ordering::Acquire);
        let ahead = self.cost.load(Ordering::Relaxed);
        let delay = self.delay_ns.load(Ordering::Relaxed);
        let wait = self
            .bucket
            .wait_from(bucket, now_ns, ahead + u64::from(cost));
        wait.saturating_add(delay)
    }

    /// When a call that was refused may come back, in nanoseconds from now. Never at once: there
    /// may be a token, but also a full line, or a service that was not ready to use it.
    pub(crate) fn retry_after(&self, now_ns: u64, cost: u32) -> u64 {
        self.at_least_a_token(self.wait(now_ns, cost))
    }

    fn at_least_a_token(&self, wait_ns: u64) -> u64 {
        wait_ns.max(self.bucket.token_ns())
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
        self.count(cost);
        Ok(queue.join((), waker))
    }

    /// Asks whether the turn of a waiter has come. To one who is `late`, whose patience is over,
    /// its rank is of no account.
    pub(crate) fn turn(
        &self,
        now_ns: u64,
        cost: u32,
        ticket: Ticket,
        late: bool,
        waker: &Waker,
    ) -> Turn {
        let mut queue = self.lock();
        let turn = if queue.is_aside(ticket) {
            Turn::Go
        } else if late || queue.is_first(ticket) {
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

    /// Takes the tokens and leaves the line, if it is this waiter's turn or it is `late`.
    ///
    /// # Errors
    ///
    /// What to do instead; it waits in line then, with its waker registered.
    pub(crate) fn take(
        &self,
        now_ns: u64,
        cost: u32,
        ticket: Ticket,
        late: bool,
        waker: &Waker,
    ) -> Result<(), Turn> {
        let mut queue = self.lock();
        // Out of the sums, then out of the bucket: a forecast in between that is too short is made
        // again under the lock; one that counted the tokens twice would refuse a call.
        if queue.rejoin(ticket) {
            self.in_line.fetch_add(1, Ordering::Relaxed);
        } else {
            self.uncount(cost);
        }
        fence(Ordering::Release);
        let taken = if late || queue.is_first(ticket) {
            self.bucket.try_take(now_ns, cost).map_err(Turn::In)
        } else {
            Err(Turn::Wait)
        };
        let (old, gone) = if taken.is_ok() {
            self.in_line.fetch_sub(1, Ordering::Relaxed);
            (None, Some(self.remove(&mut queue, ticket)))
        } else {
            self.count(cost);
            (queue.wait(ticket, waker), None)
        };
        drop(queue);
        drop(old);
        wake(gone);
        taken
    }

    /// Lets others pass, since the waiter's own service is not ready.
    pub(crate) fn stand_aside(&self, cost: u32, ticket: Ticket) {
        let mut queue = self.lock();
        if queue.is_aside(ticket) {
            return;
        }
        queue.stand_aside(ticket);
        self.in_line.fetch_sub(1, Ordering::Relaxed);
        self.uncount(cost);
        let next = queue.call_next();
        drop(queue);
        wake(Some((None, next)));
    }

    /// Leaves without tokens.
    pub(crate) fn leave(&self, cost: u32, ticket: Ticket) {
        let mut queue = self.lock();
        if !queue.is_aside(ticket) {
            self.in_line.fetch_sub(1, Ordering::Relaxed);
            self.uncount(cost);
        }
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

    fn remove(&self, queue: &mut Queue<()>, ticket: Ticket) -> Gone {
        let was_first = queue.is_first(ticket);
        let waker = queue.leave(ticket).and_then(|((), waker)| waker);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let next = if was_first { queue.call_next() } else { None };
        (waker, next)
    }

    /// Adds to what those in line cost. Under the lock, as its counterpart.
    fn count(&self, cost: u32) {
        self.cost.fetch_add(cost.into(), Ordering::Relaxed);
        let delay = self.bucket.delay_ns(cost);
        self.delay_ns.fetch_add(delay, Ordering::Relaxed);
    }

    fn uncount(&self, cost: u32) {
        self.cost.fetch_sub(cost.into(), Ordering::Relaxed);
        let delay = self.bucket.delay_ns(cost);
        self.delay_ns.fetch_sub(delay, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Queue<()>> {
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

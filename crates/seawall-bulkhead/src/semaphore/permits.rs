//! Acquiring and releasing permits.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, AtomicU32};

use seawall_core::queue::{Queue, WaiterId, Wakers};
use seawall_core::{Priority, Reason};

use super::handed::Handed;
use super::packed::{
    BYPASS, DRAINING, HELD, IDLE_AWAITED, ONE_PERMIT, PAUSED, QUEUE_FULL, QUEUED, SHADOW,
    SLOW_ACQUIRE, SLOW_RELEASE, available, permits,
};
use super::queue::{PermitQueue, PermitSupply, Permits, QueueRules};
use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// What is decided about a call that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Admitted,
    /// Admitted by shadow mode alone: without it, the call would be rejected for this reason, or
    /// would wait (`None`).
    Shadowed(Option<Reason>),
    /// It may join the queue.
    Wait,
    Rejected(Reason),
}

// A cache line of its own (and the one that the prefetcher fetches with it): every call writes
// here, and what lies beside it is read by every call.
#[repr(align(128))]
#[derive(Debug)]
pub(crate) struct Semaphore {
    pub(super) word: AtomicU64,
    /// The fewest that were available at any time. Not part of any protocol.
    pub(super) lowest: AtomicI64,
    /// A copy of the queue's, for estimates.
    pub(super) limit: AtomicU32,
    handed: Handed,
    queue: Mutex<PermitQueue>,
}

impl Semaphore {
    pub(crate) fn new(limit: u32, rules: QueueRules, shadow: bool) -> Self {
        let all = i64::from(limit);
        let full = if rules.max_waiting == 0 {
            QUEUE_FULL
        } else {
            0
        };
        let shadow = if shadow { SHADOW } else { 0 };
        Self {
            word: AtomicU64::new(permits(all) | full | shadow),
            lowest: AtomicI64::new(all),
            limit: AtomicU32::new(limit),
            handed: Handed::new(),
            queue: Mutex::new(PermitQueue::new(limit, rules)),
        }
    }

    /// Acquires a permit if one is available and no waiter is queued for it. `now` reads the clock;
    /// it is called where the queue has to be looked at.
    #[inline]
    pub(crate) fn try_acquire(&self, now: impl FnOnce() -> u64) -> Admission {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & SLOW_ACQUIRE == 0 && available(word) > 0 {
            match self.word.compare_exchange_weak(
                word,
                word - ONE_PERMIT,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.permits().note_available(available(word) - 1);
                    return Admission::Admitted;
                }
                Err(now) => word = now,
            }
        }
        match word & (SLOW_ACQUIRE & !QUEUED | QUEUE_FULL | HELD) {
            QUEUE_FULL if available(word) <= 0 => Admission::Rejected(Reason::BulkheadFull),
            0 | HELD if available(word) <= 0 => Admission::Wait,
            // A full queue may be held by waiters whose wait is over, and one that is not empty by
            // waiters that have left with a permit.
            _ => self.try_acquire_locked(now()),
        }
    }

    #[cold]
    #[inline(never)]
    fn try_acquire_locked(&self, now_ns: u64) -> Admission {
        let mut queue = self.lock();
        let is_full = queue.is_full();
        let ((), wakers) = self.change_locked(&mut queue, |queue, permits, wakers| {
            if is_full {
                queue.forget_all_taken(permits, wakers);
            }
            queue.dispatch(now_ns, permits, wakers);
        });
        let admission = self.admit(&queue);
        drop(queue);
        wakers.wake();
        admission
    }

    /// Decides about a call that comes, under the lock.
    fn admit(&self, queue: &PermitQueue) -> Admission {
        // Flags do not change meanwhile.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let admission = if word & DRAINING != 0 {
                return Admission::Rejected(Reason::Draining);
            } else if word & PAUSED != 0 {
                return Admission::Rejected(Reason::Paused);
            } else if word & (SHADOW | BYPASS) != 0 {
                match -available(word) {
                    beyond if beyond < 0 => Admission::Admitted,
                    beyond if beyond < i64::from(queue.rules.max_waiting) => {
                        Admission::Shadowed(None)
                    }
                    _ => Admission::Shadowed(Some(Reason::BulkheadFull)),
                }
            } else if available(word) > 0 && !queue.waiters.has_waiting() {
                Admission::Admitted
            } else if word & QUEUE_FULL != 0 {
                return Admission::Rejected(Reason::BulkheadFull);
            } else {
                return Admission::Wait;
            };
            match self.word.compare_exchange(
                word,
                word.wrapping_sub(ONE_PERMIT),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    self.permits().note_available(available(word) - 1);
                    return admission;
                }
                Err(now) => word = now,
            }
        }
    }

    pub(super) const fn permits(&self) -> Permits<'_> {
        Permits {
            word: &self.word,
            lowest: &self.lowest,
            handed: &self.handed,
        }
    }

    /// Releases a permit; hands back how many were held until then.
    #[inline]
    pub(crate) fn release(&self, now: impl FnOnce() -> u64) -> u32 {
        let mut before = self.word.load(Ordering::Relaxed);
        if before & SLOW_RELEASE == 0 {
            before = self.word.fetch_add(ONE_PERMIT, Ordering::AcqRel);
            if before & SLOW_RELEASE != 0 {
                self.release_locked(0, now());
            }
        } else {
            self.release_locked(1, now());
        }
        let held = i64::from(self.limit.load(Ordering::Relaxed)) - available(before);
        u32::try_from(held).unwrap_or(0)
    }

    /// Releases so many permits, to the next waiters if there are any; others may be available already.
    #[cold]
    #[inline(never)]
    fn release_locked(&self, spare: u32, now_ns: u64) {
        let mut queue = self.lock();
        let limit = queue.limit;
        queue.hold_time.on_release(now_ns, limit);
        let is_full = queue.is_full();
        let ((), wakers) = self.change_locked(&mut queue, |queue, permits, wakers| {
            permits.spare += spare;
            if is_full {
                // Calls that come would have to look for them.
                queue.forget_taken(permits, wakers);
            }
            queue.dispatch(now_ns, permits, wakers);
        });
        drop(queue);
        wakers.wake();
    }

    /// Only under the lock.
    pub(super) fn set_flag(&self, flag: u64, on: bool) {
        if on {
            self.word.fetch_or(flag, Ordering::AcqRel);
        } else {
            self.word.fetch_and(!flag, Ordering::AcqRel);
        }
    }

    /// Changes the queue. The wakers are to be woken without the lock.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Queue<Priority>, &mut PermitSupply<'_>, &mut Wakers) -> T,
    ) -> (T, Wakers) {
        let mut queue = self.lock();
        self.change_locked(&mut queue, change)
    }

    pub(super) fn change_locked<T>(
        &self,
        queue: &mut PermitQueue,
        change: impl FnOnce(&mut Queue<Priority>, &mut PermitSupply<'_>, &mut Wakers) -> T,
    ) -> (T, Wakers) {
        let mut wakers = Wakers::new();
        let (waiters, mut supply) = queue.split(self.permits());
        let out = change(waiters, &mut supply, &mut wakers);
        let spare = supply.spare;
        if spare > 0 {
            // Nobody waits that may have it.
            self.word.fetch_add(permits(spare.into()), Ordering::AcqRel);
        }
        self.mark(queue);
        if !queue.idle_waiters.is_empty() {
            self.wake_idle(queue, &mut wakers);
        }
        (out, wakers)
    }

    /// Notifies the waiters that may go, and those that wait for all permits.
    pub(super) fn dispatch(&self, queue: &mut PermitQueue, now_ns: u64) -> Wakers {
        let ((), wakers) = self.change_locked(queue, |queue, permits, wakers| {
            queue.dispatch(now_ns, permits, wakers);
        });
        wakers
    }

    pub(super) fn is_idle(&self, queue: &PermitQueue) -> bool {
        let word = self.word.load(Ordering::Acquire);
        queue.waiters.is_empty() && available(word) >= i64::from(queue.limit)
    }

    /// Wakes those that wait for all permits, if all are available.
    #[cold]
    fn wake_idle(&self, queue: &mut PermitQueue, wakers: &mut Wakers) {
        if self.is_idle(queue) {
            self.set_flag(IDLE_AWAITED, false);
            for waker in queue.idle_waiters.take_all() {
                wakers.add(Some(waker));
            }
        }
    }

    /// Whether a waiter has been handed a permit that it has not asked for.
    #[inline]
    pub(crate) fn is_handed(&self, id: WaiterId) -> bool {
        self.handed.is_handed(id)
    }

    /// Takes the permit that was [handed](Self::is_handed) to a waiter: it has left the queue. `false` when
    /// there is none any more.
    #[inline]
    pub(crate) fn take_handed(&self, id: WaiterId) -> bool {
        self.handed.take(id)
    }

    /// Copies the state of the queue to the word.
    pub(super) fn mark(&self, queue: &PermitQueue) {
        let queued = if queue.is_empty() { 0 } else { QUEUED };
        let full = if queue.is_full() { QUEUE_FULL } else { 0 };
        let held = if queue.waiters.is_empty() { 0 } else { HELD };
        let is = queued | full | held;
        // Nothing else changes these while the lock is held.
        let wrong = (self.word.load(Ordering::Acquire) ^ is) & (QUEUED | QUEUE_FULL | HELD);
        if wrong != 0 {
            self.word.fetch_xor(wrong, Ordering::AcqRel);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, PermitQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The lock of the permits and of their queue.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use seawall_core::queue::{Queue, Standing, Supply, Taking, Turn, WaiterId, Wakers};
use seawall_core::{Clock, PartitionKey, Reason, ns};

use crate::commands::FlagChange;
use crate::semaphore::Admission;
use crate::semaphore::idle::IdleWaiters;

/// Who may have a permit.
pub(crate) trait KeyedSupply: Supply<PartitionKey> {
    /// Takes a permit for a call that comes, if it may have one and no waiter goes before it.
    fn try_acquire(&mut self, key: PartitionKey) -> Admission;

    /// Whether a call may join the queue.
    ///
    /// # Errors
    ///
    /// Why it may not.
    fn check_join(&self, key: PartitionKey) -> Result<(), Reason>;

    /// For how long a call that joins now may wait.
    fn max_wait(&self) -> Duration;

    /// Whether there is a permit for the key, the claims of waiters aside.
    fn has_permit(&self, key: PartitionKey) -> bool;

    /// Takes one.
    fn take(&mut self, key: PartitionKey);

    /// Gives one back.
    fn release(&mut self, key: PartitionKey);

    /// How many are held.
    fn in_flight(&self) -> u32;

    /// Whether new calls are rejected until those queued are served.
    fn is_draining(&self) -> bool;

    /// An operator changes flags of the [`Mode`](crate::mode::Mode).
    fn command(&mut self, change: FlagChange);
}

#[derive(Debug)]
pub(crate) struct KeyedPermits<S> {
    clock: Clock,
    inner: Mutex<Inner<S>>,
}

/// What one lock guards.
#[derive(Debug)]
struct Inner<S> {
    waiters: Queue<PartitionKey>,
    supply: S,
    idle_waiters: IdleWaiters,
}

/// A call that has joined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joined {
    pub(super) id: WaiterId,
    pub(super) deadline_ns: u64,
}

impl<S: KeyedSupply> KeyedPermits<S> {
    pub(crate) fn new(supply: S) -> Self {
        Self {
            clock: Clock::start(),
            inner: Mutex::new(Inner {
                waiters: Queue::new(),
                supply,
                idle_waiters: IdleWaiters::new(),
            }),
        }
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Acquires a permit if one is available and no waiter goes before the call.
    pub(crate) fn try_acquire(&self, key: PartitionKey) -> Admission {
        let mut wakers = Wakers::new();
        let mut inner = self.lock();
        if !inner.waiters.is_empty() {
            inner.dispatch(self.clock.now(), &mut wakers);
            inner.wake_idle(&mut wakers);
        }
        let admission = inner.supply.try_acquire(key);
        drop(inner);
        wakers.wake();
        admission
    }

    /// Joins the queue, until a deadline of its own or its `max_wait` is over.
    pub(super) fn join(
        &self,
        key: PartitionKey,
        now_ns: u64,
        deadline_ns: u64,
    ) -> Result<Joined, Reason> {
        let (joined, wakers) = self.change(|waiters, supply, _| {
            supply.check_join(key)?;
            let latest = now_ns.saturating_add(ns(supply.max_wait()));
            let deadline_ns = latest.min(deadline_ns);
            let id = waiters.join(0, key, deadline_ns, supply);
            Ok(Joined { id, deadline_ns })
        });
        wakers.wake();
        joined
    }

    /// Whether the turn of a waiter has come; when its wait is over, whether there is a permit at
    /// all. A waiter that goes to sleep may have to start a watchdog, of the generation that is
    /// handed back.
    pub(super) fn turn(
        &self,
        key: PartitionKey,
        id: WaiterId,
        now_ns: u64,
        waker: Waker,
    ) -> (Turn, Option<u64>) {
        let (out, wakers) = self.change(|waiters, supply, wakers| {
            match waiters.turn(id, now_ns, waker, supply, wakers) {
                Standing::Wait => (Turn::Wait, waiters.start_watchdog(now_ns, wakers)),
                // During a drain it counts no longer, so the drain may have ended.
                Standing::Expired if supply.is_draining() || !supply.has_permit(key) => {
                    (Turn::Wait, None)
                }
                Standing::Go | Standing::Expired => (Turn::Go, None),
            }
        });
        wakers.wake();
        out
    }

    /// Acquires a permit and leaves the queue, if the waiter has a claim on one or its wait is over;
    /// otherwise it waits, with its waker registered. `acquired` makes of the permit what releases
    /// it when it is dropped, before any task is woken: waking may panic.
    pub(super) fn acquire<T>(
        &self,
        id: WaiterId,
        waker: Waker,
        acquired: impl FnOnce() -> T,
    ) -> Option<T> {
        let now_ns = self.clock.now();
        let (taking, wakers) = self.change(|waiters, supply, wakers| {
            waiters.take(id, now_ns, waker, supply, wakers, |supply, key, _| {
                if !supply.has_permit(*key) {
                    return Taking::Missing;
                }
                supply.take(*key);
                Taking::Taken
            })
        });
        let acquired = (taking == Taking::Taken).then(acquired);
        wakers.wake();
        acquired
    }

    /// Lets others pass, since the waiter's own service is not ready.
    pub(super) fn skip(&self, id: WaiterId) -> Option<u64> {
        let now_ns = self.clock.now();
        let (generation, wakers) = self.change(|waiters, supply, wakers| {
            waiters.skip(id, now_ns, supply, wakers);
            waiters.start_watchdog(now_ns, wakers)
        });
        wakers.wake();
        generation
    }

    /// Leaves without a permit.
    pub(super) fn leave(&self, id: WaiterId) {
        let now_ns = self.clock.now();
        let (_, wakers) =
            self.change(|waiters, supply, wakers| waiters.leave(id, now_ns, supply, wakers));
        wakers.wake();
    }

    pub(crate) fn release(&self, key: PartitionKey) {
        self.update(|supply| supply.release(key));
    }

    /// Changes the supply, and wakes the waiters that may go by that.
    pub(crate) fn update<T>(&self, update: impl FnOnce(&mut S) -> T) -> T {
        let (out, wakers) = self.change(|waiters, supply, wakers| {
            let out = update(supply);
            if waiters.active() > 0 {
                waiters.dispatch(self.clock.now(), supply, wakers);
            }
            out
        });
        wakers.wake();
        out
    }

    /// Reads what is known at this moment. Waiters whose wait is over do not count, whatever has
    /// looked after them.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&S) -> T) -> T {
        let (out, wakers) = self.change(|waiters, supply, wakers| {
            if !waiters.is_empty() {
                waiters.dispatch(self.clock.now(), supply, wakers);
            }
            read(supply)
        });
        wakers.wake();
        out
    }

    /// See [`Drains::poll_idle`](crate::drain::Drains::poll_idle).
    pub(super) fn poll_idle(&self, id: &mut Option<u64>, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut wakers = Wakers::new();
        let mut inner = self.lock();
        inner.dispatch(self.clock.now(), &mut wakers);
        let is_idle = inner.is_idle();
        let old = if is_idle {
            wakers.discard(Some(waker));
            inner.idle_waiters.remove(id.take())
        } else {
            inner.idle_waiters.register(id, waker)
        };
        wakers.discard(old);
        drop(inner);
        wakers.wake();
        is_idle
    }

    pub(super) fn forget_idle(&self, id: Option<u64>) {
        let old = self.lock().idle_waiters.remove(id);
        drop(old);
    }

    pub(super) fn has_waiters(&self) -> bool {
        !self.lock().waiters.is_empty()
    }

    pub(super) fn watch(&self, generation: u64, waker: Waker) -> Option<u64> {
        let now_ns = self.clock.now();
        let (next, wakers) = self.change(|waiters, supply, wakers| {
            waiters.watch(generation, now_ns, waker, supply, wakers)
        });
        wakers.wake();
        next
    }

    pub(super) fn watch_ended(&self, generation: u64) {
        let ((), wakers) =
            self.change(|waiters, _, wakers| waiters.watch_ended(generation, wakers));
        wakers.wake();
    }

    /// The wakers are to be woken without the lock.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Queue<PartitionKey>, &mut S, &mut Wakers) -> T,
    ) -> (T, Wakers) {
        let mut wakers = Wakers::new();
        let mut inner = self.lock();
        let Inner {
            waiters, supply, ..
        } = &mut *inner;
        let out = change(waiters, supply, &mut wakers);
        if !inner.idle_waiters.is_empty() {
            inner.wake_idle(&mut wakers);
        }
        drop(inner);
        (out, wakers)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: KeyedSupply> Inner<S> {
    fn dispatch(&mut self, now_ns: u64, wakers: &mut Wakers) {
        self.waiters.dispatch(now_ns, &mut self.supply, wakers);
    }

    fn is_idle(&self) -> bool {
        self.waiters.is_empty() && self.supply.in_flight() == 0
    }

    /// Wakes those that wait until no permit is held, if that is so.
    #[cold]
    #[inline(never)]
    fn wake_idle(&mut self, wakers: &mut Wakers) {
        if !self.idle_waiters.is_empty() && self.is_idle() {
            for waker in self.idle_waiters.take_all() {
                wakers.add(Some(waker));
            }
        }
    }
}

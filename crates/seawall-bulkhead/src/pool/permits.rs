//! The lock of the permits, and the wakers that are woken when it is released.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use seawall_core::{PartitionKey, Reason};

use super::queue::{PoolLimits, PoolQueue, WaiterId};
use crate::mode::Mode;
use crate::semaphore::{Admission, Turn};
use crate::snapshot::BulkheadState;

#[derive(Debug)]
pub(crate) struct PoolPermits {
    queue: Mutex<PoolQueue>,
}

/// The numbers of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolUsage {
    pub(crate) limits: PoolLimits,
    pub(crate) mode: Mode,
    pub(crate) in_flight: u32,
    pub(crate) queue_depth: usize,
}

impl PoolUsage {
    pub(crate) const fn state(&self) -> BulkheadState {
        match self.mode {
            Mode::Blocked => BulkheadState::Paused,
            Mode::Normal | Mode::Bypassed => {
                let limit = self.limits.max_concurrent;
                BulkheadState::of(self.in_flight, limit, self.queue_depth)
            }
        }
    }
}

impl PoolPermits {
    pub(crate) fn new(limits: PoolLimits) -> Self {
        Self {
            queue: Mutex::new(PoolQueue::new(limits)),
        }
    }

    /// Acquires a permit if one is available and no waiter is queued for it.
    pub(crate) fn try_acquire(&self, key: PartitionKey) -> Admission {
        self.lock().try_acquire(key)
    }

    /// Joins the queue. Hands back for how long the call may wait, too.
    ///
    /// # Errors
    ///
    /// Why it may not join.
    pub(crate) fn join(
        &self,
        key: PartitionKey,
        waker: &Waker,
    ) -> Result<(WaiterId, Duration), Reason> {
        let waker = waker.clone();
        let mut queue = self.lock();
        if let Err(reason) = queue.check_join() {
            drop(queue);
            drop(waker);
            return Err(reason);
        }
        let max_wait = queue.limits.max_wait;
        Ok((queue.join(key, waker), max_wait))
    }

    /// Whether the turn of a waiter has come. At its `last_chance`, at the end of its wait, its
    /// rank does not matter.
    pub(crate) fn turn(&self, id: WaiterId, last_chance: bool, waker: &Waker) -> Turn {
        let mut queue = self.lock();
        if queue.is_skipped(id) || queue.may_go(id, last_chance) {
            return Turn::Go;
        }
        let old = queue.wait(id, waker);
        // Looking for the head may have parked a waiter, and so have made another the head.
        let next = queue.notify_next();
        drop(queue);
        drop(old);
        wake(next);
        Turn::Wait
    }

    /// Acquires a permit and leaves the queue, if it is this waiter's turn or its `last_chance`;
    /// otherwise it waits, with its waker registered.
    pub(crate) fn acquire(&self, id: WaiterId, last_chance: bool, waker: &Waker) -> bool {
        let mut queue = self.lock();
        queue.rejoin(id);
        let acquired = queue.may_go(id, last_chance);
        let old = if acquired {
            let gone = queue.remove(id);
            gone.and_then(|gone| {
                queue.take(gone.key);
                queue.promote(gone.key);
                gone.waker
            })
        } else {
            queue.wait(id, waker)
        };
        let next = queue.notify_next();
        drop(queue);
        drop(old);
        wake(next);
        acquired
    }

    /// Lets others pass, since the waiter's own service is not ready.
    pub(crate) fn skip(&self, id: WaiterId) {
        let mut queue = self.lock();
        queue.skip(id);
        let next = queue.notify_next();
        drop(queue);
        wake(next);
    }

    /// Leaves without a permit.
    pub(crate) fn leave(&self, id: WaiterId) {
        let mut queue = self.lock();
        let gone = queue.remove(id);
        if let Some(gone) = &gone {
            queue.promote(gone.key);
        }
        let next = queue.notify_next();
        drop(queue);
        drop(gone);
        wake(next);
    }

    pub(crate) fn release(&self, key: PartitionKey) {
        let mut queue = self.lock();
        queue.release(key);
        let next = queue.notify_next();
        drop(queue);
        wake(next);
    }

    /// Other limits for calls and waiters alike; a waiter keeps its `max_wait`.
    pub(crate) fn configure(&self, limits: PoolLimits) {
        let next = self.lock().change(|queue| queue.limits = limits);
        wake(next);
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        let next = self.lock().change(|queue| queue.mode = mode);
        wake(next);
    }

    pub(crate) fn usage(&self) -> PoolUsage {
        let queue = self.lock();
        PoolUsage {
            limits: queue.limits,
            mode: queue.mode,
            in_flight: queue.in_flight,
            queue_depth: queue.len(),
        }
    }

    pub(crate) fn in_flight_of(&self, key: PartitionKey) -> u32 {
        self.lock().in_flight_of(key)
    }

    fn lock(&self) -> MutexGuard<'_, PoolQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Outside of the lock: a waker runs code of the executor.
fn wake(next: Option<Waker>) {
    if let Some(waker) = next {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    struct Sleeper {
        id: WaiterId,
        key: PartitionKey,
        woken: Arc<Flag>,
        skipped: bool,
    }

    proptest! {
        /// Against a plain list: never a permit too many, and the first waiter that could go has
        /// been woken.
        #[test]
        fn no_waiter_sleeps_while_a_permit_is_available_for_it(
            total in 1_u32..4,
            per_key in prop::option::of(1_u32..3),
            steps in prop::collection::vec((0_u8..6, 0_u64..3, 0_usize..8), 1..80),
        ) {
            let limits = |total, per_key| PoolLimits {
                max_concurrent: total,
                max_per_key: per_key,
                max_waiting: 6,
                max_wait: Duration::MAX,
            };
            let (mut total, mut per_key) = (total, per_key);
            let permits = PoolPermits::new(limits(total, per_key));
            let mut held: Vec<PartitionKey> = Vec::new();
            let mut queue: Vec<Sleeper> = Vec::new();
            for (step, key, which) in steps {
                if step == 5 {
                    total = 1 + which as u32 % 3;
                    per_key = (key > 0).then_some(key as u32);
                    permits.configure(limits(total, per_key));
                }
                let fits = |held: &[PartitionKey], key: PartitionKey| {
                    let of_key = held.iter().filter(|k| **k == key).count();
                    held.len() < total as usize
                        && per_key.is_none_or(|max| of_key < max as usize)
                };
                let key = PartitionKey(key);
                match step {
                    0 => {
                        let first = queue.iter().find(|s| !s.skipped && fits(&held, s.key));
                        let keys_full = |s: &Sleeper| per_key.is_some_and(|most| {
                            held.iter().filter(|k| **k == s.key).count() >= most as usize
                        });
                        let active = queue.iter().any(|s| !s.skipped && !keys_full(s));
                        let free = fits(&held, key) && first.is_none() && !active;
                        match permits.try_acquire(key) {
                            Admission::Admitted => { prop_assert!(free); held.push(key); }
                            denied => {
                                prop_assert!(!free);
                                let woken = Arc::new(Flag::default());
                                let joined = permits.join(key, &Arc::clone(&woken).into());
                                prop_assert_eq!(joined.is_ok(), queue.len() < 6);
                                prop_assert_eq!(denied == Admission::Wait, joined.is_ok());
                                if let Ok((id, _)) = joined {
                                    let waker = Arc::clone(&woken).into();
                                    if permits.turn(id, false, &waker) == Turn::Go {
                                        woken.0.store(true, Ordering::Relaxed);
                                    }
                                    queue.push(Sleeper { id, key, woken, skipped: false });
                                }
                            }
                        }
                    }
                    1 if !held.is_empty() => {
                        let key = held.remove(which % held.len());
                        permits.release(key);
                    }
                    2 if !queue.is_empty() => {
                        permits.leave(queue.remove(which % queue.len()).id);
                    }
                    3 if !queue.is_empty() => {
                        let at = which % queue.len();
                        let sleeper = &mut queue[at];
                        sleeper.skipped = true;
                        permits.skip(sleeper.id);
                    }
                    4 if !queue.is_empty() => {
                        let at = which % queue.len();
                        queue[at].skipped = false;
                        let first = queue.iter().position(|s| !s.skipped && fits(&held, s.key));
                        let waker = Arc::clone(&queue[at].woken).into();
                        queue[at].woken.0.store(false, Ordering::Relaxed);
                        let acquired = permits.acquire(queue[at].id, false, &waker);
                        prop_assert_eq!(acquired, first == Some(at));
                        if acquired {
                            held.push(queue.remove(at).key);
                        }
                    }
                    _ => {}
                }
                if let Some(first) = queue.iter().find(|s| !s.skipped && fits(&held, s.key)) {
                    prop_assert!(first.woken.0.load(Ordering::Relaxed), "it sleeps");
                }
                prop_assert_eq!(permits.usage().in_flight as usize, held.len());
                prop_assert_eq!(permits.usage().queue_depth, queue.len());
                for key in (0..3).map(PartitionKey) {
                    let count = held.iter().filter(|k| **k == key).count();
                    prop_assert_eq!(permits.in_flight_of(key) as usize, count);
                }
            }
            for key in held { permits.release(key); }
            for sleeper in queue { permits.leave(sleeper.id); }
            prop_assert!(permits.lock().forgot_everything());
        }
    }

    #[test]
    fn a_waiter_at_its_last_chance_takes_what_is_available_whatever_its_rank() {
        let permits = PoolPermits::new(PoolLimits {
            max_concurrent: 1,
            max_per_key: Some(1),
            max_waiting: 2,
            max_wait: Duration::MAX,
        });
        let waker = Waker::noop();
        assert_eq!(permits.try_acquire(PartitionKey(1)), Admission::Admitted);
        let first = permits.join(PartitionKey(1), waker).unwrap().0;
        let late = permits.join(PartitionKey(2), waker).unwrap().0;
        assert!(!permits.acquire(late, true, waker));
        permits.release(PartitionKey(1));
        assert_eq!(permits.turn(late, false, waker), Turn::Wait);
        assert_eq!(permits.turn(late, true, waker), Turn::Go);
        assert!(permits.acquire(late, true, waker));
        assert_eq!(permits.turn(first, false, waker), Turn::Wait);
    }
}

//! Tasks that wait for an unready inner service, to be woken when the circuit opens.
//!
//! Wakers are code of others, and dropping one may drop a task that is parked here too. So none is
//! cloned, woken or dropped while the lock is held, and a parked instance does not keep the circuit
//! alive that keeps its waker.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

/// The wakers of parked tasks. A slot belongs to one instance, which uses it again at each poll; a
/// transition takes all wakers, and the keys of their slots become void with the epoch.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    epoch: u64,
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    epoch: u64,
    slot: usize,
}

impl Wakers {
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes every task. A waker that panics keeps no other task asleep.
    pub(crate) fn wake_all(&self) {
        let parked = {
            let mut slots = self.lock();
            slots.epoch += 1;
            slots.free.clear();
            mem::take(&mut slots.wakers)
        };
        for waker in parked.into_iter().flatten() {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    fn park(&self, key: Option<Key>, waker: &Waker) -> Key {
        // Cloned before the lock is taken; what it replaces is dropped after it was released.
        let mut waker = Some(waker.clone());
        let mut slots = self.lock();
        let known = key.filter(|key| key.epoch == slots.epoch);
        let slot = match known.map(|key| key.slot).or_else(|| slots.free.pop()) {
            Some(slot) => {
                mem::swap(&mut slots.wakers[slot], &mut waker);
                slot
            }
            None => {
                slots.wakers.push(waker.take());
                slots.wakers.len() - 1
            }
        };
        let epoch = slots.epoch;
        drop(slots);
        Key { epoch, slot }
    }

    fn leave(&self, key: Key) {
        let mut slots = self.lock();
        if key.epoch == slots.epoch {
            let waker = slots.wakers[key.slot].take();
            slots.free.push(key.slot);
            drop(slots);
            drop(waker);
        }
    }
}

/// The waker of one instance, if it is parked; removed when the instance is dropped.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    at: Option<(Weak<Wakers>, Key)>,
}

impl Parked {
    pub(crate) const fn new() -> Self {
        Self { at: None }
    }

    pub(crate) fn park(&mut self, wakers: &Arc<Wakers>, waker: &Waker) {
        let key = self.at.as_ref().map(|(_, key)| *key);
        let key = wakers.park(key, waker);
        match &mut self.at {
            Some((_, at)) => *at = key,
            None => self.at = Some((Arc::downgrade(wakers), key)),
        }
    }

    #[inline]
    pub(crate) fn leave(&mut self) {
        if self.at.is_some() {
            self.remove();
        }
    }

    #[cold]
    fn remove(&mut self) {
        if let Some((wakers, key)) = self.at.take()
            && let Some(wakers) = wakers.upgrade()
        {
            wakers.leave(key);
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.leave();
    }
}

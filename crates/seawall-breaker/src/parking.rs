//! Tasks that wait for an unready inner service, to be woken when the circuit opens.
//!
//! Wakers are other people's code, and dropping one may drop a task that is parked here too. So
//! none is cloned, woken or dropped while the lock is held, and a parked instance does not keep
//! the circuit alive that keeps its waker.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

/// The wakers of parked tasks. An entry belongs to one instance, which uses it again at each
/// poll; a transition takes them all, and their keys become void with the epoch.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    lot: Mutex<Lot>,
}

#[derive(Debug, Default)]
struct Lot {
    epoch: u64,
    places: Vec<Option<Waker>>,
    free: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    epoch: u64,
    place: usize,
}

impl Parking {
    fn lock(&self) -> MutexGuard<'_, Lot> {
        self.lot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everyone. A waker that panics keeps nobody else asleep.
    pub(crate) fn wake_all(&self) {
        let parked = {
            let mut lot = self.lock();
            lot.epoch += 1;
            lot.free.clear();
            mem::take(&mut lot.places)
        };
        for waker in parked.into_iter().flatten() {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    fn park(&self, key: Option<Key>, waker: &Waker) -> Key {
        // Cloned before the lock is taken; what it replaces is dropped after it was released.
        let mut waker = Some(waker.clone());
        let mut lot = self.lock();
        let place = match key {
            Some(key) if key.epoch == lot.epoch => {
                mem::swap(&mut lot.places[key.place], &mut waker);
                key.place
            }
            _ => match lot.free.pop() {
                Some(place) => {
                    mem::swap(&mut lot.places[place], &mut waker);
                    place
                }
                None => {
                    lot.places.push(waker.take());
                    lot.places.len() - 1
                }
            },
        };
        let epoch = lot.epoch;
        drop(lot);
        Key { epoch, place }
    }

    fn leave(&self, key: Key) {
        let mut lot = self.lock();
        if key.epoch == lot.epoch {
            let left = lot.places[key.place].take();
            lot.free.push(key.place);
            drop(lot);
            drop(left);
        }
    }
}

/// The parking place of one instance, if it has one; given back when the instance goes.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    at: Option<(Weak<Parking>, Key)>,
}

impl Parked {
    pub(crate) const fn new() -> Self {
        Self { at: None }
    }

    pub(crate) fn park(&mut self, parking: &Arc<Parking>, waker: &Waker) {
        let key = self.at.as_ref().map(|(_, key)| *key);
        let key = parking.park(key, waker);
        match &mut self.at {
            Some((_, at)) => *at = key,
            None => self.at = Some((Arc::downgrade(parking), key)),
        }
    }

    #[inline]
    pub(crate) fn leave(&mut self) {
        if self.at.is_some() {
            self.give_back();
        }
    }

    #[cold]
    fn give_back(&mut self) {
        if let Some((parking, key)) = self.at.take()
            && let Some(parking) = parking.upgrade()
        {
            parking.leave(key);
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.leave();
    }
}

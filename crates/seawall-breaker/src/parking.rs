//! Tasks that wait for an unready inner service, to be woken when the circuit opens.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::shared::Held;

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

    /// Wakes everyone, outside of the lock.
    pub(crate) fn wake_all(&self) {
        let parked = {
            let mut lot = self.lock();
            lot.epoch += 1;
            lot.free.clear();
            mem::take(&mut lot.places)
        };
        for waker in parked.into_iter().flatten() {
            waker.wake();
        }
    }

    fn park(&self, key: Option<Key>, waker: &Waker) -> Key {
        let mut lot = self.lock();
        if let Some(key) = key
            && key.epoch == lot.epoch
        {
            match &mut lot.places[key.place] {
                Some(parked) => parked.clone_from(waker),
                empty => *empty = Some(waker.clone()),
            }
            return key;
        }
        let place = match lot.free.pop() {
            Some(place) => {
                lot.places[place] = Some(waker.clone());
                place
            }
            None => {
                lot.places.push(Some(waker.clone()));
                lot.places.len() - 1
            }
        };
        Key {
            epoch: lot.epoch,
            place,
        }
    }

    fn leave(&self, key: Key) {
        let mut lot = self.lock();
        if key.epoch == lot.epoch {
            lot.places[key.place] = None;
            lot.free.push(key.place);
        }
    }
}

/// The parking place of one instance, if it has one; given back when the instance goes.
#[derive(Debug)]
pub(crate) struct Parked {
    at: Option<(Held, Key)>,
}

impl Parked {
    pub(crate) const fn new() -> Self {
        Self { at: None }
    }

    pub(crate) fn park(&mut self, held: impl FnOnce() -> Held, waker: &Waker) {
        match &mut self.at {
            Some((held, key)) => *key = held.common().parking.park(Some(*key), waker),
            None => {
                let held = held();
                let key = held.common().parking.park(None, waker);
                self.at = Some((held, key));
            }
        }
    }

    #[inline]
    pub(crate) fn leave(&mut self) {
        if let Some((held, key)) = self.at.take() {
            held.common().parking.leave(key);
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.leave();
    }
}

//! One reload after the other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::outcome::ReloadError;

/// Held from reading a file to the end of applying it, so that what is read last is applied last.
#[derive(Debug, Default)]
pub(super) struct Reloading {
    turn: Mutex<()>,
    /// Which thread has it.
    owner: Mutex<Option<ThreadId>>,
}

/// The turn of one reload.
pub(super) struct Turn<'a> {
    owner: &'a Mutex<Option<ThreadId>>,
    _turn: MutexGuard<'a, ()>,
}

impl Reloading {
    /// Waits for the turn.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Nested`] on the thread that has it: a listener of the events that a reload emits
    /// would wait for itself.
    pub(super) fn enter(&self) -> Result<Turn<'_>, ReloadError> {
        let thread = thread::current().id();
        if *lock(&self.owner) == Some(thread) {
            return Err(ReloadError::Nested);
        }
        let turn = lock(&self.turn);
        *lock(&self.owner) = Some(thread);
        Ok(Turn {
            owner: &self.owner,
            _turn: turn,
        })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(self.owner) = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Marks that the journal has not taken.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::tracked::{Marked, Tracked};
use crate::journal::{Answer, State};

/// Marks that the journal has not taken, in their order.
#[derive(Default)]
pub(super) struct Unwritten {
    handed: Mutex<Handed>,
    lost: Mutex<VecDeque<(Arc<Tracked>, Marked)>>,
    /// Whether a task tries whether the journal can be written again.
    pub(super) probing: AtomicBool,
}

/// Marks that were handed over and are not answered.
#[derive(Default)]
pub(super) struct Handed {
    pub(super) marks: VecDeque<(Arc<Tracked>, Marked, Answer<State>)>,
    /// Whether a task waits for the answers.
    pub(super) is_heard: bool,
}

impl Unwritten {
    pub(super) fn handed(&self) -> MutexGuard<'_, Handed> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> MutexGuard<'_, VecDeque<(Arc<Tracked>, Marked)>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a mark that was lost. Under the lock of its order, so that its marks are in their order.
    pub(super) fn lose(&self, it: &Arc<Tracked>, mark: Marked) {
        self.lost().push_back((Arc::clone(it), mark));
    }

    /// The first one that was lost.
    pub(super) fn first(&self) -> Option<(Arc<Tracked>, Marked)> {
        self.lost().front().cloned()
    }

    /// The first one is written, or cannot be.
    pub(super) fn remove_first(&self) {
        self.lost().pop_front();
    }

    pub(super) fn len(&self) -> usize {
        self.lost().len()
    }
}

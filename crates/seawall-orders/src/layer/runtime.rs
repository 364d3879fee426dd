//! The runtime of a layer, and what it has lost with one that ended.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;

use super::tracked::Tracked;

/// Where tasks run, and what was left by those that did not.
#[derive(Default)]
pub(super) struct Tasks {
    /// A runtime is known, and every task that was begun has ended or runs.
    pub(super) live: AtomicBool,
    runtime: Mutex<Option<Handle>>,
    pub(super) watching: AtomicBool,
    pub(super) validating: AtomicBool,
    pub(super) comparing: AtomicBool,
    /// Orders whose intent was handed to the journal, and whose answer nobody waits for any more.
    unheard: Mutex<Vec<Arc<Tracked>>>,
}

impl Tasks {
    pub(super) fn runtime(&self) -> MutexGuard<'_, Option<Handle>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn unheard(&self) -> MutexGuard<'_, Vec<Arc<Tracked>>> {
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

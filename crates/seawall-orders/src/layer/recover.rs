//! A journal that fails, and marks that are written again when it works.

use std::sync::atomic::Ordering::{AcqRel, Release};
use std::sync::{Arc, Weak};
use std::time::{Duration, UNIX_EPOCH};

use seawall_core::EventKind;

use super::order::Order;
use super::shared::Shared;
use super::tracked::{self, Marked, Tracked};
use crate::journal::{Answer, JournalError, State};

/// How long until the journal is tried again; it doubles.
const FIRST: Duration = Duration::from_secs(1);
/// The longest such wait.
const LONGEST: Duration = Duration::from_secs(30);

impl Shared {
    /// What the journal answered to a write: whether it is written. A store that fails halts trading.
    pub(super) fn wrote<T>(self: &Arc<Self>, written: &Result<T, JournalError>) -> bool {
        match written {
            Ok(_) => true,
            Err(error) => {
                if is_store_error(error) {
                    self.journal_failed();
                }
                false
            }
        }
    }

    /// Halts trading until the journal can be written again, and has what was lost.
    fn journal_failed(self: &Arc<Self>) {
        self.control.set_journal_failed(true);
        self.probe();
    }

    fn probe(self: &Arc<Self>) {
        if self.unwritten.probing.swap(true, AcqRel) {
            return;
        }
        let probe = Probe {
            shared: Arc::downgrade(self),
            over: false,
        };
        self.spawn(probe.run());
    }

    /// Waits for answers that are not waited for by a task.
    pub(super) fn hear_marks(self: &Arc<Self>) {
        let mut handed = self.unwritten.handed();
        if handed.marks.is_empty() || std::mem::replace(&mut handed.is_heard, true) {
            return;
        }
        drop(handed);
        let hears = Hears {
            shared: Arc::downgrade(self),
            over: false,
        };
        self.spawn(hears.run());
    }

    /// Begins again what a runtime that has ended was to do.
    pub(super) fn recover(self: &Arc<Self>) {
        self.hear_marks();
        if self.unwritten.len() > 0 {
            self.probe();
        }
    }

    /// Writes what was lost, one after the other: whether all of it is written.
    async fn write_lost(layer: &Weak<Self>, written: &mut u64) -> bool {
        loop {
            let Some(shared) = layer.upgrade() else {
                return false;
            };
            let Some((it, marked)) = shared.unwritten.first() else {
                return true;
            };
            let mark = it.lock().mark_of(marked);
            let answer = shared.journal.mark(&it.id, mark);
            drop(shared);
            match answer.await {
                Err(error) if is_store_error(&error) => return false,
                Ok(_) => *written += 1,
                // It is there, since a write that fails may be in the file; or a later one is.
                Err(_) => {}
            }
            let Some(shared) = layer.upgrade() else {
                return false;
            };
            {
                let mut state = it.lock();
                shared.unwritten.remove_first();
                state.lost = state.lost.saturating_sub(1);
            }
            Order { shared, it }.rest();
        }
    }
}

/// Tries whether the journal can be written again, as long as the layer is there.
struct Probe {
    shared: Weak<Shared>,
    over: bool,
}

impl Probe {
    async fn run(mut self) {
        let (mut wait, mut written) = (FIRST, 0);
        loop {
            tokio::time::sleep(wait).await;
            let Some(shared) = self.shared.upgrade() else {
                return;
            };
            // A write that removes nothing.
            let probe = shared.journal.prune(UNIX_EPOCH);
            drop(shared);
            if probe.await.is_ok() && Shared::write_lost(&self.shared, &mut written).await {
                break;
            }
            wait = wait.saturating_mul(2).min(LONGEST);
        }
        self.over = true;
        if let Some(shared) = self.shared.upgrade() {
            let marks = written;
            shared.events.emit(|| EventKind::JournalRecovered { marks });
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        shared.unwritten.probing.store(false, Release);
        if shared.unwritten.len() == 0 {
            // Also where the runtime ends: the next order finds out.
            shared.control.set_journal_failed(false);
        }
        // Lost meanwhile. In a runtime that ends, the next one takes it up.
        if self.over && shared.unwritten.len() > 0 {
            shared.journal_failed();
        }
    }
}

/// Waits for what the journal answers to marks, in their order.
struct Hears {
    shared: Weak<Shared>,
    over: bool,
}

impl Hears {
    async fn run(mut self) {
        while let Some((answered, answer)) = self.next() {
            answered.take(&answer.await);
        }
        self.over = true;
    }

    fn next(&self) -> Option<(Answered, Answer<State>)> {
        let shared = self.shared.upgrade()?;
        let (it, marked, answer) = shared.unwritten.handed().marks.pop_front()?;
        let (shared, marked) = (Arc::downgrade(&shared), Some(marked));
        Some((Answered { shared, it, marked }, answer))
    }
}

impl Drop for Hears {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        shared.unwritten.handed().is_heard = false;
        if self.over {
            // One that was handed over after the last look.
            shared.hear_marks();
        }
    }
}

/// A mark whose answer comes. Where that is not heard, the mark is written again: it may be there or not.
struct Answered {
    shared: Weak<Shared>,
    it: Arc<Tracked>,
    marked: Option<Marked>,
}

impl Answered {
    fn take(mut self, answer: &Result<State, JournalError>) {
        let (Some(shared), Some(marked)) = (self.shared.upgrade(), self.marked.take()) else {
            return;
        };
        let it = Arc::clone(&self.it);
        drop(self);
        let order = Order { shared, it };
        order.marked(marked, answer);
        order.rest();
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        if let (Some(shared), Some(marked)) = (self.shared.upgrade(), self.marked.take()) {
            let it = Arc::clone(&self.it);
            Order { shared, it }.unheard(marked);
        }
    }
}

impl Order {
    /// What the journal answered to a mark: whether it is written. One that a failing store has lost is
    /// written again when the store works, and so is one that could not be written without it.
    pub(super) fn marked(&self, marked: Marked, answer: &Result<State, JournalError>) -> bool {
        if let Err(error) = answer {
            self.keep_lost(&mut self.it.lock(), marked, error);
        }
        self.shared.wrote(answer)
    }

    /// Keeps a mark that was not taken, if writing it again can help.
    pub(super) fn keep_lost(
        &self,
        state: &mut tracked::State,
        marked: Marked,
        error: &JournalError,
    ) {
        if is_store_error(error) || state.lost > 0 {
            self.lose(state, marked);
        }
    }

    pub(super) fn lose(&self, state: &mut tracked::State, marked: Marked) {
        state.lost += 1;
        self.shared.unwritten.lose(&self.it, marked);
    }

    /// Of a mark whose answer is lost with a runtime: written again, it is there in any case.
    pub(super) fn unheard(&self, marked: Marked) {
        self.lose(&mut self.it.lock(), marked);
        self.shared.probe();
    }
}

/// Whether the journal took a mark: an entry that does not allow it is no fault of the store.
const fn is_store_error(error: &JournalError) -> bool {
    !matches!(
        error,
        JournalError::UsedId { .. }
            | JournalError::UnknownId { .. }
            | JournalError::Forbidden { .. }
            | JournalError::WrongAttempt { .. }
            | JournalError::Invalid(_)
            | JournalError::Full { .. }
    )
}

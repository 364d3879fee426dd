//! What a call of a key holds: its place, or its place in the line of the key.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use seawall_core::queue::Ticket;
use seawall_core::striped::Local;
use seawall_core::{Complete, EventSource, Outcome, PartitionKey, Reason, Rejection, RequestMeta};
use tokio::time::Instant;

use super::pool::Pool;
use crate::observe::{Stripe, abandoned, reject};
use crate::places::Turn;
use crate::wait::InLine;

/// What every service of a layer shares.
#[derive(Debug)]
pub(crate) struct Common {
    pool: Mutex<Pool>,
    pub(crate) patience: Duration,
    pub(crate) observer: EventSource,
}

pub(crate) type State = Local<Common, Stripe>;

impl Common {
    pub(crate) fn new(pool: Pool, patience: Duration, observer: EventSource) -> Self {
        Self {
            pool: Mutex::new(pool),
            patience,
            observer,
        }
    }

    pub(crate) fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, key: PartitionKey) {
        let next = self.pool().release(key);
        wake(next);
    }
}

/// Outside of the lock: a waker runs code of the executor.
pub(crate) fn wake(next: Option<Waker>) {
    if let Some(waker) = next {
        waker.wake();
    }
}

/// A place in a pool, held by one call of a key and given back when it is settled or dropped; see
/// [`Permit`](crate::Permit).
pub struct PartitionPermit {
    /// `None` once settled.
    state: Option<State>,
    key: PartitionKey,
}

impl PartitionPermit {
    /// The permit of a place that was taken just now.
    pub(crate) const fn of(state: State, key: PartitionKey) -> Self {
        Self {
            state: Some(state),
            key,
        }
    }

    /// The key whose share the place is of.
    pub const fn key(&self) -> PartitionKey {
        self.key
    }
}

impl Complete for PartitionPermit {
    fn complete(mut self, outcome: Outcome) {
        if let Some(state) = self.state.take() {
            state.common().release(self.key);
            state.stripe().settled(&outcome);
        }
    }
}

impl Drop for PartitionPermit {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            state.common().release(self.key);
            abandoned(&state.common().observer, state.stripe());
        }
    }
}

impl fmt::Debug for PartitionPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.state.as_ref().map(|s| s.common().observer.name());
        f.debug_struct("PartitionPermit")
            .field("bulkhead", &name)
            .field("key", &self.key)
            .finish()
    }
}

/// A call of a key that has no place yet. Dropped without one, it leaves the line and counts as
/// abandoned.
pub(crate) struct KeyWaiting {
    state: State,
    key: PartitionKey,
    deadline: Option<Instant>,
    /// `None` before its first poll: a future that nobody polls must hold nobody up.
    ticket: Option<Ticket>,
    /// Whether it has a place or was rejected.
    over: bool,
}

impl KeyWaiting {
    pub(crate) const fn new(state: State, meta: &RequestMeta) -> Self {
        Self {
            state,
            key: meta.key,
            deadline: meta.deadline,
            ticket: None,
            over: false,
        }
    }

    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|at| Instant::now() >= at)
    }

    fn reject(&mut self, reason: Reason) -> Rejection {
        self.leave();
        reject(&self.state.common().observer, self.state.stripe(), reason)
    }

    fn leave(&mut self) {
        self.over = true;
        if let Some(ticket) = self.ticket.take() {
            let (mine, next) = self.state.common().pool().leave(self.key, ticket);
            drop(mine);
            wake(next);
        }
    }
}

impl InLine for KeyWaiting {
    type Permit = PartitionPermit;

    fn turn(&mut self, late: bool, waker: &Waker) -> Result<Turn, Rejection> {
        if self.is_late() {
            return Err(self.reject(Reason::DeadlineExceeded));
        }
        let ticket = match self.ticket {
            Some(ticket) => ticket,
            None => {
                let joined = self.state.common().pool().join(self.key, waker);
                let Some(ticket) = joined else {
                    return Err(self.reject(Reason::BulkheadFull));
                };
                self.ticket = Some(ticket);
                self.state.stripe().waits();
                ticket
            }
        };
        let (turn, old) = self
            .state
            .common()
            .pool()
            .turn(self.key, ticket, late, waker);
        drop(old);
        Ok(turn)
    }

    fn take(&mut self, late: bool, waker: &Waker) -> Option<PartitionPermit> {
        let ticket = self.ticket?;
        let (taken, old, next) = self
            .state
            .common()
            .pool()
            .take(self.key, ticket, late, waker);
        // Before anybody is woken, which may panic.
        let permit = taken.then(|| {
            self.ticket = None;
            self.over = true;
            PartitionPermit::of(self.state.clone(), self.key)
        });
        drop(old);
        wake(next);
        permit
    }

    fn stand_aside(&self) {
        if let Some(ticket) = self.ticket {
            let next = self.state.common().pool().stand_aside(self.key, ticket);
            wake(next);
        }
    }

    fn gives_up_at(&self) -> Instant {
        let patience = seawall_core::deadline(Instant::now(), self.state.common().patience);
        self.deadline.map_or(patience, |at| at.min(patience))
    }

    fn give_up(&mut self) -> Rejection {
        self.reject(if self.is_late() {
            Reason::DeadlineExceeded
        } else {
            Reason::QueueTimeout
        })
    }

    fn inner_failed(&mut self, outcome: &Outcome) {
        self.leave();
        self.state.stripe().settled(outcome);
    }
}

impl Drop for KeyWaiting {
    fn drop(&mut self) {
        if !self.over {
            self.leave();
            abandoned(&self.state.common().observer, self.state.stripe());
        }
    }
}

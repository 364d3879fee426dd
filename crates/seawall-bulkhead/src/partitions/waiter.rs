//! A call of a key that waits for a permit.

use std::task::Waker;
use std::time::Duration;

use seawall_core::queue::WaiterId;
use seawall_core::{EventSource, PartitionKey, Reason, Rejection, RequestMeta};
use tokio::time::Instant;

use super::permit::PartitionPermit;
use super::state::PartitionCallState;
use crate::call::Waiter;
use crate::counts::BulkheadStripe;
use crate::semaphore::Turn;

/// Dropped without a permit, it leaves the queue and counts as abandoned.
pub(crate) struct PartitionWaiter {
    state: PartitionCallState,
    key: PartitionKey,
    deadline: Option<Instant>,
    /// `None` before its first poll: a future that is not polled must hold nothing up.
    id: Option<WaiterId>,
    max_wait: Duration,
    /// Whether it has a permit or was rejected.
    done: bool,
}

impl PartitionWaiter {
    pub(crate) const fn new(state: PartitionCallState, meta: &RequestMeta) -> Self {
        Self {
            state,
            key: meta.key,
            deadline: meta.deadline,
            id: None,
            max_wait: Duration::ZERO,
            done: false,
        }
    }
}

impl Waiter for PartitionWaiter {
    type Permit = PartitionPermit;

    fn turn(&mut self, last_chance: bool, waker: &Waker) -> Result<Turn, Rejection> {
        if self.is_expired() {
            return Err(self.reject(Reason::DeadlineExceeded));
        }
        let id = match self.id {
            Some(id) => id,
            None => match self.state.common().join(self.key, waker) {
                Ok((id, max_wait)) => {
                    self.id = Some(id);
                    self.max_wait = max_wait;
                    self.state.stripe().waited.add();
                    id
                }
                Err(reason) => return Err(self.reject(reason)),
            },
        };
        let mut inner = self.state.common().lock();
        let (turn, old) = inner.permits.turn(self.key, id, last_chance, waker);
        drop(inner);
        drop(old);
        Ok(turn)
    }

    fn acquire(&mut self, last_chance: bool, waker: &Waker) -> Option<PartitionPermit> {
        let id = self.id?;
        let mut inner = self.state.common().lock();
        let (acquired, old, next) = inner.permits.acquire(self.key, id, last_chance, waker);
        drop(inner);
        // Before any task is woken, which may panic.
        let permit = acquired.then(|| {
            self.id = None;
            self.done = true;
            PartitionPermit::new(self.state.clone(), self.key)
        });
        drop(old);
        if let Some(next) = next {
            next.wake();
        }
        permit
    }

    fn skip(&self) {
        if let Some(id) = self.id {
            let state = self.state.common();
            state.change(|inner| inner.permits.skip(self.key, id));
        }
    }

    fn waits_until(&self) -> Instant {
        let end = seawall_core::deadline(Instant::now(), self.max_wait);
        self.deadline.map_or(end, |at| at.min(end))
    }

    fn is_expired(&self) -> bool {
        self.deadline.is_some_and(|at| Instant::now() >= at)
    }

    fn leave(&mut self) {
        self.done = true;
        if let Some(id) = self.id.take() {
            let mut mine = None;
            self.state.common().change(|inner| {
                let (waker, next) = inner.permits.leave(self.key, id);
                mine = waker;
                next
            });
            drop(mine);
        }
    }

    fn counted_by(&self) -> (&BulkheadStripe, &EventSource) {
        (self.state.stripe(), &self.state.common().source)
    }
}

impl Drop for PartitionWaiter {
    fn drop(&mut self) {
        if !self.done {
            self.leave();
            self.state.stripe().abandon(&self.state.common().source);
        }
    }
}

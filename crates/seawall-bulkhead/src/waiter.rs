//! A call that waits for a permit.

use std::task::Waker;
use std::time::Duration;

use seawall_core::queue::WaiterId;
use seawall_core::{EventSource, Priority, Reason, Rejection, RequestMeta};
use tokio::time::Instant;

use crate::call::Waiter;
use crate::counts::BulkheadStripe;
use crate::permit::Permit;
use crate::semaphore::Turn;
use crate::semaphore::queue::{JoinError, WaitRequest};
use crate::state::CallState;

/// Dropped without a permit, it leaves the queue and counts as abandoned.
#[derive(Debug)]
pub(crate) struct PermitWaiter {
    state: CallState,
    request: WaitRequest,
    measured: bool,
    /// `None` before its first poll: a future that is not polled must hold nothing up.
    id: Option<WaiterId>,
    max_wait_ns: u64,
    /// Whether it has a permit or was rejected.
    done: bool,
}

impl PermitWaiter {
    pub(crate) fn new(state: CallState, meta: &RequestMeta, measured: bool) -> Self {
        let deadline_ns = meta
            .deadline
            .map_or(u64::MAX, |at| state.common().clock.at(at));
        Self {
            request: WaitRequest {
                priority: meta.priority,
                deadline_ns,
                reserving: false,
            },
            state,
            measured,
            id: None,
            max_wait_ns: 0,
            done: false,
        }
    }

    /// One that has no request yet, and waits without bounds.
    pub(crate) fn reserving(state: CallState, priority: Priority) -> Self {
        let meta = RequestMeta::default().with_priority(priority);
        let mut waiter = Self::new(state, &meta, false);
        waiter.request.reserving = true;
        waiter
    }

    /// Leaves the queue as if it had never been there.
    pub(crate) fn withdraw(mut self) {
        self.leave();
    }

    fn join(&mut self, waker: &Waker) -> Result<WaiterId, Rejection> {
        let common = self.state.common();
        let now = common.clock.now();
        match common.semaphore.join(now, &self.request, waker) {
            Ok(joined) => {
                self.id = Some(joined.id);
                self.max_wait_ns = joined.max_wait_ns;
                self.state.stripe().waited.add();
                Ok(joined.id)
            }
            Err(JoinError::Doomed) => {
                self.state.stripe().rejected_doomed.add();
                Err(self.reject(Reason::DeadlineExceeded))
            }
            Err(JoinError::Rejected(reason)) if self.request.reserving => {
                self.done = true;
                // There is no call yet that could count.
                Err(common.source.rejection(reason))
            }
            Err(JoinError::Rejected(reason)) => Err(self.reject(reason)),
        }
    }
}

impl Waiter for PermitWaiter {
    type Permit = Permit;

    fn turn(&mut self, last_chance: bool, waker: &Waker) -> Result<Turn, Rejection> {
        let id = match self.id {
            Some(_) if self.is_expired() => return Err(self.reject(Reason::DeadlineExceeded)),
            Some(id) => id,
            None => self.join(waker)?,
        };
        let semaphore = &self.state.common().semaphore;
        Ok(semaphore.turn(id, last_chance, waker))
    }

    fn acquire(&mut self, last_chance: bool, waker: &Waker) -> Option<Permit> {
        let id = self.id?;
        let semaphore = &self.state.common().semaphore;
        semaphore.acquire(id, last_chance, waker, || {
            self.id = None;
            self.done = true;
            Permit::new(self.state.clone(), self.measured)
        })
    }

    fn skip(&self) {
        if let Some(id) = self.id {
            self.state.common().semaphore.skip(id);
        }
    }

    fn waits_until(&self) -> Instant {
        let max_wait = Duration::from_nanos(self.max_wait_ns);
        let end = seawall_core::deadline(Instant::now(), max_wait);
        if self.request.deadline_ns == u64::MAX {
            end
        } else {
            let clock = &self.state.common().clock;
            end.min(clock.instant(self.request.deadline_ns))
        }
    }

    fn is_expired(&self) -> bool {
        let clock = &self.state.common().clock;
        self.request.is_expired(|| clock.now())
    }

    fn leave(&mut self) {
        self.done = true;
        if let Some(id) = self.id.take() {
            self.state.common().semaphore.leave(id);
        }
    }

    fn counted_by(&self) -> (&BulkheadStripe, &EventSource) {
        (self.state.stripe(), &self.state.common().source)
    }
}

impl Drop for PermitWaiter {
    fn drop(&mut self) {
        if !self.done {
            self.leave();
            self.state.stripe().abandon(&self.state.common().source);
        }
    }
}

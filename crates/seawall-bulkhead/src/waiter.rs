//! A call that waits for a permit.

use std::task::Waker;

use seawall_core::queue::{QueuedCall, Turn, WaiterId, Watched, watch};
use seawall_core::{EventSource, Priority, Reason, Rejection, RequestMeta};
use tokio::time::Instant;

use crate::call::CountedCall;
use crate::counts::BulkheadStripe;
use crate::permit::Permit;
use crate::semaphore::queue::{JoinError, WaitRequest};
use crate::state::CallState;

/// Dropped without a permit, it leaves the queue and counts as abandoned.
#[derive(Debug)]
pub(crate) struct PermitWaiter {
    /// The permit has it once there is one.
    state: Option<CallState>,
    request: WaitRequest,
    measured: bool,
    id: Option<WaiterId>,
    deadline_ns: u64,
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
            state: Some(state),
            measured,
            id: None,
            deadline_ns: u64::MAX,
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
    pub(crate) fn withdraw(&mut self) {
        self.done = true;
        if let Some(id) = self.id.take() {
            let common = self.state().common();
            common.semaphore.leave(id, common.clock.now());
        }
    }

    fn join(&mut self, now_ns: u64, waker: Waker) -> Result<Turn, Rejection> {
        let common = self.state().common();
        match common.semaphore.join(now_ns, &self.request, waker) {
            Ok((joined, turn, wakers)) => {
                // Before any task is woken: waking may panic.
                self.id = Some(joined.id);
                self.deadline_ns = joined.deadline_ns;
                let state = self.state();
                state.stripe().waited.add_here(state.is_here_alone());
                wakers.wake();
                Ok(self.watched(turn))
            }
            Err(JoinError::Doomed) => {
                self.state().stripe().rejected_doomed.add();
                Err(self.reject_for(Reason::DeadlineExceeded))
            }
            Err(JoinError::Rejected(reason)) if self.request.reserving => {
                self.done = true;
                // There is no call yet that could count.
                Err(self.state().common().source.rejection(reason))
            }
            Err(JoinError::Rejected(reason)) => Err(self.reject_for(reason)),
        }
    }

    fn state(&self) -> &CallState {
        self.state
            .as_ref()
            .expect("a waiter with a permit is not polled")
    }

    /// It has a permit, which must be released before anything can panic: waking may.
    fn acquired(&mut self) -> Option<Permit> {
        self.id = None;
        self.done = true;
        let state = self.state.take()?;
        let start_ns = state.common().start_ns(self.measured);
        Some(Permit::new(state, start_ns))
    }

    fn is_expired(&self, now_ns: u64) -> bool {
        self.request.is_expired(|| now_ns)
    }

    fn watched(&self, (turn, generation): (Turn, Option<u64>)) -> Turn {
        self.watch(generation);
        turn
    }

    fn watch(&self, generation: Option<u64>) {
        if let Some(generation) = generation {
            watch(PermitWatch(self.state().clone()), generation);
        }
    }
}

impl QueuedCall for PermitWaiter {
    type Permit = Permit;

    fn now_ns(&self) -> u64 {
        self.state().common().clock.now()
    }

    fn instant(&self, at_ns: u64) -> Instant {
        self.state().common().clock.instant(at_ns)
    }

    fn deadline_ns(&self) -> u64 {
        self.deadline_ns
    }

    fn turn(&mut self, now_ns: u64, waker: Waker) -> Result<Turn, Rejection> {
        let id = match self.id {
            Some(_) if self.is_expired(now_ns) => {
                return Err(self.reject_for(Reason::DeadlineExceeded));
            }
            Some(id) => id,
            None => return self.join(now_ns, waker),
        };
        let semaphore = &self.state().common().semaphore;
        Ok(self.watched(semaphore.turn(id, now_ns, waker)))
    }

    fn seems_notified(&self) -> bool {
        let common = self.state().common();
        let is_handed = |id| common.semaphore.is_handed(id);
        self.id.is_some_and(is_handed) && !self.request.is_expired(|| common.clock.now())
    }

    fn take_claim(&mut self) -> Option<Permit> {
        let taken = self.state().common().semaphore.take_handed(self.id?);
        taken.then(|| self.acquired()).flatten()
    }

    fn take(&mut self, waker: &Waker) -> Result<Permit, Turn> {
        let id = self.id.ok_or(Turn::Wait)?;
        let common = self.state().common();
        if let Some(wakers) = common.semaphore.take_claim(id) {
            let permit = self.acquired();
            wakers.wake();
            return permit.ok_or(Turn::Wait);
        }
        let (acquired, wakers) = common.semaphore.acquire(id, common.clock.now(), waker);
        let permit = acquired.then(|| self.acquired()).flatten();
        wakers.wake();
        permit.ok_or(Turn::Wait)
    }

    fn skip(&mut self) {
        if let Some(id) = self.id {
            let common = self.state().common();
            let generation = common.semaphore.skip(id, common.clock.now());
            self.watch(generation);
        }
    }

    fn reject(&mut self, now_ns: u64) -> Rejection {
        self.reject_for(if self.is_expired(now_ns) {
            Reason::DeadlineExceeded
        } else {
            Reason::QueueTimeout
        })
    }
}

impl CountedCall for PermitWaiter {
    fn leave(&mut self) {
        self.withdraw();
    }

    fn counted_by(&self) -> (&BulkheadStripe, &EventSource) {
        (self.state().stripe(), &self.state().common().source)
    }
}

impl Drop for PermitWaiter {
    fn drop(&mut self) {
        if !self.done {
            self.withdraw();
            self.state().stripe().abandon(&self.state().common().source);
        }
    }
}

/// What the watchdog of a semaphore's queue looks after.
struct PermitWatch(CallState);

impl Watched for PermitWatch {
    fn watch(&self, generation: u64, waker: Waker) -> Option<Instant> {
        let common = self.0.common();
        let next = common
            .semaphore
            .watch(generation, common.clock.now(), waker);
        next.map(|at_ns| common.clock.instant(at_ns))
    }

    fn watch_ended(&self, generation: u64) {
        self.0.common().semaphore.watch_ended(generation);
    }
}

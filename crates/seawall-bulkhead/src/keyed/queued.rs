//! A call of a key that waits for a permit.

use std::task::Waker;

use seawall_core::queue::{QueuedCall, Turn, WaiterId, Watched, watch};
use seawall_core::{Complete, EventSource, InstanceName, PartitionKey, Reason, Rejection};
use tokio::time::Instant;

use super::permits::{KeyedPermits, KeyedSupply};
use crate::call::{CountedCall, HeldPermit};
use crate::counts::BulkheadStripe;
use crate::drain::Drains;

/// The shared state that a call holds.
pub(crate) trait KeyedState: Clone + Send + Sync + 'static {
    type Supply: KeyedSupply + Send;
    type Permit;

    fn permits(&self) -> &KeyedPermits<Self::Supply>;

    /// The permit that was acquired just now.
    fn permit(&self, key: PartitionKey) -> Self::Permit;

    fn counters(&self) -> &BulkheadStripe;

    fn source(&self) -> &EventSource;

    /// A waiter was dropped.
    fn abandoned(&self);
}

/// It joins the queue at its first poll, and leaves it when it is dropped.
#[derive(Debug)]
pub(crate) struct KeyedCall<S: KeyedState> {
    state: S,
    key: PartitionKey,
    /// That of the request; `u64::MAX` without one.
    request_deadline_ns: u64,
    id: Option<WaiterId>,
    deadline_ns: u64,
    /// Whether it has a permit, was rejected or has failed.
    done: bool,
}

impl<S: KeyedState> KeyedCall<S> {
    pub(crate) fn new(state: S, key: PartitionKey, deadline: Option<Instant>) -> Self {
        let clock = state.permits().clock();
        Self {
            request_deadline_ns: deadline.map_or(u64::MAX, |at| clock.at(at)),
            state,
            key,
            id: None,
            deadline_ns: u64::MAX,
            done: false,
        }
    }

    fn withdraw(&mut self) {
        self.done = true;
        if let Some(id) = self.id.take() {
            self.state.permits().leave(id);
        }
    }

    fn reject_for(&mut self, reason: Reason) -> Rejection {
        self.withdraw();
        self.state.counters().reject(self.state.source(), reason)
    }

    fn join(&mut self, now_ns: u64) -> Result<WaiterId, Rejection> {
        let permits = self.state.permits();
        match permits.join(self.key, now_ns, self.request_deadline_ns) {
            Ok(joined) => {
                self.id = Some(joined.id);
                self.deadline_ns = joined.deadline_ns;
                self.state.counters().waited.add();
                Ok(joined.id)
            }
            Err(reason) => Err(self.reject_for(reason)),
        }
    }

    fn watch(&self, generation: Option<u64>) {
        if let Some(generation) = generation {
            watch(KeyedWatch(self.state.clone()), generation);
        }
    }
}

impl<S: KeyedState> QueuedCall for KeyedCall<S> {
    type Permit = S::Permit;

    fn now_ns(&self) -> u64 {
        self.state.permits().clock().now()
    }

    fn instant(&self, at_ns: u64) -> Instant {
        self.state.permits().clock().instant(at_ns)
    }

    fn deadline_ns(&self) -> u64 {
        self.deadline_ns
    }

    fn turn(&mut self, now_ns: u64, waker: Waker) -> Result<Turn, Rejection> {
        if now_ns >= self.request_deadline_ns {
            return Err(self.reject_for(Reason::DeadlineExceeded));
        }
        let id = match self.id {
            Some(id) => id,
            None => self.join(now_ns)?,
        };
        let permits = self.state.permits();
        let (turn, generation) = permits.turn(self.key, id, now_ns, waker);
        self.watch(generation);
        Ok(turn)
    }

    fn take(&mut self, waker: &Waker) -> Result<S::Permit, Turn> {
        let id = self.id.ok_or(Turn::Wait)?;
        let permit = self.state.permits().acquire(id, waker.clone(), || {
            self.id = None;
            self.done = true;
            self.state.permit(self.key)
        });
        permit.ok_or(Turn::Wait)
    }

    fn skip(&mut self) {
        if let Some(id) = self.id {
            let generation = self.state.permits().skip(id);
            self.watch(generation);
        }
    }

    fn reject(&mut self, now_ns: u64) -> Rejection {
        self.reject_for(if now_ns >= self.request_deadline_ns {
            Reason::DeadlineExceeded
        } else {
            Reason::QueueTimeout
        })
    }
}

impl<S: KeyedState> Drop for KeyedCall<S> {
    fn drop(&mut self) {
        if !self.done {
            self.withdraw();
            self.state.abandoned();
        }
    }
}

impl<S> CountedCall for KeyedCall<S>
where
    S: KeyedState<Permit: Complete>,
    S::Permit: HeldPermit,
{
    fn leave(&mut self) {
        self.withdraw();
    }

    fn counted_by(&self) -> (&BulkheadStripe, &EventSource) {
        (self.state.counters(), self.state.source())
    }
}

impl<S: KeyedState> Drains for S {
    fn instance(&self) -> InstanceName {
        self.source().name()
    }

    fn poll_idle(&self, id: &mut Option<u64>, waker: &Waker) -> bool {
        self.permits().poll_idle(id, waker)
    }

    fn forget_idle(&self, id: Option<u64>) {
        self.permits().forget_idle(id);
    }

    fn has_waiters(&self) -> bool {
        self.permits().has_waiters()
    }
}

/// What the watchdog of a queue looks after.
struct KeyedWatch<S>(S);

impl<S: KeyedState> Watched for KeyedWatch<S> {
    fn watch(&self, generation: u64, waker: Waker) -> Option<Instant> {
        let permits = self.0.permits();
        let next = permits.watch(generation, waker);
        next.map(|at_ns| permits.clock().instant(at_ns))
    }

    fn watch_ended(&self, generation: u64) {
        self.0.permits().watch_ended(generation);
    }
}

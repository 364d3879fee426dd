//! What every service of a layer shares.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use seawall_core::queue::WaiterId;
use seawall_core::striped::{Local, Shared, Stripes};
use seawall_core::{EventSource, InstanceName, PartitionKey, Reason};

use super::config::PartitionConfig;
use super::permits::PartitionPermits;
use crate::counts::BulkheadStripe;

#[derive(Debug)]
pub(crate) struct PartitionState {
    pub(crate) source: EventSource,
    inner: Mutex<Inner>,
}

/// What one lock guards.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) permits: PartitionPermits,
    /// As configured last: limit and shares may have been changed since.
    pub(crate) config: PartitionConfig,
}

pub(crate) type SharedPartitions = Shared<PartitionState, BulkheadStripe>;
pub(crate) type PartitionCallState = Local<PartitionState, BulkheadStripe>;

impl PartitionState {
    pub(crate) fn shared(name: InstanceName, config: PartitionConfig) -> SharedPartitions {
        let state = Self {
            source: EventSource::new("bulkhead", name),
            inner: Mutex::new(Inner {
                permits: PartitionPermits::new(&config),
                config,
            }),
        };
        Shared::new(state, Stripes::auto(), BulkheadStripe::default)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the queue of a key. Hands back for how long the call may wait, too.
    pub(crate) fn join(
        &self,
        key: PartitionKey,
        waker: &Waker,
    ) -> Result<(WaiterId, Duration), Reason> {
        let waker = waker.clone();
        let mut inner = self.lock();
        if let Err(reason) = inner.permits.check_join(key) {
            drop(inner);
            drop(waker);
            return Err(reason);
        }
        let max_wait = inner.config.max_wait();
        Ok((inner.permits.join(key, waker), max_wait))
    }

    /// Changes the permits, and wakes the waiter that may go by that, outside of the lock: a waker
    /// runs code of the executor.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Inner) -> Option<Waker>) {
        let next = change(&mut self.lock());
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

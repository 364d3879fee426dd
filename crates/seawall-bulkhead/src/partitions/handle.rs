//! The pool from outside.

use std::fmt;

use seawall_core::striped::Shared;
use seawall_core::{
    Events, InstanceHandle, InstanceName, InvalidConfig, NonZeroCount, PartitionKey, Samples,
};

use super::PartitionShare;
use super::config::check_guarantees;
use super::permit::{Common, wake};
use crate::BulkheadCounts;
use crate::observe::Stripe;

/// Reads and controls a shared pool from any thread, without being part of any call.
///
/// It keeps the state alive, not the services.
#[derive(Clone)]
pub struct PartitionHandle {
    shared: Shared<Common, Stripe>,
}

impl PartitionHandle {
    pub(crate) const fn new(shared: Shared<Common, Stripe>) -> Self {
        Self { shared }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.shared.common().observer.name()
    }

    /// How many calls of all keys hold a place now.
    pub fn in_flight(&self) -> u32 {
        self.shared.common().pool().taken()
    }

    /// How many calls of all keys wait for a place now.
    pub fn queue_depth(&self) -> usize {
        self.shared.common().pool().waiting()
    }

    /// What became of the calls of all keys so far.
    pub fn counts(&self) -> BulkheadCounts {
        let mut counts = BulkheadCounts::default();
        for stripe in self.shared.stripes() {
            stripe.add_to(&mut counts);
        }
        counts
    }

    /// Everything at once, with every key that has a call or a share of its own. Allocates, and
    /// takes as long under the lock as there are keys.
    pub fn snapshot(&self) -> PartitionSnapshot {
        let pool = self.shared.common().pool();
        let keys = pool.keys();
        let keys = keys.map(|(key, in_flight, waiting)| KeySnapshot {
            key,
            in_flight,
            waiting,
        });
        PartitionSnapshot {
            in_flight: pool.taken(),
            limit: pool.limit(),
            waiting: pool.waiting(),
            keys: keys.collect(),
            counts: self.counts(),
        }
    }

    /// Changes the number of places of the pool; see
    /// [`BulkheadHandle::set_limit`](crate::BulkheadHandle::set_limit).
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `max_concurrent` is 0, or less than what is guaranteed.
    pub fn set_limit(&self, max_concurrent: u32) -> Result<(), InvalidConfig> {
        NonZeroCount::new(max_concurrent).map_err(|e| e.in_field("max_concurrent"))?;
        let mut pool = self.shared.common().pool();
        check_guarantees(max_concurrent, pool.named().map(|(_, share)| share))?;
        let next = pool.set_limit(max_concurrent);
        drop(pool);
        wake(next);
        Ok(())
    }

    /// Gives a key another share, or one of its own. Nobody loses a place.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the share is impossible, or guarantees more than there is.
    pub fn set_share(&self, key: PartitionKey, share: PartitionShare) -> Result<(), InvalidConfig> {
        share.check()?;
        let mut pool = self.shared.common().pool();
        let others = pool.named().filter(|(of, _)| *of != key);
        check_guarantees(pool.limit(), others.map(|(_, s)| s).chain([&share]))?;
        let next = pool.set_share(key, share);
        drop(pool);
        wake(next);
        Ok(())
    }
}

impl InstanceHandle for PartitionHandle {
    fn pattern(&self) -> &'static str {
        self.shared.common().observer.pattern()
    }

    fn name(&self) -> InstanceName {
        Self::name(self)
    }

    /// `"ok"` while there is a free place, `"full"` when there is none, `"queueing"` when calls
    /// wait.
    fn state(&self) -> &'static str {
        let pool = self.shared.common().pool();
        if pool.waiting() > 0 {
            "queueing"
        } else if pool.taken() >= pool.limit() {
            "full"
        } else {
            "ok"
        }
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let pool = self.shared.common().pool();
        let gauges = [
            ("seawall_bulkhead_in_flight", f64::from(pool.taken())),
            ("seawall_bulkhead_queue_depth", pool.waiting() as f64),
            ("seawall_bulkhead_max_concurrent", f64::from(pool.limit())),
            ("seawall_bulkhead_keys", pool.keys().count() as f64),
        ];
        // The sink is somebody else's code.
        drop(pool);
        for (metric, value) in gauges {
            sink.gauge(metric, &[], value);
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let common = self.shared.common();
        let pool = common.pool();
        let default = pool.default_share();
        vec![
            ("max_concurrent", pool.limit().to_string()),
            ("acquire_timeout", format!("{:?}", common.patience)),
            ("default_share", format!("{default:?}")),
            ("shares", pool.named().count().to_string()),
        ]
    }

    fn attach(&self, events: &Events) {
        // The first registry stays the one that is told.
        let _ = self.shared.common().observer.attach(events);
    }
}

impl fmt::Debug for PartitionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionHandle")
            .field("name", &self.name())
            .field("in_flight", &self.in_flight())
            .field("queue_depth", &self.queue_depth())
            .finish_non_exhaustive()
    }
}

/// The state of a shared pool at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionSnapshot {
    /// How many calls of all keys hold a place.
    pub in_flight: u32,
    /// How many calls may hold a place at once.
    pub limit: u32,
    /// How many calls of all keys wait.
    pub waiting: usize,
    /// The keys that have a call or a share of their own, in no order.
    pub keys: Vec<KeySnapshot>,
    /// What became of the calls so far.
    pub counts: BulkheadCounts,
}

impl PartitionSnapshot {
    /// What a key has; nothing, if it is not there.
    pub fn key(&self, key: PartitionKey) -> KeySnapshot {
        let found = self.keys.iter().find(|of| of.key == key);
        found.copied().unwrap_or(KeySnapshot {
            key,
            in_flight: 0,
            waiting: 0,
        })
    }
}

/// What one key has of a shared pool at one moment.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySnapshot {
    /// The key.
    pub key: PartitionKey,
    /// How many of its calls hold a place.
    pub in_flight: u32,
    /// How many of its calls wait.
    pub waiting: usize,
}

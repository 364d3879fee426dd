//! How a future that holds no reference finds the counters of its layer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use seawall_core::counters::Counter;
use seawall_core::{Clock, EventKind, EventSource, Figure, InstanceName, Reason, Rejection, Sent};

/// Why a call timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeoutKind {
    /// An attempt took longer than its timeout.
    Attempt {
        /// The timeout in nanoseconds.
        limit_ns: u64,
    },
    /// The deadline passed while the inner service worked.
    Deadline {
        /// How long the call had, in nanoseconds, where that is known.
        limit_ns: Option<u64>,
    },
    /// The deadline had passed when the call was made.
    ExpiredOnArrival,
    /// The deadline passed while the inner service was not ready.
    Readiness {
        /// How long the call had, in nanoseconds.
        limit_ns: u64,
    },
}

impl TimeoutKind {
    const fn reason(self) -> Reason {
        match self {
            Self::Attempt { .. } => Reason::AttemptTimeout,
            Self::Deadline { .. } | Self::ExpiredOnArrival | Self::Readiness { .. } => {
                Reason::DeadlineExceeded
            }
        }
    }

    const fn sent(self) -> Sent {
        match self {
            Self::Attempt { .. } | Self::Deadline { .. } => Sent::Maybe,
            Self::ExpiredOnArrival | Self::Readiness { .. } => Sent::No,
        }
    }

    /// The rejection, as the layer makes it, with all that is known.
    fn describe(self, rejection: Rejection) -> Rejection {
        let mut rejection = rejection.with_sent(self.sent());
        let limit_ns = match self {
            Self::Attempt { limit_ns } | Self::Readiness { limit_ns } => Some(limit_ns),
            Self::Deadline { limit_ns } => limit_ns,
            Self::ExpiredOnArrival => None,
        };
        if let Some(limit_ns) = limit_ns {
            rejection = rejection.with_figure(Figure::Limit(Duration::from_nanos(limit_ns)));
        }
        match self {
            Self::Attempt { .. } => rejection,
            // Of an attempt timeout, too: it is the deadline that has passed.
            _ => rejection.with_pattern("deadline"),
        }
    }
}

/// What a future carries in place of a reference to its layer: a reference count would cost more
/// than all the rest of a call whose response is ready at once.
#[derive(Clone, Copy, Debug)]
// One word, so that it is loaded and stored at once.
#[repr(align(8))]
pub(crate) struct InstanceId {
    /// The last bit is whether the instance's clock is the fast one.
    number: u32,
    name: InstanceName,
}

impl InstanceId {
    /// The clock that the instance was made with.
    #[inline]
    pub(crate) fn clock(self) -> Clock {
        Clock::of_source(self.number & 1 != 0)
    }

    /// Counts and emits the timeout, and makes the rejection of it.
    #[cold]
    pub(crate) fn time_out(self, kind: TimeoutKind) -> Rejection {
        match find(self.number) {
            Some(instance) => instance.time_out(kind),
            // The layer, its services and its handles are gone: no reader is left.
            None => kind.describe(Rejection::new(kind.reason(), self.name)),
        }
    }
}

/// The counters of one of the two patterns.
pub(crate) trait Pattern: Default + Send + Sync + 'static {
    const NAME: &'static str;

    /// The counter of that kind of timeout; `None` for a kind that the pattern does not have.
    fn counter(&self, kind: TimeoutKind) -> Option<&Counter>;
}

/// What is counted and emitted of one layer value and its clones.
#[derive(Debug)]
pub(crate) struct Instance<T> {
    id: InstanceId,
    source: EventSource,
    counters: T,
}

impl<T: Pattern> Instance<T> {
    pub(crate) fn new(name: InstanceName) -> Arc<Self> {
        // Wraps around after 2^31 layers; the counters of one that old would then be another's.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(2, Ordering::Relaxed) | u32::from(Clock::start().is_fast());
        let instance = Arc::new(Self {
            id: InstanceId { number, name },
            source: EventSource::new(T::NAME, name),
            counters: T::default(),
        });
        let weak = Arc::downgrade(&instance);
        INSTANCES
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, weak);
        instance
    }
}

impl<T> Instance<T> {
    seawall_core::getters! {
        pub(crate) const fn id -> InstanceId;

        pub(crate) const fn source -> &EventSource;

        pub(crate) const fn counters -> &T;
    }
}

impl<T> Drop for Instance<T> {
    fn drop(&mut self) {
        INSTANCES
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id.number);
    }
}

/// An instance of either pattern, as its futures find it.
trait TimeOut: Send + Sync {
    /// Counts and emits a timeout of that kind.
    fn time_out(&self, kind: TimeoutKind) -> Rejection;
}

impl<T: Pattern> TimeOut for Instance<T> {
    fn time_out(&self, kind: TimeoutKind) -> Rejection {
        if let Some(counter) = self.counters.counter(kind) {
            counter.add();
        }
        let rejection = kind.describe(self.source.rejection(kind.reason()));
        self.source.emit_call(|| EventKind::Rejected(rejection));
        rejection
    }
}

/// Every instance that is alive, by its number. Read only when a call has timed out.
static INSTANCES: RwLock<BTreeMap<u32, Weak<dyn TimeOut>>> = RwLock::new(BTreeMap::new());

fn find(number: u32) -> Option<Arc<dyn TimeOut>> {
    // The guard ends with the statement: dropping the last `Arc` under it would lock it again.
    let instance = INSTANCES
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&number)
        .map(Weak::upgrade);
    instance.flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::AttemptTimeoutCounters;

    const ATTEMPT: TimeoutKind = TimeoutKind::Attempt {
        limit_ns: 5_000_000,
    };

    #[test]
    fn an_instance_is_found_while_it_is_alive_and_removed_with_it() {
        let instance = Instance::<AttemptTimeoutCounters>::new(InstanceName::new("found"));
        let id = instance.id();
        id.time_out(ATTEMPT);
        id.time_out(TimeoutKind::Deadline { limit_ns: None });
        assert_eq!(instance.counters().timed_out.get(), 1);
        assert_eq!(instance.counters().deadline_exceeded.get(), 1);
        drop(instance);
        assert!(find(id.number).is_none());
        let known = INSTANCES.read().unwrap().contains_key(&id.number);
        assert!(!known, "the table keeps no dead instance");
        let rejection = id.time_out(ATTEMPT);
        assert_eq!(rejection.reason(), Reason::AttemptTimeout);
        assert_eq!(rejection.name().as_str(), "found");
        let limit = Duration::from_millis(5);
        assert_eq!(rejection.figure(), Some(Figure::Limit(limit)));
    }
}

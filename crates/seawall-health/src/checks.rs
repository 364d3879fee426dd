//! The checks of one monitor, and their aggregate status.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockWriteGuard};

use seawall_core::{EventKind, EventSource, Events, InstanceName, Misconfiguration};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::check::Check;
use crate::{Status, aggregate};

/// What a monitor, its clones and its tasks share.
pub(crate) struct Shared {
    pub(crate) source: EventSource,
    events: OnceLock<Events>,
    checks: RwLock<Vec<Arc<Check>>>,
    /// The aggregate status that was emitted last.
    emitted: Mutex<Status>,
    /// Counts the starts; tasks of an earlier one end.
    round: AtomicU64,
    /// Wakes the sleeping tasks to look whether anything has changed for them.
    changed: Notify,
}

impl Shared {
    pub(crate) fn new(name: impl Into<InstanceName>) -> Self {
        Self {
            source: EventSource::new("health_monitor", name),
            events: OnceLock::new(),
            checks: RwLock::default(),
            emitted: Mutex::default(),
            round: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    pub(crate) fn checks(&self) -> Vec<Arc<Check>> {
        self.checks
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Check>> {
        let mut checks = self.checks().into_iter();
        checks.find(|check| check.name().as_str() == name)
    }

    /// Adds a check; `false` when there is one of that name.
    pub(crate) fn add(&self, check: Check) -> bool {
        let check = Arc::new(check);
        if check.name().is_unnamed() {
            self.source.misconfigure(Misconfiguration::Unnamed);
        }
        {
            let mut checks = self.write();
            if checks.iter().any(|other| other.name() == check.name()) {
                return false;
            }
            checks.push(Arc::clone(&check));
        }
        if let Some(events) = self.events.get() {
            check.source().attach(events);
        }
        self.emit_aggregate();
        true
    }

    pub(crate) fn remove(&self, name: &str) -> bool {
        let removed = {
            let mut checks = self.write();
            let at = checks.iter().position(|c| c.name().as_str() == name);
            at.map(|at| checks.remove(at))
        };
        if let Some(check) = &removed {
            check.remove();
            self.check_changed();
        }
        removed.is_some()
    }

    /// Connects the monitor and its checks to `events`, also those registered later. The first
    /// connection stays.
    pub(crate) fn attach(&self, events: &Events) {
        if self.source.attach(events) {
            let _ = self.events.set(events.clone());
            for check in self.checks() {
                check.source().attach(events);
            }
        }
    }

    pub(crate) fn misconfigured(&self) -> Vec<Misconfiguration> {
        self.source.misconfigured()
    }

    pub(crate) async fn run(&self, check: &Check) {
        check.run().await;
        self.emit_aggregate();
    }

    /// A check has other settings, or is removed.
    pub(crate) fn check_changed(&self) {
        self.changed.notify_waiters();
        self.emit_aggregate();
    }

    /// Starts a new round: the tasks of the one before end.
    pub(crate) fn next_round(&self) -> u64 {
        let round = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        self.changed.notify_waiters();
        round
    }

    pub(crate) fn is_current(&self, round: u64) -> bool {
        self.round.load(Ordering::Relaxed) == round
    }

    /// Ready at the next change.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(crate) fn aggregate(&self) -> Status {
        // Not a copy of the list: the last reference to a removed check would be dropped here, and
        // with it what its user put into it, under the lock of the caller.
        let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner);
        aggregate(checks.iter().map(|check| check.part()))
    }

    /// Emits a change of the aggregate status. Read under the lock, so that each change starts
    /// where the one before it ended. Emitted outside, since a listener may ask the monitor: two
    /// changes at the same moment may be emitted in either order.
    pub(crate) fn emit_aggregate(&self) {
        let (from, to) = {
            let mut emitted = self.emitted.lock().unwrap_or_else(PoisonError::into_inner);
            let to = self.aggregate();
            (std::mem::replace(&mut *emitted, to), to)
        };
        if from != to {
            self.source.emit(|| EventKind::Transition {
                from: from.as_str(),
                to: to.as_str(),
                reason: "checks",
            });
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Arc<Check>>> {
        self.checks.write().unwrap_or_else(PoisonError::into_inner)
    }
}

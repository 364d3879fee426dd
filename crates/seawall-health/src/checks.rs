//! The checks of one monitor, and their aggregate status.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use seawall_core::{
    EventKind, EventSource, Events, InstanceName, InvalidConfig, Misconfiguration, Operated,
};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::check::Check;
use crate::graph::{Node, circle, find_cause, find_causes};
use crate::recovery::Entry;
use crate::{CheckResult, HealthScore, Recovery, RecoveryConfig, Status, aggregate};

/// What a monitor, its clones and its tasks share.
pub(crate) struct Shared {
    pub(crate) source: EventSource,
    events: OnceLock<Events>,
    checks: RwLock<Checks>,
    recoveries: Mutex<Vec<Arc<Entry>>>,
    /// Whether recoveries may be carried out.
    recovers: AtomicBool,
    emitted: Mutex<Emitted>,
    score: Mutex<Option<Arc<HealthScore>>>,
    /// Counts the starts; tasks of an earlier one end.
    round: AtomicU64,
    /// Wakes the sleeping tasks to look whether anything has changed for them.
    changed: Notify,
}

/// The checks in the order in which they were registered, and by name.
#[derive(Default)]
struct Checks {
    all: Vec<Arc<Check>>,
    by_name: HashMap<InstanceName, Arc<Check>>,
}

/// What was emitted last.
#[derive(Default)]
struct Emitted {
    aggregate: Status,
    checks: HashMap<InstanceName, Status>,
}

impl Shared {
    pub(crate) fn new(name: impl Into<InstanceName>) -> Self {
        Self {
            source: EventSource::new("health_monitor", name),
            events: OnceLock::new(),
            checks: RwLock::default(),
            recoveries: Mutex::default(),
            recovers: AtomicBool::new(true),
            emitted: Mutex::default(),
            score: Mutex::default(),
            round: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    pub(crate) fn checks(&self) -> Vec<Arc<Check>> {
        self.read().all.clone()
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
            if checks.by_name.contains_key(&check.name()) {
                return false;
            }
            checks.by_name.insert(check.name(), Arc::clone(&check));
            checks.all.push(Arc::clone(&check));
        }
        self.emit_changes();
        true
    }

    pub(crate) fn remove(&self, name: &str) -> bool {
        let removed = {
            let mut checks = self.write();
            let at = checks.all.iter().position(|c| c.name().as_str() == name);
            let removed = at.map(|at| checks.all.remove(at));
            if let Some(removed) = &removed {
                checks.by_name.remove(&removed.name());
                for check in &checks.all {
                    check.forget_dependency(removed.name());
                }
            }
            removed
        };
        if let Some(check) = &removed {
            check.remove();
            self.remove_recovery(name);
            self.check_changed();
        }
        removed.is_some()
    }

    /// Makes a check depend on others, in place of those before.
    pub(crate) fn set_dependencies(&self, name: &str, on: &[&str]) -> Result<(), InvalidConfig> {
        // For writing, so that of two that would close a circle together the second one finds it.
        let checks = self.write();
        let find = |name: &str| {
            let mut all = checks.all.iter();
            let found = all.find(|check| check.name().as_str() == name);
            let accepted = "the name of a registered check";
            found.ok_or_else(|| InvalidConfig::new("check", name, accepted))
        };
        let check = find(name)?;
        let on = on.iter().map(|on| Ok(find(on)?.name()));
        let on: Vec<_> = on.collect::<Result<_, InvalidConfig>>()?;
        let nodes: Vec<_> = checks.all.iter().map(|check| check.node()).collect();
        if let Some(way) = circle(&nodes, check.name(), &on) {
            let way: Vec<_> = way.into_iter().map(InstanceName::as_str).collect();
            let accepted = "checks that do not depend on this one in their turn";
            return Err(InvalidConfig::new("depends_on", way.join(" -> "), accepted));
        }
        check.depends_on(on.into());
        drop(checks);
        self.check_changed();
        Ok(())
    }

    /// Connects the monitor and its recoveries to `events`, also those set later. The first connection
    /// stays.
    pub(crate) fn attach(&self, events: &Events) {
        if self.source.attach(events) {
            let _ = self.events.set(events.clone());
            for recovery in self.recoveries() {
                recovery.attach(events);
            }
        }
    }

    pub(crate) fn recoveries(&self) -> Vec<Arc<Entry>> {
        self.all_recoveries().clone()
    }

    fn all_recoveries(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        self.recoveries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn find_recovery(&self, name: &str) -> Option<Arc<Entry>> {
        let mut all = self.recoveries().into_iter();
        all.find(|entry| entry.name().as_str() == name)
    }

    /// Sets the recovery of a check, in place of the one before.
    pub(crate) fn set_recovery(
        &self,
        name: &str,
        config: RecoveryConfig,
        plan: Recovery,
    ) -> Result<(), InvalidConfig> {
        plan.check()?;
        let check = self.find(name);
        let accepted = "the name of a registered check";
        let check = check.ok_or_else(|| InvalidConfig::new("check", name, accepted))?;
        let entry = Arc::new(Entry::new(check, config, plan));
        if let Some(events) = self.events.get() {
            entry.attach(events);
        }
        self.remove_recovery(name);
        self.all_recoveries().push(entry);
        Ok(())
    }

    pub(crate) fn remove_recovery(&self, name: &str) -> bool {
        let removed = {
            let mut all = self.all_recoveries();
            let at = all.iter().position(|entry| entry.name().as_str() == name);
            at.map(|at| all.remove(at))
        };
        if let Some(entry) = &removed {
            entry.remove();
            self.changed.notify_waiters();
        }
        removed.is_some()
    }

    pub(crate) fn score(&self) -> Option<Arc<HealthScore>> {
        self.score
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_score(&self, score: HealthScore) {
        let before = self
            .score
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(Arc::new(score));
        // What its user put into it is dropped outside of the lock.
        drop(before);
    }

    pub(crate) fn recovers(&self) -> bool {
        self.recovers.load(Ordering::Relaxed)
    }

    pub(crate) fn set_recovers(&self, on: bool) {
        self.recovers.store(on, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// An operator asks for an attempt to recover now.
    pub(crate) fn recover_now(&self, name: &str) -> bool {
        let Some(entry) = self.find_recovery(name) else {
            return false;
        };
        entry.ask();
        self.changed.notify_waiters();
        true
    }

    pub(crate) fn operated(&self) -> Operated {
        self.source.operated()
    }

    pub(crate) fn misconfigured(&self) -> Vec<Misconfiguration> {
        self.source.misconfigured()
    }

    /// Runs a check, and emits what has changed by it.
    pub(crate) async fn run(&self, check: &Check) -> CheckResult {
        let (before, _) = check.own();
        let result = check.run().await;
        // Most runs change no status, and what else changes one emits that itself.
        if check.own().0 != before {
            self.emit_changes();
        }
        result
    }

    /// A check has other settings, or is removed.
    pub(crate) fn check_changed(&self) {
        self.changed.notify_waiters();
        self.emit_changes();
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

    /// What is known of each check, with the reasons for which some cannot work.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        // Not a copy of the list: the last reference to a removed check would be dropped here, and
        // with it what its user put into it, under the lock of the caller.
        let checks = self.read();
        let mut nodes: Vec<_> = checks.all.iter().map(|check| check.node()).collect();
        drop(checks);
        find_causes(&mut nodes);
        nodes
    }

    pub(crate) fn aggregate(&self) -> Status {
        aggregate_of(&self.nodes())
    }

    /// Why a check is not run now, if it is not.
    pub(crate) fn because_of(&self, check: &Check) -> Option<InstanceName> {
        // It is asked around every run: only what it depends on is looked at.
        let (_, on) = check.own();
        if on.is_empty() {
            return None;
        }
        let checks = self.read();
        find_cause(on, |name| Some(checks.by_name.get(&name)?.own()))
    }

    /// Emits what has changed: of checks, then of the aggregate status. Read under the lock, so that
    /// each change starts where the one before it ended. Emitted outside, since a listener may ask
    /// the monitor: two changes at the same moment may be emitted in either order.
    pub(crate) fn emit_changes(&self) {
        let (checks, from, to) = {
            let mut emitted = self.emitted.lock().unwrap_or_else(PoisonError::into_inner);
            let nodes = self.nodes();
            let to = aggregate_of(&nodes);
            let changed = emitted.checks(&nodes);
            (changed, std::mem::replace(&mut emitted.aggregate, to), to)
        };
        for (check, from, to) in &checks {
            self.source.emit(|| EventKind::CheckChanged {
                check: *check,
                from: from.as_str(),
                to: to.as_str(),
            });
        }
        if from != to {
            self.source.emit(|| EventKind::Transition {
                from: from.as_str(),
                to: to.as_str(),
                reason: "checks",
            });
        }
        if !checks.is_empty() {
            // What depends on them may be run again, or not any more.
            self.changed.notify_waiters();
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Checks> {
        self.checks.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Checks> {
        self.checks.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Emitted {
    /// Takes the status of every check; returns those that have changed, with the status before.
    fn checks(&mut self, nodes: &[Node]) -> Vec<(InstanceName, Status, Status)> {
        let mut changed = Vec::new();
        for node in nodes {
            let before = self
                .checks
                .insert(node.name, node.status())
                .unwrap_or_default();
            if before != node.status() {
                changed.push((node.name, before, node.status()));
            }
        }
        if self.checks.len() > nodes.len() {
            self.checks
                .retain(|name, _| nodes.iter().any(|node| node.name == *name));
        }
        changed
    }
}

pub(crate) fn aggregate_of(nodes: &[Node]) -> Status {
    aggregate(nodes.iter().map(|node| (node.critical, node.status())))
}

//! What a runner and its runs share.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use jiff::Timestamp;
use seawall_chaos::ChaosHandle;
use seawall_core::{EventKind, EventSource, Registry};
use seawall_health::HealthMonitor;

use crate::control::Stop;
use crate::outcome::Outcome;
use crate::times::timestamp;

/// Where a program runs.
// Exhaustive: production or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Environment {
    /// Nothing real depends on it: a developer's machine, a test system.
    Test,
    /// Something does. Only experiments with `production = true` run here.
    Production,
}

/// A metric of the program's own.
pub(crate) type Metric = Box<dyn Fn() -> Option<f64> + Send + Sync>;
/// A guard of the program's own.
pub(crate) type Guard = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A clock of the day.
pub(crate) type Clock = Box<dyn Fn() -> SystemTime + Send + Sync>;

/// What a runner has.
pub(crate) struct Shared {
    pub(crate) source: EventSource,
    pub(crate) environment: Environment,
    pub(crate) targets: BTreeMap<String, ChaosHandle>,
    pub(crate) registries: Vec<Registry>,
    pub(crate) health: Option<HealthMonitor>,
    pub(crate) metrics: BTreeMap<String, Metric>,
    pub(crate) guards: Vec<(String, Guard)>,
    pub(crate) clock: Clock,
    pub(crate) stop: Stop,
    pub(crate) ended: Mutex<BTreeMap<Outcome, u64>>,
}

impl Shared {
    pub(crate) fn now(&self) -> Timestamp {
        timestamp((self.clock)())
    }

    /// A metric of the program's own; none where it has nothing to measure.
    ///
    /// # Errors
    ///
    /// What is wrong with it: that it panics, or is no number.
    pub(crate) fn own(&self, metric: &str) -> Result<Option<f64>, String> {
        let Some(metric) = self.metrics.get(metric) else {
            return Ok(None); // the names were checked
        };
        match catch_unwind(AssertUnwindSafe(metric)) {
            Ok(Some(figure)) if !figure.is_finite() => Err(format!("the metric was {figure}")),
            Ok(figure) => Ok(figure),
            Err(_) => Err("the metric panicked".to_owned()),
        }
    }

    pub(crate) fn guard_names(&self) -> impl Iterator<Item = &str> {
        self.guards.iter().map(|(name, _)| name.as_str())
    }

    /// The first guard of the program's own that does not hold: its index, and why. One that panics does not.
    pub(crate) fn tripped(&self) -> Option<(usize, String)> {
        self.guards
            .iter()
            .enumerate()
            .find_map(|(index, (_, guard))| {
                let held = catch_unwind(AssertUnwindSafe(guard));
                let held = held.unwrap_or_else(|_| Err("the guard panicked".to_owned()));
                held.err().map(|why| (index, why))
            })
    }

    pub(crate) fn changed(&self, from: &'static str, to: &'static str, reason: &'static str) {
        self.source
            .emit(|| EventKind::Transition { from, to, reason });
    }

    pub(crate) fn ended(&self, outcome: Outcome) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *ended.entry(outcome).or_default() += 1;
    }

    /// How often a run has ended in each way.
    pub(crate) fn counts(&self) -> BTreeMap<Outcome, u64> {
        self.ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

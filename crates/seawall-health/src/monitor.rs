//! The monitor: checks by name, run at an interval or on demand.

use std::future::Future;
use std::sync::Arc;

use seawall_core::{AlreadyRegistered, InstanceHandle, InstanceName, InvalidConfig, Samples};
use tokio::runtime::Handle;

use crate::check::Check;
use crate::checks::{Shared, aggregate_of};
use crate::graph::find_causes;
use crate::recovery::keep_recovering;
use crate::schedule::{keep_running, run_all};
use crate::{
    CheckConfig, CheckCounts, CheckReport, CheckResult, ComprehensiveReport, Depth, HealthHandle,
    HealthReport, HealthScore, MonitorGuard, Recovery, RecoveryConfig, ScoreReport, Status,
    Synthetic,
};

/// Named checks and their aggregate status. Clones share.
///
/// Register the checks, then [`start`](Self::start) them or [`run`](Self::run) them on demand. A
/// check that panics has failed, and so has one that takes longer than its timeout; neither
/// disturbs the others.
///
/// As a handle it has the methods of all others, but for its settings: those are of each check
/// ([`check_config`](Self::check_config), [`configure_check`](Self::configure_check)).
///
/// ```
/// use seawall_health::{CheckConfig, Depth, HealthMonitor, Status};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let monitor = HealthMonitor::new("desk");
/// monitor.register("broker", CheckConfig::default(), || async { Ok::<(), String>(()) }).unwrap();
/// let report = monitor.run(Depth::Shallow).await;
/// assert_eq!(report.status, Status::Healthy);
///
/// let _guard = monitor.start(); // until it is dropped
/// # }
/// ```
#[derive(Clone)]
pub struct HealthMonitor {
    shared: Arc<Shared>,
}

impl HealthMonitor {
    /// A monitor without checks; its status is unknown.
    pub fn new(name: impl Into<InstanceName>) -> Self {
        Self {
            shared: Arc::new(Shared::new(name)),
        }
    }

    /// The name of the monitor.
    pub fn name(&self) -> InstanceName {
        self.shared.source.name()
    }

    /// Adds a check. Each run calls `check` and waits for its result: a [`CheckResult`], or a
    /// `Result`, a `bool` or `()` that becomes one.
    ///
    /// It is run on demand from now on, and at its interval from the next
    /// [`start`](Self::start). A name is kept for the life of the process, also when the check is
    /// removed: names come from a fixed set, not from users or addresses.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when there is a check of that name; it stays.
    pub fn register<F, Fut>(
        &self,
        name: impl Into<InstanceName>,
        config: CheckConfig,
        check: F,
    ) -> Result<(), AlreadyRegistered>
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output: Into<CheckResult>> + Send + 'static,
    {
        let name = name.into();
        if self.shared.add(Check::new(name, config, check)) {
            return Ok(());
        }
        Err(AlreadyRegistered::new("health_check", name))
    }

    /// Adds a scripted call; the depth in `config` is taken as synthetic.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when there is a check of that name; it stays.
    pub fn register_synthetic(
        &self,
        name: impl Into<InstanceName>,
        config: CheckConfig,
        script: Synthetic,
    ) -> Result<(), AlreadyRegistered> {
        let config = config.with_depth(Depth::Synthetic);
        self.register(name, config, script.into_check())
    }

    /// Adds what a [`HealthLayer`](crate::HealthLayer) observes as a passive check under the
    /// layer's name.
    ///
    /// The layer smooths over its window already, so 1 failure to unhealthy and 1 success to
    /// recover are sensible here; the depth in `config` is taken as passive.
    ///
    /// With too few calls in the window to judge by, a run is inconclusive and the status stays
    /// what it was: an upstream that was down is not healthy again because there are no calls any
    /// more. So it is unknown until there were calls, and does not count for the aggregate status
    /// until then.
    ///
    /// # Errors
    ///
    /// [`AlreadyRegistered`] when there is a check of that name; it stays.
    pub fn register_layer(
        &self,
        layer: HealthHandle,
        config: CheckConfig,
    ) -> Result<(), AlreadyRegistered> {
        let config = config.with_depth(Depth::Passive);
        self.register(layer.name(), config, move || {
            std::future::ready(layer.check_result())
        })
    }

    /// Makes the check `name` depend on the checks `on`, in place of those that it depended on before.
    ///
    /// While one of these is unhealthy, or depends on one that is, the check is not run, since it
    /// cannot succeed: it is reported as unhealthy because of the one at the bottom
    /// ([`because_of`](CheckReport::because_of)), whose failures are not repeated by everything above.
    /// When that one is better, the check is run at once. What is removed is no dependency any more.
    ///
    /// ```
    /// use seawall_health::{CheckConfig, HealthMonitor, Status};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let monitor = HealthMonitor::new("desk");
    /// let once = CheckConfig::builder().failures_to_unhealthy(1).build()?;
    /// monitor.register("network", once, || async { Err::<(), _>("no route") })?;
    /// monitor.register("broker", once, || async { true })?;
    /// monitor.set_dependencies("broker", &["network"])?;
    ///
    /// let report = monitor.run_all().await;
    /// let broker = report.check("broker").unwrap();
    /// assert_eq!((broker.status, broker.runs), (Status::Unhealthy, 0));
    /// assert_eq!(broker.because_of.map(|check| check.as_str()), Some("network"));
    ///
    /// let circle = monitor.set_dependencies("network", &["broker"]).unwrap_err();
    /// assert_eq!(circle.value(), "network -> broker -> network");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `check` when there is none of a name, and `depends_on` with the
    /// circle where there would be one.
    pub fn set_dependencies(&self, name: &str, on: &[&str]) -> Result<(), InvalidConfig> {
        self.shared.set_dependencies(name, on)?;
        self.shared.source.commanded("set_dependencies");
        Ok(())
    }

    /// Sets how the upstream of the check `name` is brought back when it is unhealthy, in place of what
    /// was set before. It is carried out from the next [`start`](Self::start) on.
    ///
    /// When the check is unhealthy by its own results, the recovery is down; while it is so because of
    /// one that it [depends on](Self::set_dependencies), nothing is done. After the first delay of the
    /// backoff comes the first attempt:
    ///
    /// 1. *Heal*: the [hook](Recovery::heal), if there is one and the check is still unhealthy. Without
    ///    one, an attempt waits for the check to be better.
    /// 2. *Validate*: so many clean runs in a row, of the check or of its [own hook](Recovery::validate).
    /// 3. *Restore*: what is [held](Recovery::hold) is let go, and the [hooks](Recovery::restore) are
    ///    called.
    ///
    /// The attempt fails with the first of these that does, and the next one comes after the next delay,
    /// until all are used up. Each step is an event ([`EventKind::Recovery`](seawall_core::EventKind)),
    /// and stands in the [report](crate::RecoveryReport). When it is restored and the check, whose results are of
    /// before, is still unhealthy, they are forgotten and it is run.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `check` when there is none of that name, and `hold` when a layer that
    /// is to be held cannot be blocked and resumed.
    pub fn set_recovery(
        &self,
        name: &str,
        config: RecoveryConfig,
        plan: Recovery,
    ) -> Result<(), InvalidConfig> {
        self.shared.set_recovery(name, config, plan)?;
        self.shared.source.commanded("set_recovery");
        Ok(())
    }

    /// Removes the recovery of the check `name`, in the middle of an attempt too: what it holds is let
    /// go. `false` when there is none.
    pub fn remove_recovery(&self, name: &str) -> bool {
        let removed = self.shared.remove_recovery(name);
        if removed {
            self.shared.source.commanded("remove_recovery");
        }
        removed
    }

    /// Turns recoveries off, in the middle of an attempt too, or on again. They are on unless turned off.
    pub fn set_auto_recovery(&self, on: bool) {
        self.shared.set_recovers(on);
        self.shared.source.commanded("set_auto_recovery");
    }

    /// Whether recoveries are carried out.
    pub fn auto_recovery(&self) -> bool {
        self.shared.recovers()
    }

    /// Ends the wait for the next attempt to recover the check `name`, also where it was given up: then
    /// its attempts are counted from the start. `false` when it has no recovery.
    pub fn recover_now(&self, name: &str) -> bool {
        let known = self.shared.recover_now(name);
        if known {
            self.shared.source.commanded("recover_now");
        }
        known
    }

    /// The settings in force of the check of that name.
    pub fn check_config(&self, name: &str) -> Option<CheckConfig> {
        Some(self.shared.find(name)?.config())
    }

    /// Changes the settings of the check of that name; its results are kept. A run that is under
    /// way ends by the settings that it began with; the interval to the next one is the new one.
    ///
    /// A check of a layer stays passive and a script synthetic, whatever the depth in `config`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `check` when there is none of that name.
    pub fn configure_check(&self, name: &str, config: CheckConfig) -> Result<(), InvalidConfig> {
        let Some(check) = self.shared.find(name) else {
            let accepted = "the name of a registered check";
            return Err(InvalidConfig::new("check", name, accepted));
        };
        check.configure(match check.config().depth() {
            kept @ (Depth::Passive | Depth::Synthetic) => config.with_depth(kept),
            Depth::Shallow | Depth::Deep => config,
        });
        self.shared.check_changed();
        self.shared.source.commanded("configure_check");
        Ok(())
    }

    /// Removes a check; a run of it that is under way is not waited for, and not recorded. `false`
    /// when there is none of that name.
    pub fn remove(&self, name: &str) -> bool {
        let removed = self.shared.remove(name);
        if removed {
            self.shared.source.commanded("remove");
        }
        removed
    }

    /// Runs every check at its interval, the first time at once, and carries recoveries out, until the
    /// returned guard is dropped.
    ///
    /// This spawns one task per check and per recovery that there are now. Started again, it takes over: the
    /// tasks of the earlier start end, those in the middle of a run after it. So does the task of
    /// a check that is removed.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime; an earlier start goes on then. On a runtime without time, the
    /// tasks panic.
    #[must_use = "monitoring stops when the guard is dropped"]
    pub fn start(&self) -> MonitorGuard {
        // First of all, since it may panic.
        let runtime = Handle::current();
        let round = self.shared.next_round();
        let tasks = self.shared.checks().into_iter().map(|check| {
            let shared = Arc::clone(&self.shared);
            runtime.spawn(keep_running(shared, check, round))
        });
        let mut tasks: Vec<_> = tasks.collect();
        tasks.extend(self.shared.recoveries().into_iter().map(|entry| {
            let shared = Arc::clone(&self.shared);
            runtime.spawn(keep_recovering(shared, entry, round))
        }));
        MonitorGuard::new(tasks)
    }

    /// Runs every check of up to `depth` now, all at once, and reports on all of them. A check that
    /// [depends on](Self::set_dependencies) others is run after them, and not where one of them is
    /// unhealthy.
    ///
    /// It spawns nothing; dropped before its end, the checks that have ended are recorded.
    ///
    /// # Panics
    ///
    /// When it is polled outside of a tokio runtime with time enabled.
    pub async fn run(&self, depth: Depth) -> HealthReport {
        run_all(&self.shared, |check| check.config().depth() <= depth).await;
        self.report()
    }

    /// Runs every check now; see [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// When it is polled outside of a tokio runtime with time enabled.
    pub async fn run_all(&self) -> HealthReport {
        self.run(Depth::Synthetic).await
    }

    /// Runs one check now, whatever it depends on; `None` when there is none of that name.
    ///
    /// # Panics
    ///
    /// When it is polled outside of a tokio runtime with time enabled.
    pub async fn run_check(&self, name: &str) -> Option<CheckReport> {
        let check = self.shared.find(name)?;
        self.shared.run(&check).await;
        let nodes = self.shared.nodes();
        let node = nodes.into_iter().find(|node| node.name == check.name());
        Some(check.report(&node.unwrap_or_else(|| check.node())))
    }

    /// The aggregate status, from the last runs; see [`aggregate`](crate::aggregate).
    pub fn status(&self) -> Status {
        self.shared.aggregate()
    }

    /// Everything that is known of the checks, from their last runs.
    pub fn report(&self) -> HealthReport {
        let checks = self.shared.checks();
        let mut nodes: Vec<_> = checks.iter().map(|check| check.node()).collect();
        find_causes(&mut nodes);
        let recoveries = self.shared.recoveries();
        let reports = checks
            .iter()
            .zip(&nodes)
            .map(|(check, node)| check.report(node));
        HealthReport {
            name: self.name(),
            status: aggregate_of(&nodes),
            counts: CheckCounts::sum(checks.iter().map(|check| check.counters())),
            checks: reports.collect(),
            recoveries: recoveries.iter().map(|entry| entry.report()).collect(),
        }
    }

    /// Sets the score of the program, in place of the one before: it is in
    /// [`comprehensive`](Self::comprehensive) and in the metrics from now on, with the checks of this
    /// monitor among its services, but for passive ones.
    pub fn set_score(&self, score: HealthScore) {
        self.shared.set_score(score);
        self.shared.source.commanded("set_score");
    }

    /// The score now, if one is set.
    pub fn score(&self) -> Option<ScoreReport> {
        let score = self.shared.score()?;
        Some(score.of(Some(&self.report())))
    }

    /// Everything that is known: checks, recoveries, score.
    ///
    /// ```
    /// use seawall_health::{CheckConfig, HealthMonitor, HealthScore, ScoreConfig};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let monitor = HealthMonitor::new("desk");
    /// monitor.register("broker", CheckConfig::default(), || async { true })?;
    /// monitor.set_score(HealthScore::new(ScoreConfig::default()));
    /// monitor.run_all().await;
    /// let report = monitor.comprehensive();
    /// assert!(report.score.unwrap().score.unwrap() > 99.0);
    /// assert_eq!(report.health.checks.len(), 1);
    /// # Ok(()) }
    /// ```
    pub fn comprehensive(&self) -> ComprehensiveReport {
        let health = self.report();
        let score = self.shared.score();
        ComprehensiveReport {
            score: score.map(|score| score.of(Some(&health))),
            health,
        }
    }

    /// The same as [`report`](Self::report), by the name that it has in every handle.
    pub fn snapshot(&self) -> HealthReport {
        self.report()
    }

    /// Runs of all checks that are registered.
    pub fn counts(&self) -> CheckCounts {
        self.report().counts
    }

    /// Forgets all results, those of runs that are under way too; every check is unknown until it
    /// is run again. Settings and counts stay.
    pub fn reset(&self) {
        for check in self.shared.checks() {
            check.reset();
        }
        self.shared.emit_changes();
        self.shared.source.commanded("reset");
    }
}

/// It can only be reset: it rejects nothing that could be blocked or let pass.
impl InstanceHandle for HealthMonitor {
    seawall_core::handle_methods! { |this|
        pattern: "health_monitor",
        state: this.status().as_str(),
        attach: this.shared,
        commands: [Reset => reset],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        let ComprehensiveReport { health, score } = self.comprehensive();
        health.samples(sink);
        if let Some(score) = score {
            score.samples(sink);
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let setting = |check: &CheckReport| {
            let critical = if check.critical { ", critical" } else { "" };
            let depth = check.depth.as_str();
            ("check", format!("{} ({depth}{critical})", check.name))
        };
        self.report().checks.iter().map(setting).collect()
    }
}

seawall_core::impl_debug!(HealthMonitor: |this|
    name = this.name(),
    status = this.status(),
    checks = this.shared.checks().iter().map(|c| c.name()).collect::<Vec<_>>(),
);

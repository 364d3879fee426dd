//! What runs experiments.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use seawall_chaos::ChaosHandle;
use seawall_core::{EventSource, InstanceHandle, InstanceName, InvalidConfig, Registry, Samples};
use seawall_health::HealthMonitor;

use crate::condition::{FIGURES, Source};
use crate::control::Stop;
use crate::error::InvalidExperiment;
use crate::evidence::services;
use crate::experiment::{Experiment, within};
use crate::outcome::Outcome;
use crate::report::Report;
use crate::run;
use crate::shared::{Clock, Environment, Guard, Metric, Shared};

/// Runs experiments: one at a time. Clones share.
///
/// ```
/// use seawall_chaos::{ChaosConfig, ChaosLayer};
/// use seawall_core::Registry;
/// use seawall_experiments::{Environment, ExperimentSet, Outcome, Runner};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let chaos = ChaosLayer::new("quotes", ChaosConfig::default()); // around the client
/// let runner = Runner::builder("desk", Environment::Test)
///     .target(chaos.handle())
///     .registry(Registry::new("desk")) // with the stack's layers
///     .metric("fills_per_minute", || Some(12.0))
///     .guard("the desk is quiet", || Ok(()))
///     .build()?;
///
/// let set = ExperimentSet::from_toml(r#"
///     [[experiment]]
///     name = "quotes hang"
///     hypothesis = { metric = "fills_per_minute", at_least = 10 }
///     schedule = { game_day = true }
///     market = { calendar = "none" }
///     blast_radius = { services = ["quotes"] }
///     run = { during = "30s" }
///     fault = [{ kind = "hang", intensity = 0.1 }]
/// "#)?;
/// let report = runner.run(&set.experiments()[0]).await?;
/// // Nothing called the service, so the faults changed nothing.
/// assert_eq!(report.outcome, Outcome::Inconclusive);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Runner {
    pub(crate) shared: Arc<Shared>,
}

impl Runner {
    /// A runner of that name, in that environment.
    pub fn builder(name: impl Into<InstanceName>, environment: Environment) -> RunnerBuilder {
        RunnerBuilder {
            name: name.into(),
            environment,
            targets: Vec::new(),
            registries: Vec::new(),
            health: None,
            metrics: Vec::new(),
            guards: Vec::new(),
            clock: Box::new(SystemTime::now),
        }
    }

    /// The name.
    pub fn name(&self) -> InstanceName {
        self.shared.source.name()
    }

    /// The emergency stop.
    pub fn stop(&self) -> Stop {
        self.shared.stop.clone()
    }

    /// Checks that everything is there that an experiment names.
    ///
    /// # Errors
    ///
    /// [`InvalidExperiment`] when a service of the blast radius has no chaos layer here or one that cannot make a fault, a
    /// metric is unknown, or `score` without [health checks](RunnerBuilder::health), or a hypothesis or guard is on a service
    /// of which neither a chaos layer nor a layer in a registry is here.
    pub fn check(&self, experiment: &Experiment) -> Result<(), InvalidExperiment> {
        let fails = |invalid| Err(InvalidExperiment::of(&experiment.name, invalid));
        for (service, faults) in &experiment.faults {
            let Some(target) = self.shared.targets.get(service) else {
                let known: Vec<_> = self.shared.targets.keys().map(String::as_str).collect();
                let accepted = format!("a service with a chaos layer: {}", known.join(", "));
                let field = "blast_radius.services";
                return fails(InvalidConfig::new(field, format!("{service:?}"), accepted));
            };
            for fault in faults {
                let made = target.check(&fault.clone().into());
                if let Err(invalid) = made {
                    let field = format!("fault.kind of {service:?}");
                    return fails(invalid.in_field(field));
                }
            }
        }
        self.check_conditions(experiment).or_else(fails)
    }

    /// Checks that the figures of the hypothesis and of the guards are there.
    fn check_conditions(&self, experiment: &Experiment) -> Result<(), InvalidConfig> {
        let guards = experiment.guards.iter().enumerate();
        let guards = guards.map(|(index, guard)| (format!("guard[{index}]"), guard));
        let all = std::iter::once(("hypothesis".to_owned(), &experiment.hypothesis)).chain(guards);
        let mut services = services(&self.shared.registries);
        services.extend(self.shared.targets.keys().cloned());
        for (table, condition) in all {
            let service = condition.service.as_ref();
            if let Some(service) = service.filter(|service| !services.contains(*service)) {
                let known: Vec<_> = services.iter().map(String::as_str).collect();
                let accepted = format!("a service of the runner: {}", known.join(", "));
                let invalid = InvalidConfig::new("service", format!("{service:?}"), accepted);
                return Err(within(&table, invalid));
            }
            let name = &condition.metric;
            if name == "score" && self.shared.health.is_none() {
                let accepted = "another metric, or `score` of a runner that has health checks";
                let invalid = InvalidConfig::new("metric", format!("{name:?}"), accepted);
                return Err(within(&table, invalid));
            }
            if condition.source == Source::Own && !self.shared.metrics.contains_key(name) {
                let figures = FIGURES.iter().map(|figure| figure.name);
                let known: Vec<_> = figures
                    .chain(self.shared.metrics.keys().map(String::as_str))
                    .collect();
                let accepted = format!("one of {}", known.join(", "));
                let invalid = InvalidConfig::new("metric", format!("{name:?}"), accepted);
                return Err(within(&table, invalid));
            }
        }
        Ok(())
    }

    /// Runs an experiment, and reports what happened, also where it may not run. It does not look at the
    /// experiment's schedule.
    ///
    /// Dropped, its faults end at once. They end by themselves at the end of their time, too, where it is no
    /// longer polled.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check).
    pub async fn run(&self, experiment: &Experiment) -> Result<Report, InvalidExperiment> {
        self.check(experiment)?;
        Ok(self.run_checked(experiment).await)
    }

    pub(crate) async fn run_checked(&self, experiment: &Experiment) -> Report {
        let report = run::run(&self.shared, experiment).await;
        self.shared.ended(report.outcome);
        report
    }
}

/// [`Bypass`](seawall_core::Command::Bypass) is the emergency stop, and [`Reset`](seawall_core::Command::Reset) releases
/// it.
impl InstanceHandle for Runner {
    seawall_core::handle_methods! { |this|
        pattern: "experiments",
        state: this.shared.stop.state_word(),
        attach: this.shared.source,
        commands: [Bypass => emergency_stop, Reset => release],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        let ended = self.shared.counts();
        for outcome in Outcome::ALL {
            let total = ended.get(&outcome).copied().unwrap_or_default();
            let labels = [("result", outcome.as_str())];
            sink.counter("seawall_experiments_runs_total", &labels, total);
        }
        let running = self.shared.stop.state_word() == "running";
        sink.gauge(
            "seawall_experiments_running",
            &[],
            f64::from(u8::from(running)),
        );
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let targets: Vec<_> = self.shared.targets.keys().map(String::as_str).collect();
        vec![
            (
                "environment",
                format!("{:?}", self.shared.environment).to_lowercase(),
            ),
            ("targets", targets.join(", ")),
        ]
    }
}

impl Runner {
    fn emergency_stop(&self) {
        self.shared.stop.stop("an operator");
        self.shared.source.commanded("bypass");
    }

    fn release(&self) {
        self.shared.stop.release();
        self.shared.source.commanded("reset");
    }
}

seawall_core::impl_debug!(Runner: |this|
    name = this.name(),
    environment = this.shared.environment,
    stop = this.shared.stop,
);

/// Builds a [`Runner`].
#[must_use]
pub struct RunnerBuilder {
    name: InstanceName,
    environment: Environment,
    targets: Vec<ChaosHandle>,
    registries: Vec<Registry>,
    health: Option<HealthMonitor>,
    metrics: Vec<(String, Metric)>,
    guards: Vec<(String, Guard)>,
    clock: Clock,
}

impl RunnerBuilder {
    /// Adds a chaos layer: experiments name it by its name, which is best that of the stack that it is in.
    pub fn target(mut self, chaos: ChaosHandle) -> Self {
        self.targets.push(chaos);
        self
    }

    /// Adds a registry whose layers are read: for the figures of hypotheses and guards, and for recommendations.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registries.push(registry);
        self
    }

    /// Sets the health checks from which the figure `score` comes.
    pub fn health(mut self, health: HealthMonitor) -> Self {
        self.health = Some(health);
        self
    }

    /// Adds a metric of the program's own, for hypotheses and guards: none while there is nothing to measure, where a
    /// guard holds. One that is NaN or infinite, or that panics, is no sample of a hypothesis, and outside of the bound of
    /// a guard: what cannot be read protects nobody. It is read once per sample, and must be quick.
    pub fn metric(
        mut self,
        name: impl Into<String>,
        metric: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        self.metrics.push((name.into(), Box::new(metric)));
        self
    }

    /// Adds a guard of every experiment, asked before the faults, and at each sample while they are on. An `Err` with a
    /// reason, or a panic, ends the faults at once. It must be quick.
    pub fn guard(
        mut self,
        name: impl Into<String>,
        guard: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.guards.push((name.into(), Box::new(guard)));
        self
    }

    /// Sets the clock that schedules, hours and calendars go by; that of the system unless set.
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The runner.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the name, or that of a metric or guard, is empty, when two chaos layers, registries, metrics or guards have the same
    /// name, or a metric has that of a built-in figure.
    pub fn build(self) -> Result<Runner, InvalidConfig> {
        if self.name.is_unnamed() {
            return Err(InvalidConfig::new("name", "\"\"", "a name"));
        }
        let different = |field: &'static str, names: Vec<&str>| {
            if names.iter().any(|name| name.trim().is_empty()) {
                return Err(InvalidConfig::new(field, "\"\"", "a name"));
            }
            let mut seen = std::collections::BTreeSet::new();
            match names.into_iter().find(|name| !seen.insert(*name)) {
                Some(again) => Err(InvalidConfig::new(
                    field,
                    format!("{again:?}"),
                    "different names",
                )),
                None => Ok(()),
            }
        };
        let targets = self.targets.iter().map(|target| target.name().as_str());
        different("target", targets.collect())?;
        let registries = self.registries.iter().map(|it| it.service().as_str());
        different("registry", registries.collect())?;
        let figures = FIGURES.iter().map(|figure| figure.name);
        let metrics = self.metrics.iter().map(|(name, _)| name.as_str());
        different("metric", figures.chain(metrics).collect())?;
        different(
            "guard",
            self.guards.iter().map(|(name, _)| name.as_str()).collect(),
        )?;
        let targets = self.targets.into_iter();
        Ok(Runner {
            shared: Arc::new(Shared {
                source: EventSource::new("experiments", self.name),
                environment: self.environment,
                targets: targets
                    .map(|target| (target.name().as_str().to_owned(), target))
                    .collect(),
                registries: self.registries,
                health: self.health,
                metrics: self.metrics.into_iter().collect(),
                guards: self.guards,
                clock: self.clock,
                stop: Stop::new(),
                ended: Mutex::default(),
            }),
        })
    }
}

seawall_core::impl_debug!(RunnerBuilder: |this|
    name = this.name,
    environment = this.environment,
    targets = this.targets,
);

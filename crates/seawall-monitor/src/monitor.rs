//! Samples registries, keeps what was, judges, and raises alerts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{
    EventSource, InstanceHandle, InstanceName, InvalidConfig, Registry, Samples, Span,
};
use seawall_health::{HealthMonitor, ServiceFigures};
use tokio::sync::watch;

use crate::alert_engine::{AlertCommandError, SilenceMatcher};
use crate::alert_rule::AlertRules;
use crate::alert_view::{AlertView, SilenceView};
use crate::config::MonitorConfig;
use crate::history_file::HistoryFile;
use crate::history_point::ServiceHistory;
use crate::outbox::{SHORTEST_RESEND, SinkStats};
use crate::overview::{Overview, ScoreView};
use crate::run::{self, MonitorGuard};
use crate::shared::{Parts, Shared};
use crate::sink::AlertSink;

/// Samples registries, keeps what was, judges, and raises alerts. Clones share.
///
/// It reads what the handles of a registry report, and nothing else: no call does anything for it. See the
/// [crate](crate) for what it keeps, and what that costs.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::Registry;
/// use seawall_monitor::{LogSink, Monitor};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), seawall_monitor::InvalidConfig> {
/// let registry = Registry::new("desk");
/// let monitor = Monitor::builder("desk")
///     .registry(registry)
///     .sink(LogSink)
///     .build()?;
/// let guard = monitor.start(); // until it is dropped
/// monitor.sample();
/// assert_eq!(monitor.overview().verdict.words, "nothing is monitored");
/// drop(guard);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Monitor {
    shared: Arc<Shared>,
}

impl Monitor {
    /// A monitor of that name, mostly that of the program.
    pub fn builder(name: impl Into<InstanceName>) -> MonitorBuilder {
        MonitorBuilder {
            name: name.into(),
            config: MonitorConfig::default(),
            rules: AlertRules::default(),
            registries: Vec::new(),
            health: None,
            score: None,
            critical: Vec::new(),
            sinks: Vec::new(),
            file: None,
        }
    }

    /// The name.
    pub fn name(&self) -> InstanceName {
        self.shared.source.name()
    }

    /// The settings.
    pub fn config(&self) -> MonitorConfig {
        self.shared.config
    }

    /// The rules of alerts in force.
    pub fn rules(&self) -> AlertRules {
        self.shared.rules()
    }

    /// Changes the rules. What is firing by a rule that is switched off is over; everything else is judged by
    /// the new ones at the next sample.
    pub fn configure(&self, rules: AlertRules) {
        self.shared.configure(rules);
        self.shared.source.commanded("configure");
    }

    /// Samples at the interval, evaluates at once what events change, and delivers alerts, until the
    /// returned guard is dropped. Started again, it takes over.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime; an earlier start goes on then. On a runtime without time, the
    /// tasks panic.
    #[must_use = "monitoring stops when the guard is dropped"]
    pub fn start(&self) -> MonitorGuard {
        run::start(&self.shared)
    }

    /// Takes a sample now. Where one is being taken, it does nothing.
    pub fn sample(&self) {
        self.shared.sample();
    }

    /// Everything, as it was at the last sample.
    pub fn overview(&self) -> Arc<Overview> {
        self.shared.overview()
    }

    /// The services for a [`HealthScore`](seawall_health::HealthScore): the shares of failed and of degraded calls
    /// among those that the upstream or something in its place has answered or failed to, and their average time.
    /// It looks at the last minute, and leaves services with fewer than 20 such calls out.
    ///
    /// ```
    /// use seawall_core::Registry;
    /// use seawall_health::HealthScore;
    /// use seawall_monitor::{Monitor, ScoreView};
    ///
    /// let registry = Registry::new("desk");
    /// let monitor = Monitor::builder("desk").registry(registry.clone()).build()?;
    /// let read = monitor.clone();
    /// let score = HealthScore::default().registry(&registry).services(move || read.service_figures());
    /// assert!(score.report().services.is_empty(), "nothing was called yet");
    /// # Ok::<(), seawall_monitor::InvalidConfig>(())
    /// ```
    pub fn service_figures(&self) -> Vec<ServiceFigures> {
        self.shared.service_figures()
    }

    /// Counts what changes an overview, for those that show each: samples, evaluations, commands about
    /// alerts, and that it is started or stopped.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes()
    }

    /// The past of every service of that name, also of one that is gone; empty when there is none.
    pub fn history(&self, service: &str) -> Vec<ServiceHistory> {
        self.shared.history(service)
    }

    /// Lines of the history file that were skipped at the start, since they are corrupt, and batches that
    /// could not be written since.
    pub fn history_errors(&self) -> [u64; 2] {
        self.shared.history_errors()
    }

    /// Handles that have panicked when they were read, and sources of scores.
    pub fn read_panics(&self) -> u64 {
        self.shared.read_panics()
    }

    /// Alerts that are firing, and the last ones that are over; newest first.
    pub fn alerts(&self) -> Vec<AlertView> {
        self.shared.alerts()
    }

    /// Notes that somebody knows of an alert, by its number, until `lasts` is over. If it is still firing
    /// then, sinks are sent it again.
    ///
    /// # Errors
    ///
    /// [`AlertCommandError`] when no such alert is firing, when it would last no time, or when a text is longer than
    /// 1,024 bytes.
    pub fn acknowledge(
        &self,
        alert: u64,
        by: &str,
        reason: &str,
        lasts: Duration,
    ) -> Result<(), AlertCommandError> {
        self.shared.acknowledge(alert, (by, reason), lasts)?;
        self.shared.source.commanded("acknowledge");
        Ok(())
    }

    /// Ends an [`acknowledge`](Self::acknowledge).
    ///
    /// # Errors
    ///
    /// [`AlertCommandError`] when no such alert is firing.
    pub fn unacknowledge(&self, alert: u64) -> Result<(), AlertCommandError> {
        self.shared.unacknowledge(alert)?;
        self.shared.source.commanded("unacknowledge");
        Ok(())
    }

    /// Sends no sink the alerts that match, until `lasts` is over; they are shown. What is firing then is
    /// sent. Returns the number of the silence.
    ///
    /// # Errors
    ///
    /// [`AlertCommandError`] when there are 256 silences, when it would last no time, or when a text is longer than
    /// 1,024 bytes.
    pub fn silence(
        &self,
        matcher: SilenceMatcher,
        by: &str,
        reason: &str,
        lasts: Duration,
    ) -> Result<u64, AlertCommandError> {
        let id = self.shared.silence(matcher, (by, reason), lasts)?;
        self.shared.source.commanded("silence");
        Ok(id)
    }

    /// Ends a [`silence`](Self::silence), by its number.
    ///
    /// # Errors
    ///
    /// [`AlertCommandError`] when there is none of that number.
    pub fn unsilence(&self, silence: u64) -> Result<(), AlertCommandError> {
        self.shared.unsilence(silence)?;
        self.shared.source.commanded("unsilence");
        Ok(())
    }

    /// The silences that hold, the newest first.
    pub fn silences(&self) -> Vec<SilenceView> {
        self.shared.silences()
    }

    /// What each sink did so far.
    pub fn sinks(&self) -> Vec<SinkStats> {
        self.shared.sinks()
    }

    /// Whether it samples at its interval.
    pub fn is_running(&self) -> bool {
        self.shared.is_running()
    }
}

/// It has no commands of the registry. Registered in a registry that it reads, neither is ever dropped.
impl InstanceHandle for Monitor {
    seawall_core::handle_methods! { |this|
        pattern: "monitor",
        state: if this.is_running() { "running" } else { "stopped" },
        attach: this.shared.source,
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        let (samples, raised) = self.shared.counts();
        sink.counter("seawall_monitor_samples_total", &[], samples);
        sink.counter("seawall_alerts_raised_total", &[], raised);
        let level = f64::from(self.overview().verdict.level as u8);
        sink.gauge("seawall_monitor_level", &[], level);
        for (severity, firing) in self.shared.firing_by_severity() {
            let labels = [("severity", severity)];
            sink.gauge("seawall_alerts_firing", &labels, firing as f64);
        }
        for stats in self.sinks() {
            for (result, total) in [
                ("delivered", stats.delivered),
                ("failed", stats.failed),
                ("dropped", stats.dropped),
            ] {
                let labels = [("sink", stats.name), ("result", result)];
                sink.counter("seawall_alert_deliveries_total", &labels, total);
            }
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.shared.config.settings()
    }
}

seawall_core::impl_debug!(Monitor: |this|
    name = this.name(),
    is_running = this.is_running(),
);

/// Builds a [`Monitor`].
#[must_use]
pub struct MonitorBuilder {
    name: InstanceName,
    config: MonitorConfig,
    rules: AlertRules,
    registries: Vec<Registry>,
    health: Option<HealthMonitor>,
    score: Option<ScoreSource>,
    critical: Vec<InstanceName>,
    sinks: Vec<Arc<dyn AlertSink>>,
    file: Option<(PathBuf, u64)>,
}

type ScoreSource = Box<dyn Fn() -> Option<ScoreView> + Send + Sync>;

impl MonitorBuilder {
    seawall_core::setters! { self:
        /// Sets how often it reads, and how much it keeps.
        pub const fn config(MonitorConfig);
    }

    /// Adds a registry that is read.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registries.push(registry);
        self
    }

    /// Sets the health checks whose results are shown and raise alerts, as does their
    /// [score](HealthMonitor::set_score).
    pub fn health(mut self, health: HealthMonitor) -> Self {
        self.health = Some(health);
        self
    }

    /// Sets the rules of alerts.
    pub fn rules(mut self, rules: AlertRules) -> Self {
        self.rules = rules;
        self
    }

    /// Sets what computes the health score, once per sample, in place of that of [`health`](Self::health).
    pub fn score(mut self, score: impl Fn() -> Option<ScoreView> + Send + Sync + 'static) -> Self {
        self.score = Some(Box::new(score));
        self
    }

    /// Adds a service that trading depends on: where it is down, one cannot trade, nor where there is no service of
    /// that name. It is kept, however many others there are. Unless one is named, those with orders are critical;
    /// where there are none, one cannot trade where all services are down.
    pub fn critical(mut self, service: impl Into<InstanceName>) -> Self {
        self.critical.push(service.into());
        self
    }

    /// Adds a sink of alerts.
    pub fn sink(mut self, sink: impl AlertSink) -> Self {
        self.sinks.push(Arc::new(sink));
        self
    }

    /// Keeps the minutes of the history in a file, too, and reads them again at the start. It and the one
    /// before it (`.old`) have at most `max_bytes` together; a service needs some 150 kB for a day. One process
    /// has the file. It is read by [`build`](Self::build).
    pub fn history_file(mut self, path: impl Into<PathBuf>, max_bytes: u64) -> Self {
        self.file = Some((path.into(), max_bytes));
        self
    }

    /// The monitor.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the name is empty, when two registries have the same name, when a sink is to be
    /// sent again what is firing more often than each second, or when the history file cannot be read or opened, has
    /// less than 64 kB, or is that of another monitor.
    pub fn build(self) -> Result<Monitor, InvalidConfig> {
        if self.name.is_unnamed() {
            return Err(InvalidConfig::new("name", "\"\"", "a name"));
        }
        let mut names = BTreeMap::new();
        for registry in &self.registries {
            let name = registry.service().as_str();
            if names.insert(name, ()).is_some() {
                return Err(InvalidConfig::new(
                    "registry",
                    name,
                    "registries of different names",
                ));
            }
        }
        for sink in &self.sinks {
            let every = sink.resend_every();
            if let Some(every) = every.filter(|every| *every < SHORTEST_RESEND) {
                let accepted = "none, or at least 1s";
                return Err(InvalidConfig::new("resend_every", Span(every), accepted));
            }
        }
        let file = self.file.map(|(path, max_bytes)| {
            if max_bytes < 65_536 {
                let accepted = "at least 65536 bytes";
                return Err(InvalidConfig::new("history_file", max_bytes, accepted));
            }
            Ok(HistoryFile::new(path, max_bytes))
        });
        let shared = Shared::new(Parts {
            source: EventSource::new("monitor", self.name),
            config: self.config,
            rules: self.rules,
            registries: self.registries,
            health: self.health,
            score: self.score,
            critical: self.critical,
            sinks: self.sinks,
            file: file.transpose()?,
        })?;
        Ok(Monitor {
            shared: Arc::new(shared),
        })
    }
}

seawall_core::impl_debug!(MonitorBuilder: |this| name = this.name, config = this.config);

//! An instance whose figures a test sets, and sinks that note what they get.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall_core::{
    EventKind, EventSource, Events, Histogram, InstanceHandle, InstanceName, LastRejection,
    Rejection, Samples,
};
use seawall_monitor::{
    AlertSink, AlertState, AlertView, Delivery, Monitor, MonitorBuilder, Registry, ServiceOverview,
    SinkError,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

type Labels = &'static [(&'static str, &'static str)];

/// What an instance reports, as a test sets it.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) state: &'static str,
    pub(crate) counters: BTreeMap<(&'static str, Labels), u64>,
    pub(crate) gauges: BTreeMap<(&'static str, Labels), f64>,
    pub(crate) panics: bool,
    pub(crate) rejection: Option<Rejection>,
}

#[derive(Clone, Debug)]
pub(crate) struct Fake {
    pattern: &'static str,
    name: InstanceName,
    source: Arc<EventSource>,
    pub(crate) figures: Arc<Mutex<Figures>>,
    latency: Arc<Histogram>,
}

impl Fake {
    pub(crate) fn new(registry: &Registry, pattern: &'static str, name: &str) -> Self {
        let fake = Self {
            pattern,
            name: InstanceName::new(name),
            source: Arc::new(EventSource::new(pattern, name)),
            figures: Arc::new(Mutex::new(Figures {
                state: if pattern == "breaker" { "closed" } else { "on" },
                counters: BTreeMap::new(),
                gauges: BTreeMap::new(),
                panics: false,
                rejection: None,
            })),
            latency: Arc::new(Histogram::new()),
        };
        registry.register(fake.clone()).unwrap();
        fake
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.figures.lock().unwrap());
    }

    pub(crate) fn state(&self, state: &'static str) {
        self.with(|it| it.state = state);
    }

    /// Changes the state, and emits that.
    pub(crate) fn transition(&self, to: &'static str) {
        let from = std::mem::replace(&mut self.figures.lock().unwrap().state, to);
        let reason = "failure_rate";
        self.source
            .emit(|| EventKind::Transition { from, to, reason });
    }

    pub(crate) fn gauge(&self, metric: &'static str, labels: Labels, value: f64) {
        self.with(|it| {
            it.gauges.insert((metric, labels), value);
        });
    }

    pub(crate) fn count(&self, metric: &'static str, labels: Labels, more: u64) {
        self.with(|it| *it.counters.entry((metric, labels)).or_default() += more);
    }

    /// Calls that took `ms` each.
    pub(crate) fn calls(&self, success: u64, failure: u64, ms: u64) {
        self.count(
            "seawall_calls_total",
            &[("layer", "telemetry"), ("outcome", "success")],
            success,
        );
        self.count(
            "seawall_calls_total",
            &[("layer", "telemetry"), ("outcome", "failure")],
            failure,
        );
        for _ in 0..success + failure {
            self.latency.record(Duration::from_millis(ms));
        }
    }
}

impl InstanceHandle for Fake {
    fn pattern(&self) -> &'static str {
        self.pattern
    }

    fn name(&self) -> InstanceName {
        self.name
    }

    fn state(&self) -> &'static str {
        self.figures.lock().unwrap().state
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        let figures = self.figures.lock().unwrap();
        let panics = figures.panics;
        for ((metric, labels), total) in &figures.counters {
            sink.counter(metric, labels, *total);
        }
        for ((metric, labels), value) in &figures.gauges {
            sink.gauge(metric, labels, *value);
        }
        drop(figures);
        assert!(!panics, "the handle panics");
        let snapshot = self.latency.snapshot();
        if !snapshot.is_empty() {
            let labels = [("outcome", "success")];
            sink.histogram("seawall_call_duration_seconds", &labels, &snapshot);
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn last_rejection(&self) -> Option<LastRejection> {
        let rejection = self.figures.lock().unwrap().rejection?;
        Some(LastRejection::new(rejection, 2 * SECOND))
    }

    fn attach(&self, events: &Events) {
        self.source.attach(events);
    }
}

/// A monitor of one registry named `desk`.
pub(crate) fn builder(registry: &Registry) -> MonitorBuilder {
    Monitor::builder("desk").registry(registry.clone())
}

/// A monitor of one registry, after its first sample.
pub(crate) fn monitor(registry: &Registry) -> Monitor {
    let monitor = builder(registry).build().unwrap();
    monitor.sample();
    monitor
}

/// A second passes, and a sample is taken.
pub(crate) async fn tick(monitor: &Monitor) {
    tokio::time::advance(SECOND).await;
    monitor.sample();
}

pub(crate) async fn ticks(monitor: &Monitor, number: u32) {
    for _ in 0..number {
        tick(monitor).await;
    }
}

pub(crate) fn service(monitor: &Monitor, name: &str) -> ServiceOverview {
    let overview = monitor.overview();
    let found = overview.services.iter().find(|it| it.name == name);
    found.expect("there is such a service").clone()
}

/// The names of what is firing, in the order of their names.
pub(crate) fn firing(monitor: &Monitor) -> Vec<&'static str> {
    let alerts = monitor.alerts().into_iter();
    let mut names: Vec<_> = alerts
        .filter(|alert| alert.state == AlertState::Firing)
        .map(|alert| alert.name)
        .collect();
    names.sort_unstable();
    names
}

/// What a sink does with its alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    Notes,
    Takes(Duration),
    Fails,
    Hangs,
    Panics,
}

/// A sink that notes what it gets.
#[derive(Clone)]
pub(crate) struct Noted {
    name: &'static str,
    behavior: Behavior,
    resend_every: Option<Duration>,
    pub(crate) alerts: Arc<Mutex<Vec<AlertView>>>,
    pub(crate) is_called: Arc<AtomicBool>,
    /// Alerts of this service are never taken, nor what comes with them.
    pub(crate) never: Option<&'static str>,
    is_down: Arc<AtomicBool>,
}

impl Noted {
    pub(crate) fn new(name: &'static str, behavior: Behavior) -> Self {
        Self {
            name,
            behavior,
            resend_every: None,
            alerts: Arc::default(),
            is_called: Arc::default(),
            never: None,
            is_down: Arc::default(),
        }
    }

    pub(crate) fn resend(mut self, every: Duration) -> Self {
        self.resend_every = Some(every);
        self
    }

    pub(crate) fn is_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    pub(crate) fn names(&self) -> Vec<(&'static str, AlertState)> {
        let alerts = self.alerts.lock().unwrap();
        alerts.iter().map(|it| (it.name, it.state)).collect()
    }
}

impl AlertSink for Noted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn deliver(&self, alerts: Vec<AlertView>) -> Delivery {
        self.is_called.store(true, Ordering::Relaxed);
        let never = |alert: &AlertView| alert.service.is_some() && alert.service == self.never;
        if self.is_down.load(Ordering::Relaxed) || alerts.iter().any(never) {
            return Box::pin(std::future::ready(Err(SinkError::new("down"))));
        }
        match self.behavior {
            Behavior::Takes(time) => {
                let noted = Arc::clone(&self.alerts);
                Box::pin(async move {
                    tokio::time::sleep(time).await;
                    noted.lock().unwrap().extend(alerts);
                    Ok(())
                })
            }
            Behavior::Notes => {
                self.alerts.lock().unwrap().extend(alerts);
                Box::pin(std::future::ready(Ok(())))
            }
            Behavior::Fails => Box::pin(std::future::ready(Err(SinkError::new("down")))),
            Behavior::Hangs => Box::pin(std::future::pending()),
            Behavior::Panics => panic!("the sink panics"),
        }
    }

    fn resend_every(&self) -> Option<Duration> {
        self.resend_every
    }
}

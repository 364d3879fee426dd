//! What is shown of a component.

use std::collections::BTreeMap;
use std::sync::Arc;

use seawall_core::{HistogramSnapshot, InstanceHandle, Registry, Samples, Value};
use serde::Serialize;
use utoipa::ToSchema;

use crate::commands::ActiveCommand;
use crate::state::Shared;

/// A layer instance: what it is doing and with which settings.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ComponentView {
    /// The service, that is the registry, that it is in.
    pub(crate) service: &'static str,
    /// The pattern: `breaker`, `bulkhead`.
    pub(crate) pattern: &'static str,
    /// The name of the instance.
    pub(crate) name: &'static str,
    /// The state in a word.
    pub(crate) state: &'static str,
    /// Counters and gauges now.
    pub(crate) figures: Vec<Figure>,
    /// The settings in force.
    pub(crate) settings: BTreeMap<&'static str, String>,
    /// What is probably wrong with how it is set up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) misconfigured: Vec<&'static str>,
    /// The commands that it carries out.
    pub(crate) commands: Vec<&'static str>,
    /// The commands that were given here and hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) active: Vec<ActiveCommand>,
}

/// A counter or gauge.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Figure {
    /// The metric.
    pub(crate) metric: &'static str,
    /// Its labels beside those of the instance.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: BTreeMap<&'static str, &'static str>,
    /// The value; `null` for what is no number, and for durations.
    pub(crate) value: Option<f64>,
    /// How durations are distributed since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) durations: Option<Durations>,
}

/// How durations are distributed. Times are in seconds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Durations {
    /// How many.
    count: u64,
    /// All of them together.
    sum: f64,
    /// The longest.
    max: f64,
    /// Half of them are shorter; `null` where there is none.
    p50: Option<f64>,
    /// 95 of 100 are shorter.
    p95: Option<f64>,
    /// 99 of 100 are shorter.
    p99: Option<f64>,
}

impl Durations {
    fn of(snapshot: &HistogramSnapshot) -> Self {
        let quantile = |share| {
            let duration = snapshot.quantile(share);
            duration.map(|duration| duration.as_secs_f64())
        };
        Self {
            count: snapshot.count(),
            sum: snapshot.sum().as_secs_f64(),
            max: snapshot.max().as_secs_f64(),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
        }
    }
}

impl ComponentView {
    pub(crate) fn of(shared: &Shared, registry: &Registry, component: &dyn InstanceHandle) -> Self {
        Self::of_service(shared, registry.service().as_str(), component)
    }

    /// One that no registry has: it can be looked at, and nothing finds it to command it.
    pub(crate) fn unregistered(shared: &Shared, component: &dyn InstanceHandle) -> Self {
        Self {
            commands: Vec::new(),
            ..Self::of_service(shared, shared.name.as_str(), component)
        }
    }

    fn of_service(shared: &Shared, service: &'static str, component: &dyn InstanceHandle) -> Self {
        let mut figures = Vec::new();
        component.samples(&mut Samples::new(&mut |sample| {
            let (value, durations) = match sample.value {
                Value::Counter(total) => (Some(total as f64), None),
                Value::Gauge(value) => (Some(value).filter(|value| value.is_finite()), None),
                Value::Histogram(snapshot) => (None, Some(Durations::of(&snapshot))),
                _ => return,
            };
            figures.push(Figure {
                metric: sample.metric,
                labels: sample.labels.iter().copied().collect(),
                value,
                durations,
            });
        }));
        let (pattern, name) = (component.pattern(), component.name().as_str());
        let misconfigured = component.misconfigured();
        Self {
            service,
            pattern,
            name,
            state: component.state(),
            figures,
            settings: component.settings().into_iter().collect(),
            misconfigured: misconfigured.iter().map(|what| what.as_str()).collect(),
            commands: component
                .commands()
                .iter()
                .map(|command| command.as_str())
                .collect(),
            active: shared.active.of(service, pattern, name),
        }
    }
}

/// Every component of every registry, by service, pattern and name.
pub(crate) fn components(shared: &Shared) -> Vec<ComponentView> {
    each(shared, |_| true)
}

/// The components that `is_wanted` by their pattern.
pub(crate) fn each(shared: &Shared, is_wanted: impl Fn(&str) -> bool) -> Vec<ComponentView> {
    let mut views = Vec::new();
    for registry in &shared.registries {
        let all: Vec<Arc<dyn InstanceHandle>> = registry.all();
        let wanted = all
            .iter()
            .filter(|component| is_wanted(component.pattern()));
        views.extend(wanted.map(|component| ComponentView::of(shared, registry, &**component)));
    }
    views
}

//! What the layers have counted in each phase.

use std::collections::{BTreeMap, BTreeSet};

use seawall_core::{HistogramSnapshot, Registry, Value};
use serde::Serialize;

use crate::outcome::Phase;

/// The service of an instance: `alpaca` of `alpaca`, `alpaca.reserved` and `alpaca/orders`.
fn service_of(name: &str) -> &str {
    let base = name.split_once('/').map_or(name, |(base, _)| base);
    match base.strip_suffix(".reserved").unwrap_or(base) {
        "" => name,
        base => base,
    }
}

/// The services of the layers that are registered.
pub(crate) fn services(registries: &[Registry]) -> BTreeSet<String> {
    let snapshots = registries.iter().flat_map(Registry::snapshot);
    snapshots
        .map(|snapshot| service_of(snapshot.name.as_str()).to_owned())
        .collect()
}

const REJECTED: (&str, &str) = ("outcome", "rejected");

type Labels = Vec<(&'static str, &'static str)>;
type Key = (&'static str, &'static str, Labels);

/// What all layers of a service have counted up to a moment, and what they show then.
#[derive(Clone, Debug, Default)]
struct Reading {
    /// By pattern, metric and labels, over all instances.
    counters: BTreeMap<Key, u64>,
    gauges: BTreeMap<Key, f64>,
    /// How long calls took.
    calls: HistogramSnapshot,
    /// How long attempts took: without waits of our own.
    attempts: HistogramSnapshot,
    /// The layers there are, and the state of each.
    states: BTreeMap<&'static str, &'static str>,
}

/// What all layers of all services have counted up to a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readings(BTreeMap<String, Reading>);

impl Readings {
    pub(crate) fn of(registries: &[Registry]) -> Self {
        let mut readings = Self::default();
        for snapshot in registries.iter().flat_map(Registry::snapshot) {
            let service = service_of(snapshot.name.as_str()).to_owned();
            let reading = readings.0.entry(service).or_default();
            reading.states.insert(snapshot.pattern, snapshot.state);
            for sample in snapshot.samples {
                let key = (snapshot.pattern, sample.metric, sample.labels);
                match sample.value {
                    Value::Counter(total) => {
                        let sum = reading.counters.entry(key).or_default();
                        *sum = sum.saturating_add(total);
                    }
                    Value::Gauge(value) => {
                        let worst = reading.gauges.entry(key).or_insert(value);
                        *worst = worst.max(value);
                    }
                    Value::Histogram(times) if !times.is_empty() => {
                        let sum = match sample.metric {
                            // One that was rejected took no time of the upstream.
                            "seawall_call_duration_seconds" if !key.2.contains(&REJECTED) => {
                                &mut reading.calls
                            }
                            "seawall_attempt_duration_seconds" => &mut reading.attempts,
                            _ => continue,
                        };
                        *sum = match sum.is_empty() {
                            true => times,
                            false => sum.merge(&times),
                        };
                    }
                    _ => {}
                }
            }
        }
        readings
    }
}

/// What the layers of a service have counted in each phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    phases: [Reading; 3],
}

/// What the layers of every service have counted in each phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence(BTreeMap<String, Counted>);

impl Evidence {
    /// Adds a phase: from one reading to another.
    pub(crate) fn add(&mut self, phase: Phase, from: &Readings, to: &Readings) {
        let none = Reading::default();
        for (service, now) in &to.0 {
            let before = from.0.get(service).unwrap_or(&none);
            let mut new = now.clone();
            for (key, total) in &mut new.counters {
                let earlier = before.counters.get(key).copied().unwrap_or_default();
                // One that is smaller began again.
                *total = total.checked_sub(earlier).unwrap_or(*total);
            }
            for (now, before) in [
                (&mut new.calls, &before.calls),
                (&mut new.attempts, &before.attempts),
            ] {
                if !before.is_empty() {
                    *now = now.since(before);
                }
            }
            let counted = self.0.entry(service.clone()).or_default();
            counted.phases[phase as usize] = new;
        }
    }

    pub(crate) fn of(&self, service: &str) -> Option<&Counted> {
        self.0.get(service)
    }

    /// Every counter that has counted anything.
    pub(crate) fn counts(&self) -> Vec<LayerCount> {
        let mut counts = Vec::new();
        for (service, counted) in &self.0 {
            let mut keys: Vec<&Key> = counted
                .phases
                .iter()
                .flat_map(|it| it.counters.keys())
                .collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let of = |phase: Phase| {
                    let counters = &counted.phases[phase as usize].counters;
                    counters.get(key).copied().unwrap_or_default()
                };
                let count = LayerCount {
                    service: service.clone(),
                    layer: key.0,
                    metric: key.1,
                    labels: key.2.iter().copied().collect(),
                    before: of(Phase::Before),
                    during: of(Phase::During),
                    after: of(Phase::After),
                };
                if count.before > 0 || count.during > 0 || count.after > 0 {
                    counts.push(count);
                }
            }
        }
        counts
    }
}

/// What a counter of the layers of a service has counted in each phase.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerCount {
    /// The service.
    pub service: String,
    /// The pattern of the layers.
    pub layer: &'static str,
    /// The counter, by the name of its metric.
    pub metric: &'static str,
    /// Its labels.
    pub labels: BTreeMap<&'static str, &'static str>,
    /// How much before the faults.
    pub before: u64,
    /// How much while they were on.
    pub during: u64,
    /// How much afterwards.
    pub after: u64,
}

impl Counted {
    fn of(&self, phase: Phase) -> &Reading {
        &self.phases[phase as usize]
    }

    /// The sum of a counter over all of its labels but those that are asked for.
    pub(crate) fn sum(
        &self,
        phase: Phase,
        metric: &str,
        pattern: Option<&str>,
        labels: &[(&'static str, &'static str)],
    ) -> u64 {
        let counters = self.of(phase).counters.iter();
        let matching = counters.filter(|((of, name, has), _)| {
            *name == metric
                && pattern.is_none_or(|pattern| pattern == *of)
                && labels.iter().all(|label| has.contains(label))
        });
        matching.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The largest gauge of that name at the end of a phase.
    pub(crate) fn gauge(&self, phase: Phase, metric: &str) -> Option<f64> {
        let gauges = self.of(phase).gauges.iter();
        let matching = gauges.filter(|((_, name, _), _)| *name == metric);
        matching.map(|(_, value)| *value).reduce(f64::max)
    }

    /// Whether a layer of that pattern is registered.
    pub(crate) fn has(&self, pattern: &str) -> bool {
        self.state(pattern).is_some()
    }

    /// The state of a layer at the end of the faults.
    pub(crate) fn state(&self, pattern: &str) -> Option<&'static str> {
        self.of(Phase::During).states.get(pattern).copied()
    }

    /// What so many of the attempts did not exceed, in seconds; of the calls, where attempts are not measured and no
    /// layer lets a call wait.
    pub(crate) fn quantile(&self, phase: Phase, quantile: f64) -> Option<f64> {
        let reading = self.of(phase);
        let layers = [
            "retry",
            "bulkhead",
            "ratelimit",
            "ratelimit_per_key",
            "throttle",
        ];
        let waits = layers
            .iter()
            .any(|layer| reading.states.contains_key(layer));
        let times = match reading.attempts.is_empty() {
            false => &reading.attempts,
            true if !waits => &reading.calls,
            true => return None,
        };
        Some(times.quantile(quantile)?.as_secs_f64())
    }
}

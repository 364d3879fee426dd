//! What an instance reports: counters, gauges and histograms.

use std::fmt;

use crate::HistogramSnapshot;

/// One counter, gauge or histogram of a component.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The metric, after Prometheus' conventions: `seawall_calls_total`.
    pub metric: &'static str,
    /// Labels beside those of the service and the instance.
    pub labels: &'a [(&'static str, &'static str)],
    /// The value now.
    pub value: Value,
}

/// Where an instance hands its counters, gauges and histograms to.
pub struct Samples<'a> {
    sink: &'a mut dyn FnMut(Sample<'_>),
}

impl<'a> Samples<'a> {
    /// Hands every sample to `sink`.
    pub fn new(sink: &'a mut dyn FnMut(Sample<'_>)) -> Self {
        Self { sink }
    }

    /// A total that only grows.
    pub fn counter(
        &mut self,
        metric: &'static str,
        labels: &[(&'static str, &'static str)],
        total: u64,
    ) {
        (self.sink)(Sample {
            metric,
            labels,
            value: Value::Counter(total),
        });
    }

    /// A value that goes up and down.
    pub fn gauge(
        &mut self,
        metric: &'static str,
        labels: &[(&'static str, &'static str)],
        value: f64,
    ) {
        (self.sink)(Sample {
            metric,
            labels,
            value: Value::Gauge(value),
        });
    }

    /// Durations, as they are distributed since the start; the metric ends in `_seconds`.
    pub fn histogram(
        &mut self,
        metric: &'static str,
        labels: &[(&'static str, &'static str)],
        snapshot: &HistogramSnapshot,
    ) {
        (self.sink)(Sample {
            metric,
            labels,
            value: Value::Histogram(snapshot.clone()),
        });
    }
}

impl fmt::Debug for Samples<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Samples").finish_non_exhaustive()
    }
}

/// A [`Sample`] that was kept.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OwnedSample {
    /// The metric.
    pub metric: &'static str,
    /// Labels beside those of the service and the instance.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::pairs"))]
    pub labels: Vec<(&'static str, &'static str)>,
    /// The value at that moment.
    pub value: Value,
}

impl From<Sample<'_>> for OwnedSample {
    fn from(sample: Sample<'_>) -> Self {
        Self {
            metric: sample.metric,
            labels: sample.labels.to_vec(),
            value: sample.value,
        }
    }
}

/// The value of a sample.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
pub enum Value {
    /// A total that only grows.
    Counter(u64),
    /// A value that goes up and down.
    Gauge(f64),
    /// Durations since the start.
    Histogram(HistogramSnapshot),
}

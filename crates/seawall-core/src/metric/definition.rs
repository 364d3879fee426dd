//! What a metric is.

use super::labels::METRIC_LABELS;
use crate::{Sample, Value};

crate::state_words! {
    /// What sort of metric it is.
    pub enum MetricKind {
        /// A total that only grows; the name ends in `_total`.
        Counter = "counter",
        /// A value that goes up and down.
        Gauge = "gauge",
        /// Durations, as they are distributed.
        Histogram = "histogram",
    }
}

/// A metric that a layer hands out, see [`InstanceHandle::samples`](crate::InstanceHandle::samples).
///
/// Names are by Prometheus' conventions: base units, `_total` for counters.
///
/// ```
/// let state = seawall_core::metric("seawall_breaker_state").unwrap();
/// assert_eq!((state.unit(), state.labels), ("", &[][..]));
/// assert_eq!(seawall_core::metric("seawall_overhead_seconds").unwrap().unit(), "seconds");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name.
    pub name: &'static str,
    /// What sort it is.
    pub kind: MetricKind,
    /// The labels that it may have beside `service` and `name`.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence: the HELP text.
    pub help: &'static str,
}

impl Metric {
    /// The unit by the name: `seconds`, `bytes`, `ratio` (a share from 0 to 1), or nothing for a number.
    pub fn unit(&self) -> &'static str {
        let name = self.name.trim_end_matches("_total");
        let ends = |unit: &&str| name.ends_with(*unit);
        let units = ["seconds", "bytes", "ratio"].into_iter();
        units.rev().find(ends).unwrap_or_default()
    }

    /// Whether this is what the table says of it: its sort, its labels, and for those of a fixed set
    /// that their values are words.
    pub fn describes(&self, sample: &Sample<'_>) -> bool {
        let kind = match sample.value {
            Value::Counter(_) => MetricKind::Counter,
            Value::Gauge(_) => MetricKind::Gauge,
            Value::Histogram(_) => MetricKind::Histogram,
        };
        let is_word = |value: &str| {
            let mut letters = value.chars();
            letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        let is_known = |(label, value): &(&str, &str)| {
            let known = METRIC_LABELS.iter().find(|known| known.name == *label);
            let is_free = known.is_some_and(|known| known.from_configuration);
            self.labels.contains(label) && (is_free || is_word(value))
        };
        self.name == sample.metric && self.kind == kind && sample.labels.iter().all(is_known)
    }
}

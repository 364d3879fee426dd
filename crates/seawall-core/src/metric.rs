//! Every metric of the workspace: what it means, and what it is published as.

mod definition;
mod labels;
mod table;

pub use definition::{Metric, MetricKind};
pub use labels::{METRIC_LABELS, MetricLabel};
pub use table::METRICS;

/// The metric of that name, if there is one.
pub fn metric(name: &str) -> Option<&'static Metric> {
    let index = METRICS.binary_search_by(|metric| metric.name.cmp(name));
    index.ok().map(|index| &METRICS[index])
}

/// Gives the recorder what each metric means.
#[cfg(feature = "metrics")]
pub(crate) fn describe() {
    for metric in METRICS {
        let unit = match metric.unit() {
            "seconds" => metrics::Unit::Seconds,
            "bytes" => metrics::Unit::Bytes,
            _ => metrics::Unit::Count,
        };
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(metric.name, unit, metric.help),
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, unit, metric.help),
            MetricKind::Histogram => metrics::describe_histogram!(metric.name, unit, metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_follow_the_conventions() {
        assert!(METRICS.is_sorted_by(|a, b| a.name < b.name));
        assert!(METRIC_LABELS.is_sorted_by(|a, b| a.name < b.name));
        for metric in METRICS {
            let Metric { name, kind, .. } = metric;
            assert!(name.starts_with("seawall_"), "{name}");
            let is_total = name.ends_with("_total");
            assert_eq!(is_total, *kind == MetricKind::Counter, "{name}");
            for part in [
                "_ms", "milli", "micro", "nano", "percent", "_rate", "minutes",
            ] {
                assert!(!name.ends_with(part), "{name}: no base unit");
            }
            if *kind == MetricKind::Histogram {
                assert_eq!(metric.unit(), "seconds", "{name}");
            }
            assert!(
                metric.help.ends_with('.') && !metric.help.contains('\n'),
                "{name}"
            );
            for label in metric.labels {
                let known = METRIC_LABELS.iter().any(|known| known.name == *label);
                assert!(known, "{name}: {label}");
                assert!(
                    !["service", "name", "le"].contains(label),
                    "{name}: {label}"
                );
            }
        }
        for label in METRIC_LABELS {
            let is_used = METRICS
                .iter()
                .any(|metric| metric.labels.contains(&label.name));
            let of_all = ["service", "name"].contains(&label.name);
            assert!(is_used || of_all, "nothing has the label {}", label.name);
        }
    }
}

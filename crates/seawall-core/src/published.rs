//! What a recorder of the `metrics` facade has of each histogram.

use std::collections::HashMap;

use metrics::Label;

use crate::{HistogramSnapshot, InstanceName, Sample, Value};

/// What was published of each histogram.
#[derive(Debug, Default)]
pub(crate) struct Published {
    histograms: HashMap<Key, Before>,
    /// Counts the calls.
    round: u64,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    instance: [InstanceName; 2],
    metric: &'static str,
    labels: Vec<(&'static str, &'static str)>,
}

#[derive(Debug, Default)]
struct Before {
    snapshot: HistogramSnapshot,
    round: u64,
}

impl Published {
    /// Publishes a sample of an instance, with its service and its name.
    pub(crate) fn publish(&mut self, instance: [InstanceName; 2], sample: &Sample<'_>) {
        let [service, name] = instance.map(InstanceName::as_str);
        let mut labels: Vec<Label> = Vec::with_capacity(2 + sample.labels.len());
        labels.push(Label::new("service", service));
        labels.push(Label::new("name", name));
        labels.extend(sample.labels.iter().map(|(k, v)| Label::new(*k, *v)));
        match &sample.value {
            Value::Counter(total) => metrics::counter!(sample.metric, labels).absolute(*total),
            Value::Gauge(value) => metrics::gauge!(sample.metric, labels).set(*value),
            Value::Histogram(snapshot) => {
                let histogram = metrics::histogram!(sample.metric, labels);
                for (seconds, count) in self.later(instance, sample, snapshot).values() {
                    histogram.record_many(seconds, usize::try_from(count).unwrap_or(usize::MAX));
                }
            }
        }
    }

    /// What was not published yet.
    fn later(
        &mut self,
        instance: [InstanceName; 2],
        sample: &Sample<'_>,
        snapshot: &HistogramSnapshot,
    ) -> HistogramSnapshot {
        let key = Key {
            instance,
            metric: sample.metric,
            labels: sample.labels.to_vec(),
        };
        let before = self.histograms.entry(key).or_default();
        before.round = self.round;
        let later = snapshot.since(&before.snapshot);
        before.snapshot = snapshot.clone();
        later
    }

    /// Forgets the histograms that have not been published since the last time: their instances are
    /// gone, and one of the same name starts at zero.
    pub(crate) fn forget_what_is_gone(&mut self) {
        let round = self.round;
        self.histograms.retain(|_, before| before.round == round);
        self.round = round.wrapping_add(1);
    }
}

//! From the counters of a registry to a recorder of the `metrics` facade.

use crate::Registry;
use crate::published::Published;

/// Publishes the counters, gauges and histograms of a [`Registry`] to one recorder of the `metrics` facade.
///
/// The facade takes histograms sample by sample, so what was published before must be known: a
/// publisher keeps that, and each recorder gets everything once where it has a publisher of its own.
/// [`Registry::publish`] has one for the program's recorder.
///
/// A sample is published as the middle of its bucket, so the sum that a recorder computes is within a
/// thirty-second of ours. For an exporter with buckets use [`HISTOGRAM_BOUNDS`](crate::HISTOGRAM_BOUNDS),
/// by which it counts as we do.
///
/// ```
/// use metrics_util::debugging::DebuggingRecorder;
/// use seawall_core::{Publisher, Registry};
///
/// let registry = Registry::new("alpaca");
/// let recorder = DebuggingRecorder::new();
/// let mut publisher = Publisher::new(registry);
/// metrics::with_local_recorder(&recorder, || publisher.publish());
/// ```
#[derive(Debug)]
pub struct Publisher {
    registry: Registry,
    published: Published,
}

impl Publisher {
    /// A publisher of `registry` that has published nothing yet.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            published: Published::default(),
        }
    }

    /// Publishes to the recorder that is installed, with the labels `service` and `name`: totals, gauges, and the
    /// samples of histograms that came since the last call. Call it at an interval or at each scrape.
    pub fn publish(&mut self) {
        self.registry.publish_to(&mut self.published);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Events, Histogram, InstanceHandle, InstanceName, Samples};
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};
    use std::sync::Arc;
    use std::time::Duration;

    struct Measured(Arc<Histogram>);

    impl InstanceHandle for Measured {
        fn pattern(&self) -> &'static str {
            "measured"
        }
        fn name(&self) -> InstanceName {
            InstanceName::new("a")
        }
        fn state(&self) -> &'static str {
            "ok"
        }
        fn samples(&self, sink: &mut Samples<'_>) {
            let labels = [("outcome", "success")];
            sink.histogram("seawall_test_seconds", &labels, &self.0.snapshot());
        }
        fn settings(&self) -> Vec<(&'static str, String)> {
            Vec::new()
        }
        fn attach(&self, _: &Events) {}
    }

    /// The values that `recorder` has received since it was asked last.
    fn received(recorder: &DebuggingRecorder, publish: impl FnOnce()) -> Vec<f64> {
        metrics::with_local_recorder(recorder, publish);
        let snapshot = recorder.snapshotter().snapshot().into_vec();
        let [(_, _, _, DebugValue::Histogram(values))] = &snapshot[..] else {
            panic!("one histogram: {snapshot:?}");
        };
        values.iter().map(|value| value.into_inner()).collect()
    }

    #[test]
    fn each_recorder_receives_each_sample_once() {
        let (registry, histogram) = (Registry::new("svc"), Arc::new(Histogram::new()));
        registry.register(Measured(Arc::clone(&histogram))).unwrap();
        let [one, other] = [(); 2].map(|()| DebuggingRecorder::new());
        let mut publisher = Publisher::new(registry.clone());
        (0..3).for_each(|_| histogram.record(Duration::from_millis(10)));
        let first = received(&one, || registry.publish());
        assert_eq!(first.len(), 3);
        for seconds in first {
            assert!((seconds - 0.01).abs() < 0.01 / 32.0, "{seconds}");
        }
        assert_eq!(received(&one, || registry.publish()), [0.0; 0]);
        histogram.record(Duration::from_secs(1));
        assert_eq!(received(&other, || publisher.publish()).len(), 4);
        assert_eq!(received(&one, || registry.publish()).len(), 1);
        assert_eq!(received(&other, || publisher.publish()).len(), 0);
    }

    #[test]
    fn an_instance_of_the_same_name_starts_at_zero() {
        let (registry, recorder) = (Registry::new("svc"), DebuggingRecorder::new());
        for samples in [5, 7] {
            let histogram = Arc::new(Histogram::new());
            (0..samples).for_each(|_| histogram.record(Duration::from_millis(1)));
            registry.register(Measured(histogram)).unwrap();
            assert_eq!(received(&recorder, || registry.publish()).len(), samples);
            registry.remove("measured", "a").unwrap();
            metrics::with_local_recorder(&recorder, || registry.publish());
        }
    }
}

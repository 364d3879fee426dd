//! What the registries know, as `OpenMetrics` text for Prometheus.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use seawall_core::{HISTOGRAM_BOUNDS, HistogramSnapshot, InstanceHandle, Samples, Value};

use crate::state::Shared;

/// The type of the text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, &'static str)>;

/// Every sample of the registries, of the health checks and of the monitor, by metric.
#[derive(Debug)]
struct Collected(BTreeMap<&'static str, Vec<(Labels, Value)>>);

impl Collected {
    fn of(shared: &Shared) -> Self {
        let mut all = Self(BTreeMap::new());
        for registry in &shared.registries {
            let service = registry.service().as_str();
            for component in registry.all() {
                all.add(service, &*component);
            }
        }
        for own in shared.unregistered() {
            all.add(shared.name.as_str(), &*own);
        }
        all
    }

    fn add(&mut self, service: &'static str, component: &dyn InstanceHandle) {
        let name = component.name().as_str();
        component.samples(&mut Samples::new(&mut |sample| {
            let mut labels = Vec::with_capacity(2 + sample.labels.len());
            labels.extend([("service", service), ("name", name)]);
            labels.extend_from_slice(sample.labels);
            let of_metric = self.0.entry(sample.metric).or_default();
            of_metric.push((labels, sample.value));
        }));
    }
}

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (metric, samples) in &self.0 {
            let (name, kind) = match samples[0].1 {
                // The encoder writes the ending.
                Value::Counter(_) => (
                    metric.strip_suffix("_total").unwrap_or(metric),
                    MetricType::Counter,
                ),
                Value::Histogram(_) => (*metric, MetricType::Histogram),
                _ => (*metric, MetricType::Gauge),
            };
            let help = seawall_core::metric(metric).map_or(*metric, |known| known.help);
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, value) in samples {
                let mut encoder = family.encode_family(labels)?;
                match value {
                    Value::Counter(total) => ConstCounter::new(*total).encode(encoder)?,
                    Value::Gauge(value) => ConstGauge::new(*value).encode(encoder)?,
                    Value::Histogram(snapshot) => encoder.encode_histogram::<NoLabelSet>(
                        snapshot.sum().as_secs_f64(),
                        snapshot.count(),
                        &buckets(snapshot),
                        None,
                    )?,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// How many samples are in each bucket, by its upper bound; the last one has no bound.
fn buckets(snapshot: &HistogramSnapshot) -> Vec<(f64, u64)> {
    let mut below = 0;
    let cumulative = HISTOGRAM_BOUNDS.into_iter().zip(snapshot.cumulative());
    let buckets = cumulative.map(|(bound, count)| {
        let here = count.saturating_sub(below);
        below = count;
        (bound, here)
    });
    let mut buckets: Vec<_> = buckets.collect();
    buckets.push((f64::INFINITY, snapshot.count().saturating_sub(below)));
    buckets
}

/// The text of a scrape.
pub(crate) fn render(shared: &Shared) -> Result<String, fmt::Error> {
    let mut registry = prometheus_client::registry::Registry::default();
    registry.register_collector(Box::new(Collected::of(shared)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

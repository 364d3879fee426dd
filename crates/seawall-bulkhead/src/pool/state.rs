//! What every service of a layer shares.

use std::sync::Arc;

use seawall_core::{EventSource, InstanceName, Reason, Rejection, Sample, Samples, Value};

use super::queue::{PoolLimits, PoolSupply, PoolUsage};
use crate::counts::{BulkheadCounts, BulkheadStripe};
use crate::keyed::KeyedPermits;

#[derive(Debug)]
pub(crate) struct PoolState {
    pub(crate) permits: KeyedPermits<PoolSupply>,
    pub(crate) source: EventSource,
    /// One stripe: beside a connection or a task, a shared cache line costs nothing.
    pub(crate) counters: BulkheadStripe,
}

impl PoolState {
    pub(crate) fn new(pattern: &'static str, name: InstanceName, limits: PoolLimits) -> Arc<Self> {
        Arc::new(Self {
            permits: KeyedPermits::new(PoolSupply::new(limits)),
            source: EventSource::new(pattern, name),
            counters: BulkheadStripe::default(),
        })
    }

    pub(crate) fn usage(&self) -> PoolUsage {
        self.permits.read(PoolSupply::usage)
    }

    pub(crate) fn reject(&self, reason: Reason) -> Rejection {
        self.counters.reject(&self.source, reason)
    }

    pub(crate) fn counts(&self) -> BulkheadCounts {
        BulkheadCounts::sum([&self.counters])
    }

    /// Every sample has the label `layer`, of the kind that this is.
    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        let layer = ("layer", self.source.pattern());
        let mut relabel = |sample: Sample<'_>| {
            let labels = sample.labels.iter().filter(|(label, _)| *label != layer.0);
            let labels: Vec<_> = std::iter::once(&layer).chain(labels).copied().collect();
            if let Value::Counter(total) = sample.value {
                sink.counter(sample.metric, &labels, total);
            }
        };
        self.counts().samples(&mut Samples::new(&mut relabel));
        let usage = self.usage();
        let limit = usage.limits.max_concurrent;
        let gauges = [
            ("seawall_bulkhead_in_flight", f64::from(usage.in_flight)),
            ("seawall_bulkhead_queue_depth", usage.queue_depth as f64),
            ("seawall_bulkhead_max_concurrent", f64::from(limit)),
            (
                "seawall_bulkhead_max_waiting",
                f64::from(usage.limits.max_waiting),
            ),
        ];
        for (metric, value) in gauges {
            sink.gauge(metric, &[layer], value);
        }
    }
}

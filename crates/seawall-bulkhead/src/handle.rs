//! The bulkhead from outside: what it does, and with which settings.

use std::fmt;

use seawall_core::striped::Shared;
use seawall_core::{Component, Events, Name, Sample, Value};

use crate::observe::{Common, Stripe};
use crate::{BulkheadConfig, BulkheadCounts};

/// Reads a bulkhead from any thread, without being part of any call.
///
/// It keeps the state alive, not the services.
#[derive(Clone)]
pub struct BulkheadHandle {
    shared: Shared<Common, Stripe>,
}

impl BulkheadHandle {
    pub(crate) const fn new(shared: Shared<Common, Stripe>) -> Self {
        Self { shared }
    }

    /// The name of the instance.
    pub fn name(&self) -> Name {
        self.shared.common().observer.name()
    }

    /// The settings in force.
    pub fn config(&self) -> BulkheadConfig {
        self.shared.common().config
    }

    /// How many calls hold a place now.
    pub fn in_flight(&self) -> u32 {
        let common = self.shared.common();
        common.config.max_concurrent().get() - common.places.free()
    }

    /// How many calls wait for a place now. Takes the lock of the queue for a moment.
    pub fn queue_depth(&self) -> usize {
        self.shared.common().places.waiting()
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> BulkheadCounts {
        let mut counts = BulkheadCounts::default();
        for stripe in self.shared.stripes() {
            stripe.add_to(&mut counts);
        }
        counts
    }
}

impl Component for BulkheadHandle {
    fn pattern(&self) -> &'static str {
        self.shared.common().observer.pattern()
    }

    fn name(&self) -> Name {
        Self::name(self)
    }

    /// `"ok"` while there is a free place, `"full"` when there is none, `"queueing"` when calls
    /// wait, be it for a place or for their own service.
    fn state(&self) -> &'static str {
        if self.queue_depth() > 0 {
            "queueing"
        } else if self.shared.common().places.free() == 0 {
            "full"
        } else {
            "ok"
        }
    }

    fn samples(&self, sink: &mut dyn FnMut(Sample<'_>)) {
        let counts = self.counts();
        let outcomes = [
            ("success", counts.success),
            ("failure", counts.failure),
            ("ignored", counts.ignored),
            ("abandoned", counts.abandoned),
        ];
        for (outcome, total) in outcomes {
            sink(Sample {
                metric: "seawall_calls_total",
                labels: &[("layer", "bulkhead"), ("outcome", outcome)],
                value: Value::Counter(total),
            });
        }
        let refusals = [
            ("bulkhead_full", counts.refused_full),
            ("queue_timeout", counts.refused_timeout),
        ];
        for (reason, total) in refusals {
            sink(Sample {
                metric: "seawall_rejections_total",
                labels: &[("layer", "bulkhead"), ("reason", reason)],
                value: Value::Counter(total),
            });
        }
        sink(Sample {
            metric: "seawall_bulkhead_waited_total",
            labels: &[],
            value: Value::Counter(counts.waited),
        });
        let gauges = [
            ("seawall_bulkhead_in_flight", f64::from(self.in_flight())),
            ("seawall_bulkhead_queue_depth", self.queue_depth() as f64),
            (
                "seawall_bulkhead_max_concurrent",
                f64::from(self.config().max_concurrent().get()),
            ),
        ];
        for (metric, value) in gauges {
            sink(Sample {
                metric,
                labels: &[],
                value: Value::Gauge(value),
            });
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let config = self.config();
        vec![
            ("max_concurrent", config.max_concurrent().get().to_string()),
            ("max_waiting", config.max_waiting().to_string()),
            (
                "acquire_timeout",
                format!("{:?}", config.acquire_timeout().get()),
            ),
        ]
    }

    fn attach(&self, events: &Events) {
        // The first registry stays the one that is told.
        let _ = self.shared.common().observer.attach(events);
    }
}

impl fmt::Debug for BulkheadHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadHandle")
            .field("name", &self.name())
            .field("in_flight", &self.in_flight())
            .field("queue_depth", &self.queue_depth())
            .finish_non_exhaustive()
    }
}

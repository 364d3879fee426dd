//! The rate limit from outside: what it does, and with which settings.

use std::fmt;

use seawall_core::striped::Shared;
use seawall_core::{Component, Events, Name, Sample, Value};

use crate::observe::{Common, Stripe};
use crate::{RateLimitConfig, RateLimitCounts};

/// Reads a rate limit from any thread, without being part of any call.
///
/// It keeps the state alive, not the services.
#[derive(Clone)]
pub struct RateLimitHandle {
    shared: Shared<Common, Stripe>,
}

impl RateLimitHandle {
    pub(crate) const fn new(shared: Shared<Common, Stripe>) -> Self {
        Self { shared }
    }

    /// The name of the instance.
    pub fn name(&self) -> Name {
        self.shared.common().observer.name()
    }

    /// The settings in force.
    pub fn config(&self) -> RateLimitConfig {
        self.shared.common().config
    }

    /// Tokens in the bucket now, whole and partial ones, at most the burst. Calls that wait have
    /// not taken theirs yet. Reads the clock.
    pub fn tokens(&self) -> f64 {
        let common = self.shared.common();
        common.limiter.available(common.clock.now())
    }

    /// How many calls wait for a token now.
    pub fn waiting(&self) -> u32 {
        self.shared.common().limiter.waiting()
    }

    /// What became of the calls so far.
    pub fn counts(&self) -> RateLimitCounts {
        let mut counts = RateLimitCounts::default();
        for stripe in self.shared.stripes() {
            stripe.add_to(&mut counts);
        }
        counts
    }
}

impl Component for RateLimitHandle {
    fn pattern(&self) -> &'static str {
        self.shared.common().observer.pattern()
    }

    fn name(&self) -> Name {
        Self::name(self)
    }

    /// `"ok"` while there is a token, `"exhausted"` when there is none, `"queueing"` when calls
    /// wait, be it for a token or for their own service.
    fn state(&self) -> &'static str {
        if self.waiting() > 0 {
            "queueing"
        } else if self.tokens() < 1.0 {
            "exhausted"
        } else {
            "ok"
        }
    }

    fn samples(&self, sink: &mut dyn FnMut(Sample<'_>)) {
        let counts = self.counts();
        let outcomes = [
            ("granted", counts.granted),
            ("abandoned", counts.abandoned),
            ("failure", counts.inner_failed),
        ];
        for (outcome, total) in outcomes {
            sink(Sample {
                metric: "seawall_calls_total",
                labels: &[("layer", "ratelimit"), ("outcome", outcome)],
                value: Value::Counter(total),
            });
        }
        let refusals = [
            ("rate_limited", counts.refused),
            ("too_expensive", counts.too_expensive),
        ];
        for (reason, total) in refusals {
            sink(Sample {
                metric: "seawall_rejections_total",
                labels: &[("layer", "ratelimit"), ("reason", reason)],
                value: Value::Counter(total),
            });
        }
        sink(Sample {
            metric: "seawall_ratelimit_waited_total",
            labels: &[],
            value: Value::Counter(counts.waited),
        });
        let gauges = [
            ("seawall_ratelimit_tokens_available", self.tokens()),
            ("seawall_ratelimit_queue_depth", f64::from(self.waiting())),
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
            ("rate", config.rate().get().to_string()),
            ("per", format!("{:?}", config.per().get())),
            ("burst", config.burst().get().to_string()),
            ("max_wait", format!("{:?}", config.max_wait())),
            ("max_waiting", config.max_waiting().to_string()),
        ]
    }

    fn attach(&self, events: &Events) {
        // The first registry stays the one that is told.
        let _ = self.shared.common().observer.attach(events);
    }
}

impl fmt::Debug for RateLimitHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitHandle")
            .field("name", &self.name())
            .field("tokens", &self.tokens())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

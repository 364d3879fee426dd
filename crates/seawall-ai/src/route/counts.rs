//! What became of the calls, as numbers.

use seawall_core::Samples;
use seawall_core::counters::Counter;

use crate::ErrorClass;

seawall_core::counters! {
    /// What became of the calls of a router so far. Each call that is over is in exactly one of the
    /// first five fields.
    pub struct RouterCounts;

    #[derive(Debug, Default)]
    pub(crate) struct RouterCounters {
        /// A deployment has responded without an error.
        success => "seawall_calls_total" [layer = "router", outcome = "success"],
        /// The caller got an error of a deployment: a response, or an error of its client.
        failure => "seawall_calls_total" [layer = "router", outcome = "failure"],
        /// The caller got the rejection of a layer of a deployment.
        rejected_below => "seawall_calls_total" [layer = "router", outcome = "rejected_below"],
        /// Dropped by the caller, or ended by a panic, before there was a result.
        abandoned => "seawall_calls_total" [layer = "router", outcome = "abandoned"],
        /// Rejected by the router: no deployment was available in time, or it is paused.
        rejected => "seawall_rejections_total" [layer = "router", reason = "no_route"],
        /// Further attempts at another deployment.
        rerouted => "seawall_router_rerouted_total",
        /// Waits for a deployment to come back.
        waits => "seawall_router_waits_total",
        /// Further attempts that the budget did not pay for.
        budget_exhausted => "seawall_router_budget_exhausted_total",
    }
}

seawall_core::counters! {
    /// What became of the attempts at one deployment so far.
    pub struct DeploymentCounts;

    #[derive(Debug, Default)]
    pub(crate) struct DeploymentCounters {
        /// How often it was chosen.
        picks => (),
        /// It has responded without an error.
        success => (),
        /// Its key was rejected.
        credential => (),
        /// Its quota or its money was used up.
        quota_exhausted => (),
        /// The prompt was too long for its model.
        context_length => (),
        /// It has refused the content.
        content_policy => (),
        /// It does not have the model.
        model_unavailable => (),
        /// It was asked too often.
        rate_limit => (),
        /// It had no capacity.
        overload => (),
        /// It failed.
        server => (),
        /// There was no connection, or no response in time.
        network => (),
        /// The request was wrong.
        invalid_request => (),
        /// A layer of its own stack has rejected the attempt.
        rejected_below => (),
        /// Dropped before there was a result.
        abandoned => (),
    }
}

impl DeploymentCounters {
    pub(crate) const fn of(&self, class: ErrorClass) -> &Counter {
        match class {
            ErrorClass::Credential => &self.credential,
            ErrorClass::QuotaExhausted => &self.quota_exhausted,
            ErrorClass::ContextLength => &self.context_length,
            ErrorClass::ContentPolicy => &self.content_policy,
            ErrorClass::ModelUnavailable => &self.model_unavailable,
            ErrorClass::RateLimit => &self.rate_limit,
            ErrorClass::Overload => &self.overload,
            ErrorClass::Server => &self.server,
            ErrorClass::Network => &self.network,
            ErrorClass::InvalidRequest => &self.invalid_request,
        }
    }
}

impl DeploymentCounts {
    /// Each outcome of an attempt with its label value: `"success"`, the
    /// [words](ErrorClass::as_str) of the classes, `"rejected_below"` and `"abandoned"`.
    pub const fn by_label(&self) -> [(&'static str, u64); 13] {
        [
            ("success", self.success),
            ("credential", self.credential),
            ("quota_exhausted", self.quota_exhausted),
            ("context_length", self.context_length),
            ("content_policy", self.content_policy),
            ("model_unavailable", self.model_unavailable),
            ("rate_limit", self.rate_limit),
            ("overload", self.overload),
            ("server", self.server),
            ("network", self.network),
            ("invalid_request", self.invalid_request),
            ("rejected_below", self.rejected_below),
            ("abandoned", self.abandoned),
        ]
    }

    /// Attempts that failed, of every class; saturates.
    pub fn failures(&self) -> u64 {
        let classes = &self.by_label()[1..11];
        classes
            .iter()
            .fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    pub(crate) fn deployment_samples(&self, deployment: &'static str, sink: &mut Samples<'_>) {
        for (outcome, count) in self.by_label() {
            let labels = [("deployment", deployment), ("outcome", outcome)];
            sink.counter("seawall_router_attempts_total", &labels, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_counter_and_a_label() {
        let counters = DeploymentCounters::default();
        for (n, class) in ErrorClass::ALL.into_iter().enumerate() {
            counters.of(class).add_n(n as u64 + 1);
        }
        let counts = DeploymentCounts::sum([&counters]);
        for (n, class) in ErrorClass::ALL.into_iter().enumerate() {
            let of = |(label, _): &&(&str, u64)| *label == class.as_str();
            let found = counts.by_label().iter().find(of).map(|(_, count)| *count);
            assert_eq!(found, Some(n as u64 + 1), "{class:?}");
        }
        assert_eq!(counts.failures(), 55);
    }
}

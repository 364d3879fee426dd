//! What became of the calls, as numbers.

seawall_core::counters! {
    /// What became of the calls of a throttle so far. Each call is in exactly one of the fields,
    /// `shadowed` aside; those in flight are in none.
    pub struct AdaptiveThrottleCounts;

    /// The counters of one class of priority in one stripe.
    #[derive(Debug, Default)]
    pub(crate) struct ClassCounters {
        /// Accepted by the upstream.
        accepted => "seawall_calls_total" [layer = "throttle", outcome = "accepted"],
        /// Rejected by the upstream, or without a response.
        not_accepted => "seawall_calls_total" [layer = "throttle", outcome = "not_accepted"],
        /// Rejected by a layer below, which says nothing about the upstream.
        rejected_below => "seawall_calls_total" [layer = "throttle", outcome = "rejected_below"],
        /// Dropped by the caller, or ended by a panic, before there was a result.
        abandoned => "seawall_calls_total" [layer = "throttle", outcome = "abandoned"],
        /// Rejected by this layer.
        rejected => "seawall_rejections_total" [layer = "throttle", reason = "client_throttled"],
        /// Passed in shadow mode, and would have been rejected otherwise.
        shadowed => "seawall_throttle_shadowed_total",
    }
}

impl AdaptiveThrottleCounts {
    /// Which share of all calls was rejected by this layer, from 0 to 1; 0 when there were none.
    pub fn rejection_rate(&self) -> f64 {
        let passed = self.accepted + self.not_accepted + self.rejected_below + self.abandoned;
        let all = self.rejected + passed;
        if all == 0 {
            0.0
        } else {
            self.rejected as f64 / all as f64
        }
    }
}

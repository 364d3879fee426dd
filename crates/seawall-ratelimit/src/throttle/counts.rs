//! What became of the calls, as numbers.

use seawall_core::Samples;

/// What became of the calls of a throttle so far. Each call is in exactly one of the fields,
/// `shadowed` aside; those under way are in none.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdaptiveThrottleCounts {
    /// Answered by an upstream that took the request on.
    pub accepted: u64,
    /// Rejected by the upstream, or never answered.
    pub not_accepted: u64,
    /// Rejected by this layer.
    pub rejected: u64,
    /// Rejected by a layer below, which says nothing of the upstream.
    pub silent: u64,
    /// Dropped by the caller, or ended by a panic, before they were answered.
    pub abandoned: u64,
    /// Passed on, though they would have been rejected if the layer did more than watch.
    pub shadowed: u64,
}

impl AdaptiveThrottleCounts {
    /// Which share of all calls was rejected by this layer, from 0 to 1; 0 when none came.
    pub fn rejection_rate(&self) -> f64 {
        let passed = self.accepted + self.not_accepted + self.silent + self.abandoned;
        let all = self.rejected + passed;
        if all == 0 {
            0.0
        } else {
            self.rejected as f64 / all as f64
        }
    }

    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        let outcomes = [
            ("accepted", self.accepted),
            ("not_accepted", self.not_accepted),
            ("silent", self.silent),
            ("abandoned", self.abandoned),
        ];
        for (outcome, total) in outcomes {
            sink.counter(
                "seawall_calls_total",
                &[("layer", "throttle"), ("outcome", outcome)],
                total,
            );
        }
        sink.counter(
            "seawall_rejections_total",
            &[("layer", "throttle"), ("reason", "client_throttled")],
            self.rejected,
        );
        sink.counter("seawall_throttle_shadowed_total", &[], self.shadowed);
    }
}

//! What is counted: calls by outcome, what became of extra attempts, and why there was none.

use seawall_core::counters::{OutcomeCounts, OutcomeStripe};
use seawall_core::striped::StripeSet;
use seawall_core::{Samples, counters};

counters! {
    /// What became of extra attempts.
    pub struct ExtraAttemptCounts;

    /// The same on one stripe.
    #[derive(Debug, Default)]
    pub(crate) struct ExtraAttemptStripe {
        /// Begun. What is not counted below is under way.
        begun => "seawall_hedge_fired_total",
        /// The result was that of the call.
        won => "seawall_hedge_attempts_total" [outcome = "won"],
        /// Sent, and dropped since another attempt won.
        lost => "seawall_hedge_attempts_total" [outcome = "lost"],
        /// The result was no good one.
        failed => "seawall_hedge_attempts_total" [outcome = "failed"],
        /// Never sent: its service was not ready before the call completed, or a layer below
        /// rejected it. The budget got its tokens back.
        not_sent => "seawall_hedge_attempts_total" [outcome = "not_sent"],
        /// Dropped with its call.
        abandoned => "seawall_hedge_attempts_total" [outcome = "abandoned"],
    }
}

counters! {
    /// Why calls had no extra attempt, or no further one.
    pub struct SkipCounts;

    /// The same on one stripe.
    #[derive(Debug, Default)]
    pub(crate) struct SkipStripe {
        /// The budget had no token when the attempt was due.
        budget_exhausted => "seawall_hedge_skips_total" [cause = "budget_exhausted"],
        /// The request must not be sent twice.
        not_replay_safe => "seawall_hedge_skips_total" [cause = "not_replay_safe"],
        /// The same, and only because the layer has no describer; see
        /// [`HedgeLayer::new`](crate::HedgeLayer::new).
        not_described => "seawall_hedge_skips_total" [cause = "not_described"],
        /// The request cannot be copied.
        no_copy => "seawall_hedge_skips_total" [cause = "no_copy"],
        /// The result would come after the deadline.
        deadline => "seawall_hedge_skips_total" [cause = "deadline"],
    }
}

/// What a hedge layer and all its services did so far.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HedgeCounts {
    /// Calls, by the outcome of the result that the caller got.
    pub calls: OutcomeCounts,
    /// Extra attempts, by what became of them.
    pub extra: ExtraAttemptCounts,
    /// Extra attempts that were not made, by reason.
    pub skipped: SkipCounts,
}

impl HedgeCounts {
    pub(crate) fn sum(stripes: &StripeSet<HedgeStripe>) -> Self {
        Self {
            calls: OutcomeCounts::sum(stripes.iter().map(|stripe| &stripe.calls)),
            extra: ExtraAttemptCounts::sum(stripes.iter().map(|stripe| &stripe.extra)),
            skipped: SkipCounts::sum(stripes.iter().map(|stripe| &stripe.skipped)),
        }
    }

    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        for (outcome, count) in self.calls.by_label() {
            let labels = [("layer", "hedge"), ("outcome", outcome)];
            sink.counter("seawall_calls_total", &labels, count);
        }
        self.extra.samples(sink);
        self.skipped.samples(sink);
    }
}

/// The counters of one stripe. A call that completes before the delay writes one of them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct HedgeStripe {
    pub(crate) calls: OutcomeStripe,
    pub(crate) extra: ExtraAttemptStripe,
    pub(crate) skipped: SkipStripe,
}

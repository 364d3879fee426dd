//! What became of the calls of a budget, as numbers.

seawall_core::counters! {
    /// What became of the calls of a budget so far. Each call is in exactly one of the fields,
    /// `shadowed` and `overruns` aside; those in flight are in none.
    pub struct SpendCounts;

    #[derive(Debug, Default)]
    pub(crate) struct SpendCounters {
        /// Booked by the usage that the response reported.
        settled => "seawall_spend_calls_total" [outcome = "settled"],
        /// Booked at what was reserved, since it may have been billed and nothing better is known.
        kept => "seawall_spend_calls_total" [outcome = "kept"],
        /// Not billed: rejected, dropped before it departed, or answered with an error.
        released => "seawall_spend_calls_total" [outcome = "released"],
        /// Rejected by this budget.
        rejected => "seawall_rejections_total" [layer = "spend", reason = "quota_exhausted"],
        /// Passed in shadow mode, and would have been rejected otherwise.
        shadowed => "seawall_spend_shadowed_total",
        /// Cost more than was reserved.
        overruns => "seawall_spend_overruns_total",
    }
}

//! What became of the estimates, as numbers.

seawall_core::counters! {
    /// What became of the estimates of a layer so far. Each call is in exactly one of the fields;
    /// those in flight are in none.
    pub struct EstimateCounts;

    #[derive(Debug, Default)]
    pub(crate) struct EstimateCounters {
        /// Corrected by the usage that the response reported.
        settled => "seawall_estimates_total" [outcome = "settled"],
        /// Corrected by the content of a stream that reported no usage.
        delivered => "seawall_estimates_total" [outcome = "delivered"],
        /// Of a response that reported no usage, so that the estimate stays.
        without_usage => "seawall_estimates_total" [outcome = "without_usage"],
        /// Of a response that was dropped, or that broke off, before its end.
        broken_off => "seawall_estimates_total" [outcome = "broken_off"],
        /// Of an error, or of a response with an error status: nothing is learned.
        failed => "seawall_estimates_total" [outcome = "failed"],
        /// Of a call that was dropped before its response.
        abandoned => "seawall_estimates_total" [outcome = "abandoned"],
    }
}

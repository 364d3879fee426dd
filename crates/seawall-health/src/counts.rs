//! What is counted, for users and metrics.

seawall_core::counters! {
    /// Calls since the layer was made. Successes, and calls that say nothing about the upstream,
    /// are not counted.
    pub struct HealthCounts;

    /// The counters of one stripe.
    #[derive(Debug, Default)]
    pub(crate) struct HealthCounters {
        /// Calls that failed.
        failure => "seawall_health_failures_total",
        /// Calls that took longer than they should.
        slow => "seawall_health_slow_total",
        /// Calls that were dropped before their end.
        abandoned => "seawall_health_abandoned_total",
    }
}

seawall_core::counters! {
    /// Runs of one check, or of all checks of a monitor, since they were registered.
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    pub struct CheckCounts;

    // The metrics have the name of the check as a label.
    /// The counters of one check.
    #[derive(Debug, Default)]
    pub(crate) struct CheckCounters {
        /// Runs that ended.
        runs => (),
        /// Runs that failed.
        failure => (),
    }
}

//! What the layer counts.

seawall_core::counters! {
    /// What became of orders.
    pub struct OrderCounts;

    /// The counters.
    #[derive(Debug, Default)]
    pub(super) struct OrderCounters {
        /// Orders that were written to the journal.
        intended => "seawall_orders_intended_total" [],
        /// The broker has them.
        confirmed => "seawall_orders_settled_total" [outcome = "confirmed"],
        /// The broker rejected them.
        rejected => "seawall_orders_settled_total" [outcome = "rejected"],
        /// Certainly not executed.
        absent => "seawall_orders_settled_total" [outcome = "absent"],
        /// Given up by a person.
        abandoned => "seawall_orders_settled_total" [outcome = "abandoned"],
        /// Their outcome became unknown.
        in_doubt => "seawall_orders_doubts_total" [],
        /// Copies that were sent again.
        resent => "seawall_orders_resent_total" [],
        /// Their look-ups were used up.
        exhausted => "seawall_orders_look_ups_exhausted_total" [],
        /// Other alerts: what a person has to look at.
        alerts => "seawall_orders_alerts_total" [],
        /// Callers that were answered that the outcome is unknown.
        unknown => "seawall_orders_answered_unknown_total" [],
        /// Not accepted: invalid, or the trading mode or a guard did not let them pass.
        not_admitted => "seawall_orders_not_admitted_total" [],
        /// Comparisons with the broker's lists of orders.
        comparisons => "seawall_orders_comparisons_total" [of = "orders", outcome = "complete"],
        /// Those whose lists could not be read to their ends.
        failed_comparisons => "seawall_orders_comparisons_total" [of = "orders", outcome = "failed"],
        /// Differences of orders that were reported.
        differences => "seawall_orders_differences_total" [of = "orders"],
        /// Comparisons with the broker's list of positions.
        position_comparisons => "seawall_orders_comparisons_total" [of = "positions", outcome = "complete"],
        /// Those whose list could not be read to its end, or whose own positions were not known.
        failed_position_comparisons => "seawall_orders_comparisons_total" [of = "positions", outcome = "failed"],
        /// Positions that were reported as different.
        position_differences => "seawall_orders_differences_total" [of = "positions"],
        /// Queries that were answered; one that several orders share is one.
        look_ups => "seawall_orders_look_ups_total" [outcome = "answered"],
        /// Queries that failed.
        failed_look_ups => "seawall_orders_look_ups_total" [outcome = "failed"],
    }
}

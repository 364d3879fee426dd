//! What is counted.

use seawall_core::counters::OwnedCounter;
use seawall_core::striped::StripeSet;
use seawall_core::{Samples, counters};

counters! {
    /// How calls of a cache were answered.
    pub struct LookUpCounts;

    /// The same on one stripe.
    #[derive(Debug, Default)]
    pub(crate) struct LookUpStripe {
        /// By what was kept, and fresh.
        hit: OwnedCounter => "seawall_cache_calls_total" [outcome = "hit"],
        /// By what was stale, while a new answer was fetched.
        refreshing => "seawall_cache_calls_total" [outcome = "refreshing"],
        /// By what was stale, since the upstream failed, or the request takes it so (`max-stale`).
        stale => "seawall_cache_calls_total" [outcome = "stale"],
        /// By a call of their own, whatever came of it; one that was abandoned is not counted.
        miss => "seawall_cache_calls_total" [outcome = "miss"],
        /// By the call of another caller.
        joined => "seawall_cache_calls_total" [outcome = "joined"],
        /// By a call, since they are not cached: their rules say so, or they must not be sent twice.
        passed => "seawall_cache_calls_total" [outcome = "passed"],
        /// The same, and only because the layer has no describer.
        not_described => "seawall_cache_calls_total" [outcome = "not_described"],
    }
}

impl LookUpStripe {
    /// Counts a call whose result its caller gets; a refresh in the background has none.
    pub(crate) fn missed(&self, is_refresh: bool) {
        if !is_refresh {
            self.miss.add();
        }
    }
}

counters! {
    /// What became of answers that might have been kept.
    pub struct StoreCounts;

    /// The same on one stripe.
    #[derive(Debug, Default)]
    pub(crate) struct StoreStripe {
        /// Kept.
        stored => "seawall_cache_stores_total" [result = "stored"],
        /// The call failed, or its answer was degraded.
        not_good => "seawall_cache_stores_total" [result = "not_good"],
        /// The response or the settings do not allow it, or the cache was switched off meanwhile.
        not_allowed => "seawall_cache_stores_total" [result = "not_allowed"],
        /// A newer one was kept.
        older => "seawall_cache_stores_total" [result = "older"],
        /// It was invalidated while its call was under way.
        invalidated => "seawall_cache_stores_total" [result = "invalidated"],
        /// It weighs too much.
        too_heavy => "seawall_cache_stores_total" [result = "too_heavy"],
        /// Its body broke off, was too long, or was not read to its end.
        unfinished => "seawall_cache_stores_total" [result = "unfinished"],
    }
}

counters! {
    /// What became of refreshes in the background.
    pub struct RefreshCounts;

    /// The same on one stripe.
    #[derive(Debug, Default)]
    pub(crate) struct RefreshStripe {
        /// Begun.
        begun => "seawall_cache_refreshes_total" [result = "begun"],
        /// Not begun: as many as may be were under way, or the request could not be copied.
        skipped => "seawall_cache_refreshes_total" [result = "skipped"],
        /// Given up, since it took too long.
        given_up => "seawall_cache_refreshes_total" [result = "given_up"],
    }
}

/// What a cache and all its services did so far.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CacheCounts {
    /// Calls, by how they were answered.
    pub calls: LookUpCounts,
    /// Answers, by whether they were kept.
    pub stores: StoreCounts,
    /// Refreshes in the background.
    pub refreshes: RefreshCounts,
}

/// The counters of one stripe.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct CacheStripe {
    pub(crate) calls: LookUpStripe,
    pub(crate) stores: StoreStripe,
    pub(crate) refreshes: RefreshStripe,
}

impl CacheCounts {
    pub(crate) fn sum(stripes: &StripeSet<CacheStripe>) -> Self {
        Self {
            calls: LookUpCounts::sum(stripes.iter().map(|stripe| &stripe.calls)),
            stores: StoreCounts::sum(stripes.iter().map(|stripe| &stripe.stores)),
            refreshes: RefreshCounts::sum(stripes.iter().map(|stripe| &stripe.refreshes)),
        }
    }

    pub(crate) fn samples(&self, sink: &mut Samples<'_>) {
        self.calls.samples(sink);
        self.stores.samples(sink);
        self.refreshes.samples(sink);
    }
}

counters! {
    /// What a layer that coalesces, and all its services, did so far.
    pub struct CoalesceCounts;

    /// The counters of one stripe.
    #[derive(Debug, Default)]
    #[repr(align(128))]
    pub(crate) struct CoalesceStripe {
        /// Calls that were made, and whose answer others could share.
        led: OwnedCounter => "seawall_coalesce_calls_total" [outcome = "led"],
        /// Callers that got the answer to the call of another one.
        joined => "seawall_coalesce_calls_total" [outcome = "joined"],
        /// Callers that waited, and made a call of their own: the answer may not be shared, or does not suit.
        alone => "seawall_coalesce_calls_total" [outcome = "alone"],
        /// Calls that are not coalesced: their rules say so, or they must not be sent twice.
        passed => "seawall_coalesce_calls_total" [outcome = "passed"],
        /// The same, and only because the layer has no describer.
        not_described => "seawall_coalesce_calls_total" [outcome = "not_described"],
        /// Waiters that made the call, since the one before has failed or its caller is gone.
        handed_over => "seawall_coalesce_handovers_total" [cause = "handed_over"],
        /// Waiters that made the call, since the one before took too long.
        lapsed => "seawall_coalesce_handovers_total" [cause = "lapsed"],
    }
}

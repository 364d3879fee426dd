//! A rate limit of its own for each key: endpoint, account, symbol, caller.

mod handle;
mod keys;
mod layer;
mod service;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use seawall_core::striped::Shared;
use seawall_core::{Clock, EventSource, InvalidConfig, PartitionKey, QuotaSignal, Scope, Unit, ns};

pub use handle::KeyedRateLimitHandle;
use keys::Keys;
pub use layer::KeyedRateLimitLayer;
pub use service::KeyedRateLimit;

use crate::RateLimitConfig;
use crate::feedback::{self, Taken};
use crate::limiter::Limiter;
use crate::observe::{Common, Stripe};

/// What every service of a layer shares.
#[derive(Debug)]
pub(crate) struct Keyed {
    keys: Keys,
    /// The limit that all keys share, where there is one.
    within: Option<Shared<Common, Stripe>>,
    /// What the first limit of the usual settings counts.
    first_unit: Unit,
    /// Whether a call that costs nothing of that costs nothing at all, whatever its key.
    alike: AtomicBool,
    /// Nothing is granted to any key before, since the upstream has said so.
    hushed_until: AtomicU64,
    pub(crate) clock: Clock,
    pub(crate) observer: EventSource,
}

impl Keyed {
    /// For how long nothing is granted to any key.
    #[inline]
    fn hushed(&self, now_ns: u64) -> Option<u64> {
        let until = self.hushed_until.load(Ordering::Relaxed);
        (now_ns < until).then(|| until - now_ns)
    }

    fn hush(&self, until: u64) {
        self.hushed_until.fetch_max(until, Ordering::Relaxed);
    }

    /// What the limits of a key count.
    pub(crate) fn units_of(&self, key: PartitionKey) -> Vec<Unit> {
        let config = self.keys.config_of(key);
        config.limits().iter().map(crate::Limit::unit).collect()
    }

    /// Does what was said in an answer to a call of that key.
    pub(crate) fn obey(
        &self,
        key: PartitionKey,
        now_ns: u64,
        said: QuotaSignal,
        taken: Option<&Taken>,
    ) {
        if let QuotaSignal::Pause { lasts, scope } = said
            && scope != Scope::Endpoint
        {
            if let Some(above) = self.above() {
                return feedback::obey(above, now_ns, said, taken.map(|taken| &taken.above), 0);
            }
            let lasts = lasts.unwrap_or_else(|| self.keys.config_of(key).default_pause());
            return self.hush(now_ns.saturating_add(ns(lasts)));
        }
        let own = self.keys.own(key, now_ns);
        let at = taken.map_or(now_ns, |taken| taken.at);
        feedback::obey(&own, now_ns, said, taken.map(|taken| &taken.own), at);
        // What the upstream says of a limit may be said of the one that all keys share; that takes
        // what it knows under its unit.
        if let (Some(above), QuotaSignal::Spent { .. }) = (self.above(), said) {
            feedback::obey(above, now_ns, said, taken.map(|taken| &taken.above), at);
        }
    }

    /// Gives a key settings of its own.
    fn configure_key(
        &self,
        key: PartitionKey,
        config: RateLimitConfig,
    ) -> Result<(), InvalidConfig> {
        if config
            .limits()
            .iter()
            .any(|limit| limit.unit() != self.first_unit)
        {
            self.alike.store(false, Ordering::Relaxed);
        }
        self.keys.configure_key(key, self.clock.now(), config)
    }

    pub(crate) fn above(&self) -> Option<&Limiter> {
        self.within.as_ref().map(|shared| &shared.common().limiter)
    }
}

//! The limits of all keys from outside.

use std::fmt;
use std::time::Duration;

use seawall_core::striped::Shared;
use seawall_core::{
    Events, InstanceHandle, InstanceName, InvalidConfig, PartitionKey, QuotaSignal, Rejection,
    RequestMeta, Samples, ns,
};

use super::Keyed;
use crate::observe::{Stripe, counts};
use crate::reserve::{reserve, try_reserve};
use crate::wait::Lane;
use crate::{RateLimitConfig, RateLimitCounts, Reservation};

/// Reads and controls the limits of all keys from any thread, without being part of any call.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::PartitionKey;
/// use seawall_ratelimit::{KeyedRateLimitLayer, RateLimitConfig};
///
/// let config = RateLimitConfig::builder().rate(10, Duration::from_secs(1)).burst(5).build()?;
/// let symbols = KeyedRateLimitLayer::new("symbols", config)?.handle();
/// symbols.pause(PartitionKey::of("GME"));
/// assert_eq!(symbols.tokens(PartitionKey::of("GME")), 0.0);
/// assert_eq!(symbols.tokens(PartitionKey::of("SPY")), 5.0);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct KeyedRateLimitHandle {
    shared: Shared<Keyed, Stripe>,
}

impl KeyedRateLimitHandle {
    pub(crate) const fn new(shared: Shared<Keyed, Stripe>) -> Self {
        Self { shared }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.keyed().observer.name()
    }

    /// The settings of keys that have none of their own.
    pub fn config(&self) -> RateLimitConfig {
        self.keyed().keys.usual()
    }

    /// The settings of a key.
    pub fn config_of(&self, key: PartitionKey) -> RateLimitConfig {
        self.keyed().keys.config_of(key)
    }

    /// Changes the settings of all keys that have none of their own; what was used stays used.
    ///
    /// Looks at every key.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the limits are not as many as before, of the same kinds and units in
    /// the same order, or kept in a file; the settings stay as they were.
    pub fn configure(&self, config: RateLimitConfig) -> Result<(), InvalidConfig> {
        let keyed = self.keyed();
        keyed.keys.configure(keyed.clock.now(), config)
    }

    /// Gives a key settings of its own, or changes them; what was used stays used.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the key is in use and its limits are not as many as before, of the
    /// same kinds and units in the same order, and when a limit is kept in a file; the settings
    /// stay as they were.
    pub fn configure_key(
        &self,
        key: PartitionKey,
        config: RateLimitConfig,
    ) -> Result<(), InvalidConfig> {
        self.keyed().configure_key(key, config)
    }

    /// What a key has left, of several limits of the one that has least; all of it, if it was never
    /// asked for.
    pub fn tokens(&self, key: PartitionKey) -> f64 {
        let keyed = self.keyed();
        keyed.keys.available(key, keyed.clock.now())
    }

    /// How many calls of a key wait.
    pub fn waiting(&self, key: PartitionKey) -> u32 {
        let mut waiting = 0;
        self.keyed().keys.for_each_own(|own, limiter| {
            if own == key {
                waiting = limiter.waiting();
            }
        });
        waiting
    }

    /// How many keys are kept: those of which something is used, or was until a short time ago.
    pub fn keys(&self) -> usize {
        self.keyed().keys.len()
    }

    /// How many keys were forgotten, since nothing of them was used any more.
    pub fn evicted(&self) -> u64 {
        self.keyed().keys.evicted()
    }

    /// What all keys take, in bytes, without the queues of those that wait.
    pub fn bytes(&self) -> usize {
        self.keyed().keys.bytes()
    }

    /// Forgets every key of which nothing is used any more, and gives their memory back. That
    /// happens by itself, to a part of all keys, before the table of that part grows.
    pub fn evict_idle(&self) {
        let keyed = self.keyed();
        keyed.keys.evict_idle(keyed.clock.now());
    }

    /// Grants a key nothing until [`resume`](Self::resume).
    pub fn pause(&self, key: PartitionKey) {
        let keyed = self.keyed();
        keyed.keys.own(key, keyed.clock.now()).pause();
    }

    /// Grants a key nothing for so long, and then as if all had just been used up: what an upstream
    /// asks for when it throttles an endpoint.
    pub fn pause_for(&self, key: PartitionKey, time: Duration) {
        let keyed = self.keyed();
        let now = keyed.clock.now();
        let limiter = keyed.keys.own(key, now);
        limiter.hush(now, ns(time));
    }

    /// Ends the pause of a key, and forgets what the upstream has said of it; what was used stays
    /// used.
    pub fn resume(&self, key: PartitionKey) {
        let keyed = self.keyed();
        keyed.keys.own(key, keyed.clock.now()).resume();
    }

    /// Takes in what the upstream has said in an answer to a call of that key: see
    /// [`FeedbackLayer`](crate::FeedbackLayer). A pause whose [scope](seawall_core::Scope) is more than the
    /// endpoint goes to the limit that all keys share, or to every key where there is none.
    pub fn apply_signal(&self, key: PartitionKey, said: QuotaSignal) {
        let keyed = self.keyed();
        keyed.obey(key, keyed.clock.now(), said, None);
    }

    /// Grants nothing to any key for so long. Calls are rejected meanwhile, also those that could
    /// wait; those in line already wait for their own limits alone.
    pub fn pause_all_for(&self, time: Duration) {
        let keyed = self.keyed();
        keyed.hush(keyed.clock.now().saturating_add(ns(time)));
    }

    /// What became of the calls of all keys so far.
    pub fn counts(&self) -> RateLimitCounts {
        counts(&self.shared)
    }

    /// Takes what a request of this kind costs of its key, and waits for it as calls do.
    ///
    /// # Errors
    ///
    /// The rejection that a call would have got.
    ///
    /// # Panics
    ///
    /// If it has to wait outside of a Tokio runtime with time enabled.
    pub async fn reserve(&self, meta: &RequestMeta) -> Result<Reservation, Rejection> {
        reserve(self.lane(meta), meta).await
    }

    /// Takes what a request of this kind costs of its key, if it is there and nobody waits for it.
    ///
    /// # Errors
    ///
    /// The rejection, also where a call would have waited.
    pub fn try_reserve(&self, meta: &RequestMeta) -> Result<Reservation, Rejection> {
        try_reserve(self.lane(meta), meta)
    }

    fn lane(&self, meta: &RequestMeta) -> Lane {
        let keyed = self.keyed();
        let limiter = keyed.keys.own(meta.key, keyed.clock.now());
        Lane::PartitionKey(self.shared.local(), limiter)
    }

    fn keyed(&self) -> &Keyed {
        self.shared.common()
    }
}

impl InstanceHandle for KeyedRateLimitHandle {
    fn pattern(&self) -> &'static str {
        self.keyed().observer.pattern()
    }

    fn name(&self) -> InstanceName {
        Self::name(self)
    }

    /// `"queueing"` while calls of any key wait, `"ok"` otherwise.
    fn state(&self) -> &'static str {
        let mut waiting = 0;
        let keys = &self.keyed().keys;
        keys.for_each_own(|_, limiter| waiting += limiter.waiting());
        if waiting > 0 { "queueing" } else { "ok" }
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let keys = &self.keyed().keys;
        let mut waiting = 0;
        keys.for_each_own(|_, limiter| waiting += limiter.waiting());
        let gauges = [
            ("seawall_ratelimit_queue_depth", f64::from(waiting)),
            ("seawall_ratelimit_keys", keys.len() as f64),
            ("seawall_ratelimit_bytes", keys.bytes() as f64),
        ];
        for (metric, value) in gauges {
            sink.gauge(metric, &[], value);
        }
        sink.counter("seawall_ratelimit_keys_evicted_total", &[], keys.evicted());
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.config().settings()
    }

    fn attach(&self, events: &Events) {
        // The first registry stays the one that is told.
        let _ = self.keyed().observer.attach(events);
    }
}

impl fmt::Debug for KeyedRateLimitHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKeyLimitHandle")
            .field("name", &self.name())
            .field("keys", &self.keys())
            .finish_non_exhaustive()
    }
}

//! Reads and controls the limits of all keys from outside.

use std::time::{Duration, SystemTime};

use seawall_core::{
    EventSource, InstanceHandle, InstanceName, InvalidConfig, PartitionKey, QuotaSignal, Rejection,
    RequestMeta, Samples, ns,
};

use super::all_keys::AllKeys;
use super::config::KeyedRateLimitConfig;
use super::keys::Keys;
use super::snapshot::KeyedRateLimitSnapshot;
use crate::config::RateLimitConfig;
use crate::costs::MetaCost;
use crate::counts::RateLimitCounts;
use crate::handle::RateLimitHandle;
use crate::limit::Limit;
use crate::limiter_ref::{LimiterRef, TokenRequests};
use crate::reserve::Reservation;
use crate::snapshot::{LimitSnapshot, RateLimitSnapshot, RateLimitState, pause_sample, resumes_in};
use crate::state::{SharedState, State};

/// Reads and controls the limits of all keys from any thread, without being part of any call.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::PartitionKey;
/// use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer, RateLimitConfig};
///
/// let symbol = RateLimitConfig::builder().rate(10, Duration::from_secs(1)).burst(5).build()?;
/// let config = KeyedRateLimitConfig::new(symbol)?;
/// let symbols = KeyedRateLimitLayer::new("symbols", config).handle();
/// symbols.pause(PartitionKey::of("GME"));
/// assert_eq!(symbols.tokens(PartitionKey::of("GME")), 0.0);
/// assert_eq!(symbols.tokens(PartitionKey::of("SPY")), 5.0);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct KeyedRateLimitHandle {
    state: SharedState,
}

impl KeyedRateLimitHandle {
    pub(crate) const fn new(state: SharedState) -> Self {
        Self { state }
    }

    /// The name of the instance.
    pub fn name(&self) -> InstanceName {
        self.state().events.name()
    }

    /// The settings in force.
    pub fn config(&self) -> KeyedRateLimitConfig {
        self.keys().config().clone()
    }

    /// Changes the settings; what was used stays used. Visits every key. Those of the account are
    /// changed by [its own handle](Self::account).
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the limits of keys that are not named, or of a key in use, are not as
    /// many as before, of the same kinds and units in the same order. The settings stay as they were.
    pub fn configure(&self, config: KeyedRateLimitConfig) -> Result<(), InvalidConfig> {
        self.keys().configure(self.now(), config)?;
        self.events().commanded("configure");
        Ok(())
    }

    /// Whether [`configure`](Self::configure) accepts these settings, without a change: before
    /// settings of several layers are changed together. Visits every key.
    ///
    /// # Errors
    ///
    /// As `configure`.
    pub fn check(&self, config: &KeyedRateLimitConfig) -> Result<(), InvalidConfig> {
        self.keys().check(config)
    }

    /// Gives a key settings of its own, or changes them; what was used stays used.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the key is in use and its limits are not as many as before, of the
    /// same kinds and units in the same order, and when a limit is kept in a file. The settings stay
    /// as they were.
    pub fn configure_key(
        &self,
        key: PartitionKey,
        config: RateLimitConfig,
    ) -> Result<(), InvalidConfig> {
        self.keys().configure_key(key, self.now(), config)?;
        self.events().commanded("configure_key");
        Ok(())
    }

    /// The account that the keys are [within](crate::KeyedRateLimitLayer::within_account), if there
    /// is one. It is an instance of its own, with its own settings, commands and counts: calls of
    /// keys take its tokens, and are counted here alone.
    pub fn account(&self) -> Option<RateLimitHandle> {
        self.state().account.clone().map(RateLimitHandle::new)
    }

    /// Tokens of a key that are there now, of the limit that has the least; an unused key has all
    /// of them.
    pub fn tokens(&self, key: PartitionKey) -> f64 {
        self.keys().available(key, self.now())
    }

    /// The limits of a key, and what is left of each; an unused key has all of them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_core::PartitionKey;
    /// use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer, RateLimitConfig};
    ///
    /// let model = RateLimitConfig::builder().rate(10, Duration::from_secs(1)).burst(5);
    /// let models = KeyedRateLimitLayer::new("models", KeyedRateLimitConfig::new(model)?).handle();
    /// let taken = models.limits_of(PartitionKey::of("m-1"));
    /// assert_eq!((taken.len(), taken[0].available), (1, 5.0));
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    pub fn limits_of(&self, key: PartitionKey) -> Vec<LimitSnapshot> {
        let (keys, now) = (self.keys(), self.now());
        if let Some(limiter) = keys.find_limiter(key) {
            return limiter.snapshots(now);
        }
        let left = keys.available(key, now);
        let config = keys.config().of_key(key).clone();
        let limits = config.limits().to_vec();
        // A key with several limits and without a limiter is unused.
        let is_word = limits.len() == 1;
        let with = |limit: Limit| {
            let capacity = limit.capacity();
            let available = if is_word { left } else { capacity.into() };
            let per_token = limit.period().as_secs_f64() / f64::from(limit.count().max(1));
            let missing = (f64::from(capacity) - available).max(0.0);
            LimitSnapshot {
                available,
                capacity: capacity.into(),
                reserved: config.reserved_of(capacity.into()),
                full_in: Duration::try_from_secs_f64(per_token * missing).ok(),
                reported: None,
                limit,
            }
        };
        limits.into_iter().map(with).collect()
    }

    /// Which share of its limits a key has left, of the limit that has the least, from 0 to 1; 1 in
    /// shadow mode. See [`RateLimitHandle::share_left`].
    pub fn share_left(&self, key: PartitionKey) -> f64 {
        if let Some(limiter) = self.keys().find_limiter(key) {
            return limiter.share_left(self.now());
        }
        if self.keys().config().of_key(key).shadow() {
            return 1.0;
        }
        let limits = self.limits_of(key);
        let share = |of: &LimitSnapshot| of.available / f64::from(of.limit.capacity().max(1));
        limits.iter().map(share).fold(1.0, f64::min).max(0.0)
    }

    /// How many calls wait, of all keys.
    pub fn queue_depth(&self) -> usize {
        let (limiters, now) = (self.keys().limiters(), self.now());
        limiters.iter().map(|(_, l)| l.waiting(now)).sum()
    }

    /// How many calls of a key wait.
    pub fn queue_depth_of(&self, key: PartitionKey) -> usize {
        let limiter = self.keys().find_limiter(key);
        limiter.map_or(0, |limiter| limiter.waiting(self.now()))
    }

    /// How many keys are kept: those of which something is used, or was until recently.
    pub fn keys_kept(&self) -> usize {
        self.keys().len()
    }

    /// How many keys were evicted, since nothing of their limits was used any more.
    pub fn evicted(&self) -> u64 {
        self.keys().evicted()
    }

    /// The memory of all keys, in bytes, without their queues.
    pub fn bytes(&self) -> usize {
        self.keys().bytes()
    }

    /// Evicts every key of which nothing is used any more, and frees the memory. That happens by
    /// itself, to a part of all keys, before the table of that part grows.
    pub fn evict_idle(&self) {
        self.keys().evict_idle(self.now());
        self.events().commanded("evict_idle");
    }

    /// What became of the calls of all keys so far.
    pub fn counts(&self) -> RateLimitCounts {
        RateLimitCounts::sum(self.state.stripes())
    }

    /// Everything at once.
    pub fn snapshot(&self) -> KeyedRateLimitSnapshot {
        let (keys, now) = (self.keys(), self.now());
        let counts = self.counts();
        let account = self.state().account();
        KeyedRateLimitSnapshot {
            name: self.name(),
            state: self.typed_state(),
            keys: keys.len(),
            evicted: keys.evicted(),
            bytes: keys.bytes(),
            queue_depth: self.queue_depth(),
            account: account.map_or_else(Vec::new, |limiter| limiter.snapshots(now)),
            rejection_rate: counts.rejection_rate(),
            counts,
            resumes_in: resumes_in(keys.paused_until(now), now),
        }
    }

    /// All keys together as one limit: the [account](Self::account), or what all keys do where there is
    /// none. Then no limit is that of all calls, so `limits` is empty and `time_to_next` is `None`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer, RateLimitConfig};
    ///
    /// let model = RateLimitConfig::builder().rate(10, Duration::from_secs(1)).burst(5);
    /// let models = KeyedRateLimitLayer::new("models", KeyedRateLimitConfig::new(model)?).handle();
    /// assert!(models.total().limits.is_empty());
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    pub fn total(&self) -> RateLimitSnapshot {
        match self.account() {
            Some(account) => account.snapshot(),
            None => {
                let shadow = self.keys().config().per_key().shadow();
                self.snapshot().into_total(shadow)
            }
        }
    }

    /// When a request like this would depart, from now, behind the queued calls of its key and of the
    /// account. `None` when it is paused until it is resumed, or when the request costs more than a
    /// limit can grant.
    pub fn time_to_next(&self, meta: &RequestMeta) -> Option<Duration> {
        let limiter = self.limiter_ref(meta.key);
        let requests = TokenRequests::new(&limiter, meta, |unit| MetaCost::of(meta, unit));
        let wait = limiter.time_to(self.now(), &requests);
        (wait != u64::MAX).then(|| Duration::from_nanos(wait))
    }

    /// Grants a key nothing until [`resume`](Self::resume).
    pub fn pause(&self, key: PartitionKey) {
        self.keys().limiter(key, self.now()).pause();
        self.events().commanded("pause");
    }

    /// Grants a key nothing for so long, and starts carefully then: what an upstream asks for when it
    /// throttles an endpoint. See [`RateLimitHandle::pause_for`].
    pub fn pause_for(&self, key: PartitionKey, time: Duration) {
        if time.is_zero() {
            return;
        }
        let now = self.now();
        self.keys().limiter(key, now).pause_for(now, ns(time), true);
        self.events().commanded("pause_for");
    }

    /// Ends the pause of a key, and forgets what the upstream has reported about it; what was used
    /// stays used. A pause of all keys stays: [`resume_all`](Self::resume_all) ends that.
    pub fn resume(&self, key: PartitionKey) {
        let now = self.now();
        self.keys().limiter(key, now).resume(now);
        self.events().commanded("resume");
    }

    /// As [`resume`](Self::resume), and fills every bucket and strict limit of the key. Counts of windows
    /// and days stay: only the upstream can renew those.
    pub fn refill(&self, key: PartitionKey) {
        let now = self.now();
        self.keys().limiter(key, now).refill(now);
        self.events().commanded("refill");
    }

    /// Grants nothing to any key until [`resume_all`](Self::resume_all). New calls are rejected with
    /// [`Paused`](seawall_core::Reason::Paused), in shadow mode too; queued ones wait as long as they
    /// may.
    pub fn pause_all(&self) {
        self.keys()
            .change_all(self.now(), AllKeys::pause_until_resumed);
        self.events().commanded("pause_all");
    }

    /// Grants nothing to any key for so long, and starts carefully then; see
    /// [`RateLimitHandle::pause_for`]. Reservations are calls, too. Calls whose `max_wait` is longer
    /// than that are queued, and those that are queued already stay: they depart after the pause, or
    /// are rejected when their `max_wait` is over.
    pub fn pause_all_for(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let now = self.now();
        let until = now.saturating_add(ns(time));
        let pause = |all: &AllKeys| all.pause_until(now, until, true);
        self.keys().change_all(now, pause);
        self.events().commanded("pause_all_for");
    }

    /// Rejects new calls of all keys with [`Draining`](seawall_core::Reason::Draining) until
    /// [`resume_all`](Self::resume_all), in shadow mode too, and serves the queued ones: before a
    /// restart.
    pub fn drain_all(&self) {
        self.keys().change_all(self.now(), AllKeys::drain);
        self.events().commanded("drain_all");
    }

    /// Ends a pause of all keys, whether an operator or the upstream has asked for it, a drain and a
    /// bypass. Pauses of single keys stay.
    pub fn resume_all(&self) {
        self.keys().change_all(self.now(), AllKeys::resume);
        self.events().commanded("resume_all");
    }

    /// Back to automatic: ends the pauses of all keys and of each key, and forgets what the upstream
    /// has reported about them and a wall clock that was set. What was used stays used, and [`counts`](Self::counts) stay. The
    /// account has a [handle of its own](Self::account).
    pub fn reset(&self) {
        let now = self.now();
        self.keys().change_all(now, AllKeys::resume);
        for (_, limiter) in self.keys().limiters() {
            limiter.reset(now);
        }
        self.state().follow_system_clock();
        self.events().commanded("reset");
    }

    /// Sets the time for limits that count by the wall clock, of all keys; see
    /// [`RateLimitHandle::set_wall_clock`].
    pub fn set_wall_clock(&self, time: SystemTime) {
        self.state().set_wall_clock(time);
        self.events().commanded("set_wall_clock");
    }

    /// Applies what the upstream has reported in the result of a call with that key; see
    /// [`FeedbackLayer`](crate::FeedbackLayer). A pause whose [scope](seawall_core::Scope) is more
    /// than the endpoint goes to the account, or to every key where there is none.
    pub fn apply_signal(&self, key: PartitionKey, signal: QuotaSignal) {
        let now = self.now();
        let (state, keys) = (self.state.local(), self.keys());
        self.state()
            .apply_to_key(state.stripe(), keys, key, now, signal, None, None);
        self.events().commanded("apply_signal");
    }

    /// Takes what a request like this costs of its key, and waits for it as calls do.
    ///
    /// # Errors
    ///
    /// The rejection that a call would get.
    ///
    /// # Panics
    ///
    /// If it has to wait outside of a Tokio runtime with time enabled.
    pub async fn reserve(&self, meta: &RequestMeta) -> Result<Reservation, Rejection> {
        self.limiter_ref(meta.key).reserve(meta).await
    }

    /// Takes what a request like this costs of its key, if it is there and no call waits for it.
    ///
    /// # Errors
    ///
    /// The rejection, also where a call would wait.
    pub fn try_reserve(&self, meta: &RequestMeta) -> Result<Reservation, Rejection> {
        self.limiter_ref(meta.key).try_reserve(meta)
    }

    fn bypass(&self) {
        let now = self.now();
        for (_, limiter) in self.keys().limiters() {
            limiter.bypass_pause(now);
        }
        self.keys().change_all(now, AllKeys::set_bypass);
        self.events().commanded("bypass");
    }

    fn events(&self) -> &EventSource {
        &self.state().events
    }

    fn limiter_ref(&self, key: PartitionKey) -> LimiterRef {
        let limiter = self.keys().limiter(key, self.now());
        LimiterRef::new(self.state.local(), Some(limiter))
    }

    fn typed_state(&self) -> RateLimitState {
        let keys = self.keys();
        if keys.is_draining() {
            RateLimitState::Draining
        } else if keys.paused_until(self.now()).is_some() {
            RateLimitState::Paused
        } else if keys.is_bypassed() {
            RateLimitState::Bypassed
        } else if self.queue_depth() > 0 {
            RateLimitState::Queueing
        } else {
            RateLimitState::Ok
        }
    }

    fn state(&self) -> &State {
        self.state.common()
    }

    fn keys(&self) -> &Keys {
        let keys = self.state().keys.as_ref();
        keys.expect("the layer has made the state with keys")
    }

    fn now(&self) -> u64 {
        self.state().clock.now()
    }
}

/// [`Block`](seawall_core::Command::Block) is [`pause_all`](KeyedRateLimitHandle::pause_all),
/// [`Bypass`](seawall_core::Command::Bypass) lets calls of all keys pass as in shadow mode until another
/// command for all keys; new settings do not end it. Pauses of single keys do not hold meanwhile, unless
/// they are commanded after it. A block leaves queued
/// calls queued until their wait ends. The account decides on: it has commands of its own. The last
/// command counts.
impl InstanceHandle for KeyedRateLimitHandle {
    seawall_core::handle_methods! { |this|
        pattern: this.state().events.pattern(),
        state: this.typed_state().as_str(),
        attach: this.state().events,
        commands: [Block => pause_all, Bypass => bypass, Reset => reset, Resume => resume_all, Drain => drain_all],
    }

    fn samples(&self, sink: &mut Samples<'_>) {
        self.counts().samples(sink);
        let keys = self.keys();
        for (metric, value) in [
            ("seawall_ratelimit_queue_depth", self.queue_depth()),
            ("seawall_ratelimit_keys", keys.len()),
            ("seawall_ratelimit_keys_bytes", keys.bytes()),
        ] {
            sink.gauge(metric, &[], value as f64);
        }
        let now = self.now();
        pause_sample(keys.paused_until(now), now, sink);
        sink.counter("seawall_ratelimit_keys_evicted_total", &[], keys.evicted());
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = self.config().settings();
        let account = self.account().map(|account| account.name().to_string());
        settings.push(("account", account.unwrap_or_else(|| "none".to_owned())));
        settings
    }
}

seawall_core::impl_debug!(KeyedRateLimitHandle: |this|
    name = this.name(),
    keys = this.keys_kept(),
);

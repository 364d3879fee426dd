//! The settings in force.

use std::time::Duration;

use seawall_core::{Scope, ns};

use super::rare::RareSettings;
use super::values::{
    AbandonedPolicy, ClosePolicy, DAY, HalfOpenPolicy, PanicPolicy, Ramp, RateRule,
};
use crate::ages::Aging;
use crate::buckets::Pace;
use crate::in_flight::PER_THRESHOLD;
use crate::opening::Opening;
use crate::rule::Rule;

/// When a circuit opens, how long it stays open, and what closes it again.
///
/// The default opens after 5 failures in a row, when half of the last 100 calls failed (evaluated
/// from 20 calls on), neither of which counts calls of more than an hour ago, or when the upstream
/// bans this client; stays open for 60 s, for the ban up to 24 h, or for the `Retry-After` of the
/// failures up to 15 min; probes with one call at a time and closes after 2 probes have succeeded.
///
/// ```
/// use std::time::Duration;
/// use seawall_breaker::BreakerConfig;
///
/// let config = BreakerConfig::builder()
///     .failure_rate(0.5, 100)
///     .slow_after(Duration::from_secs(2))
///     .slow_rate_over(0.8, Duration::from_secs(30))
///     .open_for(Duration::from_secs(5))
///     .open_growth(2.0, Duration::from_secs(300))
///     .open_jitter(0.2)
///     .probes(2)
///     .build()?;
/// let rate = config.failure_rate().expect("it was set");
/// assert_eq!((rate.share, rate.over, rate.min_calls), (0.5, 100, 20));
///
/// let rejected = BreakerConfig::builder().failure_rate(1.5, 100).build().unwrap_err();
/// assert_eq!(rejected.field(), "failure_rate");
/// # Ok::<(), seawall_breaker::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerConfig {
    pub(crate) consecutive_failures: Option<u32>,
    pub(crate) failure_rate: Option<RateRule<u32>>,
    pub(crate) slow_after: Option<Duration>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) open_on_ban: Option<Duration>,
    pub(crate) max_retry_after: Option<Duration>,
    pub(crate) open_for: Duration,
    pub(crate) open_jitter: f64,
    pub(crate) open_decay: Duration,
    pub(crate) seed: Option<u64>,
    pub(crate) probes: u32,
    pub(crate) close_policy: ClosePolicy,
    pub(crate) probe_timeout: Duration,
    pub(crate) half_open_policy: HalfOpenPolicy,
    pub(crate) abandoned_policy: AbandonedPolicy,
    pub(crate) panic_policy: PanicPolicy,
    pub(crate) shadow: bool,
    /// What an operator has commanded in its place.
    pub(crate) shadow_command: Option<bool>,
    pub(crate) rare: Option<Box<RareSettings>>,
    /// Made from the settings above.
    pub(crate) pace: Pace,
    pub(crate) aging: Aging,
}

impl BreakerConfig {
    /// Whether shadow mode is on, by the setting or by a command.
    pub(crate) fn is_shadow(&self) -> bool {
        self.shadow_command.unwrap_or(self.shadow)
    }

    /// These settings with another command about shadow mode; `None` where they have that one.
    pub(crate) fn commanded(&self, shadow: Option<bool>) -> Option<Self> {
        (self.shadow_command != shadow).then(|| Self {
            shadow_command: shadow,
            ..self.clone()
        })
    }

    seawall_core::getters! {
        /// Failures in a row that open the circuit, if that rule is on.
        pub const fn consecutive_failures -> Option<u32>;

        /// The failure rate over the last calls, if that rule is on.
        pub const fn failure_rate -> Option<RateRule<u32>>;
    }

    /// The failure rate over a time, if that rule is on.
    pub const fn failure_rate_over(&self) -> Option<RateRule<Duration>> {
        self.rare().failure_rate_over
    }

    seawall_core::getters! {
        /// From which duration on a call is slow, if that is measured.
        pub const fn slow_after -> Option<Duration>;
    }

    /// The rate of slow calls over the last calls, if that rule is on.
    pub const fn slow_rate(&self) -> Option<RateRule<u32>> {
        self.rare().slow_rate
    }

    /// The rate of slow calls over a time, if that rule is on.
    pub const fn slow_rate_over(&self) -> Option<RateRule<Duration>> {
        self.rare().slow_rate_over
    }

    /// The custom rules, in the order in which they are evaluated.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &dyn Rule> {
        self.rare().rules.0.iter().map(AsRef::as_ref)
    }

    /// The same with a [`max_retry_after`](Self::max_retry_after) of at least `longest`, or of 24
    /// hours where that is longer, for a classifier that allows such waits. Ignored ones stay so.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_breaker::BreakerConfig;
    ///
    /// let hour = Duration::from_secs(3_600);
    /// let config = BreakerConfig::default().raise_max_retry_after(hour);
    /// assert_eq!(config.max_retry_after(), Some(hour));
    /// assert_eq!(config.raise_max_retry_after(99 * hour).max_retry_after(), Some(24 * hour));
    /// ```
    #[must_use]
    pub fn raise_max_retry_after(self, longest: Duration) -> Self {
        let longest = longest.min(DAY);
        Self {
            max_retry_after: self.max_retry_after.map(|own| own.max(longest)),
            ..self
        }
    }

    seawall_core::getters! {
        /// The greatest age at which a call counts in a row or among the last calls, if there is one.
        pub const fn max_age -> Option<Duration>;

        /// The longest time that a `Retry-After` of a failure keeps the circuit open; `None` when it
        /// is ignored.
        pub const fn max_retry_after -> Option<Duration>;

        /// How a call counts that panicked.
        pub const fn panic_policy -> PanicPolicy;

        /// The longest time that a ban opens the circuit for; `None` when bans are ordinary failures.
        pub const fn open_on_ban -> Option<Duration>;
    }

    /// The longest time that a throttle of this scope opens the circuit for, if it does.
    pub fn open_on_throttle(&self, scope: Scope) -> Option<Duration> {
        self.rare()
            .throttle
            .filter(|t| t.covers(scope))
            .map(|t| t.max)
    }

    seawall_core::getters! {
        /// How long the circuit stays open before it probes, the first time.
        pub const fn open_for -> Duration;
    }

    /// The factor and the cap by which the open time grows, if it does.
    pub const fn open_growth(&self) -> Option<(f64, Duration)> {
        self.rare().open_growth
    }

    seawall_core::getters! {
        /// The largest share, from 0 to 1, by which the open time is lengthened at random.
        pub const fn open_jitter -> f64;

        /// How long the circuit must be closed for one step of the growth to be taken back.
        pub const fn open_decay -> Duration;

        /// The seed of the jitter, if one was set.
        pub const fn seed -> Option<u64>;

        /// How many probes may be in flight at once.
        pub const fn probes -> u32;

        /// What closes a half-open circuit.
        pub const fn close_policy -> ClosePolicy;
    }

    /// How many probes must succeed to close the circuit.
    pub fn successes_to_close(&self) -> u32 {
        self.close_policy.needed()
    }

    seawall_core::getters! {
        /// After how long probes that have not responded are given up and their slots used again.
        pub const fn probe_timeout -> Duration;
    }

    /// The ramp from half-open to closed, if there is one.
    pub const fn ramp(&self) -> Option<Ramp> {
        self.rare().ramp
    }

    seawall_core::getters! {
        /// What happens to calls that find every probe slot taken.
        pub const fn half_open_policy -> HalfOpenPolicy;

        /// How a call counts that was dropped before it responded.
        pub const fn abandoned_policy -> AbandonedPolicy;

        /// Whether rejections are only counted and reported, and the calls let pass.
        pub const fn shadow -> bool;
    }

    /// The settings that few circuits have.
    pub(crate) const fn rare(&self) -> &RareSettings {
        match &self.rare {
            Some(rare) => rare,
            None => RareSettings::NONE,
        }
    }

    pub(super) fn rare_mut(&mut self) -> &mut RareSettings {
        self.rare.get_or_insert_default()
    }

    /// How long circuits stay open.
    pub(crate) fn opening(&self) -> Opening {
        let (factor, cap) = self.open_growth().unwrap_or((1.0, self.open_for));
        Opening {
            start: ns(self.open_for),
            factor,
            cap: ns(cap),
            jitter: self.open_jitter,
            decay: ns(self.open_decay),
        }
    }

    /// Whether the duration of calls must be measured.
    pub(crate) fn measures(&self) -> bool {
        self.slow_after.is_some()
            || !self.rare().rules.0.is_empty()
            || matches!(self.abandoned_policy, AbandonedPolicy::FailureAfter(_))
    }

    /// The buckets in which calls in flight are counted while slow calls are watched.
    pub(crate) fn in_flight_pace(&self) -> Pace {
        match self.slow_after {
            Some(slow) => Pace::with_width(ns(slow) / PER_THRESHOLD),
            None => Pace::NONE,
        }
    }

    /// From how many nanoseconds on a call is slow; `u64::MAX` for never.
    pub(crate) fn slow_after_ns(&self) -> u64 {
        self.slow_after.map_or(u64::MAX, ns)
    }

    /// Whether calls wait while probes are in flight.
    pub(crate) const fn waits(&self) -> bool {
        matches!(self.half_open_policy, HalfOpenPolicy::Wait { .. })
    }
}

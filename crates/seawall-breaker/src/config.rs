//! The settings of a breaker: values that cannot be wrong.

mod build;
mod check;
#[cfg(all(test, not(seawall_loom)))]
mod tests;

use std::time::Duration;

use seawall_core::{NonZeroCount, NonZeroDuration, Ratio, Scope, ns};

pub use build::BreakerConfigBuilder;

use crate::buckets::Pace;
use crate::flights::PER_THRESHOLD;
use crate::opening::Opening;
use crate::rule::{Rule, Rules};

/// When a circuit opens, how long it stays open, and what closes it again.
///
/// The default opens after 5 failures in a row, when half of the last 100 calls failed (judged
/// from 20 calls on) or when the upstream bans this client; stays open for 60 s, or for the ban
/// up to 24 h; probes with one call at a time and closes after 2 probes have succeeded.
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
/// assert_eq!((rate.over, rate.min_calls), (100, 20));
///
/// let rejected = BreakerConfig::builder().failure_rate(1.5, 100).build().unwrap_err();
/// assert_eq!(rejected.field(), "failure_rate");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerConfig {
    pub(crate) consecutive: Option<NonZeroCount>,
    pub(crate) failure_calls: Option<RateRule<u32>>,
    pub(crate) failure_time: Option<RateRule<Duration>>,
    pub(crate) slow_after: Option<NonZeroDuration>,
    pub(crate) slow_calls: Option<RateRule<u32>>,
    pub(crate) slow_time: Option<RateRule<Duration>>,
    pub(crate) rules: Rules,
    pub(crate) ban: Option<NonZeroDuration>,
    pub(crate) throttle: Option<Throttle>,
    pub(crate) open_for: NonZeroDuration,
    pub(crate) growth: Option<(f64, NonZeroDuration)>,
    pub(crate) jitter: Ratio,
    pub(crate) decay: NonZeroDuration,
    pub(crate) seed: Option<u64>,
    pub(crate) probes: NonZeroCount,
    pub(crate) close_policy: ClosePolicy,
    pub(crate) probe_timeout: NonZeroDuration,
    pub(crate) ramp: Option<Ramp>,
    pub(crate) half_open_policy: HalfOpenPolicy,
    pub(crate) abandoned_policy: AbandonedPolicy,
    pub(crate) shadow: bool,
    /// Made from the settings above.
    pub(crate) opening: Opening,
    pub(crate) pace: Pace,
}

/// A rule about a share of the calls, over a count of calls or a time.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateRule<Over> {
    /// The share that opens the circuit, above 0.
    pub share: Ratio,
    /// The last calls, or the last time, that it is taken over.
    pub over: Over,
    /// From how many calls on it is judged.
    pub min_calls: u32,
}

/// What closes a half-open circuit.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClosePolicy {
    /// So many probes that succeed; the first that fails opens the circuit again.
    Successes(NonZeroCount),
    /// At least this share of so many probes.
    Rate {
        /// The share that must succeed, above 0.
        share: Ratio,
        /// The probes that it is taken of.
        calls: NonZeroCount,
    },
}

impl ClosePolicy {
    /// Probes that must succeed.
    pub(crate) fn needed(self) -> u32 {
        match self {
            Self::Successes(n) => n.get(),
            Self::Rate { share, calls } => {
                // A share of 0.7 of 10 is 7, not 7.000...1 rounded up. The cast saturates.
                let needed = (share.get() * f64::from(calls.get()) - 1e-9).ceil() as u32;
                needed.clamp(1, calls.get())
            }
        }
    }

    /// Probes that may fail.
    pub(crate) fn spare(self) -> u32 {
        match self {
            Self::Successes(_) => 0,
            Self::Rate { calls, .. } => calls.get() - self.needed(),
        }
    }
}

/// The way from half-open to closed: a share of the calls that doubles from step to step.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// Steps, 1 to 16; in the first one a share of 1/2^steps of the calls passes.
    pub steps: u32,
    /// How long each step lasts.
    pub step: Duration,
}

/// What happens to calls that find every place for a probe taken.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HalfOpenPolicy {
    /// They are rejected.
    #[default]
    Reject,
    /// They wait for the verdict, or for a place, and are rejected after `at_most`.
    Wait {
        /// The longest wait.
        at_most: Duration,
    },
}

/// What a call says that was dropped before it was answered.
///
/// A dropped call mostly tells of its caller: a client that hung up, a race that another attempt
/// won, a deadline of its own. Counted as failures, such calls open circuits to healthy
/// upstreams; so they are ignored unless they were dropped late.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AbandonedPolicy {
    /// Nothing; its place is given back.
    #[default]
    Ignored,
    /// That the upstream failed, if it had been under way for at least so long.
    FailureAfter(Duration),
}

/// Throttles that open the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Throttle {
    /// A bit per scope.
    pub(crate) scopes: u8,
    pub(crate) at_most: NonZeroDuration,
}

impl Throttle {
    pub(crate) const fn bit(scope: Scope) -> u8 {
        match scope {
            Scope::Upstream => 1,
            Scope::Endpoint => 2,
            Scope::Account => 4,
            _ => 8,
        }
    }

    pub(crate) const fn covers(self, scope: Scope) -> bool {
        self.scopes & Self::bit(scope) != 0
    }
}

impl BreakerConfig {
    /// Starts with no rule to open by except bans; at least one must be set.
    pub fn builder() -> BreakerConfigBuilder {
        BreakerConfigBuilder::new()
    }

    /// Failures in a row that open the circuit, if that rule is on.
    pub fn consecutive_failures(&self) -> Option<u32> {
        self.consecutive.map(NonZeroCount::get)
    }

    /// The failure rate over the last calls, if that rule is on.
    pub fn failure_rate(&self) -> Option<RateRule<u32>> {
        self.failure_calls
    }

    /// The failure rate over a time, if that rule is on.
    pub fn failure_rate_over(&self) -> Option<RateRule<Duration>> {
        self.failure_time
    }

    /// From when on a call is slow, if that is judged.
    pub fn slow_after(&self) -> Option<Duration> {
        self.slow_after.map(NonZeroDuration::get)
    }

    /// The rate of slow calls over the last calls, if that rule is on.
    pub fn slow_rate(&self) -> Option<RateRule<u32>> {
        self.slow_calls
    }

    /// The rate of slow calls over a time, if that rule is on.
    pub fn slow_rate_over(&self) -> Option<RateRule<Duration>> {
        self.slow_time
    }

    /// The own rules, in the order in which they are asked.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &dyn Rule> {
        self.rules.0.iter().map(AsRef::as_ref)
    }

    /// The longest time that a ban opens the circuit for; `None` when bans are ordinary failures.
    pub fn open_on_ban(&self) -> Option<Duration> {
        self.ban.map(NonZeroDuration::get)
    }

    /// The longest time that a throttle of this scope opens the circuit for, if it does.
    pub fn open_on_throttle(&self, scope: Scope) -> Option<Duration> {
        let throttle = self.throttle.filter(|t| t.covers(scope));
        throttle.map(|t| t.at_most.get())
    }

    /// How long the circuit stays open before it probes, the first time.
    pub fn open_for(&self) -> Duration {
        self.open_for.get()
    }

    /// The factor and the cap by which the open time grows, if it does.
    pub fn open_growth(&self) -> Option<(f64, Duration)> {
        self.growth.map(|(factor, cap)| (factor, cap.get()))
    }

    /// The largest share by which the open time is lengthened at random.
    pub fn open_jitter(&self) -> Ratio {
        self.jitter
    }

    /// How long the circuit must be closed for one step of the growth to be taken back.
    pub fn open_decay(&self) -> Duration {
        self.decay.get()
    }

    /// The seed of the jitter, if one was set.
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// How many probes may be under way at once.
    pub fn probes(&self) -> u32 {
        self.probes.get()
    }

    /// What closes a half-open circuit.
    pub fn close_policy(&self) -> ClosePolicy {
        self.close_policy
    }

    /// How many probes must succeed to close the circuit.
    pub fn successes_to_close(&self) -> u32 {
        self.close_policy.needed()
    }

    /// After how long probes that have not answered are given up and their places dealt again.
    pub fn probe_timeout(&self) -> Duration {
        self.probe_timeout.get()
    }

    /// The ramp from half-open to closed, if there is one.
    pub fn ramp(&self) -> Option<Ramp> {
        self.ramp
    }

    /// What happens to calls that find every place for a probe taken.
    pub fn half_open_policy(&self) -> HalfOpenPolicy {
        self.half_open_policy
    }

    /// What a call says that was dropped before it was answered.
    pub fn abandoned_policy(&self) -> AbandonedPolicy {
        self.abandoned_policy
    }

    /// Whether rejections are only counted and told, and the calls let pass.
    pub fn shadow(&self) -> bool {
        self.shadow
    }

    /// Whether the time that calls take must be measured.
    pub(crate) fn measures(&self) -> bool {
        self.slow_after.is_some()
            || !self.rules.0.is_empty()
            || matches!(self.abandoned_policy, AbandonedPolicy::FailureAfter(_))
    }

    /// The buckets in which calls under way are counted while slow calls are watched.
    pub(crate) fn flight_pace(&self) -> Pace {
        match self.slow_after {
            Some(slow) => Pace::cut(ns(slow.get()) / PER_THRESHOLD),
            None => Pace::NONE,
        }
    }

    /// From when on a call is slow, in nanoseconds; `u64::MAX` for never.
    pub(crate) fn slow_after_ns(&self) -> u64 {
        self.slow_after.map_or(u64::MAX, |d| ns(d.get()))
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self::builder()
            .consecutive_failures(5)
            .failure_rate(0.5, 100)
            .min_calls(20)
            .successes_to_close(2)
            .build()
            .expect("a test builds these settings")
    }
}

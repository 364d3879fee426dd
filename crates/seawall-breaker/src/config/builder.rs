//! The settings as they are set; see [`super::check`] for what they must be.

use std::sync::Arc;
use std::time::Duration;

use super::breaker_config::BreakerConfig;
use super::values::{AbandonedPolicy, ClosePolicy, DAY, HalfOpenPolicy, PanicPolicy, RateRule};
use crate::ages::Aging;
use crate::buckets::Pace;
use crate::rule::Rule;

const MINUTE: Duration = Duration::from_secs(60);
const QUARTER_HOUR: Duration = Duration::from_secs(15 * 60);

/// Collects the settings of a [`BreakerConfig`]; a wrong one is reported by [`build`](Self::build).
#[must_use]
#[derive(Clone, Debug)]
pub struct BreakerConfigBuilder {
    /// Unchecked until it is built.
    pub(super) config: BreakerConfig,
    // What the settings are made of where they have a default that depends on others.
    pub(super) min_calls: Option<u32>,
    pub(super) ban_was_set: bool,
    /// `None` for the default, `Some(None)` for none.
    pub(super) max_age: Option<Option<Duration>>,
    pub(super) open_decay: Option<Duration>,
    pub(super) successes_to_close: Option<u32>,
    pub(super) close_rate: Option<(f64, u32)>,
    /// What closes a circuit where neither of the two is set.
    pub(super) close_policy: Option<ClosePolicy>,
    pub(super) probe_timeout: Option<Duration>,
}

impl BreakerConfig {
    /// Starts with no rule to open by except bans; at least one must be set.
    pub fn builder() -> BreakerConfigBuilder {
        BreakerConfigBuilder::new()
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

/// A rule whose minimum of calls is found when the settings are built.
const fn rate<Over: Copy>(share: f64, over: Over) -> RateRule<Over> {
    RateRule {
        share,
        over,
        min_calls: 0,
    }
}

impl BreakerConfigBuilder {
    pub(super) const fn new() -> Self {
        let config = BreakerConfig {
            consecutive_failures: None,
            failure_rate: None,
            slow_after: None,
            max_age: None,
            open_on_ban: Some(DAY),
            max_retry_after: Some(QUARTER_HOUR),
            open_for: MINUTE,
            open_jitter: 0.0,
            open_decay: MINUTE,
            seed: None,
            probes: 1,
            close_policy: ClosePolicy::Successes(1),
            probe_timeout: MINUTE,
            half_open_policy: HalfOpenPolicy::Reject,
            abandoned_policy: AbandonedPolicy::Ignored,
            panic_policy: PanicPolicy::Failure,
            shadow: false,
            shadow_command: None,
            rare: None,
            pace: Pace::NONE,
            aging: Aging::OFF,
        };
        Self {
            config,
            min_calls: None,
            ban_was_set: false,
            max_age: None,
            open_decay: None,
            successes_to_close: None,
            close_rate: None,
            close_policy: None,
            probe_timeout: None,
        }
    }

    seawall_core::setters! { self.config:
        /// Opens after so many failures in a row, at least 1, none of them older than
        /// [`max_age`](Self::max_age).
        ///
        /// ```
        /// # use std::time::Duration;
        /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, CircuitState, HalfOpenPolicy};
        /// # use tokio::time::{advance, sleep};
        /// # const SECOND: Duration = Duration::from_secs(1);
        /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
        /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// let config = BreakerConfig::builder().consecutive_failures(3).build()?;
        /// let breaker = BreakerLayer::new("in_a_row", config).handle();
        /// for outcome in [Err("down"), Err("down"), Ok(()), Err("down"), Err("down")] {
        ///     let _ = breaker.call(async { outcome }).await;
        /// }
        /// assert_eq!(breaker.state(), CircuitState::Closed, "a success ends a run");
        /// let _ = breaker.call(async { Err::<(), _>("down") }).await;
        /// assert_eq!(breaker.state(), CircuitState::Open);
        /// # Ok(()) }
        /// ```
        pub const fn consecutive_failures(Some(u32));

        /// A call is slow that takes this time or longer; longer than zero. Used by
        /// [`slow_rate`](Self::slow_rate) and [`slow_rate_over`](Self::slow_rate_over), which count
        /// slow calls, and calls in flight as soon as they are slow. A slow probe counts as failed.
        ///
        /// ```
        /// # use std::time::Duration;
        /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, CircuitState, HalfOpenPolicy};
        /// # use tokio::time::{advance, sleep};
        /// # const SECOND: Duration = Duration::from_secs(1);
        /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
        /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// use seawall_breaker::CircuitCause;
        ///
        /// let config = BreakerConfig::builder()
        ///     .slow_after(2 * SECOND)
        ///     .slow_rate(0.5, 10)
        ///     .min_calls(4)
        ///     .build()?;
        /// let breaker = BreakerLayer::new("slow", config).handle();
        /// for _ in 0..4 {
        ///     // They hang: none of them ever ends.
        ///     tokio::spawn(breaker.call(std::future::pending::<Result<(), ()>>()));
        /// }
        /// sleep(3 * SECOND).await;
        /// let rejected = breaker.try_admit().unwrap_err();
        /// assert_eq!(rejected.cause(), Some(CircuitCause::SlowRate { percent: 100 }));
        /// # Ok(()) }
        /// ```
        pub const fn slow_after(Some(Duration));
    }

    /// Opens when `share` (above 0, at most 1) of the last `calls` calls (1 to 10,000,000)
    /// failed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, CircuitState, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = BreakerConfig::builder().failure_rate(0.3, 10).min_calls(10).build()?;
    /// let breaker = BreakerLayer::new("of_calls", config).handle();
    /// for call in 0..1_000 {
    ///     // One in five fails: under the limit, however many there are.
    ///     let _ = breaker.call(async { if call % 5 == 0 { Err("down") } else { Ok(()) } }).await;
    /// }
    /// assert_eq!(breaker.state(), CircuitState::Closed);
    /// for _ in 0..2 {
    ///     let _ = breaker.call(async { Err::<(), _>("down") }).await;
    /// }
    /// assert_eq!(breaker.explain().to_string().split(';').next(), Some(
    ///     "open: failure rate, 3 of 10 calls failed, limit 30%",
    /// ));
    /// # Ok(()) }
    /// ```
    pub fn failure_rate(mut self, share: f64, calls: u32) -> Self {
        self.config.failure_rate = Some(rate(share, calls));
        self
    }

    /// Opens when `share` (above 0, at most 1) of the calls of the last `time` (10 ms to 24 h)
    /// failed. A call counts for at least nine tenths of `time`, and at most for all of it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, CircuitState, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = BreakerConfig::builder().failure_rate_over(0.5, 10 * SECOND).min_calls(4).build()?;
    /// let breaker = BreakerLayer::new("over_time", config).handle();
    /// let fail = || async { let _ = breaker.call(async { Err::<(), _>("down") }).await; };
    /// for _ in 0..3 {
    ///     fail().await;
    /// }
    /// advance(11 * SECOND).await;
    /// fail().await;
    /// assert_eq!(breaker.state(), CircuitState::Closed, "three of the four are too long ago");
    /// # Ok(()) }
    /// ```
    pub fn failure_rate_over(mut self, share: f64, time: Duration) -> Self {
        self.config.rare_mut().failure_rate_over = Some(rate(share, time));
        self
    }

    /// Opens when `share` (above 0, at most 1) of the last `calls` calls (1 to 10,000,000) was
    /// slow.
    pub fn slow_rate(mut self, share: f64, calls: u32) -> Self {
        self.config.rare_mut().slow_rate = Some(rate(share, calls));
        self
    }

    /// Opens when `share` (above 0, at most 1) of the calls of the last `time` was slow. The
    /// time is that of [`failure_rate_over`](Self::failure_rate_over), where both are set.
    pub fn slow_rate_over(mut self, share: f64, time: Duration) -> Self {
        self.config.rare_mut().slow_rate_over = Some(rate(share, time));
        self
    }

    seawall_core::setters! { self:
        /// Evaluates rates only from so many calls on: at least 1, at most the shortest window of
        /// calls. Without it, from a fifth of each window of calls, and from 20 calls in a window of
        /// time (the `requestVolumeThreshold` of Hystrix).
        pub const fn min_calls(Some(u32));
    }

    /// Opens by a custom rule; any number of them.
    pub fn rule(mut self, rule: impl Rule + 'static) -> Self {
        self.config.rare_mut().rules.0.push(Arc::new(rule));
        self
    }

    /// Counts a call in [a row](Self::consecutive_failures), or among the
    /// [last calls](Self::failure_rate), for this time (1 s to 7 days) after it ended, and for no less
    /// than seven eighths of it. Failures of yesterday then do not open the circuit with one of today.
    ///
    /// On by default, with one hour: an open circuit mostly lasts a minute, and what it is to see
    /// shows within minutes; but a client that calls every three minutes must reach the minimum of 20
    /// calls, too. Successes that are counted without a lock begin to age with the next failure.
    /// Rules over a time have that time instead.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{BreakerConfig, BreakerLayer, CircuitState};
    /// # use tokio::time::advance;
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = BreakerConfig::builder()
    ///     .consecutive_failures(3)
    ///     .max_age(60 * SECOND)
    ///     .build()?;
    /// let breaker = BreakerLayer::new("aging", config).handle();
    /// let fail = || async { let _ = breaker.call(async { Err::<(), _>("down") }).await; };
    /// fail().await;
    /// fail().await;
    /// advance(61 * SECOND).await;
    /// fail().await;
    /// assert_eq!(breaker.state(), CircuitState::Closed, "two of the three are too long ago");
    /// # Ok(()) }
    /// ```
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(Some(age));
        self
    }

    /// Counts calls in a row, and among the last calls, however long ago they ended.
    pub const fn without_max_age(mut self) -> Self {
        self.max_age = Some(None);
        self
    }
}

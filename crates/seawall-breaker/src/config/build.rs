//! The settings as they are said; see [`super::check`] for what they must be.

use std::sync::Arc;
use std::time::Duration;

use seawall_core::Scope;

use super::{AbandonedPolicy, HalfOpenPolicy, Throttle};
use crate::rule::Rule;

const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

/// Collects the settings of a [`BreakerConfig`](crate::BreakerConfig); what was set wrong is told by
/// [`build`](Self::build).
#[must_use]
#[derive(Clone, Debug)]
pub struct BreakerConfigBuilder {
    pub(super) consecutive: Option<u32>,
    pub(super) failure_calls: Option<(f64, u32)>,
    pub(super) failure_time: Option<(f64, Duration)>,
    pub(super) slow_after: Option<Duration>,
    pub(super) slow_calls: Option<(f64, u32)>,
    pub(super) slow_time: Option<(f64, Duration)>,
    pub(super) min_calls: Option<u32>,
    pub(super) rules: Vec<Arc<dyn Rule>>,
    pub(super) ban: Option<Duration>,
    pub(super) ban_was_set: bool,
    pub(super) throttle: Option<(u8, Duration)>,
    pub(super) open_for: Duration,
    pub(super) growth: Option<(f64, Duration)>,
    pub(super) jitter: f64,
    pub(super) decay: Option<Duration>,
    pub(super) seed: Option<u64>,
    pub(super) probes: u32,
    pub(super) successes_to_close: Option<u32>,
    pub(super) close_rate: Option<(f64, u32)>,
    pub(super) probe_timeout: Option<Duration>,
    pub(super) ramp: Option<(u32, Duration)>,
    pub(super) half_open_policy: HalfOpenPolicy,
    pub(super) abandoned_policy: AbandonedPolicy,
    pub(super) shadow: bool,
}

impl BreakerConfigBuilder {
    pub(super) const fn new() -> Self {
        Self {
            consecutive: None,
            failure_calls: None,
            failure_time: None,
            slow_after: None,
            slow_calls: None,
            slow_time: None,
            min_calls: None,
            rules: Vec::new(),
            ban: Some(DAY),
            ban_was_set: false,
            throttle: None,
            open_for: MINUTE,
            growth: None,
            jitter: 0.0,
            decay: None,
            seed: None,
            probes: 1,
            successes_to_close: None,
            close_rate: None,
            probe_timeout: None,
            ramp: None,
            half_open_policy: HalfOpenPolicy::Reject,
            abandoned_policy: AbandonedPolicy::Ignored,
            shadow: false,
        }
    }

    /// Opens after `failures` failures in a row, at least 1.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, State, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = BreakerConfig::builder().consecutive_failures(3).build()?;
    /// let breaker = BreakerLayer::new("in_a_row", config).handle();
    /// for outcome in [Err("down"), Err("down"), Ok(()), Err("down"), Err("down")] {
    ///     let _ = breaker.call(async { outcome }).await;
    /// }
    /// assert_eq!(breaker.state(), State::Closed, "a success ends a row");
    /// let _ = breaker.call(async { Err::<(), _>("down") }).await;
    /// assert_eq!(breaker.state(), State::Open);
    /// # Ok(()) }
    /// ```
    pub fn consecutive_failures(mut self, failures: u32) -> Self {
        self.consecutive = Some(failures);
        self
    }

    /// Opens when `share` (above 0, at most 1) of the last `calls` calls (1 to 10,000,000)
    /// failed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, State, HalfOpenPolicy};
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
    /// assert_eq!(breaker.state(), State::Closed);
    /// for _ in 0..2 {
    ///     let _ = breaker.call(async { Err::<(), _>("down") }).await;
    /// }
    /// assert_eq!(breaker.explain().to_string().split(';').next(), Some(
    ///     "open: failure rate, 3 of 10 calls failed, limit 30%",
    /// ));
    /// # Ok(()) }
    /// ```
    pub fn failure_rate(mut self, share: f64, calls: u32) -> Self {
        self.failure_calls = Some((share, calls));
        self
    }

    /// Opens when `share` (above 0, at most 1) of the calls of the last `time` (10 ms to 24 h)
    /// failed. A call counts for at least nine tenths of `time`, and at most for all of it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, State, HalfOpenPolicy};
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
    /// assert_eq!(breaker.state(), State::Closed, "three of the four are too long ago");
    /// # Ok(()) }
    /// ```
    pub fn failure_rate_over(mut self, share: f64, time: Duration) -> Self {
        self.failure_time = Some((share, time));
        self
    }

    /// Says that a call is slow that takes `time` or longer; longer than zero. Together with
    /// [`slow_rate`](Self::slow_rate) or [`slow_rate_over`](Self::slow_rate_over), which count
    /// slow calls, and those still under way as soon as they are slow. A slow probe counts as
    /// failed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, State, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use seawall_core::CircuitCause;
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
    /// assert_eq!(rejected.cause(), Some(CircuitCause::SlowShare { percent: 100 }));
    /// # Ok(()) }
    /// ```
    pub fn slow_after(mut self, time: Duration) -> Self {
        self.slow_after = Some(time);
        self
    }

    /// Opens when `share` (above 0, at most 1) of the last `calls` calls (1 to 10,000,000) was
    /// slow.
    pub fn slow_rate(mut self, share: f64, calls: u32) -> Self {
        self.slow_calls = Some((share, calls));
        self
    }

    /// Opens when `share` (above 0, at most 1) of the calls of the last `time` was slow. The
    /// time is that of [`failure_rate_over`](Self::failure_rate_over), where both are set.
    pub fn slow_rate_over(mut self, share: f64, time: Duration) -> Self {
        self.slow_time = Some((share, time));
        self
    }

    /// Judges rates only from `calls` calls on: at least 1, at most the shortest window of
    /// calls. Without it, from a fifth of each window of calls, and from 20 calls in a window of
    /// time (the `requestVolumeThreshold` of Hystrix).
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = Some(calls);
        self
    }

    /// Opens by a rule of your own; any number of them.
    pub fn rule(mut self, rule: impl Rule + 'static) -> Self {
        self.rules.push(Arc::new(rule));
        self
    }

    /// Opens at once when the upstream bans this client, until the ban is over, but for
    /// `at_most` (longer than zero), and for no less than the ordinary open time. On from the
    /// start, with 24 h.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, State, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use seawall_core::Outcome;
    ///
    /// let config = BreakerConfig::builder()
    ///     .consecutive_failures(5)
    ///     .open_on_ban(3_600 * SECOND)
    ///     .build()?;
    /// let breaker = BreakerLayer::new("banned", config).handle();
    /// fn judge(answer: Result<&(), &u64>) -> Outcome {
    ///     match answer {
    ///         Ok(()) => Outcome::Success,
    ///         Err(secs) => Outcome::Banned { lasts: Some(Duration::from_secs(*secs)) },
    ///     }
    /// }
    /// let _ = breaker.call_with(judge, async { Err(600) }).await;
    /// assert_eq!(breaker.snapshot().probes_in, Some(600 * SECOND));
    /// # Ok(()) }
    /// ```
    pub fn open_on_ban(mut self, at_most: Duration) -> Self {
        self.ban = Some(at_most);
        self.ban_was_set = true;
        self
    }

    /// Takes a ban for an ordinary failure.
    pub fn ban_as_failure(mut self) -> Self {
        self.ban = None;
        self.ban_was_set = false;
        self
    }

    /// Opens at once when the upstream throttles one of `scopes` and says for how long: for that
    /// time, but for `at_most` (longer than zero). Off from the start, since a throttle tells of
    /// a client that is too fast, not of an upstream that is unwell.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, State, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use seawall_core::Scope;
    ///
    /// let config = BreakerConfig::builder()
    ///     .consecutive_failures(5)
    ///     // The limit is the account's, and so is this circuit.
    ///     .open_on_throttle([Scope::Account], 120 * SECOND)
    ///     .build()?;
    /// assert_eq!(config.open_on_throttle(Scope::Account), Some(120 * SECOND));
    /// assert_eq!(config.open_on_throttle(Scope::Endpoint), None);
    /// # Ok(()) }
    /// ```
    pub fn open_on_throttle(
        mut self,
        scopes: impl IntoIterator<Item = Scope>,
        at_most: Duration,
    ) -> Self {
        let bits = scopes
            .into_iter()
            .fold(0, |bits, s| bits | Throttle::bit(s));
        self.throttle = Some((bits, at_most));
        self
    }

    /// Stays open for `time` before it probes; 60 s without it. `Duration::MAX` means until an
    /// operator resets it.
    pub fn open_for(mut self, time: Duration) -> Self {
        self.open_for = time;
        self
    }

    /// Multiplies the open time by `factor` (finite, from 1) at each opening that follows
    /// another, up to `cap` (no less than the open time).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, State, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = BreakerConfig::builder()
    ///     .consecutive_failures(1)
    ///     .open_for(10 * SECOND)
    ///     .open_growth(2.0, 30 * SECOND)
    ///     .build()?;
    /// let breaker = BreakerLayer::new("growing", config).handle();
    /// for expected in [10, 20, 30, 30] {
    ///     // The first call, and then one probe after the other.
    ///     let _ = breaker.call(async { Err::<(), _>("down") }).await;
    ///     assert_eq!(breaker.snapshot().probes_in, Some(expected * SECOND));
    ///     advance(expected * SECOND).await;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn open_growth(mut self, factor: f64, cap: Duration) -> Self {
        self.growth = Some((factor, cap));
        self
    }

    /// Lengthens each open time at random by up to `share` (0 to 1) of itself, so that the
    /// clients of one upstream do not come back at the same moment. Never shortens it.
    pub fn open_jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    /// Takes one step of the growth back for each `period` that the circuit spends closed;
    /// longer than zero. Without it, the open time. Envoy's outlier detection takes a step back
    /// at each sweep that finds a host healthy.
    pub fn open_decay(mut self, period: Duration) -> Self {
        self.decay = Some(period);
        self
    }

    /// Draws the jitter from a sequence that is always the same; for tests.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Lets `calls` probes be under way at once in the half-open state, at least 1. Never more
    /// than the successes that are still needed to close it.
    pub fn probes(mut self, calls: u32) -> Self {
        self.probes = calls;
        self
    }

    /// Closes after `probes` probes have succeeded, at least 1, and opens again at the first that
    /// fails; as many as there are [`probes`](Self::probes) at once without it.
    pub fn successes_to_close(mut self, probes: u32) -> Self {
        self.successes_to_close = Some(probes);
        self
    }

    /// Closes when `share` (above 0, at most 1) of `calls` probes (at least 1) succeed, in place
    /// of [`successes_to_close`](Self::successes_to_close). The verdict falls as soon as it
    /// cannot change.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, State, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = BreakerConfig::builder()
    ///     .consecutive_failures(1)
    ///     .open_for(SECOND)
    ///     .close_rate(0.6, 5)
    ///     .build()?;
    /// let breaker = BreakerLayer::new("by_rate", config).handle();
    /// let _ = breaker.call(async { Err::<(), _>("down") }).await;
    /// advance(SECOND).await;
    /// // Three of five are needed, so this is decided after four.
    /// for probe in [Ok(()), Err("down"), Ok(()), Ok(())] {
    ///     assert_ne!(breaker.state(), State::Closed);
    ///     let _ = breaker.call(async { probe }).await;
    /// }
    /// assert_eq!(breaker.state(), State::Closed);
    /// # Ok(()) }
    /// ```
    pub fn close_rate(mut self, share: f64, calls: u32) -> Self {
        self.close_rate = Some((share, calls));
        self
    }

    /// Gives up probes that have not answered within `time` (longer than zero, at most 24 h) and
    /// deals their places again, so that a hung probe cannot keep the circuit half-open for
    /// ever. Without it the open time, or 60 s if that is longer than 24 h.
    pub fn probe_timeout(mut self, time: Duration) -> Self {
        self.probe_timeout = Some(time);
        self
    }

    /// Lets a growing share of the calls pass after the probes have succeeded, in place of all
    /// at once: 1/2^`steps` (1 to 16 steps), twice as many after each `step` (longer than zero,
    /// at most 24 h), all after the last. The rules judge these calls.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, State, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = BreakerConfig::builder()
    ///     .consecutive_failures(1)
    ///     .open_for(SECOND)
    ///     .ramp(2, 10 * SECOND)
    ///     .build()?;
    /// let breaker = BreakerLayer::new("ramping", config).handle();
    /// let _ = breaker.call(async { Err::<(), _>("down") }).await;
    /// advance(SECOND).await;
    /// // The probe, and then a quarter, a half, all.
    /// assert!(breaker.call(async { Ok::<_, &str>(()) }).await.is_ok());
    /// for share in [25, 50, 100] {
    ///     let mut passed = 0;
    ///     for _ in 0..100 {
    ///         passed += u32::from(breaker.call(async { Ok::<_, &str>(()) }).await.is_ok());
    ///     }
    ///     assert_eq!(passed, share);
    ///     advance(10 * SECOND).await;
    /// }
    /// assert_eq!(breaker.state(), State::Closed);
    /// # Ok(()) }
    /// ```
    pub fn ramp(mut self, steps: u32, step: Duration) -> Self {
        self.ramp = Some((steps, step));
        self
    }

    /// Says what happens to calls that find every place for a probe taken; a wait is longer than
    /// zero. Rejected without it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, State, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = BreakerConfig::builder()
    ///     .consecutive_failures(1)
    ///     .open_for(SECOND)
    ///     .half_open_policy(HalfOpenPolicy::Wait { at_most: 5 * SECOND })
    ///     .build()?;
    /// let breaker = BreakerLayer::new("patient", config).handle();
    /// let _ = breaker.call(async { Err::<(), _>("down") }).await;
    /// advance(SECOND).await;
    /// let probe = tokio::spawn(breaker.call(async {
    ///     sleep(2 * SECOND).await;
    ///     Ok::<_, &str>(())
    /// }));
    /// tokio::task::yield_now().await;
    /// // Waits for the probe's verdict, and goes.
    /// assert!(breaker.call(async { Ok::<_, &str>(()) }).await.is_ok());
    /// assert!(probe.await?.is_ok());
    /// # Ok(()) }
    /// ```
    pub fn half_open_policy(mut self, calls: HalfOpenPolicy) -> Self {
        self.half_open_policy = calls;
        self
    }

    /// Says how a call counts that was dropped before it was answered. Ignored without it: mostly
    /// the caller has lost interest, which says nothing of the upstream, and a timeout inside of
    /// the breaker makes a failure of a call that hangs. Where the timeout is outside, say from
    /// when on a call that was dropped is a failure.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, State, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = BreakerConfig::builder()
    ///     .consecutive_failures(1)
    ///     .abandoned_policy(AbandonedPolicy::FailureAfter(SECOND))
    ///     .build()?;
    /// let breaker = BreakerLayer::new("given_up", config).handle();
    /// let hung = breaker.call(std::future::pending::<Result<(), ()>>());
    /// assert!(tokio::time::timeout(2 * SECOND, hung).await.is_err());
    /// assert_eq!(breaker.state(), State::Open);
    /// # Ok(()) }
    /// ```
    pub fn abandoned_policy(mut self, calls: AbandonedPolicy) -> Self {
        self.abandoned_policy = calls;
        self
    }

    /// Only counts and tells what would have been rejected, and lets it pass. What an operator
    /// forces open is rejected all the same.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, State, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = BreakerConfig::builder().consecutive_failures(1).shadow(true).build()?;
    /// let breaker = BreakerLayer::new("watching", config).handle();
    /// let _ = breaker.call(async { Err::<(), _>("down") }).await;
    /// assert_eq!(breaker.state(), State::Open, "it would reject,");
    /// assert!(breaker.call(async { Ok::<_, &str>(()) }).await.is_ok(), "and lets pass.");
    /// assert_eq!(breaker.snapshot().counts.would_reject, 1);
    /// # Ok(()) }
    /// ```
    pub fn shadow(mut self, on: bool) -> Self {
        self.shadow = on;
        self
    }
}

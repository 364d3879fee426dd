//! The settings of the open and the half-open state, and of how calls are counted.

use std::time::Duration;

use super::builder::BreakerConfigBuilder;
use super::values::{AbandonedPolicy, HalfOpenPolicy, PanicPolicy, Ramp};

impl BreakerConfigBuilder {
    seawall_core::setters! { self.config:
        /// Stays open for this time before it probes; 60 s without it. `Duration::MAX` means until an
        /// operator resets it.
        pub const fn open_for(Duration);

        /// Lengthens each open time at random by up to this share (0 to 1) of itself, so that the
        /// clients of one upstream do not come back at the same moment. Never shortens it.
        pub const fn open_jitter(f64);

        /// Draws the [jitter](Self::open_jitter) from a sequence that is always the same; for tests.
        pub const fn seed(Some(u64));

        /// Lets so many probes be in flight at once in the half-open state, at least 1. Never more
        /// than the successes that are still needed to close it.
        pub const fn probes(u32);

        /// What happens to calls that find every probe slot taken; a wait is longer than zero.
        /// Rejected without it.
        ///
        /// ```
        /// # use std::time::Duration;
        /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, CircuitState, HalfOpenPolicy};
        /// # use tokio::time::{advance, sleep};
        /// # const SECOND: Duration = Duration::from_secs(1);
        /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
        /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// let config = BreakerConfig::builder()
        ///     .consecutive_failures(1)
        ///     .open_for(SECOND)
        ///     .half_open_policy(HalfOpenPolicy::Wait { max_wait: 5 * SECOND })
        ///     .build()?;
        /// let breaker = BreakerLayer::new("waiting", config).handle();
        /// let _ = breaker.call(async { Err::<(), _>("down") }).await;
        /// advance(SECOND).await;
        /// let probe = tokio::spawn(breaker.call(async {
        ///     sleep(2 * SECOND).await;
        ///     Ok::<_, &str>(())
        /// }));
        /// tokio::task::yield_now().await;
        /// // Waits until the probe has succeeded, and passes.
        /// assert!(breaker.call(async { Ok::<_, &str>(()) }).await.is_ok());
        /// assert!(probe.await?.is_ok());
        /// # Ok(()) }
        /// ```
        pub const fn half_open_policy(HalfOpenPolicy);

        /// How a call counts that was dropped before it responded. Ignored without it: mostly the
        /// caller has lost interest, which says nothing about the upstream, and a timeout inside the
        /// breaker makes a failure of a call that hangs. Where the timeout is outside, set the age from
        /// which on a dropped call is a failure.
        ///
        /// ```
        /// # use std::time::Duration;
        /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, CircuitState, HalfOpenPolicy};
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
        /// assert_eq!(breaker.state(), CircuitState::Open);
        /// # Ok(()) }
        /// ```
        pub const fn abandoned_policy(AbandonedPolicy);

        /// How a call counts that panicked: as a failure without it.
        ///
        /// ```
        /// # use seawall_breaker::{BreakerConfig, BreakerLayer, CircuitState};
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// use seawall_breaker::PanicPolicy;
        ///
        /// let config = BreakerConfig::builder()
        ///     .consecutive_failures(1)
        ///     .panic_policy(PanicPolicy::Abandoned)
        ///     .build()?;
        /// let breaker = BreakerLayer::new("panics", config).handle();
        /// let call = tokio::spawn(breaker.call(async { panic!("a bug") as Result<(), ()> }));
        /// assert!(call.await.unwrap_err().is_panic());
        /// assert_eq!(breaker.state(), CircuitState::Closed);
        /// assert_eq!(breaker.counts().panicked, 1);
        /// # Ok(()) }
        /// ```
        pub const fn panic_policy(PanicPolicy);

        /// Only counts and reports what would have been rejected, and lets it pass. A circuit that an
        /// operator forces open rejects nevertheless.
        ///
        /// ```
        /// # use std::time::Duration;
        /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, CircuitState, HalfOpenPolicy};
        /// # use tokio::time::{advance, sleep};
        /// # const SECOND: Duration = Duration::from_secs(1);
        /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
        /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// let config = BreakerConfig::builder().consecutive_failures(1).shadow(true).build()?;
        /// let breaker = BreakerLayer::new("shadow", config).handle();
        /// let _ = breaker.call(async { Err::<(), _>("down") }).await;
        /// assert_eq!(breaker.state(), CircuitState::Open, "it would reject,");
        /// assert!(breaker.call(async { Ok::<_, &str>(()) }).await.is_ok(), "and lets pass.");
        /// assert_eq!(breaker.snapshot().counts.shadowed, 1);
        /// # Ok(()) }
        /// ```
        pub const fn shadow(bool);
    }

    /// Multiplies the open time by `factor` (finite, from 1) at each opening that follows
    /// another, up to `cap` (no less than the open time).
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, CircuitState, HalfOpenPolicy};
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
        self.config.rare_mut().open_growth = Some((factor, cap));
        self
    }

    seawall_core::setters! { self:
        /// Takes one step of the growth back for each such period that the circuit spends closed;
        /// longer than zero. Without it, the open time. Envoy's outlier detection takes a step back
        /// at each sweep that finds a host healthy.
        pub const fn open_decay(Some(Duration));

        /// Closes after so many probes have succeeded, at least 1, and opens again at the first that
        /// fails; as many as there are [`probes`](Self::probes) at once without it.
        pub const fn successes_to_close(Some(u32));

        /// Gives up probes that have not responded within this time (longer than zero, at most 24 h) and
        /// uses their slots again, so that a hung probe cannot keep the circuit half-open forever.
        /// Without it the open time, or 60 s if that is longer than 24 h.
        pub const fn probe_timeout(Some(Duration));
    }

    /// Closes when `share` (above 0, at most 1) of `calls` probes (at least 1) succeed, in place
    /// of [`successes_to_close`](Self::successes_to_close). The decision is made as soon as it
    /// cannot change.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, CircuitState, HalfOpenPolicy};
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
    ///     assert_ne!(breaker.state(), CircuitState::Closed);
    ///     let _ = breaker.call(async { probe }).await;
    /// }
    /// assert_eq!(breaker.state(), CircuitState::Closed);
    /// # Ok(()) }
    /// ```
    pub fn close_rate(mut self, share: f64, calls: u32) -> Self {
        self.close_rate = Some((share, calls));
        self
    }

    /// Lets a growing share of the calls pass after the probes have succeeded, in place of all
    /// at once: 1/2^`steps` (1 to 16 steps), twice as many after each `step` (longer than zero,
    /// at most 24 h), all after the last. The rules apply to these calls.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, CircuitState, HalfOpenPolicy};
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
    /// assert_eq!(breaker.state(), CircuitState::Closed);
    /// # Ok(()) }
    /// ```
    pub fn ramp(mut self, steps: u32, step: Duration) -> Self {
        self.config.rare_mut().ramp = Some(Ramp { steps, step });
        self
    }
}

//! The settings of what the upstream reports: bans, throttles and `Retry-After`.

use std::time::Duration;

use seawall_core::Scope;

use super::builder::BreakerConfigBuilder;
use super::values::ThrottleRule;

impl BreakerConfigBuilder {
    /// Opens at once when the upstream bans this client, until the ban is over, for `max` (longer
    /// than zero) at most, and for no less than the ordinary open time. On by default, with 24 h.
    /// For longer bans raise the bounds of the classifier (`HttpClassifier::with_longest_ban`) and of
    /// the rate limit (`max_ban`) as well.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, CircuitState, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use seawall_breaker::Outcome;
    ///
    /// let config = BreakerConfig::builder()
    ///     .consecutive_failures(5)
    ///     .open_on_ban(3_600 * SECOND)
    ///     .build()?;
    /// let breaker = BreakerLayer::new("banned", config).handle();
    /// fn classify(result: Result<&(), &u64>) -> Outcome {
    ///     match result {
    ///         Ok(()) => Outcome::Success,
    ///         Err(secs) => Outcome::Banned { lasts: Some(Duration::from_secs(*secs)) },
    ///     }
    /// }
    /// let _ = breaker.call_with(classify, async { Err(600) }).await;
    /// assert_eq!(breaker.snapshot().probes_in, Some(600 * SECOND));
    /// # Ok(()) }
    /// ```
    pub fn open_on_ban(mut self, max: Duration) -> Self {
        self.config.open_on_ban = Some(max);
        self.ban_was_set = true;
        self
    }

    /// Counts a ban as an ordinary failure.
    pub fn ban_as_failure(mut self) -> Self {
        self.config.open_on_ban = None;
        self.ban_was_set = false;
        self
    }

    /// Opens at once when the upstream throttles one of `scopes` with a time to wait: for that
    /// time, but for `max` (longer than zero) at most. Off by default, since a throttle is a sign
    /// of a client that is too fast, not of an unhealthy upstream.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{AbandonedPolicy, BreakerConfig, BreakerLayer, CircuitState, HalfOpenPolicy};
    /// # use tokio::time::{advance, sleep};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use seawall_breaker::Scope;
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
        max: Duration,
    ) -> Self {
        let scopes = scopes
            .into_iter()
            .fold(0, |bits, s| bits | ThrottleRule::bit(s));
        self.config.rare_mut().throttle = Some(ThrottleRule { scopes, max });
        self
    }

    /// Keeps the circuit open for as long as a failure asks for by a `Retry-After` (a 503 with 120 s,
    /// say), but for no longer than this time (longer than zero, at most 24 h). Holds for the failures
    /// that open the circuit, for failed probes, and for late results while it is open; a success
    /// takes it back. The wait is found by [`Classify::retry_after`](seawall_core::Classify::retry_after),
    /// or given to [`Permit::delay_probe`](crate::Permit::delay_probe); one of [`Duration::MAX`], which
    /// means that the request must not be repeated, is none.
    ///
    /// On by default, with 15 minutes: a remote value must not close a client for longer than people
    /// take to notice. Longer waits are cut to it,
    /// [counted](crate::CircuitCounts::retry_after_capped) and emitted as
    /// [`Bounded`](seawall_core::EventKind::Bounded). The classifier has a bound of its own
    /// (`HttpClassifier::with_longest_wait`), a quarter of an hour, too, unless set.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use seawall_breaker::{BreakerConfig, BreakerLayer};
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use seawall_breaker::{Complete, FailureKind, Outcome};
    ///
    /// let config = BreakerConfig::builder()
    ///     .consecutive_failures(1)
    ///     .open_for(10 * SECOND)
    ///     .max_retry_after(300 * SECOND)
    ///     .build()?;
    /// let breaker = BreakerLayer::new("asked", config).handle();
    /// let mut permit = breaker.try_admit()?;
    /// permit.delay_probe(120 * SECOND);
    /// permit.complete(Outcome::Failure(FailureKind::Overloaded));
    /// assert_eq!(breaker.snapshot().probes_in, Some(120 * SECOND));
    /// # Ok(()) }
    /// ```
    pub const fn max_retry_after(mut self, longest: Duration) -> Self {
        self.config.max_retry_after = Some(longest);
        self
    }

    /// Ignores the `Retry-After` of failures.
    pub const fn without_retry_after(mut self) -> Self {
        self.config.max_retry_after = None;
        self
    }
}

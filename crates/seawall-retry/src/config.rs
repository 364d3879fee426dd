//! The settings of a retry.

use std::time::Duration;

use seawall_core::{Backoff, InvalidConfig, NonZeroCount, Ratio, Span};

/// How often, how soon and after what a call is retried.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::Backoff;
/// use seawall_retry::RetryConfig;
///
/// let quotes = RetryConfig::builder()
///     .attempts(5)
///     .backoff(Backoff::exponential(Duration::from_millis(500), Duration::from_secs(10))?)
///     .build()?;
/// assert_eq!(quotes.attempts(), 5);
///
/// let rejected = RetryConfig::builder().attempts(0).build().unwrap_err();
/// assert_eq!(rejected.to_string(), "`attempts` is 0, accepted is a whole number from 1");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RetryConfig {
    attempts: u32,
    backoff: Backoff,
    throttled_backoff: Option<Backoff>,
    attempt_timeout: Option<Duration>,
    overall_timeout: Option<Duration>,
    max_retry_after: Duration,
    retry_after_jitter: f64,
    max_rejection_wait: Duration,
    retry_throttled: bool,
    retry_if_not_sent: bool,
}

impl RetryConfig {
    /// A builder that starts from the defaults.
    pub fn builder() -> RetryConfigBuilder {
        RetryConfigBuilder {
            config: Self::default(),
        }
    }

    seawall_core::getters! {
        /// The most attempts of one call, the first one included.
        pub const fn attempts -> u32;

        /// The waits between attempts.
        pub const fn backoff -> &Backoff;

        /// How long one attempt may take, if that is limited here.
        pub const fn attempt_timeout -> Option<Duration>;

        /// How long a call with all its attempts and waits may take, if that is limited here.
        pub const fn overall_timeout -> Option<Duration>;

        /// The longest wait that the upstream may ask for.
        pub const fn max_retry_after -> Duration;

        /// Over which share of a wait that was asked for attempts are spread after it.
        pub const fn retry_after_jitter -> f64;

        /// The longest wait that a layer below may ask for; zero when a rejection ends the call.
        pub const fn max_rejection_wait -> Duration;

        /// Whether a throttled request is retried.
        pub const fn retry_throttled -> bool;

        /// Whether a request that must not be sent twice is retried when it was certainly not sent.
        pub const fn retry_if_not_sent -> bool;
    }

    /// The waits after a throttled attempt; those of [`backoff`](Self::backoff) unless set apart.
    pub const fn throttled_backoff(&self) -> &Backoff {
        match &self.throttled_backoff {
            Some(backoff) => backoff,
            None => &self.backoff,
        }
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("attempts", self.attempts.to_string()),
            ("backoff", self.backoff.to_string()),
            ("throttled_backoff", self.throttled_backoff().to_string()),
            ("attempt_timeout", Span::or_none(self.attempt_timeout)),
            ("overall_timeout", Span::or_none(self.overall_timeout)),
            ("max_retry_after", Span(self.max_retry_after).to_string()),
            ("retry_after_jitter", self.retry_after_jitter.to_string()),
            (
                "max_rejection_wait",
                Span(self.max_rejection_wait).to_string(),
            ),
            ("retry_throttled", self.retry_throttled.to_string()),
            ("retry_if_not_sent", self.retry_if_not_sent.to_string()),
        ]
    }
}

impl Default for RetryConfig {
    /// Three attempts; waits below 1 s, then below 2 s (exponential, at most 60 s, full jitter);
    /// hints of up to 60 s are followed, and spread by a tenth of them; rejections end the call; throttled requests and those that
    /// were not sent are retried; no time limit of its own.
    ///
    /// Three attempts with full jitter below 1 s, doubled each time, are what the AWS SDKs'
    /// standard retry mode does; Google's SRE book (chapter "Handling Overload") allows a request
    /// three attempts, too.
    fn default() -> Self {
        Self {
            attempts: 3,
            // Neither argument can be rejected.
            backoff: Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60))
                .unwrap_or(Backoff::NONE),
            throttled_backoff: None,
            attempt_timeout: None,
            overall_timeout: None,
            max_retry_after: Duration::from_secs(60),
            retry_after_jitter: 0.1,
            max_rejection_wait: Duration::ZERO,
            retry_throttled: true,
            retry_if_not_sent: true,
        }
    }
}

/// Collects the settings of a [`RetryConfig`] and checks them at the end.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct RetryConfigBuilder {
    config: RetryConfig,
}

impl From<RetryConfig> for RetryConfigBuilder {
    /// Starts from these settings.
    fn from(config: RetryConfig) -> Self {
        Self { config }
    }
}

impl RetryConfigBuilder {
    /// Sets the waits between attempts; exponential from 1 s to 60 s with full jitter unless
    /// set.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = backoff;
        self
    }

    /// Sets the waits after a throttled attempt apart from those after a failure, which are
    /// [`backoff`](Self::backoff)'s.
    ///
    /// A failure is mostly an accident and gone soon, a throttle lasts until its window is
    /// over: the AWS SDKs wait below 50 ms, doubled each time, after the one, and below 1 s
    /// after the other, both at most 20 s. The two share the count of the attempts. Without
    /// effect, and so rejected by [`build`](Self::build), where throttled requests are not
    /// retried.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_core::Backoff;
    /// use seawall_retry::RetryConfig;
    ///
    /// let cap = Duration::from_secs(20);
    /// let config = RetryConfig::builder()
    ///     .backoff(Backoff::exponential(Duration::from_millis(50), cap)?)
    ///     .throttled_backoff(Backoff::exponential(Duration::from_secs(1), cap)?)
    ///     .build()?;
    /// assert_eq!(config.throttled_backoff().ceiling(2), Duration::from_secs(4));
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    pub fn throttled_backoff(mut self, backoff: Backoff) -> Self {
        self.config.throttled_backoff = Some(backoff);
        self
    }

    seawall_core::setters! { self.config:
        /// Sets the most attempts of one call, the first one included; 3 unless set. One attempt
        /// makes the layer a counter.
        pub const fn attempts(u32);

        /// Limits how long one attempt may take, from its first poll; no limit unless set.
        ///
        /// An attempt that takes longer is dropped and rejected as `AttemptTimeout`: whether it was
        /// executed is unknown, so only requests that may be sent twice are retried. The timer is
        /// set only when the response is not there at once, at the price of one allocation per
        /// call. Where layers of limits lie below, the time in their queues counts;
        /// `seawall-timeout`'s attempt timeout below them does not count it.
        pub const fn attempt_timeout(Some(Duration));

        /// Limits how long a call may take with all its attempts and waits, from its first poll
        /// (from the call itself where it waits for a token of the sending rate); no limit unless
        /// set.
        ///
        /// No wait is begun that would end later, no attempt is made later, and an attempt that is
        /// under way then is dropped and rejected as `DeadlineExceeded`. The request's own deadline
        /// holds where it is earlier, and then ends attempts too; without this setting it only ends
        /// waits, since a deadline layer above does the rest. With [`Duration::MAX`] only the
        /// request's deadline ends attempts.
        pub const fn overall_timeout(Some(Duration));

        /// Sets the longest wait that the upstream may ask for (`Retry-After`); 60 s unless set.
        /// When it asks for more, the call ends at once with the upstream's response: an attempt
        /// before the time it named is wasted, and the caller may have better to do than to wait.
        /// [`Duration::MAX`] as a hint means never, and ends the call whatever is allowed.
        pub const fn max_retry_after(Duration);

        /// Sets over which share of a wait that the upstream or a layer below has asked for attempts
        /// are spread after its end, from 0 to 1; 0.1 unless set, so that attempts which are to
        /// wait for 60 s come back within 60 to 66 seconds.
        ///
        /// Clients that got the same time would all come back at one instant. What the jitter of
        /// the [backoff](Self::backoff) leaves to chance spreads them, too, and the wider of the two
        /// holds. Where the deadline is near, attempts are spread over the time that is left: none
        /// is given up for the jitter alone. With 0 and a backoff without jitter all come back at
        /// once.
        pub const fn retry_after_jitter(f64);

        /// Sets the longest wait that a *layer below* may ask for; zero unless set, and then a
        /// local rejection ends the call.
        ///
        /// A rejected request was not sent, so it may be retried whatever it is, and costs the
        /// budget nothing. Only rejections that say when to come back are retried, and those of a
        /// circuit that cannot say it (half-open and full), which get the backoff; a rejection for
        /// lack of budget, for lack of time or for the cost of the request never is.
        pub const fn max_rejection_wait(Duration);

        /// Sets whether a throttled request that may be sent twice is retried; it is unless set.
        pub const fn retry_throttled(bool);

        /// Sets whether a request that must not be sent twice is retried when it certainly was not
        /// sent: rejected by a layer below, or no connection. It is unless set.
        ///
        /// Such a request is worth it: an order that never left is not placed. The price is a copy
        /// of each request beforehand; set it to `false` where that is too expensive, and requests
        /// of [`Replay::Never`](seawall_core::Replay::Never) are neither copied nor retried.
        pub const fn retry_if_not_sent(bool);
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `attempts`, `attempt_timeout` or `overall_timeout` when it is
    /// 0, `attempt_timeout` when it is longer than `overall_timeout`, `retry_after_jitter` when it
    /// is not 0 to 1, or `throttled_backoff` when throttled requests are not retried.
    pub fn build(self) -> Result<RetryConfig, InvalidConfig> {
        let config = &self.config;
        NonZeroCount::check("attempts", config.attempts)?;
        Ratio::new(config.retry_after_jitter).map_err(|e| e.in_field("retry_after_jitter"))?;
        for (field, limit) in [
            ("attempt_timeout", config.attempt_timeout),
            ("overall_timeout", config.overall_timeout),
        ] {
            if limit.is_some_and(|limit| limit.is_zero()) {
                return Err(InvalidConfig::new(
                    field,
                    Span(Duration::ZERO),
                    "longer than zero",
                ));
            }
        }
        if let (Some(attempt), Some(overall)) = (config.attempt_timeout, config.overall_timeout)
            && attempt > overall
        {
            return Err(InvalidConfig::new(
                "attempt_timeout",
                Span(attempt),
                format!("at most the overall timeout, {}", Span(overall)),
            ));
        }
        if let Some(backoff) = &config.throttled_backoff
            && !config.retry_throttled
        {
            return Err(InvalidConfig::new(
                "throttled_backoff",
                backoff,
                "none where `retry_throttled` is off",
            ));
        }
        Ok(self.config)
    }
}

//! What a stack is made of, and how each number of it is overridden.

use std::time::Duration;

use seawall_breaker::BreakerConfig;
use seawall_bulkhead::BulkheadConfig;
use seawall_core::{
    Budget, CompleteOnResponse, DefaultMeta, ErrorIsFailure, InstanceName, InvalidConfig,
};
use seawall_ratelimit::RateLimitConfig;
use seawall_retry::{CloneRequest, RetryConfig};
use seawall_timeout::NoPropagation;

use crate::stack::ClientStack;

/// The settings of every layer of a stack, outermost first.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long one call may take with all its waits and attempts; longer than one attempt may.
    pub deadline: Duration,
    /// Attempts, backoff, hints.
    pub retry: RetryConfig,
    /// Places and queue.
    pub bulkhead: BulkheadConfig,
    /// Rate, burst and the longest wait for a token.
    pub rate_limit: RateLimitConfig,
    /// When the circuit opens and closes.
    pub breaker: BreakerConfig,
    /// How long one attempt may take.
    pub attempt_timeout: Duration,
}

/// Builds a stack: the numbers of a service or a provider, each of which can be overridden.
///
/// Made by [`broker`](crate::broker()), [`market_data`](crate::market_data()),
/// [`ai_api`](crate::ai_api()) and the providers' functions beside them.
///
/// ```
/// use std::time::Duration;
///
/// let builder = seawall::broker("alpaca")
///     .attempt_timeout(Duration::from_secs(5))
///     .breaker(seawall::BreakerConfig::builder().consecutive_failures(3).build()?);
/// assert_eq!(builder.settings()?.attempt_timeout, Duration::from_secs(5));
/// # Ok::<(), seawall::InvalidConfig>(())
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub struct StackBuilder {
    name: InstanceName,
    settings: Result<Settings, InvalidConfig>,
    budget: Option<Budget>,
    #[cfg(feature = "http")]
    headers: seawall_http::RateLimitHeaders,
}

impl StackBuilder {
    /// A stack of your own numbers. Settings that could not be made are told by
    /// [`build`](Self::build).
    pub fn new(name: impl Into<InstanceName>, settings: Result<Settings, InvalidConfig>) -> Self {
        Self {
            name: name.into(),
            settings,
            budget: None,
            #[cfg(feature = "http")]
            headers: seawall_http::RateLimitHeaders::new(),
        }
    }

    /// What the headers of this provider's answers say of its limits.
    #[cfg(feature = "http")]
    pub(crate) fn headers(mut self, headers: seawall_http::RateLimitHeaders) -> Self {
        self.headers = headers;
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        if let Ok(settings) = &mut self.settings {
            change(settings);
        }
        self
    }

    /// Overrides how long one call may take with all its waits and attempts. One attempt must be
    /// shorter: set [`attempt_timeout`](Self::attempt_timeout), too, for a short deadline.
    pub fn deadline(self, total: Duration) -> Self {
        self.with(|s| s.deadline = total)
    }

    /// Overrides attempts, backoff and hints.
    pub fn retry(self, retry: RetryConfig) -> Self {
        self.with(|s| s.retry = retry)
    }

    /// Pays for extra attempts from a budget that is shared with other stacks; without it the
    /// stack has one of its own.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Overrides places and queue.
    pub fn bulkhead(self, bulkhead: BulkheadConfig) -> Self {
        self.with(|s| s.bulkhead = bulkhead)
    }

    /// Overrides rate, burst and the longest wait for a token.
    pub fn rate_limit(self, rate_limit: RateLimitConfig) -> Self {
        self.with(|s| s.rate_limit = rate_limit)
    }

    /// Overrides when the circuit opens and closes.
    pub fn breaker(self, breaker: BreakerConfig) -> Self {
        self.with(|s| s.breaker = breaker)
    }

    /// Overrides how long one attempt may take: less than the deadline. An attempt that the
    /// deadline cuts off says nothing about the upstream, so with a longer timeout an upstream
    /// that hangs would never open the circuit.
    pub fn attempt_timeout(self, timeout: Duration) -> Self {
        self.with(|s| s.attempt_timeout = timeout)
    }

    /// The settings as they are now.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a setting could not be made.
    pub fn settings(&self) -> Result<&Settings, InvalidConfig> {
        self.settings.as_ref().map_err(Clone::clone)
    }

    /// The stack for HTTP clients: services of `http::Request<B>` that answer
    /// `http::Response<_>`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] naming the first setting that cannot be.
    #[cfg(feature = "http")]
    pub fn build(self) -> Result<crate::HttpStack, InvalidConfig> {
        let headers = self.headers.clone();
        Ok(crate::HttpStack::new(self.build_generic()?, headers))
    }

    /// The stack for any Tower service whose error is [`Rejectable`](crate::Rejectable): errors are
    /// failures, no request is known to be safe to send twice, and each costs one token. Change
    /// that with the methods of [`ClientStack`].
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] naming the first setting that cannot be; `attempt_timeout` when it is not
    /// shorter than the deadline.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let five = Duration::from_secs(5);
    /// let rejected = seawall::broker("alpaca").deadline(five).build_generic().unwrap_err();
    /// assert_eq!(
    ///     rejected.to_string(),
    ///     "`attempt_timeout` is 10s, accepted is shorter than the deadline, 5s",
    /// );
    /// let hasty = seawall::broker("alpaca").deadline(five).attempt_timeout(five / 2);
    /// assert!(hasty.build_generic().is_ok());
    /// ```
    pub fn build_generic(self) -> Result<GenericStack, InvalidConfig> {
        ClientStack::new(self.name, &self.settings?, self.budget.unwrap_or_default())
    }
}

/// What [`StackBuilder::build_generic`] makes.
pub type GenericStack =
    ClientStack<ErrorIsFailure, DefaultMeta, CompleteOnResponse, CloneRequest, NoPropagation>;

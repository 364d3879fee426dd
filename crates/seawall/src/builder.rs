//! How the numbers of a stack are overridden, and how it is built.

use std::time::Duration;

use seawall_breaker::BreakerConfig;
use seawall_bulkhead::BulkheadConfig;
use seawall_core::{Budget, InstanceName, InvalidConfig, Policies};
#[cfg(feature = "http")]
use seawall_http::{HttpClassifier, body_timeout::BodyTimeoutConfig};
use seawall_ratelimit::RateLimitConfig;
use seawall_retry::{AdaptiveRate, RetryConfig};
use seawall_telemetry::TelemetryConfig;
use seawall_timeout::{AttemptTimeoutConfig, DeadlineConfig};

#[cfg(feature = "http")]
use crate::preset::HttpParts;
use crate::preset::Preset;
use crate::settings::Settings;
use crate::stack::{ClientStack, Pay};

/// Builds a stack: the numbers of a provider or of a kind of service, each of which can be
/// overridden.
///
/// Made by [`broker`](crate::broker()), [`order_execution`](crate::order_execution()),
/// [`market_data`](crate::market_data()) and [`ai_api`](crate::ai_api()); for a provider of the
/// [catalogue](crate::catalog) it is what [`Tier::build_with`](crate::catalog::Tier::build_with)
/// adjusts.
///
/// ```
/// use std::time::Duration;
///
/// let builder = seawall::broker("my-broker")
///     .attempt_timeout(Duration::from_secs(5))
///     .breaker(seawall::BreakerConfig::builder().consecutive_failures(3).build()?);
/// assert_eq!(builder.settings()?.attempt_timeout.timeout(), Duration::from_secs(5));
/// # Ok::<(), seawall::InvalidConfig>(())
/// ```
#[must_use]
#[derive(Clone, Debug)]
pub struct StackBuilder {
    name: InstanceName,
    settings: Result<Settings, InvalidConfig>,
    pay: Pay,
    #[cfg(feature = "http")]
    http: HttpParts,
    /// Set by the user, and without effect in a stack that has no bodies.
    #[cfg(feature = "http")]
    own_body_timeout: Option<BodyTimeoutConfig>,
    #[cfg(feature = "http")]
    longest_wait: Option<Duration>,
}

impl StackBuilder {
    /// A stack of your own numbers, with nothing that is particular to a provider. Begin with the
    /// settings of another builder and change what is different:
    ///
    /// ```
    /// use seawall::{RetryConfig, StackBuilder};
    ///
    /// let mut settings = seawall::market_data("feed").settings()?.clone();
    /// settings.retry = RetryConfig::builder().attempts(2).build()?;
    /// let stack = StackBuilder::new("my-feed", settings).build()?;
    /// # let _ = stack.handles();
    /// # Ok::<(), seawall::InvalidConfig>(())
    /// ```
    pub fn new(name: impl Into<InstanceName>, settings: Settings) -> Self {
        Self {
            name: name.into(),
            settings: Ok(settings),
            pay: Pay::default(),
            #[cfg(feature = "http")]
            http: HttpParts::common(),
            #[cfg(feature = "http")]
            own_body_timeout: None,
            #[cfg(feature = "http")]
            longest_wait: None,
        }
    }

    pub(crate) fn of(name: impl Into<InstanceName>, preset: &Preset) -> Self {
        Self {
            name: name.into(),
            settings: preset.settings(),
            pay: Pay::default(),
            #[cfg(feature = "http")]
            http: HttpParts::common(),
            #[cfg(feature = "http")]
            own_body_timeout: None,
            #[cfg(feature = "http")]
            longest_wait: None,
        }
    }

    /// A stack of these numbers, for an upstream of which this is known.
    #[cfg(feature = "catalog")]
    pub(crate) fn with_http(
        name: impl Into<InstanceName>,
        settings: Settings,
        http: HttpParts,
    ) -> Self {
        Self {
            http,
            ..Self::new(name, settings)
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings) -> Result<(), InvalidConfig>) -> Self {
        self.settings = self.settings.and_then(|mut settings| {
            change(&mut settings)?;
            Ok(settings)
        });
        self
    }

    fn set(self, change: impl FnOnce(&mut Settings)) -> Self {
        self.with(|settings| {
            change(settings);
            Ok(())
        })
    }

    /// Overrides how long one call may take with all its waits and attempts; [`Duration::MAX`] is
    /// forever. One attempt must be shorter: set [`attempt_timeout`](Self::attempt_timeout), too,
    /// for a short deadline.
    pub fn deadline(self, timeout: Duration) -> Self {
        self.with(|settings| {
            settings.deadline = DeadlineConfig::new(timeout).map_err(|e| e.in_field("deadline"))?;
            Ok(())
        })
    }

    /// Overrides attempts, backoff and hints.
    pub fn retry(self, retry: RetryConfig) -> Self {
        self.set(|settings| settings.retry = retry)
    }

    /// Pays for extra attempts from a budget that is shared with other stacks; without it the
    /// stack has one of its own.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.pay.budget = budget;
        self
    }

    /// Limits how fast all attempts are sent by a rate that is learned from throttles. Stacks that
    /// send to one upstream share it.
    ///
    /// ```
    /// use seawall::AdaptiveRate;
    ///
    /// let stack = seawall::ai_api("my-model").adaptive_rate(AdaptiveRate::new()).build()?;
    /// let rate = stack.handles().retry.adaptive_rate().cloned();
    /// assert!(rate.is_some_and(|rate| !rate.is_enabled()), "until the first throttle");
    /// # Ok::<(), seawall::InvalidConfig>(())
    /// ```
    pub fn adaptive_rate(mut self, rate: AdaptiveRate) -> Self {
        self.pay.rate = Some(rate);
        self
    }

    /// Sets what is measured of calls and attempts: their latencies, how they end, what the layers cost.
    pub fn telemetry(self, telemetry: TelemetryConfig) -> Self {
        self.set(|settings| settings.telemetry = telemetry)
    }

    /// Overrides permits and queue.
    pub fn bulkhead(self, bulkhead: BulkheadConfig) -> Self {
        self.set(|settings| settings.bulkhead = bulkhead)
    }

    /// Overrides the limits, and the longest wait for a token with its queue.
    ///
    /// How the provider pauses its clients does not change with the plan: `default_pause`,
    /// `max_pause` and `max_ban` stay as they are unless `rate_limit` sets its own
    /// ([`RateLimitConfig::with_pauses_of`]).
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall::RateLimitConfig;
    ///
    /// let paid = RateLimitConfig::builder().rate(20, Duration::from_secs(1)).build()?;
    /// let stack = seawall::market_data("news").rate_limit(paid);
    /// let pause = stack.settings()?.rate_limit.default_pause();
    /// assert_eq!(pause, Duration::from_secs(1));
    /// # Ok::<(), seawall::InvalidConfig>(())
    /// ```
    pub fn rate_limit(self, rate_limit: RateLimitConfig) -> Self {
        self.set(|settings| {
            settings.rate_limit = rate_limit.with_pauses_of(&settings.rate_limit);
        })
    }

    /// Overrides when the circuit opens and closes, with everything that is not set in `breaker` as
    /// its defaults are: a ban opens it for a day at most then, and not for three.
    pub fn breaker(self, breaker: BreakerConfig) -> Self {
        self.set(|settings| settings.breaker = breaker)
    }

    /// Overrides how long one attempt may take: less than the deadline. An attempt that the
    /// deadline ends says nothing about the upstream, so with a longer timeout an upstream that
    /// hangs would never open the circuit.
    pub fn attempt_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| {
            settings.attempt_timeout =
                AttemptTimeoutConfig::fixed(timeout).map_err(|e| e.in_field("attempt_timeout"))?;
            Ok(())
        })
    }

    /// Overrides how long the body of a response may take: to its first byte, between its pieces,
    /// and in all. A body that stalls then ends with an error, and its permit is free. For HTTP
    /// stacks: an error of [`build_generic`](Self::build_generic).
    #[cfg(feature = "http")]
    pub fn body_timeout(mut self, body_timeout: BodyTimeoutConfig) -> Self {
        self.own_body_timeout = Some(body_timeout);
        self.set(|settings| settings.body_timeout = body_timeout)
    }

    /// Applies waits of up to `longest` that an upstream asks for by `Retry-After` or by the headers of
    /// its limits; a quarter of an hour unless set. What asks for more is waited out for `longest`, then
    /// asked again.
    ///
    /// It is the bound of the classifier. Those of the layers that apply a wait are raised to it, now
    /// and where settings are given later: `max_pause` of the rate limit, and `max_retry_after` of the
    /// breaker, up to 24 hours. How long a *call* waits for another attempt is the retry's own
    /// `max_retry_after`, which stays. For HTTP stacks: an error of
    /// [`build_generic`](Self::build_generic), whose policy has the classifier.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let hour = Duration::from_secs(3_600);
    /// let builder = seawall::market_data("feed").longest_wait(hour);
    /// assert_eq!(builder.settings()?.rate_limit.max_pause(), hour);
    /// assert_eq!(builder.settings()?.breaker.max_retry_after(), Some(hour));
    /// # Ok::<(), seawall::InvalidConfig>(())
    /// ```
    #[cfg(feature = "http")]
    pub fn longest_wait(mut self, longest: Duration) -> Self {
        self.longest_wait = Some(longest);
        self.with(|settings| {
            // So that what it does not accept is known now.
            HttpClassifier::new().with_longest_wait(longest)?;
            raise(settings, longest);
            Ok(())
        })
    }

    /// The settings as they are now.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of the first setting that was not accepted.
    pub fn settings(&self) -> Result<&Settings, InvalidConfig> {
        self.settings.as_ref().map_err(Clone::clone)
    }

    /// The stack for HTTP clients: services of `http::Request<B>` whose response is a
    /// `http::Response<_>`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of the first setting that is not accepted, as
    /// [`build_generic`](Self::build_generic).
    #[cfg(feature = "http")]
    pub fn build(self) -> Result<crate::HttpStack, InvalidConfig> {
        let mut settings = self.settings?;
        let mut classifier = self.http.classifier.clone();
        if let Some(longest) = self.longest_wait {
            classifier = classifier.with_longest_wait(longest)?;
            raise(&mut settings, longest);
        }
        crate::HttpStack::new(self.name, &settings, self.pay, &self.http, classifier)
    }

    /// The stack for any Tower service whose error is [`Rejectable`](crate::Rejectable).
    ///
    /// `policy` is what the layers must know about that service:
    ///
    /// * **`describe`: whether a request may be sent twice.** Without it no request is known to be
    ///   safe to send again, and retry makes no second attempt.
    /// * **`classify`: what a response means.** Without it every `Ok` is a success: a service that
    ///   reports its failures inside `Ok`, as every HTTP client does, never opens the circuit.
    /// * **`keep`: what is kept of a response whose call is tried again**, for the case that no
    ///   further attempt leaves. Without it the caller gets the rejection then;
    ///   [`KeepWhole`](crate::KeepWhole) keeps plain values.
    /// * `track_completion` and `copy`, where a call is over later than with its response, or where
    ///   a request is not `Clone`.
    ///
    /// So there is no default. `Policy::new()` says: errors are failures, and no request is sent
    /// twice.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] of the first setting that is not accepted: see [`Settings::check`], and
    /// `body_timeout` and `longest_wait` where they were set.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall::{ConstMeta, Policy, RequestMeta};
    ///
    /// let reads = Policy::new().describe(ConstMeta(RequestMeta::idempotent()));
    /// let five = Duration::from_secs(5);
    /// let rejected = seawall::market_data("feed").deadline(five).build_generic(reads).unwrap_err();
    /// assert_eq!(
    ///     rejected.to_string(),
    ///     "`attempt_timeout` is 5s, accepted is shorter than the deadline, 5s",
    /// );
    /// let shorter = seawall::market_data("feed").deadline(five).attempt_timeout(five / 2);
    /// assert!(shorter.build_generic(reads).is_ok());
    /// # Ok::<(), seawall::InvalidConfig>(())
    /// ```
    pub fn build_generic<X: Policies>(self, policy: X) -> Result<ClientStack<X>, InvalidConfig> {
        #[cfg(feature = "http")]
        if let Some(config) = self.own_body_timeout {
            return Err(InvalidConfig::new(
                "body_timeout",
                format!("{config:?}"),
                "nothing where there are no bodies: use `build` for an HTTP client",
            ));
        }
        #[cfg(feature = "http")]
        if let Some(longest) = self.longest_wait {
            return Err(InvalidConfig::new(
                "longest_wait",
                format!("{longest:?}"),
                "nothing where the policy has the classifier: use `build` for an HTTP client",
            ));
        }
        let stack = ClientStack::new(self.name, &self.settings?, self.pay)?;
        Ok(stack.policy(policy))
    }
}

/// Lets the layers apply what the classifier allows.
#[cfg(feature = "http")]
pub(crate) fn raise(settings: &mut Settings, longest: Duration) {
    settings.rate_limit = settings.rate_limit.clone().raise_max_pause(longest);
    settings.breaker = settings.breaker.clone().raise_max_retry_after(longest);
}

//! The settings of a router.

use std::time::Duration;

use seawall_core::{InvalidConfig, Span};

/// How many attempts a call may take, how long it may wait for a deployment to come back, and for how
/// long what has failed is left alone.
///
/// ```
/// use std::time::Duration;
/// use seawall_ai::route::RouterConfig;
///
/// let config = RouterConfig::builder()
///     .max_attempts(4)
///     .max_wait(Duration::from_secs(10))
///     .build()?;
/// assert_eq!(config.max_attempts(), 4);
///
/// let invalid = RouterConfig::builder().max_attempts(0).build().unwrap_err();
/// assert_eq!(invalid.to_string(), "`max_attempts` is 0, accepted is at least 1");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterConfig {
    max_attempts: u32,
    max_wait: Duration,
    rate_limit_cool_down: Duration,
    account_cool_down: Duration,
    model_cool_down: Duration,
    provider_cool_down: Duration,
    failure_threshold: u32,
    longest_cool_down: Duration,
    longest_provider_cool_down: Duration,
    trial_timeout: Duration,
    always_trace: bool,
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3_600);

impl RouterConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> RouterConfigBuilder {
        RouterConfigBuilder::default()
    }

    seawall_core::getters! {
        /// The most attempts of one call that may have been sent.
        pub const fn max_attempts -> u32;
        /// The longest time a call waits for a deployment to come back, in all its waits together.
        pub const fn max_wait -> Duration;
        /// For how long a deployment is left alone after a rate limit that names no wait.
        pub const fn rate_limit_cool_down -> Duration;
        /// For how long a deployment is left alone whose key is rejected or whose quota is used up.
        pub const fn account_cool_down -> Duration;
        /// For how long a deployment is left alone that does not have the model.
        pub const fn model_cool_down -> Duration;
        /// For how long a provider is left alone that is overloaded or fails.
        pub const fn provider_cool_down -> Duration;
        /// After how many failures in a row a provider is left alone that does not report an overload.
        pub const fn failure_threshold -> u32;
        /// The longest wait of a rate limit or a quota that is applied.
        pub const fn longest_cool_down -> Duration;
        /// The longest wait of an overloaded provider that is applied.
        pub const fn longest_provider_cool_down -> Duration;
        /// How long a trial may take before another call tries.
        pub const fn trial_timeout -> Duration;
        /// Whether every response has a [`RouteTrace`](super::RouteTrace).
        pub const fn always_trace -> bool;
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let span = |time: Duration| Span(time).to_string();
        vec![
            ("max_attempts", self.max_attempts.to_string()),
            ("max_wait", span(self.max_wait)),
            ("rate_limit_cool_down", span(self.rate_limit_cool_down)),
            ("account_cool_down", span(self.account_cool_down)),
            ("model_cool_down", span(self.model_cool_down)),
            ("provider_cool_down", span(self.provider_cool_down)),
            ("failure_threshold", self.failure_threshold.to_string()),
            ("longest_cool_down", span(self.longest_cool_down)),
            (
                "longest_provider_cool_down",
                span(self.longest_provider_cool_down),
            ),
            ("trial_timeout", span(self.trial_timeout)),
            ("always_trace", self.always_trace.to_string()),
        ]
    }
}

impl Default for RouterConfig {
    /// Ten attempts and waits of 30 s together; 5 s after a rate limit, ten minutes after a rejected
    /// key, a used-up quota or a model that is gone, 5 s for a provider that is overloaded or has failed
    /// three times in a row.
    ///
    /// 5 s are the cool-down of LiteLLM's router. Ten attempts, since those that a limit or a wrong key
    /// costs are quick, and a healthy key must not stay unused because others are tried first.
    fn default() -> Self {
        Self {
            max_attempts: 10,
            max_wait: 30 * SECOND,
            rate_limit_cool_down: 5 * SECOND,
            account_cool_down: 600 * SECOND,
            model_cool_down: 600 * SECOND,
            provider_cool_down: 5 * SECOND,
            failure_threshold: 3,
            longest_cool_down: DAY,
            longest_provider_cool_down: 60 * SECOND,
            trial_timeout: 60 * SECOND,
            always_trace: false,
        }
    }
}

/// Collects the settings of a router; see [`RouterConfig::builder`].
#[must_use = "a builder does nothing until `build`"]
#[derive(Clone, Debug, Default)]
pub struct RouterConfigBuilder {
    config: RouterConfig,
}

impl From<RouterConfig> for RouterConfigBuilder {
    /// Starts from these settings.
    fn from(config: RouterConfig) -> Self {
        Self { config }
    }
}

impl RouterConfigBuilder {
    seawall_core::setters! { self.config:
        /// Sets the most attempts of one call that may have been sent, at least 1; 10 unless set. Those
        /// that a deployment has rejected without sending anything do not count.
        pub const fn max_attempts(u32);

        /// Sets the longest time that a call waits for a deployment to come back, in all its waits
        /// together, at most a day; 30 s unless set, and no longer than the deadline of the request. With
        /// zero no call waits. No call waits for a block to end.
        pub const fn max_wait(Duration);

        /// Sets for how long a deployment is left alone after a rate limit that names no wait, from
        /// 1 ms to a day; 5 s unless set.
        pub const fn rate_limit_cool_down(Duration);

        /// Sets for how long a deployment is left alone whose key is rejected, or whose quota is used up
        /// and names no reset, from 1 ms to a day; ten minutes unless set.
        pub const fn account_cool_down(Duration);

        /// Sets for how long a deployment is left alone that does not have the model, from 1 ms to a
        /// day; ten minutes unless set.
        pub const fn model_cool_down(Duration);

        /// Sets for how long a provider is left alone with all its deployments that is overloaded and
        /// names no wait, or fails, from 1 ms to a day; 5 s unless set.
        pub const fn provider_cool_down(Duration);

        /// Sets after how many failures in a row (HTTP 5xx, connections, time-outs) a provider is left
        /// alone, at least 1; 3 unless set. A single failure says little, and with 1 each would send
        /// all calls elsewhere for a while. An overload is reported by the provider itself, and counts
        /// at once.
        pub const fn failure_threshold(u32);

        /// Sets the longest wait of a rate limit or a quota that is applied, from 1 ms to 49 days; a day
        /// unless set.
        pub const fn longest_cool_down(Duration);

        /// Sets the longest wait of an overloaded provider that is applied, from 1 ms to a day; 60 s
        /// unless set.
        pub const fn longest_provider_cool_down(Duration);

        /// Sets how long the single call may take that shows whether a deployment has recovered, before
        /// another one tries, too, from 1 ms to a day; 60 s unless set.
        pub const fn trial_timeout(Duration);

        /// Sets whether every response has a [`RouteTrace`](super::RouteTrace) in its extensions, at the
        /// price of allocations; unless set only those that needed more than one attempt have.
        pub const fn always_trace(bool);
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a count is 0, a time is not in the range of its setter, or a cool-down is
    /// longer than the longest one that is applied.
    pub fn build(self) -> Result<RouterConfig, InvalidConfig> {
        let Self { config } = self;
        at_least_one("max_attempts", config.max_attempts)?;
        at_least_one("failure_threshold", config.failure_threshold)?;
        if config.max_wait > DAY {
            return Err(rejected("max_wait", config.max_wait, "at most a day"));
        }
        for (field, time) in [
            ("rate_limit_cool_down", config.rate_limit_cool_down),
            ("account_cool_down", config.account_cool_down),
            ("model_cool_down", config.model_cool_down),
            ("provider_cool_down", config.provider_cool_down),
            (
                "longest_provider_cool_down",
                config.longest_provider_cool_down,
            ),
            ("trial_timeout", config.trial_timeout),
        ] {
            if !(SHORTEST..=DAY).contains(&time) {
                return Err(rejected(field, time, "from 1ms to a day"));
            }
        }
        let longest = config.longest_cool_down;
        if !(SHORTEST..=LONGEST).contains(&longest) {
            let accepted = "from 1ms to 49 days";
            return Err(rejected("longest_cool_down", longest, accepted));
        }
        if config.rate_limit_cool_down > longest {
            let accepted = "at most `longest_cool_down`";
            let time = config.rate_limit_cool_down;
            return Err(rejected("rate_limit_cool_down", time, accepted));
        }
        if config.provider_cool_down > config.longest_provider_cool_down {
            let accepted = "at most `longest_provider_cool_down`";
            let time = config.provider_cool_down;
            return Err(rejected("provider_cool_down", time, accepted));
        }
        Ok(config)
    }
}

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(49 * 24 * 3_600);

fn at_least_one(field: &'static str, count: u32) -> Result<(), InvalidConfig> {
    match count {
        0 => Err(InvalidConfig::new(field, 0, "at least 1")),
        _ => Ok(()),
    }
}

fn rejected(field: &'static str, time: Duration, accepted: &'static str) -> InvalidConfig {
    InvalidConfig::new(field, format!("{time:?}"), accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_an_error_that_names_the_field() {
        let field = |builder: RouterConfigBuilder| builder.build().unwrap_err().field().to_owned();
        let builder = RouterConfig::builder;
        let zero = Duration::ZERO;
        for (expected, builder) in [
            ("max_attempts", builder().max_attempts(0)),
            ("failure_threshold", builder().failure_threshold(0)),
            ("max_wait", builder().max_wait(Duration::MAX)),
            ("rate_limit_cool_down", builder().rate_limit_cool_down(zero)),
            ("account_cool_down", builder().account_cool_down(zero)),
            ("model_cool_down", builder().model_cool_down(Duration::MAX)),
            ("provider_cool_down", builder().provider_cool_down(zero)),
            ("trial_timeout", builder().trial_timeout(zero)),
            ("longest_cool_down", builder().longest_cool_down(zero)),
            ("rate_limit_cool_down", builder().longest_cool_down(SECOND)),
            (
                "provider_cool_down",
                builder().provider_cool_down(61 * SECOND),
            ),
        ] {
            assert_eq!(field(builder), expected);
        }
        let default = RouterConfig::default();
        assert_eq!(
            RouterConfigBuilder::from(default.clone()).build(),
            Ok(default)
        );
    }
}

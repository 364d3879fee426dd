//! Settings as the start of others.

use super::breaker_config::BreakerConfig;
use super::builder::BreakerConfigBuilder;
use super::values::{DAY, HOUR, MIN_CALLS_OVER_TIME, default_probe_timeout};
use crate::rule::Rules;

impl From<BreakerConfig> for BreakerConfigBuilder {
    /// Starts from these settings. What follows from others by default goes on to do so:
    /// `min_calls`, `max_age`, `open_decay` and `probe_timeout`.
    fn from(config: BreakerConfig) -> Self {
        let of_calls = config.failure_rate.or(config.slow_rate());
        let over_time = config.failure_rate_over().or(config.slow_rate_over());
        let min_calls = match (of_calls, over_time) {
            (Some(rule), _) if rule.min_calls != rule.over.div_ceil(5) => Some(rule.min_calls),
            (None, Some(rule)) if rule.min_calls != MIN_CALLS_OVER_TIME => Some(rule.min_calls),
            _ => None,
        };
        let counts =
            config.consecutive_failures.is_some() || of_calls.is_some() || config.rules().len() > 0;
        Self {
            min_calls,
            ban_was_set: config.open_on_ban.is_some_and(|longest| longest != DAY),
            max_age: match config.max_age {
                Some(HOUR) => None,
                None if !counts => None,
                age => Some(age),
            },
            open_decay: Some(config.open_decay)
                .filter(|period| config.open_growth().is_some() && *period != config.open_for),
            successes_to_close: None,
            close_rate: None,
            close_policy: Some(config.close_policy),
            probe_timeout: Some(config.probe_timeout)
                .filter(|timeout| *timeout != default_probe_timeout(config.open_for)),
            config,
        }
    }
}

impl BreakerConfigBuilder {
    /// Drops the rules to open by that there are so far, and what belongs to them: `slow_after` and
    /// `min_calls`. Bans and throttles open as before.
    ///
    /// ```
    /// use seawall_breaker::{BreakerConfig, BreakerConfigBuilder};
    ///
    /// let config = BreakerConfigBuilder::from(BreakerConfig::default())
    ///     .without_rules()
    ///     .consecutive_failures(3)
    ///     .build()?;
    /// assert_eq!(config.failure_rate(), None);
    /// assert_eq!(config.successes_to_close(), 2, "the rest stays");
    /// # Ok::<(), seawall_breaker::InvalidConfig>(())
    /// ```
    pub fn without_rules(mut self) -> Self {
        self.min_calls = None;
        let config = &mut self.config;
        config.consecutive_failures = None;
        config.failure_rate = None;
        config.slow_after = None;
        if let Some(rare) = &mut config.rare {
            rare.failure_rate_over = None;
            rare.slow_rate = None;
            rare.slow_rate_over = None;
            rare.rules = Rules::default();
        }
        self
    }
}

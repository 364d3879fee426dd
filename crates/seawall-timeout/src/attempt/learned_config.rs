//! The settings of a learned timeout.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroDuration, QuantileConfig, Span};

/// How a timeout is learned: a quantile of what recent responses took, times a factor, within
/// bounds.
///
/// | setting | default |
/// |---|---|
/// | quantile | 0.99 |
/// | factor | 3 |
/// | min | 100 ms |
/// | max | 30 s |
/// | initial | as max |
/// | warm-up | 200 responses |
/// | window | 5 min |
///
/// A high percentile and a margin above it, so that false timeouts stay rare, is what Amazon's
/// Builders' Library advises (M. Brooker, "Timeouts, retries, and backoff with jitter", which
/// takes 99.9 as its example). Two hundred responses have two beyond the 99th.
///
/// ```
/// use std::time::Duration;
/// use seawall_timeout::{AttemptTimeoutConfig, AttemptTimeoutLayer, LearnedConfig};
///
/// let learned = LearnedConfig::builder()
///     .quantile(0.99)
///     .factor(2.5)
///     .min(Duration::from_millis(200))
///     .max(Duration::from_secs(20))
///     .initial(Duration::from_secs(5))
///     .build()?;
/// let layer = AttemptTimeoutLayer::new("polygon", AttemptTimeoutConfig::learned(learned));
/// // While it warms up.
/// assert_eq!(layer.handle().timeout(), Some(Duration::from_secs(5)));
/// # Ok::<(), seawall_timeout::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearnedConfig {
    quantile: f64,
    factor: f64,
    min: Duration,
    max: Duration,
    initial: Option<Duration>,
    warm_up: u32,
    window: Duration,
}

impl LearnedConfig {
    /// The defaults, to be changed.
    pub fn builder() -> LearnedConfigBuilder {
        LearnedConfigBuilder::default()
    }

    seawall_core::getters! {
        /// The share of the responses that the estimate covers.
        pub const fn quantile -> f64;

        /// What the estimate is multiplied by.
        pub const fn factor -> f64;

        /// The shortest timeout that is learned.
        pub const fn min -> Duration;

        /// The longest timeout that is learned.
        pub const fn max -> Duration;

        /// How many responses must be known.
        pub const fn warm_up -> u32;

        /// How long a response counts.
        pub const fn window -> Duration;
    }

    /// What an attempt may take until enough is known.
    pub fn initial(&self) -> Duration {
        self.initial.unwrap_or(self.max)
    }

    pub(super) fn quantile_config(&self) -> QuantileConfig {
        self.check_quantile()
            .expect("settings are checked when they are built")
    }

    fn check_quantile(&self) -> Result<QuantileConfig, InvalidConfig> {
        QuantileConfig::new(self.quantile)?
            .with_window(self.window)?
            .with_warm_up(self.warm_up)
    }

    /// The settings by name, for a registry.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("initial", Span(self.initial()).to_string()),
            ("min", Span(self.min).to_string()),
            ("max", Span(self.max).to_string()),
            ("quantile", self.quantile.to_string()),
            ("factor", self.factor.to_string()),
            ("window", Span(self.window).to_string()),
            ("warm_up", self.warm_up.to_string()),
        ]
    }
}

impl Default for LearnedConfig {
    fn default() -> Self {
        Self {
            quantile: 0.99,
            factor: 3.0,
            min: Duration::from_millis(100),
            max: Duration::from_secs(30),
            initial: None,
            warm_up: 200,
            window: Duration::from_secs(300),
        }
    }
}

/// Builds a [`LearnedConfig`].
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct LearnedConfigBuilder {
    config: LearnedConfig,
}

impl LearnedConfigBuilder {
    seawall_core::setters! { self.config:
        /// Sets the share of the responses that the estimate covers, between 0 and 1.
        pub const fn quantile(f64);

        /// Sets what the estimate is multiplied by.
        ///
        /// It must be above 1. With 1 or less the timeout lies among the times it was learned from,
        /// the next attempts time out there, that is learned, and it can never grow back.
        pub const fn factor(f64);

        /// Sets the shortest timeout that is learned.
        pub const fn min(Duration);

        /// Sets the longest timeout that is learned.
        pub const fn max(Duration);

        /// Sets what an attempt may take until enough responses are known, within the bounds.
        pub const fn initial(Some(Duration));

        /// Sets how many responses of the window must be known.
        pub const fn warm_up(u32);

        /// Sets how long a response counts, from 100 ms to a day.
        pub const fn window(Duration);
    }

    /// The settings, if they make sense.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names the setter: a quantile that is not between 0 and 1; a factor
    /// that is not a number above 1; a bound or an initial timeout of zero; a longest timeout
    /// below the shortest; an initial timeout outside of them; a warm-up of 0; a window shorter
    /// than 100 ms or longer than a day.
    pub fn build(self) -> Result<LearnedConfig, InvalidConfig> {
        let config = self.config;
        config.check_quantile()?;
        if !(config.factor > 1.0 && config.factor.is_finite()) {
            let accepted = "a finite number above 1";
            return Err(InvalidConfig::new("factor", config.factor, accepted));
        }
        NonZeroDuration::check("min", config.min)?;
        if config.max < config.min {
            let accepted = format!("{} or longer", Span(config.min));
            let value = Span(config.max);
            return Err(InvalidConfig::new("max", value, accepted));
        }
        let initial = config.initial();
        if !(config.min..=config.max).contains(&initial) {
            let accepted = format!("{} to {}", Span(config.min), Span(config.max));
            let value = Span(initial);
            return Err(InvalidConfig::new("initial", value, accepted));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_accepted() {
        let default = LearnedConfig::default();
        assert_eq!(LearnedConfig::builder().build(), Ok(default));
        assert_eq!((default.quantile(), default.factor()), (0.99, 3.0));
        assert_eq!(default.initial(), default.max());
    }

    #[test]
    fn impossible_settings_are_rejected_by_name() {
        let rejected = |builder: LearnedConfigBuilder| builder.build().unwrap_err().to_string();
        let new = LearnedConfig::builder;
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        for quantile in [0.0, 1.0, -0.5, 99.0, f64::NAN] {
            assert!(rejected(new().quantile(quantile)).starts_with("`quantile` is"));
        }
        for factor in [0.0, -1.0, 0.5, 1.0, f64::NAN, f64::INFINITY] {
            assert!(
                rejected(new().factor(factor)).starts_with("`factor` is"),
                "{factor}"
            );
        }
        assert_eq!(
            rejected(new().min(s(0))),
            "`min` is 0s, accepted is longer than zero"
        );
        let text = "`max` is 1s, accepted is 2s or longer";
        assert_eq!(rejected(new().min(s(2)).max(s(1))), text);
        let text = "`initial` is 50ms, accepted is 100ms to 30s";
        assert_eq!(rejected(new().initial(ms(50))), text);
        assert!(rejected(new().initial(s(31))).starts_with("`initial` is"));
        assert!(rejected(new().warm_up(0)).starts_with("`warm_up` is 0"));
        assert!(rejected(new().window(s(0))).starts_with("`window` is 0"));
    }
}

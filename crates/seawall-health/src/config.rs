//! The settings of the layer; values that cannot be wrong.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, Ratio};

/// From which calls a layer finds that a service is unhealthy.
///
/// | setting | default |
/// |---|---|
/// | window | 60 s |
/// | highest error rate | 10 % |
/// | slow after | 5 s |
/// | highest slow rate | 10 % |
/// | fewest calls to judge by | 20 |
///
/// ```
/// use std::time::Duration;
/// use seawall_health::HealthConfig;
///
/// let config = HealthConfig::builder()
///     .window(Duration::from_secs(30))
///     .max_error_rate(0.05)
///     .build()?;
/// assert_eq!(config.min_calls(), 20);
/// let rejected = HealthConfig::builder().max_error_rate(5.0).build().unwrap_err();
/// assert_eq!(rejected.field(), "max_error_rate");
/// # Ok::<(), seawall_health::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HealthConfig {
    window: Duration,
    max_error_rate: Ratio,
    slow_after: Duration,
    max_slow_rate: Ratio,
    min_calls: u32,
}

impl HealthConfig {
    /// The defaults, to be changed.
    pub fn builder() -> HealthConfigBuilder {
        HealthConfigBuilder {
            config: Self::default(),
            invalid: None,
        }
    }

    seawall_core::getters! {
        /// How far back it looks, in steps of a tenth.
        pub const fn window -> Duration;

        /// The share of failed calls above which it is unhealthy.
        pub const fn max_error_rate -> Ratio;

        /// How long a call may take before it counts as slow.
        pub const fn slow_after -> Duration;

        /// The share of slow calls above which it is degraded.
        pub const fn max_slow_rate -> Ratio;

        /// The fewest calls in the window to judge by; with fewer it is unknown.
        pub const fn min_calls -> u32;
    }
}

impl HealthConfig {
    /// The settings by name, for a registry.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("window", format!("{:?}", self.window)),
            ("max_error_rate", self.max_error_rate.get().to_string()),
            ("slow_after", format!("{:?}", self.slow_after)),
            ("max_slow_rate", self.max_slow_rate.get().to_string()),
            ("min_calls", self.min_calls.to_string()),
        ]
    }
}

impl Default for HealthConfig {
    fn default() -> Self {
        let tenth = Ratio::new(0.1).unwrap_or(Ratio::ZERO);
        Self {
            window: Duration::from_secs(60),
            max_error_rate: tenth,
            slow_after: Duration::from_secs(5),
            max_slow_rate: tenth,
            min_calls: 20,
        }
    }
}

/// Builds a [`HealthConfig`].
#[derive(Clone, Debug)]
#[must_use]
pub struct HealthConfigBuilder {
    config: HealthConfig,
    /// The first rate that was out of range.
    invalid: Option<InvalidConfig>,
}

impl HealthConfigBuilder {
    seawall_core::setters! { self.config:
        /// Sets how far back it looks, from 10 ms to 30 days.
        pub const fn window(Duration);

        /// Sets how long a call may take before it counts as slow; longer than zero.
        pub const fn slow_after(Duration);

        /// Sets the fewest calls in the window to judge by; at least 1.
        pub const fn min_calls(u32);
    }

    /// Sets the share of failed calls, from 0 to 1, above which it is unhealthy.
    pub fn max_error_rate(mut self, rate: f64) -> Self {
        if let Some(rate) = self.ratio("max_error_rate", rate) {
            self.config.max_error_rate = rate;
        }
        self
    }

    /// Sets the share of slow calls, from 0 to 1, above which it is degraded.
    pub fn max_slow_rate(mut self, rate: f64) -> Self {
        if let Some(rate) = self.ratio("max_slow_rate", rate) {
            self.config.max_slow_rate = rate;
        }
        self
    }

    /// The settings, if they make sense.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the window is out of bounds, a rate is not a number from 0 to 1,
    /// or `slow_after` or `min_calls` is zero.
    pub fn build(self) -> Result<HealthConfig, InvalidConfig> {
        const SHORTEST: Duration = Duration::from_millis(10);
        const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
        let config = self.config;
        if !(SHORTEST..=LONGEST).contains(&config.window) {
            let value = format!("{:?}", config.window);
            return Err(InvalidConfig::new("window", value, "from 10ms to 30 days"));
        }
        NonZeroDuration::check("slow_after", config.slow_after)?;
        NonZeroCount::check("min_calls", config.min_calls)?;
        match self.invalid {
            Some(invalid) => Err(invalid),
            None => Ok(config),
        }
    }

    fn ratio(&mut self, field: &'static str, rate: f64) -> Option<Ratio> {
        match Ratio::new(rate) {
            Ok(rate) => Some(rate),
            Err(rejected) => {
                self.invalid.get_or_insert(rejected.in_field(field));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CheckConfig;

    #[test]
    fn impossible_settings_are_rejected_by_name() {
        let field = |r: Result<CheckConfig, InvalidConfig>| r.unwrap_err().field().to_owned();
        let zero = Duration::ZERO;
        let check = CheckConfig::builder;
        assert_eq!(field(check().interval(zero).build()), "interval");
        assert_eq!(field(check().timeout(zero).build()), "timeout");
        assert_eq!(field(check().slow_after(zero).build()), "slow_after");
        let never = check()
            .timeout(Duration::from_secs(1))
            .slow_after(Duration::from_secs(2));
        assert_eq!(
            never.build().unwrap_err().to_string(),
            "`slow_after` is 2s, accepted is the timeout, 1s, or shorter"
        );
        // The default as a setting is a setting.
        let never = check()
            .slow_after(Duration::from_secs(5))
            .timeout(Duration::from_secs(1));
        assert_eq!(field(never.build()), "slow_after");
        assert!(check().timeout(Duration::from_secs(1)).build().is_ok());
        let none = check().failures_to_unhealthy(0).build();
        assert_eq!(field(none), "failures_to_unhealthy");
        let none = check().successes_to_recover(0).build();
        assert_eq!(field(none), "successes_to_recover");

        let field = |r: Result<HealthConfig, InvalidConfig>| r.unwrap_err().field().to_owned();
        let health = HealthConfig::builder;
        assert_eq!(field(health().window(zero).build()), "window");
        assert_eq!(field(health().window(Duration::MAX).build()), "window");
        assert_eq!(field(health().slow_after(zero).build()), "slow_after");
        assert_eq!(field(health().min_calls(0).build()), "min_calls");
        for rate in [-0.1, 1.1, f64::NAN] {
            assert_eq!(
                field(health().max_error_rate(rate).build()),
                "max_error_rate"
            );
            assert_eq!(field(health().max_slow_rate(rate).build()), "max_slow_rate");
        }
    }

    #[test]
    fn untouched_builders_give_the_documented_defaults() {
        assert_eq!(CheckConfig::builder().build(), Ok(CheckConfig::default()));
        assert_eq!(HealthConfig::builder().build(), Ok(HealthConfig::default()));
        let forever = CheckConfig::builder().timeout(Duration::MAX).build();
        assert_eq!(forever.unwrap().timeout(), Duration::MAX);
    }
}

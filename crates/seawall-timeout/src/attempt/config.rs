//! What a learned timeout is set to.

use std::time::Duration;

use seawall_core::{InvalidConfig, QuantileConfig};

use crate::observe::positive;

/// How a timeout is learned: a quantile of what recent answers took, times a factor, within
/// bounds.
///
/// ```
/// use std::time::Duration;
/// use seawall_timeout::{AttemptTimeoutLayer, LearnedConfig};
///
/// let learned = LearnedConfig::builder()
///     .quantile(0.99)
///     .factor(2.5)
///     .min(Duration::from_millis(200))
///     .max(Duration::from_secs(20))
///     .initial(Duration::from_secs(5))
///     .build()?;
/// let layer = AttemptTimeoutLayer::learned("polygon", learned);
/// assert_eq!(layer.handle().timeout(), Duration::from_secs(5), "while it warms up");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearnedConfig {
    pub(crate) quantile: QuantileConfig,
    pub(crate) factor: f64,
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    pub(crate) initial: Duration,
}

impl LearnedConfig {
    /// A builder with the defaults of [`LearnedConfig::default`].
    pub fn builder() -> LearnedConfigBuilder {
        LearnedConfigBuilder::default()
    }

    /// The share of the answers that the estimate covers.
    pub const fn quantile(&self) -> f64 {
        self.quantile.quantile()
    }

    /// What the estimate is multiplied by.
    pub const fn factor(&self) -> f64 {
        self.factor
    }

    /// The shortest timeout that is learned.
    pub const fn min(&self) -> Duration {
        self.min
    }

    /// The longest timeout that is learned.
    pub const fn max(&self) -> Duration {
        self.max
    }

    /// What an attempt may take until enough is known.
    pub const fn initial(&self) -> Duration {
        self.initial
    }

    /// How many answers must be known.
    pub const fn warm_up(&self) -> u32 {
        self.quantile.warm_up()
    }

    /// How long an answer counts.
    pub const fn window(&self) -> Duration {
        self.quantile.window()
    }
}

impl Default for LearnedConfig {
    /// Three times the 99th percentile of five minutes, within 100 ms and 30 s; 30 s while fewer
    /// than 200 answers are known.
    ///
    /// A high percentile and a margin above it, so that false timeouts stay rare, is what
    /// Amazon's Builders' Library advises (M. Brooker, "Timeouts, retries, and backoff with
    /// jitter", which takes 99.9 as its example). Two hundred answers have two beyond the 99th.
    fn default() -> Self {
        LearnedConfigBuilder::default()
            .build()
            .expect("the defaults are accepted, as a test says")
    }
}

/// Collects what a [`LearnedConfig`] is made of.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct LearnedConfigBuilder {
    quantile: f64,
    factor: f64,
    min: Duration,
    max: Duration,
    initial: Option<Duration>,
    warm_up: u32,
    window: Duration,
}

impl Default for LearnedConfigBuilder {
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

impl LearnedConfigBuilder {
    /// Sets the share of the answers that the estimate covers, between 0 and 1. Default 0.99.
    pub const fn quantile(mut self, quantile: f64) -> Self {
        self.quantile = quantile;
        self
    }

    /// Sets what the estimate is multiplied by. Default 3.
    ///
    /// It must be above 1. With 1 or less the timeout lies among the times it was learned from,
    /// cuts the next answers off there, learns that, and can never grow back.
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// Sets the shortest timeout that is learned. Default 100 ms.
    pub const fn min(mut self, min: Duration) -> Self {
        self.min = min;
        self
    }

    /// Sets the longest timeout that is learned. Default 30 s.
    pub const fn max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// Sets what an attempt may take until enough answers are known, within the bounds. Default
    /// is the longest.
    pub const fn initial(mut self, initial: Duration) -> Self {
        self.initial = Some(initial);
        self
    }

    /// Sets how many answers of the window must be known. Default 200.
    pub const fn warm_up(mut self, answers: u32) -> Self {
        self.warm_up = answers;
        self
    }

    /// Sets how long an answer counts, from 100 ms to a day. Default five minutes.
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names the setter: a quantile that is not between 0 and 1; a factor
    /// that is not a number above 1; a bound or an initial timeout of zero; a longest timeout
    /// below the shortest; an initial timeout outside of them; a warm-up of 0; a window shorter
    /// than 100 ms or longer than a day.
    pub fn build(self) -> Result<LearnedConfig, InvalidConfig> {
        let quantile = QuantileConfig::new(self.quantile)?
            .with_window(self.window)?
            .with_warm_up(self.warm_up)?;
        if !(self.factor > 1.0 && self.factor.is_finite()) {
            let accepted = "a finite number above 1";
            return Err(InvalidConfig::new("factor", self.factor, accepted));
        }
        let min = positive("min", self.min)?.get();
        if self.max < min {
            let (value, accepted) = (format!("{:?}", self.max), format!("{min:?} or longer"));
            return Err(InvalidConfig::new("max", value, accepted));
        }
        let config = LearnedConfig {
            quantile,
            factor: self.factor,
            min,
            max: self.max,
            initial: self.initial.unwrap_or(self.max),
        };
        config.within("initial", config.initial)?;
        Ok(config)
    }
}

impl LearnedConfig {
    /// Rejects a timeout outside of the bounds.
    pub(crate) fn within(
        &self,
        field: &'static str,
        timeout: Duration,
    ) -> Result<(), InvalidConfig> {
        if (self.min..=self.max).contains(&timeout) {
            return Ok(());
        }
        let accepted = format!("{:?} to {:?}", self.min, self.max);
        Err(InvalidConfig::new(field, format!("{timeout:?}"), accepted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_accepted() {
        let default = LearnedConfig::default();
        assert_eq!((default.quantile(), default.factor()), (0.99, 3.0));
        assert_eq!(default.initial(), default.max());
    }

    #[test]
    fn what_cannot_be_is_rejected_by_name() {
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

//! What a hedge is set to.

use std::time::Duration;

use seawall_core::{InvalidConfig, QuantileConfig};

/// The most extra attempts of one call: gRPC, too, caps a hedged call at five attempts (gRFC A6).
const MOST: u32 = 4;

/// When another attempt is made beside the first, and how many at most.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::QuantileConfig;
/// use seawall_hedge::HedgeConfig;
///
/// // Quotes: after 40 ms.
/// let quotes = HedgeConfig::builder().delay(Duration::from_millis(40)).build()?;
/// assert_eq!(quotes.fixed_delay(), Some(Duration::from_millis(40)));
///
/// // Completions of a model: after the 99th percentile of ten minutes, but after 2 s at the
/// // earliest, and after 30 s as long as it is not known.
/// let completions = HedgeConfig::builder()
///     .delay_quantile(QuantileConfig::new(0.99)?.with_window(Duration::from_secs(600))?)
///     .initial_delay(Duration::from_secs(30))
///     .min_delay(Duration::from_secs(2))
///     .build()?;
///
/// let rejected = HedgeConfig::builder().extra_attempts(0).build().unwrap_err();
/// assert_eq!(rejected.to_string(), "`extra_attempts` is 0, accepted is a whole number from 1 to 4");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HedgeConfig {
    delay: After,
    initial_delay: Option<Duration>,
    min_delay: Duration,
    max_delay: Duration,
    extra_attempts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum After {
    Fixed(Duration),
    Quantile(QuantileConfig),
}

impl HedgeConfig {
    /// A builder that starts from the defaults.
    pub fn builder() -> HedgeConfigBuilder {
        HedgeConfigBuilder {
            config: Self::default(),
        }
    }

    /// The delay, where it is fixed.
    pub const fn fixed_delay(&self) -> Option<Duration> {
        match self.delay {
            After::Fixed(delay) => Some(delay),
            After::Quantile(_) => None,
        }
    }

    /// The quantile that is the delay, where it is learned.
    pub const fn quantile(&self) -> Option<&QuantileConfig> {
        match &self.delay {
            After::Fixed(_) => None,
            After::Quantile(quantile) => Some(quantile),
        }
    }

    /// The delay while too little is known of the quantile; `None` when there is no hedge then.
    pub const fn initial_delay(&self) -> Option<Duration> {
        self.initial_delay
    }

    /// The shortest learned delay.
    pub const fn min_delay(&self) -> Duration {
        self.min_delay
    }

    /// The longest learned delay.
    pub const fn max_delay(&self) -> Duration {
        self.max_delay
    }

    /// The most attempts of one call beside the first.
    pub const fn extra_attempts(&self) -> u32 {
        self.extra_attempts
    }

    /// The delay for an estimate of the quantile.
    pub(crate) fn delay(&self, estimate: Option<Duration>) -> Option<Duration> {
        match (self.delay, estimate) {
            (After::Fixed(delay), _) => Some(delay),
            // Not `clamp`, which panics where `build` has not been.
            (After::Quantile(_), Some(known)) => {
                Some(known.max(self.min_delay).min(self.max_delay))
            }
            (After::Quantile(_), None) => self.initial_delay,
        }
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let after = match self.delay {
            After::Fixed(delay) => format!("{delay:?}"),
            After::Quantile(quantile) => format!("{quantile:?}"),
        };
        let initial_delay = match self.initial_delay {
            Some(delay) => format!("{delay:?}"),
            None => "no hedge".to_owned(),
        };
        vec![
            ("after", after),
            ("until_learned", initial_delay),
            ("at_least", format!("{:?}", self.min_delay)),
            ("at_most", format!("{:?}", self.max_delay)),
            ("extra_attempts", self.extra_attempts.to_string()),
        ]
    }
}

impl Default for HedgeConfig {
    /// One extra attempt after the learned 95th percentile, which is no less than a millisecond
    /// (what tokio's timer can tell); no hedge until it is learned.
    ///
    /// The percentile is that of Dean and Barroso, "The Tail at Scale", Communications of the ACM
    /// 56(2), 2013: it costs about one extra request in twenty and cuts the tail substantially.
    fn default() -> Self {
        Self {
            delay: After::Quantile(QuantileConfig::default()),
            initial_delay: None,
            min_delay: Duration::from_millis(1),
            max_delay: Duration::MAX,
            extra_attempts: 1,
        }
    }
}

/// Collects the settings of a [`HedgeConfig`] and checks them at the end.
#[derive(Clone, Debug)]
pub struct HedgeConfigBuilder {
    config: HedgeConfig,
}

impl HedgeConfigBuilder {
    /// Makes an extra attempt when the first has not been answered after `delay`; takes the place
    /// of [`delay_quantile`](Self::delay_quantile).
    #[must_use]
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.config.delay = After::Fixed(delay);
        self
    }

    /// Makes an extra attempt when the first takes longer than this quantile of the recent ones,
    /// the default; takes the place of [`delay`](Self::delay).
    #[must_use]
    pub const fn delay_quantile(mut self, quantile: QuantileConfig) -> Self {
        self.config.delay = After::Quantile(quantile);
        self
    }

    /// Sets the delay while too little is known of the quantile; there is no hedge then unless
    /// set. Without effect on a fixed delay.
    #[must_use]
    pub const fn initial_delay(mut self, delay: Duration) -> Self {
        self.config.initial_delay = Some(delay);
        self
    }

    /// Sets the shortest learned delay; 1 ms unless set. Where answers are quick and their spread
    /// is noise, this is what keeps a twentieth of them from being asked for twice.
    #[must_use]
    pub const fn min_delay(mut self, delay: Duration) -> Self {
        self.config.min_delay = delay;
        self
    }

    /// Sets the longest learned delay; without limit unless set.
    #[must_use]
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.config.max_delay = delay;
        self
    }

    /// Sets the most attempts of one call beside the first, each a further delay after the one
    /// before; 1 unless set.
    #[must_use]
    pub const fn extra_attempts(mut self, extra: u32) -> Self {
        self.config.extra_attempts = extra;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `delay`, `initial_delay` or `min_delay` is zero, when `max_delay` is
    /// below `min_delay`, or when `extra_attempts` is not 1 to 4.
    pub fn build(self) -> Result<HedgeConfig, InvalidConfig> {
        let config = self.config;
        let positive = |field, delay: Option<Duration>| match delay {
            Some(Duration::ZERO) => Err(InvalidConfig::new(field, "0s", "longer than zero")),
            _ => Ok(()),
        };
        positive("after", config.fixed_delay())?;
        positive("until_learned", config.initial_delay)?;
        positive("at_least", Some(config.min_delay))?;
        if config.max_delay < config.min_delay {
            return Err(InvalidConfig::new(
                "at_most",
                format!("{:?}", config.max_delay),
                format!("at least `at_least`, {:?}", config.min_delay),
            ));
        }
        if !(1..=MOST).contains(&config.extra_attempts) {
            return Err(InvalidConfig::new(
                "extra_attempts",
                config.extra_attempts,
                format!("a whole number from 1 to {MOST}"),
            ));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn impossible_settings_are_rejected_by_name() {
        let field = |b: HedgeConfigBuilder| b.build().unwrap_err().field().to_owned();
        let builder = HedgeConfig::builder;
        assert_eq!(field(builder().delay(Duration::ZERO)), "after");
        assert_eq!(
            field(builder().initial_delay(Duration::ZERO)),
            "until_learned"
        );
        assert_eq!(field(builder().min_delay(Duration::ZERO)), "at_least");
        assert_eq!(field(builder().min_delay(2 * MS).max_delay(MS)), "at_most");
        for extra in [0, 5, u32::MAX] {
            assert_eq!(field(builder().extra_attempts(extra)), "extra_attempts");
        }
        assert!(builder().delay(Duration::MAX).build().is_ok());
    }

    #[test]
    fn a_learned_delay_keeps_to_its_bounds() {
        let builder = HedgeConfig::builder()
            .min_delay(10 * MS)
            .max_delay(100 * MS);
        let config = builder.clone().build().unwrap();
        assert_eq!(config.delay(Some(MS)), Some(10 * MS));
        assert_eq!(config.delay(Some(50 * MS)), Some(50 * MS));
        assert_eq!(config.delay(Some(Duration::MAX)), Some(100 * MS));
        assert_eq!(config.delay(None), None);
        let config = builder.initial_delay(MS).build().unwrap();
        assert_eq!(config.delay(None), Some(MS));
        let fixed = HedgeConfig::builder().delay(MS).build().unwrap();
        assert_eq!(fixed.delay(Some(50 * MS)), Some(MS));
    }
}

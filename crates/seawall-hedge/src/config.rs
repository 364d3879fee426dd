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
/// let quotes = HedgeConfig::builder().after(Duration::from_millis(40)).build()?;
/// assert_eq!(quotes.fixed_delay(), Some(Duration::from_millis(40)));
///
/// // Completions of a model: after the 99th percentile of ten minutes, but after 2 s at the
/// // earliest, and after 30 s as long as it is not known.
/// let completions = HedgeConfig::builder()
///     .after_quantile(QuantileConfig::new(0.99)?.with_window(Duration::from_secs(600))?)
///     .until_learned(Duration::from_secs(30))
///     .at_least(Duration::from_secs(2))
///     .build()?;
///
/// let refused = HedgeConfig::builder().extra_attempts(0).build().unwrap_err();
/// assert_eq!(refused.to_string(), "`extra_attempts` is 0, accepted is a whole number from 1 to 4");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HedgeConfig {
    after: After,
    until_learned: Option<Duration>,
    at_least: Duration,
    at_most: Duration,
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
        match self.after {
            After::Fixed(delay) => Some(delay),
            After::Quantile(_) => None,
        }
    }

    /// The quantile that is the delay, where it is learned.
    pub const fn quantile(&self) -> Option<&QuantileConfig> {
        match &self.after {
            After::Fixed(_) => None,
            After::Quantile(quantile) => Some(quantile),
        }
    }

    /// The delay while too little is known of the quantile; `None` when there is no hedge then.
    pub const fn until_learned(&self) -> Option<Duration> {
        self.until_learned
    }

    /// The shortest learned delay.
    pub const fn at_least(&self) -> Duration {
        self.at_least
    }

    /// The longest learned delay.
    pub const fn at_most(&self) -> Duration {
        self.at_most
    }

    /// The most attempts of one call beside the first.
    pub const fn extra_attempts(&self) -> u32 {
        self.extra_attempts
    }

    /// The delay for an estimate of the quantile.
    pub(crate) fn delay(&self, estimate: Option<Duration>) -> Option<Duration> {
        match (self.after, estimate) {
            (After::Fixed(delay), _) => Some(delay),
            // Not `clamp`, which panics where `build` has not been.
            (After::Quantile(_), Some(known)) => Some(known.max(self.at_least).min(self.at_most)),
            (After::Quantile(_), None) => self.until_learned,
        }
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let after = match self.after {
            After::Fixed(delay) => format!("{delay:?}"),
            After::Quantile(quantile) => format!("{quantile:?}"),
        };
        let until_learned = match self.until_learned {
            Some(delay) => format!("{delay:?}"),
            None => "no hedge".to_owned(),
        };
        vec![
            ("after", after),
            ("until_learned", until_learned),
            ("at_least", format!("{:?}", self.at_least)),
            ("at_most", format!("{:?}", self.at_most)),
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
            after: After::Quantile(QuantileConfig::default()),
            until_learned: None,
            at_least: Duration::from_millis(1),
            at_most: Duration::MAX,
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
    /// of [`after_quantile`](Self::after_quantile).
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.config.after = After::Fixed(delay);
        self
    }

    /// Makes an extra attempt when the first takes longer than this quantile of the recent ones,
    /// the default; takes the place of [`after`](Self::after).
    #[must_use]
    pub const fn after_quantile(mut self, quantile: QuantileConfig) -> Self {
        self.config.after = After::Quantile(quantile);
        self
    }

    /// Sets the delay while too little is known of the quantile; there is no hedge then unless
    /// set. Without effect on a fixed delay.
    #[must_use]
    pub const fn until_learned(mut self, delay: Duration) -> Self {
        self.config.until_learned = Some(delay);
        self
    }

    /// Sets the shortest learned delay; 1 ms unless set. Where answers are quick and their spread
    /// is noise, this is what keeps a twentieth of them from being asked for twice.
    #[must_use]
    pub const fn at_least(mut self, delay: Duration) -> Self {
        self.config.at_least = delay;
        self
    }

    /// Sets the longest learned delay; without limit unless set.
    #[must_use]
    pub const fn at_most(mut self, delay: Duration) -> Self {
        self.config.at_most = delay;
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
    /// [`InvalidConfig`] when `after`, `until_learned` or `at_least` is zero, when `at_most` is
    /// below `at_least`, or when `extra_attempts` is not 1 to 4.
    pub fn build(self) -> Result<HedgeConfig, InvalidConfig> {
        let config = self.config;
        let positive = |field, delay: Option<Duration>| match delay {
            Some(Duration::ZERO) => Err(InvalidConfig::new(field, "0s", "longer than zero")),
            _ => Ok(()),
        };
        positive("after", config.fixed_delay())?;
        positive("until_learned", config.until_learned)?;
        positive("at_least", Some(config.at_least))?;
        if config.at_most < config.at_least {
            return Err(InvalidConfig::new(
                "at_most",
                format!("{:?}", config.at_most),
                format!("at least `at_least`, {:?}", config.at_least),
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
    fn impossible_settings_are_refused_by_name() {
        let field = |b: HedgeConfigBuilder| b.build().unwrap_err().field().to_owned();
        let builder = HedgeConfig::builder;
        assert_eq!(field(builder().after(Duration::ZERO)), "after");
        assert_eq!(
            field(builder().until_learned(Duration::ZERO)),
            "until_learned"
        );
        assert_eq!(field(builder().at_least(Duration::ZERO)), "at_least");
        assert_eq!(field(builder().at_least(2 * MS).at_most(MS)), "at_most");
        for extra in [0, 5, u32::MAX] {
            assert_eq!(field(builder().extra_attempts(extra)), "extra_attempts");
        }
        assert!(builder().after(Duration::MAX).build().is_ok());
    }

    #[test]
    fn a_learned_delay_keeps_to_its_bounds() {
        let builder = HedgeConfig::builder().at_least(10 * MS).at_most(100 * MS);
        let config = builder.clone().build().unwrap();
        assert_eq!(config.delay(Some(MS)), Some(10 * MS));
        assert_eq!(config.delay(Some(50 * MS)), Some(50 * MS));
        assert_eq!(config.delay(Some(Duration::MAX)), Some(100 * MS));
        assert_eq!(config.delay(None), None);
        let config = builder.until_learned(MS).build().unwrap();
        assert_eq!(config.delay(None), Some(MS));
        let fixed = HedgeConfig::builder().after(MS).build().unwrap();
        assert_eq!(fixed.delay(Some(50 * MS)), Some(MS));
    }
}

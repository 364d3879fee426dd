//! The settings of a hedge.

use std::time::Duration;

use seawall_core::{InvalidConfig, QuantileConfig, Span};

/// The most extra attempts of one call: gRPC, too, caps a hedged call at five attempts (gRFC A6).
const MAX_EXTRA_ATTEMPTS: u32 = 4;
/// The shortest learned delay unless set: what tokio's timer can measure.
const SHORTEST: Duration = Duration::from_millis(1);

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
    delay: Delay,
    initial_delay: Option<Duration>,
    min_delay: Option<Duration>,
    max_delay: Option<Duration>,
    extra_attempts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Delay {
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
            Delay::Fixed(delay) => Some(delay),
            Delay::Quantile(_) => None,
        }
    }

    /// The quantile that is the delay, where it is learned.
    pub const fn quantile(&self) -> Option<&QuantileConfig> {
        match &self.delay {
            Delay::Fixed(_) => None,
            Delay::Quantile(quantile) => Some(quantile),
        }
    }

    seawall_core::getters! {
        /// The delay while too little is known of the quantile; `None` when there is no hedge then.
        pub const fn initial_delay -> Option<Duration>;

        /// The longest learned delay, if it is limited.
        pub const fn max_delay -> Option<Duration>;

        /// The most attempts of one call beside the first.
        pub const fn extra_attempts -> u32;
    }

    /// The shortest learned delay.
    pub const fn min_delay(&self) -> Duration {
        match self.min_delay {
            Some(delay) => delay,
            None => SHORTEST,
        }
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let delay = match self.delay {
            Delay::Fixed(delay) => Span(delay).to_string(),
            Delay::Quantile(quantile) => quantile.to_string(),
        };
        vec![
            ("delay", delay),
            ("initial_delay", Span::or_none(self.initial_delay)),
            ("min_delay", Span(self.min_delay()).to_string()),
            ("max_delay", Span::or_none(self.max_delay)),
            ("extra_attempts", self.extra_attempts.to_string()),
        ]
    }
}

impl Default for HedgeConfig {
    /// One extra attempt after the learned 95th percentile, which is no less than a millisecond
    /// (what tokio's timer can measure); no hedge until it is learned.
    ///
    /// The percentile is that of Dean and Barroso, "The Tail at Scale", Communications of the ACM
    /// 56(2), 2013: it costs about one extra request in twenty and cuts the tail substantially.
    fn default() -> Self {
        Self {
            delay: Delay::Quantile(QuantileConfig::default()),
            initial_delay: None,
            min_delay: None,
            max_delay: None,
            extra_attempts: 1,
        }
    }
}

/// Collects the settings of a [`HedgeConfig`] and checks them at the end.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct HedgeConfigBuilder {
    config: HedgeConfig,
}

impl HedgeConfigBuilder {
    /// Makes an extra attempt when the first has not completed after `delay`; replaces
    /// [`delay_quantile`](Self::delay_quantile).
    pub const fn delay(mut self, delay: Duration) -> Self {
        self.config.delay = Delay::Fixed(delay);
        self
    }

    /// Makes an extra attempt when the first takes longer than this quantile of the recent ones,
    /// the default; replaces [`delay`](Self::delay).
    pub const fn delay_quantile(mut self, quantile: QuantileConfig) -> Self {
        self.config.delay = Delay::Quantile(quantile);
        self
    }

    seawall_core::setters! { self.config:
        /// Sets the delay while too little is known of the quantile, at most
        /// [`max_delay`](Self::max_delay); there is no hedge then unless set. For a learned delay
        /// only.
        pub const fn initial_delay(Some(Duration));

        /// Sets the shortest learned delay; 1 ms unless set. Where responses are quick and their
        /// spread is noise, this keeps a twentieth of the requests from being sent twice. For a
        /// learned delay only.
        pub const fn min_delay(Some(Duration));

        /// Sets the longest learned delay; without limit unless set. For a learned delay only.
        pub const fn max_delay(Some(Duration));

        /// Sets the most attempts of one call beside the first, each a further delay after the one
        /// before; 1 unless set.
        pub const fn extra_attempts(u32);
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `delay`, `initial_delay` or `min_delay` when it is zero;
    /// `initial_delay`, `min_delay` or `max_delay` when the delay is fixed; `max_delay` when it is
    /// below `min_delay`; `initial_delay` when it is above `max_delay`; `extra_attempts` when it is
    /// not 1 to 4.
    pub fn build(self) -> Result<HedgeConfig, InvalidConfig> {
        let config = self.config;
        let learned_only = [
            ("initial_delay", config.initial_delay),
            ("min_delay", config.min_delay),
            ("max_delay", config.max_delay),
        ];
        for (field, delay) in [("delay", config.fixed_delay())]
            .iter()
            .chain(&learned_only)
        {
            if *delay == Some(Duration::ZERO) {
                return Err(InvalidConfig::new(
                    *field,
                    Span(Duration::ZERO),
                    "longer than zero",
                ));
            }
        }
        for (field, delay) in learned_only {
            if let (Some(delay), Delay::Fixed(_)) = (delay, config.delay) {
                let accepted = "none where `delay` is fixed";
                return Err(InvalidConfig::new(field, Span(delay), accepted));
            }
        }
        if let Some(max) = config.max_delay
            && max < config.min_delay()
        {
            return Err(InvalidConfig::new(
                "max_delay",
                Span(max),
                format!("at least `min_delay`, {}", Span(config.min_delay())),
            ));
        }
        if let (Some(initial), Some(max)) = (config.initial_delay, config.max_delay)
            && initial > max
        {
            return Err(InvalidConfig::new(
                "initial_delay",
                Span(initial),
                format!("at most `max_delay`, {}", Span(max)),
            ));
        }
        if !(1..=MAX_EXTRA_ATTEMPTS).contains(&config.extra_attempts) {
            return Err(InvalidConfig::new(
                "extra_attempts",
                config.extra_attempts,
                format!("a whole number from 1 to {MAX_EXTRA_ATTEMPTS}"),
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
        assert_eq!(field(builder().delay(Duration::ZERO)), "delay");
        let initial = builder().initial_delay(Duration::ZERO);
        assert_eq!(field(initial), "initial_delay");
        assert_eq!(field(builder().min_delay(Duration::ZERO)), "min_delay");
        let bounds = builder().min_delay(2 * MS).max_delay(MS);
        assert_eq!(field(bounds), "max_delay");
        let late = builder().initial_delay(3 * MS).max_delay(2 * MS);
        assert_eq!(
            late.build().unwrap_err().to_string(),
            "`initial_delay` is 3ms, accepted is at most `max_delay`, 2ms",
        );
        assert!(
            builder()
                .initial_delay(2 * MS)
                .max_delay(2 * MS)
                .build()
                .is_ok()
        );
        for extra in [0, 5, u32::MAX] {
            assert_eq!(field(builder().extra_attempts(extra)), "extra_attempts");
        }
        assert!(builder().delay(Duration::MAX).build().is_ok());
    }

    #[test]
    fn settings_of_a_learned_delay_are_rejected_with_a_fixed_one() {
        let fixed = || HedgeConfig::builder().delay(MS);
        for (builder, field) in [
            (fixed().initial_delay(MS), "initial_delay"),
            (fixed().min_delay(MS), "min_delay"),
            (fixed().max_delay(MS), "max_delay"),
        ] {
            let rejected = builder.clone().build().unwrap_err();
            assert_eq!(rejected.field(), field);
            assert_eq!(rejected.accepted(), "none where `delay` is fixed");
            let learned = builder.delay_quantile(QuantileConfig::default());
            assert!(learned.build().is_ok());
        }
    }
}

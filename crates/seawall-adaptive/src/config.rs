//! The settings of an adaptive limit.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration};

use crate::aimd::Aimd;
use crate::checks::below_one;
use crate::gradient::Gradient;
use crate::knee::Knee;
use crate::vegas::Vegas;

/// By which rule the limit moves.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// Grows until the latency rises, and distinguishes a queue from a slower upstream. The default.
    Knee(Knee),
    /// One more per window, a share less on drops or above a fixed latency.
    Aimd(Aimd),
    /// Keeps an estimated queue between two bounds.
    Vegas(Vegas),
    /// Follows the ratio of the usual latency to the current one.
    Gradient(Gradient),
}

impl Default for Algorithm {
    fn default() -> Self {
        Self::Knee(Knee::default())
    }
}

macro_rules! algorithm_from {
    ($($name:ident),*) => {$(
        impl From<$name> for Algorithm {
            fn from(params: $name) -> Self {
                Self::$name(params)
            }
        }
    )*};
}
algorithm_from!(Knee, Aimd, Vegas, Gradient);

impl Algorithm {
    /// The rule as one word: `"knee"`, `"aimd"`, `"vegas"`, `"gradient"`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Knee(_) => "knee",
            Self::Aimd(_) => "aimd",
            Self::Vegas(_) => "vegas",
            Self::Gradient(_) => "gradient",
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Knee(params) => params.settings(),
            Self::Aimd(params) => params.settings(),
            Self::Vegas(params) => params.settings(),
            Self::Gradient(params) => params.settings(),
        }
    }

    fn check(&self) -> Result<(), InvalidConfig> {
        match self {
            Self::Knee(params) => params.check(),
            Self::Aimd(params) => params.check(),
            Self::Vegas(params) => params.check(),
            Self::Gradient(params) => params.check(),
        }
    }
}

/// How a limit adapts: where it starts, between which bounds it stays, by which rule it moves,
/// and over which windows calls are summed up.
///
/// ```
/// use std::time::Duration;
/// use seawall_adaptive::{AdaptiveConfig, Aimd};
///
/// let config = AdaptiveConfig::builder().min(4).max(100).build()?;
/// assert_eq!(config.initial(), 20);
///
/// let by_latency = AdaptiveConfig::builder()
///     .algorithm(Aimd::default().slow(Duration::from_millis(80)))
///     .build()?;
///
/// let rejected = AdaptiveConfig::builder().min(30).max(20).build().unwrap_err();
/// assert_eq!(
///     rejected.to_string(),
///     "`max` is 20, accepted is a whole number from `min`, 30",
/// );
/// # Ok::<(), seawall_adaptive::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveConfig {
    initial: u32,
    min: u32,
    max: u32,
    algorithm: Algorithm,
    quantile: f64,
    min_window: Duration,
    max_window: Duration,
    min_samples: u32,
}

// No field is NaN: `build` has rejected it.
impl Eq for AdaptiveConfig {}

impl AdaptiveConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> AdaptiveConfigBuilder {
        AdaptiveConfigBuilder {
            config: Self::default(),
            initial: None,
        }
    }

    seawall_core::getters! {
        /// The limit at the start.
        pub const fn initial -> u32;

        /// The lowest limit.
        pub const fn min -> u32;

        /// The highest limit.
        pub const fn max -> u32;

        /// By which rule the limit moves.
        pub const fn algorithm -> Algorithm;

        /// The quantile of a window's latencies that is looked at, above 0 and below 1.
        pub const fn quantile -> f64;

        /// How long a window lasts at least.
        pub const fn min_window -> Duration;

        /// How long a window lasts at most.
        pub const fn max_window -> Duration;

        /// How many calls a window needs before it is looked at.
        pub const fn min_samples -> u32;
    }

    /// The settings by name, for a registry.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("adaptive.initial", self.initial.to_string()),
            ("adaptive.min", self.min.to_string()),
            ("adaptive.max", self.max.to_string()),
            ("adaptive.quantile", self.quantile.to_string()),
            ("adaptive.min_window", format!("{:?}", self.min_window)),
            ("adaptive.max_window", format!("{:?}", self.max_window)),
            ("adaptive.min_samples", self.min_samples.to_string()),
            ("adaptive.algorithm", self.algorithm.as_str().to_owned()),
        ];
        settings.extend(self.algorithm.settings());
        settings
    }
}

impl Default for AdaptiveConfig {
    /// Starts at 20, stays from 1 to 200, moves by [`Knee`]; median latency, windows of 50 ms to
    /// 10 s with 20 calls at least.
    ///
    /// The start and the highest limit are those of Netflix's limiters.
    fn default() -> Self {
        Self {
            initial: 20,
            min: 1,
            max: 200,
            algorithm: Algorithm::default(),
            quantile: 0.5,
            min_window: Duration::from_millis(50),
            max_window: Duration::from_secs(10),
            min_samples: 20,
        }
    }
}

/// Collects the settings of an adaptive limit; see [`AdaptiveConfig::builder`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct AdaptiveConfigBuilder {
    config: AdaptiveConfig,
    initial: Option<u32>,
}

impl AdaptiveConfigBuilder {
    seawall_core::setters! { self.config:
        /// The lowest limit, from 1. Default: 1.
        pub const fn min(u32);

        /// The highest limit, from `min`. Default: 200.
        pub const fn max(u32);

        /// The quantile of a window's latencies that is looked at, above 0 and below 1: the slowest
        /// call of a window says nothing about the others. Low ones are steady, high ones see
        /// sooner that a few calls wait. Default: 0.5, the median.
        pub const fn quantile(f64);

        /// How long a window lasts at least, longer than zero. A window lasts two latencies where
        /// that is longer, and one and a half after a decrease. Default: 50 milliseconds.
        pub const fn min_window(Duration);

        /// How long a window lasts at most, from `min_window`. One that has not gathered
        /// `min_samples` by then is thrown away, unless calls were dropped in it. Default: 10
        /// seconds.
        pub const fn max_window(Duration);

        /// How many calls a window needs before it is looked at, from 1. Default: 20.
        pub const fn min_samples(u32);
    }

    /// The limit at the start, from `min` to `max`. Default: 20, or the bound next to it.
    pub const fn initial(mut self, initial: u32) -> Self {
        self.initial = Some(initial);
        self
    }

    /// By which rule the limit moves. Default: [`Knee`].
    pub fn algorithm(mut self, algorithm: impl Into<Algorithm>) -> Self {
        self.config.algorithm = algorithm.into();
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `min` or `min_samples` is 0, `max` is below `min`, `initial` is not
    /// from `min` to `max`, `quantile` is not above 0 and below 1, `min_window` is zero,
    /// `max_window` is below `min_window`, or a setting of the algorithm is rejected; that is named
    /// as in `knee.tolerance`.
    pub fn build(self) -> Result<AdaptiveConfig, InvalidConfig> {
        let mut config = self.config;
        NonZeroCount::check("min", config.min)?;
        if config.max < config.min {
            return Err(InvalidConfig::new(
                "max",
                config.max,
                format!("a whole number from `min`, {}", config.min),
            ));
        }
        let default = config.initial.clamp(config.min, config.max);
        config.initial = self.initial.unwrap_or(default);
        if !(config.min..=config.max).contains(&config.initial) {
            let (min, max) = (config.min, config.max);
            let accepted = format!("a whole number from `min`, {min}, to `max`, {max}");
            return Err(InvalidConfig::new("initial", config.initial, accepted));
        }
        below_one(config.quantile, "quantile")?;
        NonZeroDuration::check("min_window", config.min_window)?;
        if config.max_window < config.min_window {
            return Err(InvalidConfig::new(
                "max_window",
                format!("{:?}", config.max_window),
                format!("a duration from `min_window`, {:?}", config.min_window),
            ));
        }
        NonZeroCount::check("min_samples", config.min_samples)?;
        config.algorithm.check()?;
        Ok(config)
    }
}

//! The settings of an adaptive limit.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, Ratio};

use super::{Aimd, Gradient, Knee, Vegas};

/// By which rule the limit moves.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// Grows until the latency rises, and tells a queue from a slower upstream. The default.
    Knee(Knee),
    /// One more per window, a share less on drops or above a fixed latency.
    Aimd(Aimd),
    /// Keeps an estimated queue between two bounds.
    Vegas(Vegas),
    /// Follows the ratio of the usual latency to the present one.
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
/// use seawall_bulkhead::{Adaptive, Aimd};
///
/// let adaptive = Adaptive::builder().min(4).max(100).build()?;
/// assert_eq!(adaptive.initial(), 20);
///
/// let by_latency = Adaptive::builder()
///     .algorithm(Aimd::default().slow(Duration::from_millis(80)))
///     .build()?;
///
/// let rejected = Adaptive::builder().min(30).max(20).build().unwrap_err();
/// assert_eq!(
///     rejected.to_string(),
///     "`max` is 20, accepted is a whole number from `min`, 30",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptive {
    builder: AdaptiveBuilder,
}

// No field is NaN: `build` has rejected it.
impl Eq for Adaptive {}

impl Adaptive {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> AdaptiveBuilder {
        AdaptiveBuilder::default()
    }

    /// The limit at the start.
    pub const fn initial(&self) -> u32 {
        self.builder.initial
    }

    /// The lowest limit.
    pub const fn min(&self) -> u32 {
        self.builder.min
    }

    /// The highest limit.
    pub const fn max(&self) -> u32 {
        self.builder.max
    }

    /// By which rule the limit moves.
    pub const fn algorithm(&self) -> Algorithm {
        self.builder.algorithm
    }

    /// The quantile of a window's latencies that is looked at, from 0 to 1.
    pub const fn quantile(&self) -> f64 {
        self.builder.quantile
    }

    /// How long a window lasts at least.
    pub const fn min_window(&self) -> Duration {
        self.builder.min_window
    }

    /// How long a window lasts at most.
    pub const fn max_window(&self) -> Duration {
        self.builder.max_window
    }

    /// How many calls a window needs to say something.
    pub const fn min_samples(&self) -> u32 {
        self.builder.min_samples
    }
}

impl Default for Adaptive {
    /// Starts at 20, stays from 1 to 200, moves by [`Knee`]; median latency, windows of 50 ms to
    /// 10 s with 20 calls at least.
    ///
    /// The start and the highest limit are those of Netflix's limiters.
    fn default() -> Self {
        Self {
            builder: AdaptiveBuilder::default(),
        }
    }
}

/// Collects the settings of an adaptive limit; see [`Adaptive::builder`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveBuilder {
    initial: u32,
    min: u32,
    max: u32,
    algorithm: Algorithm,
    quantile: f64,
    min_window: Duration,
    max_window: Duration,
    min_samples: u32,
}

impl Default for AdaptiveBuilder {
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

impl AdaptiveBuilder {
    /// The limit at the start; one outside of the bounds is moved to the nearer bound.
    /// Default: 20.
    #[must_use]
    pub const fn initial(mut self, calls: u32) -> Self {
        self.initial = calls;
        self
    }

    /// The lowest limit, from 1. Default: 1.
    #[must_use]
    pub const fn min(mut self, calls: u32) -> Self {
        self.min = calls;
        self
    }

    /// The highest limit, from `min`. Default: 200.
    #[must_use]
    pub const fn max(mut self, calls: u32) -> Self {
        self.max = calls;
        self
    }

    /// By which rule the limit moves. Default: [`Knee`].
    #[must_use]
    pub fn algorithm(mut self, algorithm: impl Into<Algorithm>) -> Self {
        self.algorithm = algorithm.into();
        self
    }

    /// The quantile of a window's latencies that is looked at, from 0 to 1. Low ones are steady,
    /// high ones see sooner that a few calls wait. Default: 0.5, the median.
    #[must_use]
    pub const fn quantile(mut self, quantile: f64) -> Self {
        self.quantile = quantile;
        self
    }

    /// How long a window lasts at least, longer than zero. A window lasts two latencies where
    /// that is longer, and one and a half after a decrease. Default: 50 milliseconds.
    #[must_use]
    pub const fn min_window(mut self, length: Duration) -> Self {
        self.min_window = length;
        self
    }

    /// How long a window lasts at most, from `min_window`. One that has not gathered
    /// `min_samples` by then is thrown away, unless calls were dropped in it. Default: 10 seconds.
    #[must_use]
    pub const fn max_window(mut self, length: Duration) -> Self {
        self.max_window = length;
        self
    }

    /// How many calls a window needs to say something, from 1. Default: 20.
    #[must_use]
    pub const fn min_samples(mut self, calls: u32) -> Self {
        self.min_samples = calls;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `min` or `min_samples` is 0, `max` is below `min`, `quantile` is not
    /// a number from 0 to 1, `min_window` is zero, `max_window` is below `min_window`, or a
    /// setting of the algorithm is rejected; that is named as in `knee.tolerance`.
    pub fn build(mut self) -> Result<Adaptive, InvalidConfig> {
        NonZeroCount::new(self.min).map_err(|e| e.in_field("min"))?;
        if self.max < self.min {
            return Err(InvalidConfig::new(
                "max",
                self.max,
                format!("a whole number from `min`, {}", self.min),
            ));
        }
        Ratio::new(self.quantile).map_err(|e| e.in_field("quantile"))?;
        positive(self.min_window, "min_window")?;
        if self.max_window < self.min_window {
            return Err(InvalidConfig::new(
                "max_window",
                format!("{:?}", self.max_window),
                format!("a duration from `min_window`, {:?}", self.min_window),
            ));
        }
        NonZeroCount::new(self.min_samples).map_err(|e| e.in_field("min_samples"))?;
        self.algorithm.check()?;
        self.initial = self.initial.clamp(self.min, self.max);
        Ok(Adaptive { builder: self })
    }
}

pub(super) fn below_one(value: f64, field: &'static str) -> Result<(), InvalidConfig> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(InvalidConfig::new(
        field,
        value,
        "a number above 0 and below 1",
    ))
}

pub(super) fn above_one(value: f64, field: &'static str) -> Result<(), InvalidConfig> {
    if value.is_finite() && value > 1.0 {
        return Ok(());
    }
    Err(InvalidConfig::new(field, value, "a number above 1"))
}

pub(super) fn positive(value: Duration, field: &'static str) -> Result<(), InvalidConfig> {
    seawall_core::NonZeroDuration::new(value)
        .map(drop)
        .map_err(|e| e.in_field(field))
}

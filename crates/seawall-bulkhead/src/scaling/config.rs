//! The settings of scaling.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, Ratio};

/// Between which bounds the limit is, and when it grows and shrinks; see the [module](super).
///
/// ```
/// use seawall_bulkhead::scaling::ScalingConfig;
///
/// let config = ScalingConfig::builder().min(10).max(100).step(5).build()?;
/// assert_eq!((config.min(), config.max(), config.step()), (10, 100, 5));
///
/// let rejected = ScalingConfig::builder().min(10).max(5).build().unwrap_err();
/// assert_eq!(rejected.to_string(), "`max` is 5, accepted is a whole number from 10, the `min`");
/// # Ok::<(), seawall_bulkhead::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScalingConfig {
    min: u32,
    max: u32,
    up_at: f64,
    down_at: f64,
    window: Duration,
    step: u32,
}

impl ScalingConfig {
    /// Starts from the [default](Self::default) settings.
    pub const fn builder() -> ScalingConfigBuilder {
        ScalingConfigBuilder {
            config: Self::DEFAULT,
        }
    }

    const DEFAULT: Self = Self {
        min: 1,
        max: 200,
        up_at: 0.8,
        down_at: 0.3,
        window: Duration::from_secs(1),
        step: 1,
    };

    seawall_core::getters! {
        /// The lowest limit.
        pub const fn min -> u32;

        /// The highest limit.
        pub const fn max -> u32;

        /// From which share of held permits the limit grows.
        pub const fn up_at -> f64;

        /// Up to which share of held permits the limit shrinks.
        pub const fn down_at -> f64;

        /// Over which time the share is measured.
        pub const fn window -> Duration;

        /// By how much a window changes the limit.
        pub const fn step -> u32;
    }

    /// The settings by name, for a registry.
    pub(crate) fn settings(&self) -> [(&'static str, String); 6] {
        [
            ("scaling.min", self.min.to_string()),
            ("scaling.max", self.max.to_string()),
            ("scaling.up_at", self.up_at.to_string()),
            ("scaling.down_at", self.down_at.to_string()),
            ("scaling.window", format!("{:?}", self.window)),
            ("scaling.step", self.step.to_string()),
        ]
    }

    /// The limit within the bounds that is next to `limit`.
    pub(crate) fn within(&self, limit: u32) -> u32 {
        limit.clamp(self.min, self.max)
    }

    /// The limit after a window in which so many permits were held on average.
    pub(crate) fn next(&self, limit: u32, held: f64) -> u32 {
        let share = |limit: u32| held / f64::from(limit.max(1));
        let fewer = self.within(limit.saturating_sub(self.step));
        if share(limit) >= self.up_at {
            self.within(limit.saturating_add(self.step))
        } else if share(limit) <= self.down_at && share(fewer) < self.up_at {
            fewer
        } else {
            self.within(limit)
        }
    }
}

impl Default for ScalingConfig {
    /// From 1 to 200 calls, as an adaptive limit; one more after a second in which 80 % of the
    /// permits were held, one less after one in which at most 30 % were.
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Collects the settings of scaling; see [`ScalingConfig::builder`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ScalingConfigBuilder {
    config: ScalingConfig,
}

impl ScalingConfigBuilder {
    seawall_core::setters! { self.config:
        /// The lowest limit, from 1; it can be reached. Default: 1.
        pub const fn min(u32);

        /// The highest limit, from `min`; it can be reached. Default: 200.
        pub const fn max(u32);

        /// From which share of held permits the limit grows, from 0 to 1. Default: 0.8.
        pub const fn up_at(f64);

        /// Up to which share of held permits the limit shrinks, from 0 and below `up_at`. Default:
        /// 0.3.
        pub const fn down_at(f64);

        /// Over which time the share is measured before the limit changes, longer than zero.
        /// Default: one second.
        pub const fn window(Duration);

        /// By how much one window changes the limit: a whole number from 1. Default: 1.
        pub const fn step(u32);
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `min` or `step` is 0, `max` is below `min`, a share is not from 0 to
    /// 1, `down_at` is not below `up_at`, or `window` is zero.
    pub fn build(self) -> Result<ScalingConfig, InvalidConfig> {
        let config = self.config;
        NonZeroCount::check("min", config.min)?;
        if config.max < config.min {
            let accepted = format!("a whole number from {}, the `min`", config.min);
            return Err(InvalidConfig::new("max", config.max, accepted));
        }
        Ratio::new(config.up_at).map_err(|e| e.in_field("up_at"))?;
        Ratio::new(config.down_at).map_err(|e| e.in_field("down_at"))?;
        if config.down_at >= config.up_at {
            let accepted = format!("a number from 0, below {}, the `up_at`", config.up_at);
            return Err(InvalidConfig::new("down_at", config.down_at, accepted));
        }
        NonZeroDuration::check("window", config.window)?;
        NonZeroCount::check("step", config.step)?;
        Ok(config)
    }
}

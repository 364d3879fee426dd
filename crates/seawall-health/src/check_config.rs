//! The settings of a check.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroDuration, Ratio};

/// How deep a check looks, and so what it costs.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Depth {
    /// It looks at calls that are made anyway and sends nothing.
    Passive,
    /// It asks whether something is there: a connection, a `GET /health`.
    #[default]
    Shallow,
    /// It does real work: a query, a round trip through the whole upstream.
    Deep,
    /// It makes a scripted call as a user would, through a real stack; see
    /// [`Synthetic`](crate::Synthetic).
    Synthetic,
}

impl Depth {
    /// The depth as a label value of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passive => "passive",
            Self::Shallow => "shallow",
            Self::Deep => "deep",
            Self::Synthetic => "synthetic",
        }
    }
}

/// When and how one check is run, and what its results change.
///
/// | setting | default |
/// |---|---|
/// | depth | shallow |
/// | interval | 30 s |
/// | jitter | 10 % of the interval |
/// | timeout | 10 s |
/// | failures to unhealthy | 3 in a row |
/// | successes to recover | 2 in a row |
/// | slow after | 5 s |
/// | history | 20 runs |
/// | highest error rate | 10 % of the history |
/// | critical | yes |
///
/// ```
/// use std::time::Duration;
/// use seawall_health::{CheckConfig, Depth};
///
/// let config = CheckConfig::builder()
///     .depth(Depth::Deep)
///     .interval(Duration::from_secs(60))
///     .critical(false)
///     .build()?;
/// assert_eq!(config.timeout(), Duration::from_secs(10));
/// let rejected = CheckConfig::builder().interval(Duration::ZERO).build().unwrap_err();
/// assert_eq!(rejected.field(), "interval");
/// # Ok::<(), seawall_health::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CheckConfig {
    depth: Depth,
    interval: Duration,
    jitter: Ratio,
    timeout: Duration,
    failures_to_unhealthy: u32,
    successes_to_recover: u32,
    slow_after: Duration,
    history: u32,
    max_error_rate: Ratio,
    critical: bool,
}

/// The longest history of a check, and the longest row that decides, in runs.
const MAX_RUNS: u32 = 1_000;

/// What timers keep. Shorter is without a pause.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

impl CheckConfig {
    /// The defaults, to be changed.
    pub fn builder() -> CheckConfigBuilder {
        CheckConfigBuilder {
            config: DEFAULT,
            jitter: DEFAULT_JITTER,
            max_error_rate: DEFAULT_ERROR_RATE,
            slow_after_set: false,
        }
    }

    /// These settings, to be changed.
    pub const fn to_builder(self) -> CheckConfigBuilder {
        CheckConfigBuilder {
            config: self,
            jitter: self.jitter.get(),
            max_error_rate: self.max_error_rate.get(),
            slow_after_set: false,
        }
    }

    seawall_core::getters! {
        /// How deep it looks.
        pub const fn depth -> Depth;

        /// The longest pause from the end of one run to the start of the next.
        pub const fn interval -> Duration;

        /// By which share of the interval a pause may be shorter, at random.
        pub const fn jitter -> Ratio;

        /// How long one run may take before it counts as failed.
        pub const fn timeout -> Duration;

        /// How many failures in a row make it unhealthy.
        pub const fn failures_to_unhealthy -> u32;

        /// How many successes in a row bring it back.
        pub const fn successes_to_recover -> u32;

        /// How long one run may take before its success counts as degraded.
        pub const fn slow_after -> Duration;

        /// How many of the last runs are kept, for the trend and the error rate.
        pub const fn history -> u32;

        /// The share of failed runs of a full history above which a success counts as degraded.
        pub const fn max_error_rate -> Ratio;

        /// Whether the aggregate status is unhealthy when this is.
        pub const fn critical -> bool;
    }

    /// How long to pause before the next run, for a draw `unit` from 0 to 1.
    pub(crate) fn pause(&self, unit: f64) -> Duration {
        let share = 1.0 - self.jitter.get() * unit.clamp(0.0, 1.0);
        // What is too long for a product is "never".
        Duration::try_from_secs_f64(self.interval.as_secs_f64() * share).unwrap_or(self.interval)
    }

    pub(crate) const fn with_depth(mut self, depth: Depth) -> Self {
        self.depth = depth;
        self
    }
}

const DEFAULT_JITTER: f64 = 0.1;
const DEFAULT_ERROR_RATE: f64 = 0.1;

/// But for the shares, which the builder sets.
const DEFAULT: CheckConfig = CheckConfig {
    depth: Depth::Shallow,
    interval: Duration::from_secs(30),
    jitter: Ratio::ZERO,
    timeout: Duration::from_secs(10),
    failures_to_unhealthy: 3,
    successes_to_recover: 2,
    slow_after: Duration::from_secs(5),
    history: 20,
    max_error_rate: Ratio::ONE,
    critical: true,
};

impl Default for CheckConfig {
    fn default() -> Self {
        Self::builder().build().unwrap_or(DEFAULT)
    }
}

/// Builds a [`CheckConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct CheckConfigBuilder {
    config: CheckConfig,
    jitter: f64,
    max_error_rate: f64,
    slow_after_set: bool,
}

impl CheckConfigBuilder {
    seawall_core::setters! { self.config:
        /// Sets how deep it looks.
        pub const fn depth(Depth);

        /// Sets the longest pause from the end of one run to the start of the next; at least 1 ms.
        pub const fn interval(Duration);

        /// Sets how long one run may take; longer than zero.
        pub const fn timeout(Duration);

        /// Sets how many failures in a row make it unhealthy; from 1 to 1,000.
        pub const fn failures_to_unhealthy(u32);

        /// Sets how many successes in a row bring it back; from 1 to 1,000.
        pub const fn successes_to_recover(u32);

        /// Sets how many of the last runs are kept; from 1 to 1,000.
        pub const fn history(u32);

        /// Sets whether the aggregate status is unhealthy when this is; if not, it is degraded at
        /// most.
        pub const fn critical(bool);
    }

    /// Sets by which share of the interval, from 0 to 1, a pause may be shorter: checks that were
    /// started together, in one process or in many, drift apart. 0 keeps the interval.
    pub const fn jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    /// Sets the share of failed runs, from 0 to 1, above which a success counts as degraded, once
    /// the history is full. 1 turns it off.
    pub const fn max_error_rate(mut self, rate: f64) -> Self {
        self.max_error_rate = rate;
        self
    }

    /// Sets how long a success may take before it counts as degraded; longer than zero, and no
    /// longer than the timeout. Where it is not set and the timeout is shorter than its default,
    /// no run is slow.
    pub const fn slow_after(mut self, slow_after: Duration) -> Self {
        self.config.slow_after = slow_after;
        self.slow_after_set = true;
        self
    }

    /// The settings, if they make sense.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a duration is zero or the interval below 1 ms, a count or the history is not
    /// from 1 to 1,000, a share is not a number from 0 to 1, and when `slow_after` is set to more than the
    /// timeout, where no run would ever be slow.
    pub fn build(self) -> Result<CheckConfig, InvalidConfig> {
        let share = |field, share| Ratio::new(share).map_err(|invalid| invalid.in_field(field));
        let config = CheckConfig {
            jitter: share("jitter", self.jitter)?,
            max_error_rate: share("max_error_rate", self.max_error_rate)?,
            ..self.config
        };
        if config.interval < MIN_INTERVAL {
            let value = format!("{:?}", config.interval);
            return Err(InvalidConfig::new("interval", value, "1ms or longer"));
        }
        NonZeroDuration::check("timeout", config.timeout)?;
        NonZeroDuration::check("slow_after", config.slow_after)?;
        for (field, count) in [
            ("failures_to_unhealthy", config.failures_to_unhealthy),
            ("successes_to_recover", config.successes_to_recover),
            ("history", config.history),
        ] {
            if !(1..=MAX_RUNS).contains(&count) {
                let accepted = "a whole number from 1 to 1000";
                return Err(InvalidConfig::new(field, count, accepted));
            }
        }
        if self.slow_after_set && config.slow_after > config.timeout {
            let accepted = format!("the timeout, {:?}, or shorter", config.timeout);
            let value = format!("{:?}", config.slow_after);
            return Err(InvalidConfig::new("slow_after", value, accepted));
        }
        Ok(config)
    }
}

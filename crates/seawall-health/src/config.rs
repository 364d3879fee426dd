//! The settings of a check and of the passive layer; values that cannot be wrong.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, Ratio};

/// How deep a check looks, and so what it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// It looks at what happens anyway and sends nothing.
    Passive,
    /// It asks whether something is there: a connection, a `GET /health`.
    #[default]
    Shallow,
    /// It does real work: a query, a round trip through the whole upstream.
    Deep,
}

impl Depth {
    /// The depth as a label value of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passive => "passive",
            Self::Shallow => "shallow",
            Self::Deep => "deep",
        }
    }
}

/// When and how one check is run, and what its results change.
///
/// | setting | default |
/// |---|---|
/// | depth | shallow |
/// | interval | 30 s |
/// | timeout | 10 s |
/// | failures to unhealthy | 3 in a row |
/// | successes to recover | 2 in a row |
/// | slow after | 5 s |
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
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CheckConfig {
    depth: Depth,
    interval: Duration,
    timeout: Duration,
    failures_to_unhealthy: u32,
    successes_to_recover: u32,
    slow_after: Duration,
    critical: bool,
}

impl CheckConfig {
    /// The defaults, to be changed.
    pub fn builder() -> CheckConfigBuilder {
        CheckConfigBuilder {
            config: Self::default(),
        }
    }

    /// How deep it looks.
    pub const fn depth(&self) -> Depth {
        self.depth
    }

    /// The pause from the end of one run to the start of the next.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How long one run may take before it counts as failed.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How many failures in a row make it unhealthy.
    pub const fn failures_to_unhealthy(&self) -> u32 {
        self.failures_to_unhealthy
    }

    /// How many successes in a row bring it back.
    pub const fn successes_to_recover(&self) -> u32 {
        self.successes_to_recover
    }

    /// How long one run may take before its success counts as degraded.
    pub const fn slow_after(&self) -> Duration {
        self.slow_after
    }

    /// Whether the whole is unhealthy when this is.
    pub const fn critical(&self) -> bool {
        self.critical
    }

    pub(crate) const fn with_depth(mut self, depth: Depth) -> Self {
        self.depth = depth;
        self
    }
}

impl Default for CheckConfig {
    fn default() -> Self {
        Self {
            depth: Depth::Shallow,
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            failures_to_unhealthy: 3,
            successes_to_recover: 2,
            slow_after: Duration::from_secs(5),
            critical: true,
        }
    }
}

/// Builds a [`CheckConfig`].
#[derive(Clone, Copy, Debug)]
pub struct CheckConfigBuilder {
    config: CheckConfig,
}

impl CheckConfigBuilder {
    /// Sets how deep it looks.
    #[must_use]
    pub const fn depth(mut self, depth: Depth) -> Self {
        self.config.depth = depth;
        self
    }

    /// Sets the pause from the end of one run to the start of the next; longer than zero.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.config.interval = interval;
        self
    }

    /// Sets how long one run may take; longer than zero.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.config.timeout = timeout;
        self
    }

    /// Sets how many failures in a row make it unhealthy; at least 1.
    #[must_use]
    pub const fn failures_to_unhealthy(mut self, failures: u32) -> Self {
        self.config.failures_to_unhealthy = failures;
        self
    }

    /// Sets how many successes in a row bring it back; at least 1.
    #[must_use]
    pub const fn successes_to_recover(mut self, successes: u32) -> Self {
        self.config.successes_to_recover = successes;
        self
    }

    /// Sets how long a success may take before it counts as degraded; longer than zero.
    #[must_use]
    pub const fn slow_after(mut self, slow_after: Duration) -> Self {
        self.config.slow_after = slow_after;
        self
    }

    /// Sets whether the whole is unhealthy when this is; if not, it only degrades the whole.
    #[must_use]
    pub const fn critical(mut self, critical: bool) -> Self {
        self.config.critical = critical;
        self
    }

    /// The settings, if they make sense.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a duration or a count is zero.
    pub fn build(self) -> Result<CheckConfig, InvalidConfig> {
        let c = self.config;
        positive("interval", c.interval)?;
        positive("timeout", c.timeout)?;
        positive("slow_after", c.slow_after)?;
        counted("failures_to_unhealthy", c.failures_to_unhealthy)?;
        counted("successes_to_recover", c.successes_to_recover)?;
        Ok(c)
    }
}

/// What the passive layer watches for.
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
/// # Ok::<(), seawall_core::InvalidConfig>(())
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
        let d = Self::default();
        HealthConfigBuilder {
            window: d.window,
            max_error_rate: d.max_error_rate.get(),
            slow_after: d.slow_after,
            max_slow_rate: d.max_slow_rate.get(),
            min_calls: d.min_calls,
        }
    }

    /// How far back it looks, in steps of a tenth.
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// The share of failed calls above which it is unhealthy.
    pub const fn max_error_rate(&self) -> Ratio {
        self.max_error_rate
    }

    /// How long a call may take before it counts as slow.
    pub const fn slow_after(&self) -> Duration {
        self.slow_after
    }

    /// The share of slow calls above which it is degraded.
    pub const fn max_slow_rate(&self) -> Ratio {
        self.max_slow_rate
    }

    /// The fewest calls in the window to judge by; with fewer it is unknown.
    pub const fn min_calls(&self) -> u32 {
        self.min_calls
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
#[derive(Clone, Copy, Debug)]
pub struct HealthConfigBuilder {
    window: Duration,
    max_error_rate: f64,
    slow_after: Duration,
    max_slow_rate: f64,
    min_calls: u32,
}

impl HealthConfigBuilder {
    /// Sets how far back it looks, from 10 ms to 30 days.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets the share of failed calls, from 0 to 1, above which it is unhealthy.
    #[must_use]
    pub const fn max_error_rate(mut self, rate: f64) -> Self {
        self.max_error_rate = rate;
        self
    }

    /// Sets how long a call may take before it counts as slow; longer than zero.
    #[must_use]
    pub const fn slow_after(mut self, slow_after: Duration) -> Self {
        self.slow_after = slow_after;
        self
    }

    /// Sets the share of slow calls, from 0 to 1, above which it is degraded.
    #[must_use]
    pub const fn max_slow_rate(mut self, rate: f64) -> Self {
        self.max_slow_rate = rate;
        self
    }

    /// Sets the fewest calls in the window to judge by; at least 1.
    #[must_use]
    pub const fn min_calls(mut self, calls: u32) -> Self {
        self.min_calls = calls;
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
        if !(SHORTEST..=LONGEST).contains(&self.window) {
            let value = format!("{:?}", self.window);
            return Err(InvalidConfig::new("window", value, "from 10ms to 30 days"));
        }
        positive("slow_after", self.slow_after)?;
        counted("min_calls", self.min_calls)?;
        let ratio = |field, rate| Ratio::new(rate).map_err(|e| e.in_field(field));
        Ok(HealthConfig {
            window: self.window,
            max_error_rate: ratio("max_error_rate", self.max_error_rate)?,
            slow_after: self.slow_after,
            max_slow_rate: ratio("max_slow_rate", self.max_slow_rate)?,
            min_calls: self.min_calls,
        })
    }
}

fn positive(field: &'static str, value: Duration) -> Result<(), InvalidConfig> {
    NonZeroDuration::new(value).map_err(|e| e.in_field(field))?;
    Ok(())
}

fn counted(field: &'static str, value: u32) -> Result<(), InvalidConfig> {
    NonZeroCount::new(value).map_err(|e| e.in_field(field))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_settings_are_rejected_by_name() {
        let field = |r: Result<CheckConfig, InvalidConfig>| r.unwrap_err().field().to_owned();
        let zero = Duration::ZERO;
        let check = CheckConfig::builder;
        assert_eq!(field(check().interval(zero).build()), "interval");
        assert_eq!(field(check().timeout(zero).build()), "timeout");
        assert_eq!(field(check().slow_after(zero).build()), "slow_after");
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
        let for_ever = CheckConfig::builder().timeout(Duration::MAX).build();
        assert_eq!(for_ever.unwrap().timeout(), Duration::MAX);
    }
}

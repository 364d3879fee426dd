//! The settings of the layers; values that cannot be wrong.

use std::time::Duration;

use seawall_core::InvalidConfig;

/// What telemetry measures.
///
/// | setting | default |
/// |---|---|
/// | enabled | yes |
/// | slow after | 5 s |
/// | overhead of every | 1,024th call |
/// | spans | no |
///
/// ```
/// use std::time::Duration;
/// use seawall_telemetry::TelemetryConfig;
///
/// let config = TelemetryConfig::builder().slow_after(Duration::from_secs(1)).build()?;
/// assert!(config.enabled());
/// let rejected = TelemetryConfig::builder().slow_after(Duration::ZERO).build().unwrap_err();
/// assert_eq!(rejected.field(), "slow_after");
/// # Ok::<(), seawall_telemetry::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelemetryConfig {
    enabled: bool,
    slow_after: Duration,
    overhead_every: u32,
    spans: bool,
}

impl TelemetryConfig {
    /// The defaults, to be changed.
    pub fn builder() -> TelemetryConfigBuilder {
        TelemetryConfigBuilder {
            config: Self::default(),
        }
    }

    seawall_core::getters! {
        /// Whether calls are measured.
        pub const fn enabled -> bool;

        /// How long a call that succeeds may take before it counts as slow.
        pub const fn slow_after -> Duration;

        /// Of about one in how many calls the overhead is measured; 0 is of none.
        pub const fn overhead_every -> u32;

        /// Whether each call and each attempt has a `tracing` span.
        pub const fn spans -> bool;
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("enabled", self.enabled.to_string()),
            ("slow_after", format!("{:?}", self.slow_after)),
            ("overhead_every", self.overhead_every.to_string()),
            ("spans", self.spans.to_string()),
        ]
    }
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            slow_after: Duration::from_secs(5),
            overhead_every: 1_024,
            spans: false,
        }
    }
}

/// Continues from settings that are in force.
impl From<TelemetryConfig> for TelemetryConfigBuilder {
    fn from(config: TelemetryConfig) -> Self {
        Self { config }
    }
}

/// Builds a [`TelemetryConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct TelemetryConfigBuilder {
    config: TelemetryConfig,
}

impl TelemetryConfigBuilder {
    seawall_core::setters! { self.config:
        /// Sets whether calls are measured. Default: yes.
        pub const fn enabled(bool);

        /// Sets how long a call that succeeds may take before it counts as slow; longer than zero.
        /// Default: 5 s.
        pub const fn slow_after(Duration);

        /// Sets of about one in how many calls of a thread the overhead of the layers is measured; 0 is of none.
        /// Default: 1,024, so that the usual call pays nothing for it.
        pub const fn overhead_every(u32);

        /// Sets whether each call has a `tracing` span, and each attempt one within it; with the feature
        /// `tracing`. Default: no. The crate's page has their [names and fields](crate#spans).
        pub const fn spans(bool);
    }

    /// The settings, if they make sense.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `slow_after` is zero, or spans are wanted without the feature `tracing`.
    pub fn build(self) -> Result<TelemetryConfig, InvalidConfig> {
        if self.config.slow_after.is_zero() {
            return Err(InvalidConfig::new("slow_after", "0 s", "longer than zero"));
        }
        if self.config.spans && !cfg!(feature = "tracing") {
            let accepted = "false: the feature `tracing` is off";
            return Err(InvalidConfig::new("spans", true, accepted));
        }
        Ok(self.config)
    }
}

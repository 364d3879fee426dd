//! Settings that cannot be wrong.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, Span, getters, setters};

/// What the steps that take time may take, beside each other and each.
///
/// ```
/// use std::time::Duration;
/// use seawall_fallback::FallbackConfig;
///
/// let config = FallbackConfig::builder()
///     .step_timeout(Duration::from_millis(300))
///     .max_running(20)
///     .build()?;
/// assert_eq!(config.max_running(), 20);
/// # Ok::<(), seawall_fallback::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FallbackConfig {
    step_timeout: Duration,
    max_running: u32,
}

impl Default for FallbackConfig {
    /// Two seconds for a step, and 64 at once.
    fn default() -> Self {
        Self {
            step_timeout: Duration::from_secs(2),
            max_running: 64,
        }
    }
}

impl FallbackConfig {
    /// The defaults, to be changed.
    pub fn builder() -> FallbackConfigBuilder {
        FallbackConfigBuilder::default()
    }

    getters! {
        /// How long a step may take that has no timeout of its own.
        pub const fn step_timeout -> Duration;
        /// How many calls may be in steps that take time at once.
        pub const fn max_running -> u32;
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("step_timeout", Span(self.step_timeout).to_string()),
            ("max_running", self.max_running.to_string()),
        ]
    }
}

/// Builds a [`FallbackConfig`].
#[derive(Clone, Copy, Debug, Default)]
pub struct FallbackConfigBuilder {
    config: FallbackConfig,
}

impl FallbackConfigBuilder {
    setters! { self.config:
        /// Sets how long a step may take that has no timeout of its own; 2 s unless set. A value, a function
        /// and the last good answer take none.
        pub const fn step_timeout(Duration);
        /// Sets how many calls may be in steps that take time at once; 64 unless set. A call that is beyond
        /// that goes on to the next step without waiting.
        pub const fn max_running(u32);
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `step_timeout` or `max_running` where it is zero.
    pub fn build(self) -> Result<FallbackConfig, InvalidConfig> {
        NonZeroDuration::check("step_timeout", self.config.step_timeout)?;
        NonZeroCount::check("max_running", self.config.max_running)?;
        Ok(self.config)
    }
}

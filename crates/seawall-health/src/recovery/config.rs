//! The settings of a recovery.

use std::time::Duration;

use seawall_core::{Backoff, InvalidConfig, Jitter, NonZeroCount, NonZeroDuration};

/// How an unhealthy upstream is brought back.
///
/// | setting | default |
/// |---|---|
/// | clean validations | 3 in a row |
/// | validate every | 1 s |
/// | hook timeout | 30 s |
/// | attempts | 10 |
/// | backoff between attempts | exponential from 5 s, at most 5 min, half of it at random |
///
/// ```
/// use seawall_health::RecoveryConfig;
///
/// let config = RecoveryConfig::builder().validations(5).max_attempts(3).build()?;
/// assert_eq!(config.validations(), 5);
/// let rejected = RecoveryConfig::builder().validations(0).build().unwrap_err();
/// assert_eq!(rejected.field(), "validations");
/// # Ok::<(), seawall_health::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RecoveryConfig {
    validations: u32,
    validate_every: Duration,
    hook_timeout: Duration,
    max_attempts: u32,
    backoff: Backoff,
}

impl RecoveryConfig {
    /// The defaults, to be changed.
    pub fn builder() -> RecoveryConfigBuilder {
        RecoveryConfigBuilder {
            config: Self::default(),
        }
    }

    seawall_core::getters! {
        /// How many validations in a row have to be clean.
        pub const fn validations -> u32;

        /// The pause between two of them.
        pub const fn validate_every -> Duration;

        /// How long a hook or a validation may take before it has failed.
        pub const fn hook_timeout -> Duration;

        /// How many attempts are made before it is given up.
        pub const fn max_attempts -> u32;
    }

    /// How long to wait before each attempt.
    pub const fn backoff(&self) -> &Backoff {
        &self.backoff
    }
}

impl Default for RecoveryConfig {
    fn default() -> Self {
        let (base, cap) = (Duration::from_secs(5), Duration::from_secs(300));
        let backoff = Backoff::exponential(base, cap).unwrap_or(Backoff::NONE);
        Self {
            validations: 3,
            validate_every: Duration::from_secs(1),
            hook_timeout: Duration::from_secs(30),
            max_attempts: 10,
            backoff: backoff.with_jitter(Jitter::Equal),
        }
    }
}

/// Builds a [`RecoveryConfig`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RecoveryConfigBuilder {
    config: RecoveryConfig,
}

impl RecoveryConfigBuilder {
    seawall_core::setters! { self.config:
        /// Sets how many validations in a row have to be clean; at least 1.
        pub const fn validations(u32);

        /// Sets the pause between two of them; longer than zero.
        pub const fn validate_every(Duration);

        /// Sets how long a hook or a validation may take; longer than zero.
        pub const fn hook_timeout(Duration);

        /// Sets how many attempts are made before it is given up; at least 1.
        pub const fn max_attempts(u32);
    }

    /// Sets how long to wait before each attempt; the first delay is that before the first one.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = backoff;
        self
    }

    /// The settings, if they make sense.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a duration or a count is zero.
    pub fn build(self) -> Result<RecoveryConfig, InvalidConfig> {
        let config = self.config;
        NonZeroCount::check("validations", config.validations)?;
        NonZeroDuration::check("validate_every", config.validate_every)?;
        NonZeroDuration::check("hook_timeout", config.hook_timeout)?;
        NonZeroCount::check("max_attempts", config.max_attempts)?;
        Ok(config)
    }
}

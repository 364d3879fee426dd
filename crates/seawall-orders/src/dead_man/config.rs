//! The times of a dead man's switch.

use std::time::Duration;

use seawall_core::{InvalidConfig, getters, setters};

/// What venues accept; a timer of more is no protection.
const MAX_TIMEOUT: Duration = Duration::from_secs(86_400);

/// The times of a dead man's switch.
///
/// ```
/// use std::time::Duration;
/// use seawall_orders::dead_man::DeadManConfig;
///
/// let minute = Duration::from_secs(60);
/// let config = DeadManConfig::builder(minute).build()?;
/// assert_eq!(config.interval(), Duration::from_secs(20));
///
/// let rejected = DeadManConfig::builder(minute).interval(minute / 2).build().unwrap_err();
/// assert_eq!(
///     rejected.to_string(),
///     "`interval` is 30s, accepted is longer than zero and below half of `timeout`, which is 60s",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadManConfig {
    timeout: Duration,
    interval: Duration,
    attempt_timeout: Duration,
}

impl DeadManConfig {
    /// A builder for a venue that cancels all orders when its timer is not renewed for `timeout`.
    pub const fn builder(timeout: Duration) -> DeadManConfigBuilder {
        DeadManConfigBuilder {
            timeout,
            interval: None,
            attempt_timeout: None,
        }
    }

    getters! {
        /// After which time the venue cancels all orders.
        pub const fn timeout -> Duration;
        /// How often the timer is renewed.
        pub const fn interval -> Duration;
        /// How long one request may take.
        pub const fn attempt_timeout -> Duration;
    }

    /// How long after a request that failed the next one is sent.
    pub(super) fn retry_after(&self) -> Duration {
        self.interval / 4
    }

    /// How often health is looked at.
    pub(super) fn check_interval(&self) -> Duration {
        self.retry_after().min(Duration::from_secs(1))
    }
}

/// Makes a [`DeadManConfig`].
#[derive(Clone, Copy, Debug)]
pub struct DeadManConfigBuilder {
    timeout: Duration,
    interval: Option<Duration>,
    attempt_timeout: Option<Duration>,
}

impl DeadManConfigBuilder {
    setters! { self:
        /// Sets how often the timer is renewed: a third of the timeout unless set.
        pub const fn interval(Some(Duration));
        /// Sets how long one request may take: half of the interval unless set.
        pub const fn attempt_timeout(Some(Duration));
    }

    /// The times.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for a time of zero, for a timeout of more than a day, for an interval that is not below half of the timeout, and for
    /// an attempt so long that after one that fails there is no time for another.
    pub fn build(self) -> Result<DeadManConfig, InvalidConfig> {
        let timeout = self.timeout;
        if timeout.is_zero() || timeout > MAX_TIMEOUT {
            let accepted = "longer than zero and at most a day";
            return Err(InvalidConfig::new(
                "timeout",
                format!("{timeout:?}"),
                accepted,
            ));
        }
        let interval = self.interval.unwrap_or(timeout / 3);
        if interval.is_zero() || interval >= timeout / 2 {
            let accepted =
                format!("longer than zero and below half of `timeout`, which is {timeout:?}");
            return Err(InvalidConfig::new(
                "interval",
                format!("{interval:?}"),
                accepted,
            ));
        }
        let attempt_timeout = self.attempt_timeout.unwrap_or(interval / 2);
        let config = DeadManConfig {
            timeout,
            interval,
            attempt_timeout,
        };
        let longest = (timeout - interval - config.retry_after()) / 2;
        if attempt_timeout.is_zero() || attempt_timeout > longest {
            let value = format!("{attempt_timeout:?}");
            let accepted = format!(
                "longer than zero and at most {longest:?}, so that a second one is in time"
            );
            return Err(InvalidConfig::new("attempt_timeout", value, accepted));
        }
        Ok(config)
    }
}

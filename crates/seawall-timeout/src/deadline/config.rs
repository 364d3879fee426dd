//! The settings of a deadline.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroDuration};

use crate::limit::limit_ns;
use crate::state::Limit;

/// How long a whole call may take.
///
/// ```
/// use std::time::Duration;
/// use seawall_timeout::DeadlineConfig;
///
/// let config = DeadlineConfig::new(Duration::from_secs(10))?;
/// assert_eq!(config.timeout(), Duration::from_secs(10));
///
/// let rejected = DeadlineConfig::new(Duration::ZERO).unwrap_err();
/// assert_eq!(rejected.field(), "timeout");
/// # Ok::<(), seawall_timeout::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineConfig {
    timeout: Duration,
}

impl DeadlineConfig {
    /// Calls may take `timeout`; [`Duration::MAX`] is forever.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `timeout` when it is zero.
    pub fn new(timeout: Duration) -> Result<Self, InvalidConfig> {
        NonZeroDuration::check("timeout", timeout)?;
        Ok(Self { timeout })
    }

    /// How long a call may take: waits, attempts and the wait for readiness together.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }
}

impl Limit for DeadlineConfig {
    fn limit_ns(&self) -> u64 {
        limit_ns(self.timeout)
    }
}

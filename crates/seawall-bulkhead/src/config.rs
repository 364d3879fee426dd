//! The settings of a bulkhead.

use std::time::Duration;

use seawall_core::{Count, InvalidConfig, Positive};

/// How many calls run at once, how many wait, and for how long.
///
/// ```
/// use std::time::Duration;
/// use seawall_bulkhead::BulkheadConfig;
///
/// let config = BulkheadConfig::builder()
///     .max_concurrent(10)
///     .max_waiting(20)
///     .acquire_timeout(Duration::from_secs(2))
///     .build()?;
/// assert_eq!(config.max_concurrent().get(), 10);
///
/// let refused = BulkheadConfig::builder().max_concurrent(0).build().unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "`max_concurrent` is 0, accepted is a whole number from 1",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkheadConfig {
    max_concurrent: Count,
    max_waiting: u32,
    acquire_timeout: Positive,
}

impl BulkheadConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> BulkheadConfigBuilder {
        BulkheadConfigBuilder::default()
    }

    /// How many calls run at once.
    pub const fn max_concurrent(&self) -> Count {
        self.max_concurrent
    }

    /// How many calls wait for a place; 0 when calls are refused at once.
    pub const fn max_waiting(&self) -> u32 {
        self.max_waiting
    }

    /// How long a call waits for a place before it is refused.
    pub const fn acquire_timeout(&self) -> Positive {
        self.acquire_timeout
    }
}

impl Default for BulkheadConfig {
    /// 50 calls at once, nobody waits; those who are allowed to wait do so for 30 seconds.
    ///
    /// 50 is a common size of a client's connection pool per host; waiting is off, since a
    /// caller that waits holds a task and a request while it could do without the answer.
    fn default() -> Self {
        let fallback = BulkheadConfigBuilder::default();
        Self {
            max_concurrent: Count::new(fallback.max_concurrent).unwrap_or(Count::ONE),
            max_waiting: fallback.max_waiting,
            acquire_timeout: DEFAULT_TIMEOUT,
        }
    }
}

const DEFAULT_TIMEOUT: Positive = match Positive::from_secs(30) {
    Some(timeout) => timeout,
    None => unreachable!(),
};

/// Collects the settings of a bulkhead; see [`BulkheadConfig::builder`].
#[derive(Clone, Copy, Debug)]
pub struct BulkheadConfigBuilder {
    max_concurrent: u32,
    max_waiting: u32,
    acquire_timeout: Duration,
}

impl Default for BulkheadConfigBuilder {
    fn default() -> Self {
        Self {
            max_concurrent: 50,
            max_waiting: 0,
            acquire_timeout: DEFAULT_TIMEOUT.get(),
        }
    }
}

impl BulkheadConfigBuilder {
    /// How many calls run at once: a whole number from 1. Default: 50.
    #[must_use]
    pub const fn max_concurrent(mut self, calls: u32) -> Self {
        self.max_concurrent = calls;
        self
    }

    /// How many calls wait for a place beside those that run. Default: 0, refuse at once.
    #[must_use]
    pub const fn max_waiting(mut self, calls: u32) -> Self {
        self.max_waiting = calls;
        self
    }

    /// How long a call waits for a place, longer than zero; counted from the first poll of its
    /// future. The time in which it stands aside, since its service is not ready, is part of it. Of no effect while nobody may wait. Default: 30 seconds.
    #[must_use]
    pub const fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `max_concurrent` is 0 or `acquire_timeout` is zero.
    pub fn build(self) -> Result<BulkheadConfig, InvalidConfig> {
        Ok(BulkheadConfig {
            max_concurrent: Count::new(self.max_concurrent)
                .map_err(|e| e.in_field("max_concurrent"))?,
            max_waiting: self.max_waiting,
            acquire_timeout: Positive::new(self.acquire_timeout)
                .map_err(|e| e.in_field("acquire_timeout"))?,
        })
    }
}

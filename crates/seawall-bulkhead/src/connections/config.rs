//! The settings of a connection limit.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration};

/// How many connections there are, in all and per key, and how long one waits to be made.
///
/// ```
/// use std::time::Duration;
/// use seawall_bulkhead::connections::ConnectionLimitConfig;
///
/// let config = ConnectionLimitConfig::builder()
///     .max_connections(20)
///     .max_per_key(8)
///     .max_wait(Duration::from_secs(5))
///     .build()?;
/// assert_eq!(config.max_connections().get(), 20);
///
/// let rejected = ConnectionLimitConfig::builder().max_per_key(0).build().unwrap_err();
/// assert_eq!(rejected.to_string(), "`max_per_key` is 0, accepted is a whole number from 1");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimitConfig {
    max_connections: NonZeroCount,
    max_per_key: Option<NonZeroCount>,
    max_waiting: u32,
    max_wait: NonZeroDuration,
}

impl ConnectionLimitConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> ConnectionLimitConfigBuilder {
        ConnectionLimitConfigBuilder::default()
    }

    /// How many connections are open or being made at once.
    pub const fn max_connections(&self) -> NonZeroCount {
        self.max_connections
    }

    /// How many of them belong to one key; `None` where keys are of no account.
    pub const fn max_per_key(&self) -> Option<NonZeroCount> {
        self.max_per_key
    }

    /// How many connects wait for a place; 0 when they are rejected at once.
    pub const fn max_waiting(&self) -> u32 {
        self.max_waiting
    }

    /// How long a connect waits for a place before it is rejected.
    pub const fn max_wait(&self) -> NonZeroDuration {
        self.max_wait
    }
}

impl Default for ConnectionLimitConfig {
    /// 100 connections in all, no bound per key; 1,024 connects wait for 30 seconds at most.
    ///
    /// Waiting is on, other than in a bulkhead for calls: a pooling client that waits for a
    /// connection is served as well by one that becomes idle meanwhile.
    fn default() -> Self {
        Self {
            max_connections: NonZeroCount::new(MAX_CONNECTIONS).unwrap_or(NonZeroCount::ONE),
            max_per_key: None,
            max_waiting: MAX_WAITING,
            max_wait: DEFAULT_TIMEOUT,
        }
    }
}

const MAX_CONNECTIONS: u32 = 100;
const MAX_WAITING: u32 = 1_024;
const DEFAULT_TIMEOUT: NonZeroDuration = match NonZeroDuration::from_secs(30) {
    Some(timeout) => timeout,
    None => unreachable!(),
};

/// Collects the settings of a connection limit; see [`ConnectionLimitConfig::builder`].
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimitConfigBuilder {
    max_connections: u32,
    max_per_key: Option<u32>,
    max_waiting: u32,
    max_wait: Duration,
}

impl Default for ConnectionLimitConfigBuilder {
    fn default() -> Self {
        Self {
            max_connections: MAX_CONNECTIONS,
            max_per_key: None,
            max_waiting: MAX_WAITING,
            max_wait: DEFAULT_TIMEOUT.get(),
        }
    }
}

impl ConnectionLimitConfigBuilder {
    /// How many connections are open or being made at once: a whole number from 1. Default: 100.
    #[must_use]
    pub const fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// How many of them belong to one key: a whole number from 1. Default: no bound.
    ///
    /// What the key of a target is, the layer's describer says; without one, all targets have the
    /// same.
    #[must_use]
    pub const fn max_per_key(mut self, connections: u32) -> Self {
        self.max_per_key = Some(connections);
        self
    }

    /// How many connects wait for a place; 0 rejects at once. Default: 1,024.
    #[must_use]
    pub const fn max_waiting(mut self, connects: u32) -> Self {
        self.max_waiting = connects;
        self
    }

    /// How long a connect waits for a place, longer than zero; counted from the first poll of its
    /// future. Default: 30 seconds.
    #[must_use]
    pub const fn max_wait(mut self, timeout: Duration) -> Self {
        self.max_wait = timeout;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `max_connections` or `max_per_key` is 0, or `max_wait` is
    /// zero.
    pub fn build(self) -> Result<ConnectionLimitConfig, InvalidConfig> {
        let max_per_key = self.max_per_key.map(NonZeroCount::new).transpose();
        Ok(ConnectionLimitConfig {
            max_connections: NonZeroCount::new(self.max_connections)
                .map_err(|e| e.in_field("max_connections"))?,
            max_per_key: max_per_key.map_err(|e| e.in_field("max_per_key"))?,
            max_waiting: self.max_waiting,
            max_wait: NonZeroDuration::new(self.max_wait)
                .map_err(|e| e.in_field("acquire_timeout"))?,
        })
    }
}

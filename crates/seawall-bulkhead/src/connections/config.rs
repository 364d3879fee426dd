//! The settings of a connection limit.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount};

use crate::config::DEFAULT_MAX_WAIT;
use crate::pool::{PoolHandle, PoolLimits};

/// How many connections there are, in all and per key, and how long a connect waits for a permit.
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
/// assert_eq!(config.max_connections(), 20);
///
/// let rejected = ConnectionLimitConfig::builder().max_per_key(0).build().unwrap_err();
/// assert_eq!(rejected.to_string(), "`max_per_key` is 0, accepted is a whole number from 1");
/// # Ok::<(), seawall_bulkhead::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimitConfig {
    limits: PoolLimits,
}

impl ConnectionLimitConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> ConnectionLimitConfigBuilder {
        ConnectionLimitConfigBuilder {
            config: Self::default(),
            max_wait_set: false,
        }
    }

    /// How many connections are open or being made at once.
    pub const fn max_connections(&self) -> u32 {
        self.limits.max_concurrent
    }

    /// How many of them belong to one key; `None` where there is no bound per key.
    pub const fn max_per_key(&self) -> Option<u32> {
        self.limits.max_per_key
    }

    /// How many connects wait for a permit; 0 when they are rejected at once.
    pub const fn max_waiting(&self) -> u32 {
        self.limits.max_waiting
    }

    /// How long a connect waits for a permit before it is rejected.
    pub const fn max_wait(&self) -> Duration {
        self.limits.max_wait
    }

    /// Whether the layer is in shadow mode.
    pub const fn shadow(&self) -> bool {
        self.limits.shadow
    }

    pub(crate) const fn limits(&self) -> PoolLimits {
        self.limits
    }
}

impl Default for ConnectionLimitConfig {
    /// 100 connections in all, no bound per key; 1,024 connects wait for 30 seconds at most.
    ///
    /// Waiting is on, other than in a bulkhead for calls: a pooling client that waits for a
    /// connection is served as well by one that becomes idle meanwhile. hyper-util's client leaves its
    /// queued connect behind then, which fills the queue in steady load: bound its calls as well, see
    /// [`connections`](super#cancellation).
    fn default() -> Self {
        Self {
            limits: PoolLimits {
                max_concurrent: 100,
                max_per_key: None,
                max_waiting: 1_024,
                max_wait: DEFAULT_MAX_WAIT,
                shadow: false,
            },
        }
    }
}

/// Collects the settings of a connection limit; see [`ConnectionLimitConfig::builder`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ConnectionLimitConfigBuilder {
    config: ConnectionLimitConfig,
    max_wait_set: bool,
}

impl ConnectionLimitConfigBuilder {
    /// How many connections are open or being made at once: a whole number from 1. Default: 100.
    pub const fn max_connections(mut self, connections: u32) -> Self {
        self.config.limits.max_concurrent = connections;
        self
    }

    seawall_core::setters! { self.config.limits:
        /// How many of them belong to one key: a whole number from 1. Default: no bound.
        ///
        /// The layer's describer finds the key of a target; without one, all targets have the same.
        pub const fn max_per_key(Some(u32));

        /// How many connects wait for a permit; 0 rejects at once. Default: 1,024.
        pub const fn max_waiting(u32);

        /// Whether the layer is in shadow mode: every connect passes, none waits, and those that would
        /// have been rejected are counted and emitted as
        /// [`Shadowed`](seawall_core::EventKind::Shadowed). Default: no.
        pub const fn shadow(bool);
    }

    /// How long a connect waits for a permit, longer than zero; counted from the first poll of its
    /// future. Needs `max_waiting`. Default: 30 seconds.
    pub const fn max_wait(mut self, timeout: Duration) -> Self {
        self.config.limits.max_wait = timeout;
        self.max_wait_set = true;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `max_connections` or `max_per_key` is 0, `max_wait` is zero, or it
    /// is set while `max_waiting` is 0.
    pub fn build(self) -> Result<ConnectionLimitConfig, InvalidConfig> {
        let limits = self.config.limits;
        NonZeroCount::check("max_connections", limits.max_concurrent)?;
        if let Some(max) = limits.max_per_key {
            NonZeroCount::check("max_per_key", max)?;
        }
        limits.check_max_wait(self.max_wait_set)?;
        Ok(self.config)
    }
}

impl PoolHandle<ConnectionLimitConfig> {
    /// The settings in force.
    pub fn config(&self) -> ConnectionLimitConfig {
        let limits = self.limits();
        ConnectionLimitConfig { limits }
    }

    /// Changes the settings while connections are open. New permits go to waiting connects; a
    /// lower limit closes no connection, and until enough of them are closed, none is made.
    /// Waiting connects keep the `max_wait` they came with.
    ///
    /// # Errors
    ///
    /// None today: a [`ConnectionLimitConfig`] is valid.
    pub fn configure(&self, config: ConnectionLimitConfig) -> Result<(), InvalidConfig> {
        self.set_limits(None, config.limits)
    }
}

//! The settings of the two pools.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount};

use crate::config::DEFAULT_MAX_WAIT;
use crate::pool::{PoolHandle, PoolLimits};

const MAX_THREADS: u32 = 1_024;

fn check_threads(threads: u32) -> Result<(), InvalidConfig> {
    if (1..=MAX_THREADS).contains(&threads) {
        return Ok(());
    }
    let accepted = "a whole number from 1 to 1024";
    Err(InvalidConfig::new("threads", threads, accepted))
}

const fn limits(max_concurrent: u32) -> PoolLimits {
    PoolLimits {
        max_concurrent,
        max_per_key: None,
        max_waiting: 0,
        max_wait: DEFAULT_MAX_WAIT,
        shadow: false,
    }
}

/// How many threads a pool has, how many calls it runs at once, and how many wait for how long.
///
/// ```
/// use seawall_bulkhead::isolated::IsolatedConfig;
///
/// let config = IsolatedConfig::builder().threads(2).max_concurrent(100).build()?;
/// assert_eq!(config.threads(), 2);
///
/// let rejected = IsolatedConfig::builder().threads(0).build().unwrap_err();
/// assert_eq!(
///     rejected.to_string(),
///     "`threads` is 0, accepted is a whole number from 1 to 1024",
/// );
/// # Ok::<(), seawall_bulkhead::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsolatedConfig {
    threads: u32,
    limits: PoolLimits,
}

impl IsolatedConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> IsolatedConfigBuilder {
        IsolatedConfigBuilder {
            config: Self::default(),
            max_wait_set: false,
        }
    }

    /// How many threads run the calls. One more drives their timers and sockets.
    pub const fn threads(&self) -> u32 {
        self.threads
    }

    /// How many calls are on the pool at once.
    pub const fn max_concurrent(&self) -> u32 {
        self.limits.max_concurrent
    }

    /// How many calls wait for a permit; 0 when calls are rejected at once.
    pub const fn max_waiting(&self) -> u32 {
        self.limits.max_waiting
    }

    /// How long a call waits for a permit before it is rejected.
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

impl Default for IsolatedConfig {
    /// One thread, 50 calls at once, and none waits. One thread, since it is there to keep the work
    /// apart, not to make it fast.
    fn default() -> Self {
        Self {
            threads: 1,
            limits: limits(50),
        }
    }
}

/// Collects the settings of a pool; see [`IsolatedConfig::builder`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct IsolatedConfigBuilder {
    config: IsolatedConfig,
    max_wait_set: bool,
}

impl IsolatedConfigBuilder {
    /// How many threads run the calls: a whole number from 1 to 1,024. A call that blocks its thread
    /// holds up others only while all threads are blocked: have one more than you expect to be.
    /// Default: 1.
    pub const fn threads(mut self, threads: u32) -> Self {
        self.config.threads = threads;
        self
    }

    seawall_core::setters! { self.config.limits:
        /// How many calls are on the pool at once: a whole number from 1. Default: 50.
        pub const fn max_concurrent(u32);

        /// How many calls wait for a permit beside those. Default: 0, reject at once.
        pub const fn max_waiting(u32);

        /// Whether the layer is in shadow mode: every call passes, none waits, and those that would
        /// have been rejected are counted and emitted as
        /// [`Shadowed`](seawall_core::EventKind::Shadowed). Default: no.
        pub const fn shadow(bool);
    }

    /// How long a call waits for a permit, longer than zero; counted from the first poll of its
    /// future, by the clock of the caller's runtime. Needs `max_waiting`. Default: 30 seconds.
    pub const fn max_wait(mut self, timeout: Duration) -> Self {
        self.config.limits.max_wait = timeout;
        self.max_wait_set = true;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `threads` is 0 or above 1,024, `max_concurrent` is 0, `max_wait` is
    /// zero, or it is set while `max_waiting` is 0.
    pub fn build(self) -> Result<IsolatedConfig, InvalidConfig> {
        check_threads(self.config.threads)?;
        NonZeroCount::check("max_concurrent", self.config.limits.max_concurrent)?;
        self.config.limits.check_max_wait(self.max_wait_set)?;
        Ok(self.config)
    }
}

/// How many threads run blocking closures, and how many calls wait for one, for how long.
///
/// ```
/// use seawall_bulkhead::isolated::BlockingConfig;
///
/// let config = BlockingConfig::builder().threads(4).max_waiting(16).build()?;
/// assert_eq!(config.threads(), 4);
/// # Ok::<(), seawall_bulkhead::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockingConfig {
    /// One call at once for each thread.
    limits: PoolLimits,
}

impl BlockingConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> BlockingConfigBuilder {
        BlockingConfigBuilder {
            config: Self::default(),
            max_wait_set: false,
        }
    }

    /// How many threads there are, and so how many calls run at once.
    pub const fn threads(&self) -> u32 {
        self.limits.max_concurrent
    }

    /// How many calls wait for a thread; 0 when calls are rejected at once.
    pub const fn max_waiting(&self) -> u32 {
        self.limits.max_waiting
    }

    /// How long a call waits for a thread before it is rejected.
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

impl Default for BlockingConfig {
    /// Four threads, and no call waits.
    fn default() -> Self {
        Self { limits: limits(4) }
    }
}

/// Collects the settings of a blocking pool; see [`BlockingConfig::builder`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct BlockingConfigBuilder {
    config: BlockingConfig,
    max_wait_set: bool,
}

impl BlockingConfigBuilder {
    /// How many threads there are, and so how many calls run at once: a whole number from 1 to
    /// 1,024. A thread is started when a call needs it and ends when it is idle. Default: 4.
    pub const fn threads(mut self, threads: u32) -> Self {
        self.config.limits.max_concurrent = threads;
        self
    }

    seawall_core::setters! { self.config.limits:
        /// How many calls wait for a thread beside those that run. Default: 0, reject at once.
        pub const fn max_waiting(u32);

        /// Whether the layer is in shadow mode: every call passes, none waits for a permit, though for a thread, and those that would
        /// have been rejected are counted and emitted as
        /// [`Shadowed`](seawall_core::EventKind::Shadowed). Default: no.
        pub const fn shadow(bool);
    }

    /// How long a call waits for a thread, longer than zero; counted from the first poll of its
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
    /// [`InvalidConfig`] when `threads` is 0 or above 1,024, `max_wait` is zero, or it is set
    /// while `max_waiting` is 0.
    pub fn build(self) -> Result<BlockingConfig, InvalidConfig> {
        check_threads(self.config.threads())?;
        self.config.limits.check_max_wait(self.max_wait_set)?;
        Ok(self.config)
    }
}

impl PoolHandle<IsolatedConfig> {
    /// The settings in force.
    pub fn config(&self) -> IsolatedConfig {
        IsolatedConfig {
            threads: self.configured_threads(),
            limits: self.limits(),
        }
    }

    /// Changes the settings while calls run. A lower `max_concurrent` stops no call; waiting calls
    /// keep the `max_wait` they came with.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `threads` differs: the threads of a running pool cannot change.
    pub fn configure(&self, config: IsolatedConfig) -> Result<(), InvalidConfig> {
        self.set_limits(Some(config.threads), config.limits)
    }
}

impl PoolHandle<BlockingConfig> {
    /// The settings in force.
    pub fn config(&self) -> BlockingConfig {
        let limits = self.limits();
        BlockingConfig { limits }
    }

    /// Changes the settings while calls run. Waiting calls keep the `max_wait` they came with.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `threads` differs: the threads of a running pool cannot change.
    pub fn configure(&self, config: BlockingConfig) -> Result<(), InvalidConfig> {
        self.set_limits(Some(config.threads()), config.limits)
    }
}

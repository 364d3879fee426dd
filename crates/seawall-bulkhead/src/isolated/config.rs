//! The settings of the two pools.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration};

const MAX_THREADS: u32 = 1_024;
const DEFAULT_TIMEOUT: NonZeroDuration = match NonZeroDuration::from_secs(30) {
    Some(timeout) => timeout,
    None => unreachable!(),
};

fn threads(threads: u32) -> Result<NonZeroCount, InvalidConfig> {
    NonZeroCount::new(threads)
        .ok()
        .filter(|count| count.get() <= MAX_THREADS)
        .ok_or_else(|| InvalidConfig::new("threads", threads, "a whole number from 1 to 1024"))
}

/// How many threads a pool has, how many calls it runs at once, and how many wait for how long.
///
/// ```
/// use seawall_bulkhead::isolated::IsolatedConfig;
///
/// let config = IsolatedConfig::builder().threads(2).max_concurrent(100).build()?;
/// assert_eq!(config.threads().get(), 2);
///
/// let rejected = IsolatedConfig::builder().threads(0).build().unwrap_err();
/// assert_eq!(
///     rejected.to_string(),
///     "`threads` is 0, accepted is a whole number from 1 to 1024",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsolatedConfig {
    threads: NonZeroCount,
    max_concurrent: NonZeroCount,
    max_waiting: u32,
    max_wait: NonZeroDuration,
}

impl IsolatedConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> IsolatedConfigBuilder {
        IsolatedConfigBuilder::default()
    }

    /// How many threads run the calls.
    pub const fn threads(&self) -> NonZeroCount {
        self.threads
    }

    /// How many calls are on the pool at once.
    pub const fn max_concurrent(&self) -> NonZeroCount {
        self.max_concurrent
    }

    /// How many calls wait for a place; 0 when calls are rejected at once.
    pub const fn max_waiting(&self) -> u32 {
        self.max_waiting
    }

    /// How long a call waits for a place before it is rejected.
    pub const fn max_wait(&self) -> NonZeroDuration {
        self.max_wait
    }
}

impl Default for IsolatedConfig {
    /// One thread, 50 calls at once, nobody waits; those who are allowed to wait do so for 30
    /// seconds. One thread, since it is there to keep the work apart, not to make it fast.
    fn default() -> Self {
        Self {
            threads: NonZeroCount::ONE,
            max_concurrent: NonZeroCount::new(MAX_CONCURRENT).unwrap_or(NonZeroCount::ONE),
            max_waiting: 0,
            max_wait: DEFAULT_TIMEOUT,
        }
    }
}

const MAX_CONCURRENT: u32 = 50;

/// Collects the settings of a pool; see [`IsolatedConfig::builder`].
#[derive(Clone, Copy, Debug)]
pub struct IsolatedConfigBuilder {
    threads: u32,
    max_concurrent: u32,
    max_waiting: u32,
    max_wait: Duration,
}

impl Default for IsolatedConfigBuilder {
    fn default() -> Self {
        Self {
            threads: 1,
            max_concurrent: MAX_CONCURRENT,
            max_waiting: 0,
            max_wait: DEFAULT_TIMEOUT.get(),
        }
    }
}

impl IsolatedConfigBuilder {
    /// How many threads run the calls: a whole number from 1 to 1,024. Default: 1.
    #[must_use]
    pub const fn threads(mut self, threads: u32) -> Self {
        self.threads = threads;
        self
    }

    /// How many calls are on the pool at once: a whole number from 1. Default: 50.
    #[must_use]
    pub const fn max_concurrent(mut self, calls: u32) -> Self {
        self.max_concurrent = calls;
        self
    }

    /// How many calls wait for a place beside those. Default: 0, reject at once.
    #[must_use]
    pub const fn max_waiting(mut self, calls: u32) -> Self {
        self.max_waiting = calls;
        self
    }

    /// How long a call waits for a place, longer than zero; counted from the first poll of its
    /// future, by the clock of the caller's runtime. Default: 30 seconds.
    #[must_use]
    pub const fn max_wait(mut self, timeout: Duration) -> Self {
        self.max_wait = timeout;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `threads` is 0 or above 1,024, `max_concurrent` is 0, or
    /// `max_wait` is zero.
    pub fn build(self) -> Result<IsolatedConfig, InvalidConfig> {
        Ok(IsolatedConfig {
            threads: threads(self.threads)?,
            max_concurrent: NonZeroCount::new(self.max_concurrent)
                .map_err(|e| e.in_field("max_concurrent"))?,
            max_waiting: self.max_waiting,
            max_wait: NonZeroDuration::new(self.max_wait)
                .map_err(|e| e.in_field("acquire_timeout"))?,
        })
    }
}

/// How many threads run blocking closures, and how many calls wait for one, for how long.
///
/// ```
/// use seawall_bulkhead::isolated::BlockingConfig;
///
/// let config = BlockingConfig::builder().threads(4).max_waiting(16).build()?;
/// assert_eq!(config.threads().get(), 4);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockingConfig {
    threads: NonZeroCount,
    max_waiting: u32,
    max_wait: NonZeroDuration,
}

impl BlockingConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> BlockingConfigBuilder {
        BlockingConfigBuilder::default()
    }

    /// How many threads there are, and so how many calls run at once.
    pub const fn threads(&self) -> NonZeroCount {
        self.threads
    }

    /// How many calls wait for a thread; 0 when calls are rejected at once.
    pub const fn max_waiting(&self) -> u32 {
        self.max_waiting
    }

    /// How long a call waits for a thread before it is rejected.
    pub const fn max_wait(&self) -> NonZeroDuration {
        self.max_wait
    }
}

impl Default for BlockingConfig {
    /// Four threads, nobody waits; those who are allowed to wait do so for 30 seconds.
    fn default() -> Self {
        Self {
            threads: NonZeroCount::new(BLOCKING_THREADS).unwrap_or(NonZeroCount::ONE),
            max_waiting: 0,
            max_wait: DEFAULT_TIMEOUT,
        }
    }
}

const BLOCKING_THREADS: u32 = 4;

/// Collects the settings of a blocking pool; see [`BlockingConfig::builder`].
#[derive(Clone, Copy, Debug)]
pub struct BlockingConfigBuilder {
    threads: u32,
    max_waiting: u32,
    max_wait: Duration,
}

impl Default for BlockingConfigBuilder {
    fn default() -> Self {
        Self {
            threads: BLOCKING_THREADS,
            max_waiting: 0,
            max_wait: DEFAULT_TIMEOUT.get(),
        }
    }
}

impl BlockingConfigBuilder {
    /// How many threads there are, and so how many calls run at once: a whole number from 1 to
    /// 1,024. A thread is started when a call needs it and ends when it is idle. Default: 4.
    #[must_use]
    pub const fn threads(mut self, threads: u32) -> Self {
        self.threads = threads;
        self
    }

    /// How many calls wait for a thread beside those that run. Default: 0, reject at once.
    #[must_use]
    pub const fn max_waiting(mut self, calls: u32) -> Self {
        self.max_waiting = calls;
        self
    }

    /// How long a call waits for a thread, longer than zero; counted from the first poll of its
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
    /// [`InvalidConfig`] when `threads` is 0 or above 1,024, or `max_wait` is zero.
    pub fn build(self) -> Result<BlockingConfig, InvalidConfig> {
        Ok(BlockingConfig {
            threads: threads(self.threads)?,
            max_waiting: self.max_waiting,
            max_wait: NonZeroDuration::new(self.max_wait)
                .map_err(|e| e.in_field("acquire_timeout"))?,
        })
    }
}

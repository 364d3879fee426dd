//! How a durable journal writes, and how long it keeps.

use std::time::Duration;

use seawall_core::InvalidConfig;

/// When what was written is forced to the disk. An answer waits for it in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FsyncPolicy {
    /// One sync for each operation: no operation waits for another one's bytes, and the rate is that
    /// of the disk's syncs.
    Always,
    /// One sync for all operations that are there when the sync before is over, 4,096 at most.
    Group {
        /// How long a commit waits for further operations after the first one. Zero is right where
        /// many callers write: while one commit is on its way to the disk, the next one gathers.
        max_delay: Duration,
    },
}

/// How a [`DurableJournal`](super::DurableJournal) writes, and how long it keeps ended entries.
///
/// ```
/// use std::time::Duration;
/// use seawall_orders::journal::durable::{DurableConfig, FsyncPolicy};
///
/// let config = DurableConfig::default()
///     .fsync(FsyncPolicy::Group { max_delay: Duration::from_millis(1) })?
///     .retention(Duration::from_secs(24 * 3600))?;
/// # let _ = config;
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurableConfig {
    pub(super) fsync: FsyncPolicy,
    pub(super) retention: Duration,
    pub(super) max_pending: usize,
    pub(super) cache: usize,
    /// How long after a failure the file is opened again, at the earliest: that reads all of it.
    pub(super) reopen: Duration,
}

impl Default for DurableConfig {
    /// Group commit without a delay, 7 days, 65,536 operations, 64 MiB.
    fn default() -> Self {
        Self {
            fsync: FsyncPolicy::Group {
                max_delay: Duration::ZERO,
            },
            retention: Duration::from_secs(7 * 24 * 3600),
            max_pending: 65_536,
            cache: 64 << 20,
            reopen: Duration::from_secs(1),
        }
    }
}

impl DurableConfig {
    /// When what was written is forced to the disk.
    ///
    /// # Errors
    ///
    /// A `max_delay` above one second.
    pub fn fsync(mut self, fsync: FsyncPolicy) -> Result<Self, InvalidConfig> {
        if let FsyncPolicy::Group { max_delay } = fsync
            && max_delay > Duration::from_secs(1)
        {
            let value = format!("{max_delay:?}");
            return Err(InvalidConfig::new("max_delay", value, "at most 1 s"));
        }
        self.fsync = fsync;
        Ok(self)
    }

    /// How long an ended entry is kept after its last change, by the calendar; at least that long, as
    /// those appended before it may keep it longer. Open entries are kept without limit. The id of
    /// a removed entry counts as unused: keep entries for longer than a broker knows their ids.
    ///
    /// # Errors
    ///
    /// Zero.
    pub fn retention(mut self, retention: Duration) -> Result<Self, InvalidConfig> {
        if retention.is_zero() {
            return Err(InvalidConfig::new("retention", "0 s", "more than 0 s"));
        }
        self.retention = retention;
        Ok(self)
    }

    /// How many operations may wait for the disk: one more is rejected with
    /// [`Behind`](crate::journal::JournalError::Behind).
    ///
    /// # Errors
    ///
    /// 0.
    pub fn max_pending(mut self, max_pending: usize) -> Result<Self, InvalidConfig> {
        if max_pending == 0 {
            return Err(InvalidConfig::new("max_pending", 0, "at least 1"));
        }
        self.max_pending = max_pending;
        Ok(self)
    }

    /// How many bytes of the file are kept in memory.
    ///
    /// # Errors
    ///
    /// Less than 1 MiB.
    pub fn cache(mut self, bytes: usize) -> Result<Self, InvalidConfig> {
        if bytes < 1 << 20 {
            return Err(InvalidConfig::new("cache", bytes, "at least 1048576"));
        }
        self.cache = bytes;
        Ok(self)
    }
}

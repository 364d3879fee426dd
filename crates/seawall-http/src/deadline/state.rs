//! Settings, and what the services of one layer share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seawall_core::striped::{Anchor, Shared, Stripes};
use seawall_core::{EventSource, InstanceName, InvalidConfig, NonZeroDuration};

use crate::state::Bypass;

seawall_core::counters! {
    /// What became of the headers with deadlines.
    pub struct ReadDeadlineCounts;

    /// What one stripe has counted.
    #[derive(Debug, Default)]
    pub(super) struct Counters {
        /// Headers that were ignored: no number, several, or longer than the longest timeout.
        ignored => "seawall_deadline_headers_ignored_total",
    }
}

/// The settings of a [`ReadDeadlineLayer`](super::ReadDeadlineLayer).
///
/// ```
/// use std::time::Duration;
/// use seawall_http::deadline::ReadDeadlineConfig;
///
/// let minute = Duration::from_secs(60);
/// assert_eq!(ReadDeadlineConfig::new(minute)?.max_timeout(), minute);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadDeadlineConfig {
    max_timeout: Duration,
}

impl ReadDeadlineConfig {
    /// Ignores headers with more than `max_timeout`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `max_timeout` when it is zero.
    pub fn new(max_timeout: Duration) -> Result<Self, InvalidConfig> {
        match NonZeroDuration::new(max_timeout) {
            Ok(_) => Ok(Self { max_timeout }),
            Err(invalid) => Err(invalid.in_field("max_timeout")),
        }
    }

    /// The longest timeout of a header that is not ignored.
    pub const fn max_timeout(&self) -> Duration {
        self.max_timeout
    }
}

impl Default for ReadDeadlineConfig {
    /// A year: a header with more than that is garbage.
    fn default() -> Self {
        Self {
            max_timeout: Duration::from_secs(365 * 24 * 3600),
        }
    }
}

pub(super) const PATTERN: &str = "read_deadline";

#[derive(Debug)]
pub(super) struct Common {
    pub(super) name: InstanceName,
    /// Of commands alone: any caller could cause a flood of events of ignored headers.
    pub(super) events: EventSource,
    pub(super) bypass: Bypass,
    /// Nanoseconds, so that they can change while requests are read.
    max_timeout: AtomicU64,
}

pub(super) type State = Shared<Common, Counters>;
pub(super) type StateAnchor = Anchor<Common, Counters>;

pub(super) fn new(name: InstanceName, config: ReadDeadlineConfig) -> State {
    let common = Common {
        name,
        events: EventSource::new(PATTERN, name),
        bypass: Bypass::default(),
        max_timeout: AtomicU64::new(0),
    };
    common.set_config(config);
    Shared::new(common, Stripes::auto(), Counters::default)
}

impl Common {
    pub(super) fn set_bypass(&self, on: bool) {
        self.bypass.set(on);
    }

    pub(super) fn config(&self) -> ReadDeadlineConfig {
        ReadDeadlineConfig {
            max_timeout: Duration::from_nanos(self.max_timeout.load(Ordering::Relaxed)),
        }
    }

    /// Saturates at 584 years.
    pub(super) fn set_config(&self, config: ReadDeadlineConfig) {
        let ns = u64::try_from(config.max_timeout.as_nanos()).unwrap_or(u64::MAX);
        self.max_timeout.store(ns, Ordering::Relaxed);
    }
}

//! How far the clock of an upstream is off.

use std::time::{Duration, SystemTime};

use seawall_core::InvalidConfig;

const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// By how much the timestamps of a response are off.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use seawall_chaos::ClockSkew;
///
/// let minute = Duration::from_secs(60);
/// let late = ClockSkew::behind(minute)?;
/// assert_eq!(late.apply(SystemTime::UNIX_EPOCH + minute), Some(SystemTime::UNIX_EPOCH));
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSkew {
    by: Duration,
    is_behind: bool,
}

impl ClockSkew {
    /// The upstream's clock shows a later time.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `by` is zero or longer than 366 days.
    pub fn ahead(by: Duration) -> Result<Self, InvalidConfig> {
        Self::new(by, false)
    }

    /// The upstream's clock shows an earlier time.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `by` is zero or longer than 366 days.
    pub fn behind(by: Duration) -> Result<Self, InvalidConfig> {
        Self::new(by, true)
    }

    fn new(by: Duration, is_behind: bool) -> Result<Self, InvalidConfig> {
        if by.is_zero() || by > LONGEST {
            let accepted = "longer than zero, up to 366 days";
            return Err(InvalidConfig::new(
                "clock_skew",
                format!("{by:?}"),
                accepted,
            ));
        }
        Ok(Self { by, is_behind })
    }

    seawall_core::getters! {
        /// By how much.
        pub const fn by -> Duration;
        /// Whether the clock shows an earlier time; otherwise it shows a later one.
        pub const fn is_behind -> bool;
    }

    /// What that clock shows at `time`; `None` where there is no such time.
    pub fn apply(&self, time: SystemTime) -> Option<SystemTime> {
        if self.is_behind {
            time.checked_sub(self.by)
        } else {
            time.checked_add(self.by)
        }
    }
}

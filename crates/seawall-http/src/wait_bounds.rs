//! The longest waits that are applied of what responses ask for.

use std::time::Duration;

use seawall_core::InvalidConfig;

use crate::retry_after::{LONGEST_BAN, LONGEST_WAIT};

/// The longest wait and the longest ban, in milliseconds: a classifier is a part of every service,
/// so it is kept small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitBounds {
    wait_ms: u32,
    ban_ms: u32,
}

impl WaitBounds {
    pub(crate) const DEFAULT: Self = Self {
        wait_ms: LONGEST_WAIT.as_secs() as u32 * 1_000,
        ban_ms: LONGEST_BAN.as_secs() as u32 * 1_000,
    };

    pub(crate) const fn wait(self) -> Duration {
        Duration::from_millis(self.wait_ms as u64)
    }

    pub(crate) const fn ban(self) -> Duration {
        Duration::from_millis(self.ban_ms as u64)
    }

    pub(crate) fn with_wait(self, longest: Duration) -> Result<Self, InvalidConfig> {
        let wait_ms = millis("longest_wait", longest)?;
        Ok(Self { wait_ms, ..self })
    }

    pub(crate) fn with_ban(self, longest: Duration) -> Result<Self, InvalidConfig> {
        let ban_ms = millis("longest_ban", longest)?;
        Ok(Self { ban_ms, ..self })
    }
}

/// Whole milliseconds, rounded up.
fn millis(field: &'static str, longest: Duration) -> Result<u32, InvalidConfig> {
    let ms = u32::try_from(longest.as_nanos().div_ceil(1_000_000)).ok();
    ms.filter(|ms| *ms > 0).ok_or_else(|| {
        let value = format!("{longest:?}");
        InvalidConfig::new(field, value, "more than zero and at most 49 days")
    })
}

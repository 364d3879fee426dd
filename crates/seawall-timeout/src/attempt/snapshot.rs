//! What a handle knows at one moment.

use std::time::Duration;

use seawall_core::InstanceName;
#[cfg(feature = "serde")]
use seawall_core::serialize::optional_seconds;

use super::AttemptTimeoutCounts;

/// Everything that is known of an attempt timeout at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct AttemptTimeoutSnapshot {
    /// The name of the layer.
    pub name: InstanceName,
    /// Where the timeout comes from.
    pub state: AttemptTimeoutState,
    /// How long an attempt may take now; `None` while the layer is bypassed.
    #[cfg_attr(feature = "serde", serde(serialize_with = "optional_seconds"))]
    pub timeout: Option<Duration>,
    /// The quantile that a learned timeout is made of, as it was computed last; `None` while too
    /// few responses are known, and where nothing is learned.
    #[cfg_attr(feature = "serde", serde(serialize_with = "optional_seconds"))]
    pub estimate: Option<Duration>,
    /// How many responses a learned timeout lacks; 0 where nothing is learned.
    pub samples_missing: u32,
    /// How many attempts timed out.
    pub counts: AttemptTimeoutCounts,
}

seawall_core::state_words! {
    /// Where an attempt timeout comes from.
    pub enum AttemptTimeoutState {
        /// It is fixed.
        Fixed = "fixed",
        /// It is to be learned, and is the initial one while too few responses are known.
        WarmingUp = "warming_up",
        /// It is learned.
        Learned = "learned",
        /// An operator has switched it off.
        Bypassed = "bypassed",
    }
}

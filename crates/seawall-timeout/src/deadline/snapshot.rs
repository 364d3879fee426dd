//! What a handle knows at one moment.

use std::time::Duration;

use seawall_core::InstanceName;

use super::DeadlineCounts;

/// Everything that is known of a deadline at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct DeadlineSnapshot {
    /// The name of the layer.
    pub name: InstanceName,
    /// Whether calls have a deadline.
    pub state: DeadlineState,
    /// How long a call may take now; `None` while the layer is bypassed.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "seawall_core::serialize::optional_seconds")
    )]
    pub timeout: Option<Duration>,
    /// How many calls missed their deadline.
    pub counts: DeadlineCounts,
}

seawall_core::state_words! {
    /// Whether calls have a deadline.
    pub enum DeadlineState {
        /// They have.
        Active = "active",
        /// An operator has switched it off.
        Bypassed = "bypassed",
    }
}

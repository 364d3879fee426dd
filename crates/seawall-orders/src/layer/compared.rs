//! What our own orders and the broker's lists differ in.

use std::time::SystemTime;

use crate::lists::OwnedDifference;

/// What differs.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) at: Option<SystemTime>,
    pub(super) differences: Vec<OwnedDifference>,
    pub(super) failed: Option<String>,
}

/// What our own orders and the broker's lists differ in, at one moment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ComparedSnapshot {
    /// When lists were last read to their ends; `None` if that was never.
    pub at: Option<SystemTime>,
    /// The differences that were reported and are not gone.
    pub differences: Vec<OwnedDifference>,
    /// Why the last comparison failed, if it did. Nothing is known of what differs then.
    pub failed: Option<String>,
}

//! The last call that was rejected.

use std::time::Duration;

use crate::Rejection;

/// The last call that was rejected, as the layer that measures calls has seen it.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LastRejection {
    /// Why, and by which layer.
    pub rejection: Rejection,
    /// How long ago.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::seconds"))]
    pub ago: Duration,
}

impl LastRejection {
    /// That rejection, so long ago.
    pub const fn new(rejection: Rejection, ago: Duration) -> Self {
        Self { rejection, ago }
    }
}

//! Limits in nanoseconds, as calls read them.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroDuration, ns};

/// In place of a limit: an operator has switched the layer off.
pub(crate) const BYPASSED: u64 = u64::MAX;

/// In place of a limit: it is learned.
pub(crate) const LEARNED: u64 = BYPASSED - 1;

/// A limit in nanoseconds, at most 584 years.
#[inline]
pub(crate) fn limit_ns(limit: Duration) -> u64 {
    ns(limit).min(LEARNED - 1)
}

/// An error that names `field`, unless the duration is longer than zero.
pub(crate) fn positive(field: &'static str, value: Duration) -> Result<(), InvalidConfig> {
    NonZeroDuration::new(value)
        .map(drop)
        .map_err(|rejected| rejected.in_field(field))
}

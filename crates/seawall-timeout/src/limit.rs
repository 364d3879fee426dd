//! Limits in nanoseconds, as calls read them.

use std::time::Duration;

use seawall_core::ns;

/// In place of a limit: an operator has switched the layer off.
pub(crate) const BYPASSED: u64 = u64::MAX;

/// In place of a limit: it is learned.
pub(crate) const LEARNED: u64 = BYPASSED - 1;

/// A limit in nanoseconds, at most 584 years.
#[inline]
pub(crate) fn limit_ns(limit: Duration) -> u64 {
    ns(limit).min(LEARNED - 1)
}

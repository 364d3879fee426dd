//! Durations as words.

use std::time::Duration;

/// Nanoseconds of a duration, at most `u64::MAX` (584 years).
#[inline]
pub const fn ns(duration: Duration) -> u64 {
    // Seconds and nanoseconds apart: cheaper than the 128-bit `as_nanos` on the hot path.
    match duration.as_secs().checked_mul(1_000_000_000) {
        Some(secs) => secs.saturating_add(duration.subsec_nanos() as u64),
        None => saturating_ns(duration),
    }
}

/// Nanoseconds of a duration, at most `u64::MAX`.
pub(crate) const fn saturating_ns(duration: Duration) -> u64 {
    let ns = duration.as_nanos();
    if ns > u64::MAX as u128 {
        u64::MAX
    } else {
        ns as u64
    }
}

//! One clock for everything that measures or waits: tokio's, so that paused time moves it all.

use std::time::Duration;

use tokio::time::Instant;

use crate::rejection::saturating_ns;

/// Tokio's clock as nanoseconds since this value was made, so that an instant fits into an
/// atomic word. Reads saturate: never negative, at most 584 years.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Reads the clock.
    #[inline]
    pub fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// An instant in this clock's nanoseconds; 0 for instants before its start.
    #[inline]
    pub fn at(&self, instant: Instant) -> u64 {
        ns(instant.saturating_duration_since(self.origin))
    }

    /// The instant of a reading; as far in the future as the platform can tell when it is
    /// farther.
    pub fn instant(&self, reading: u64) -> Instant {
        deadline(self.origin, Duration::from_nanos(reading))
    }
}

/// Nanoseconds of a duration, at most `u64::MAX` (584 years).
#[inline]
pub const fn ns(duration: Duration) -> u64 {
    // Seconds and nanoseconds apart: cheaper than the 128-bit `as_nanos` on the hot path.
    match duration.as_secs().checked_mul(1_000_000_000) {
        Some(secs) => secs.saturating_add(duration.subsec_nanos() as u64),
        None => saturating_ns(duration),
    }
}

/// `start + wait`, or thirty years from `start` where the platform's clock cannot tell so far.
#[inline]
pub fn deadline(start: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    start.checked_add(wait.min(FAR)).unwrap_or(start)
}

impl Default for Clock {
    fn default() -> Self {
        Self::start()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn readings_move_with_paused_time_and_saturate() {
        let before = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        let clock = Clock::start();
        assert_eq!(clock.at(before), 0);
        tokio::time::advance(Duration::from_millis(5)).await;
        assert_eq!(clock.now(), 5_000_000);
        assert_eq!(clock.instant(5_000_000), Instant::now());
        assert!(clock.instant(u64::MAX) > Instant::now());
        assert_eq!(ns(Duration::MAX), u64::MAX);
        assert_eq!(ns(Duration::from_nanos(1_500_000_001)), 1_500_000_001);
    }
}

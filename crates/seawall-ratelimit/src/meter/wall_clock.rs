//! The wall clock, by readings of the running clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Both clocks at one moment. Pure: it is read once, and again only when the wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WallClock {
    at_reading: u64,
    unix_ns: i128,
}

impl WallClock {
    /// At `at_reading` of the running clock it was `unix_ns` nanoseconds after 1970-01-01 UTC.
    pub(crate) const fn new(at_reading: u64, unix_ns: i128) -> Self {
        Self {
            at_reading,
            unix_ns,
        }
    }

    /// At `at_reading` of the running clock the wall clock showed `time`.
    pub(crate) fn at(at_reading: u64, time: SystemTime) -> Self {
        let ns = |ns: u128| i128::try_from(ns).unwrap_or(i128::MAX);
        let unix_ns = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => ns(since.as_nanos()),
            Err(before) => -ns(before.duration().as_nanos()),
        };
        Self::new(at_reading, unix_ns)
    }

    /// Reads the clock of the system.
    pub(crate) fn now(at_reading: u64) -> Self {
        Self::at(at_reading, SystemTime::now())
    }

    /// The wall clock at a reading, in nanoseconds after 1970-01-01 UTC.
    pub(crate) const fn unix_ns(self, reading: u64) -> i128 {
        let passed = reading as i128 - self.at_reading as i128;
        self.unix_ns.saturating_add(passed)
    }

    /// The reading at which the wall clock shows this; 0 for times before, `u64::MAX` for times too
    /// far away.
    pub(crate) fn reading(self, unix_ns: i128) -> u64 {
        let passed = unix_ns.saturating_sub(self.unix_ns);
        let reading = passed.saturating_add(self.at_reading.into()).max(0);
        u64::try_from(reading).unwrap_or(u64::MAX)
    }
}

/// A wall clock that was set while a window goes on, and holds when that ends. The running clock
/// carries the window to its end, so that a clock that was set stops nothing for longer than two
/// windows, and grants at most one more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carried {
    /// When the window ends, in readings.
    pub(super) until: u64,
    pub(super) wall: WallClock,
}

impl Carried {
    /// Whether the window is over.
    pub(super) const fn is_over(&self, now: u64) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn readings_and_wall_times_are_inverse_and_saturate() {
        let wall = WallClock::new(100, 1_000);
        assert_eq!((wall.unix_ns(150), wall.unix_ns(0)), (1_050, 900));
        assert_eq!((wall.reading(1_050), wall.reading(800)), (150, 0));
        assert_eq!(wall.reading(i128::MAX), u64::MAX);
        assert_eq!(wall.reading(i128::MIN), 0);
        let far = WallClock::new(u64::MAX, i128::MIN);
        assert_eq!(
            (far.unix_ns(0), far.reading(i128::MIN)),
            (i128::MIN, u64::MAX)
        );
    }

    #[test]
    fn system_times_before_and_after_1970_are_read() {
        let (after, before) = (Duration::from_secs(5), Duration::from_secs(3));
        let wall = WallClock::at(7, UNIX_EPOCH + after);
        assert_eq!(wall, WallClock::new(7, 5_000_000_000));
        let wall = WallClock::at(7, UNIX_EPOCH - before);
        assert_eq!(wall, WallClock::new(7, -3_000_000_000));
        assert!(WallClock::now(0).unix_ns(0) > 0);
    }
}

//! The clock of the wall, seen from a clock that only goes forward.

use std::time::{SystemTime, UNIX_EPOCH};

/// What time it was on the wall at one reading of the limiter's clock.
///
/// Between two settings it goes with that clock, so that paused time moves it, too. It can be set
/// anew: a machine that slept, a clock that was corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WallClock {
    reading_ns: u64,
    unix_ns: u128,
}

impl WallClock {
    /// What the machine says now.
    pub(crate) fn now(reading_ns: u64) -> Self {
        Self::at(reading_ns, SystemTime::now())
    }

    /// This is the time on the wall at that reading.
    pub(crate) fn at(reading_ns: u64, wall: SystemTime) -> Self {
        // A time before 1970 is a clock that was never set: its windows begin somewhere.
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            reading_ns,
            unix_ns: since.as_nanos(),
        }
    }

    /// Nanoseconds since 1970 at a reading.
    pub(crate) const fn unix_ns(self, reading_ns: u64) -> u128 {
        if reading_ns >= self.reading_ns {
            self.unix_ns + (reading_ns - self.reading_ns) as u128
        } else {
            self.unix_ns
                .saturating_sub((self.reading_ns - reading_ns) as u128)
        }
    }

    /// The reading at which it will be that late on the wall; not before the reading that was set.
    pub(crate) fn reading(self, unix_ns: u128) -> u64 {
        let ahead = unix_ns.saturating_sub(self.unix_ns);
        let ahead = u64::try_from(ahead).unwrap_or(u64::MAX);
        self.reading_ns.saturating_add(ahead)
    }
}

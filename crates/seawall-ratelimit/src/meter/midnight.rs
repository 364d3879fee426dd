//! When a day ends.

use std::time::Duration;

use seawall_core::InvalidConfig;

/// When the day of a quota begins: at midnight in a time zone, or at another time of the day there.
///
/// ```
/// use std::time::Duration;
/// use seawall_ratelimit::Midnight;
///
/// // India is five and a half hours ahead of UTC, without summer time.
/// let kite = Midnight::offset(5 * 3_600 + 1_800)?;
/// // Eight in the morning, there.
/// let kite_at_eight = kite.plus(Duration::from_secs(8 * 3_600))?;
///
/// let refused = Midnight::offset(100_000).unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "`offset` is 100000, accepted is seconds east of UTC from -93599 to 93599",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Midnight {
    zone: Zone,
    plus_ns: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Zone {
    /// Seconds east of UTC.
    Fixed(i32),
    #[cfg(feature = "timezone")]
    Named(jiff::tz::TimeZone),
}

/// A day: its number, counted from 1970, and its first instant after, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Day {
    pub(crate) number: i64,
    pub(crate) ends: u128,
}

const DAY_NS: i128 = 24 * 3_600 * 1_000_000_000;

/// As far as offsets go in what Rust's libraries know as time zones: 25:59:59.
const FARTHEST: i32 = 93_599;

impl Midnight {
    /// Midnight in UTC.
    pub const fn utc() -> Self {
        Self {
            zone: Zone::Fixed(0),
            plus_ns: 0,
        }
    }

    /// Midnight where the clock is so many seconds ahead of UTC, all the year.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] in the field `offset` when it is a day or more and a bit.
    pub fn offset(seconds_east: i32) -> Result<Self, InvalidConfig> {
        if !(-FARTHEST..=FARTHEST).contains(&seconds_east) {
            return Err(InvalidConfig::new(
                "offset",
                seconds_east,
                format!("seconds east of UTC from -{FARTHEST} to {FARTHEST}"),
            ));
        }
        Ok(Self {
            zone: Zone::Fixed(seconds_east),
            plus_ns: 0,
        })
    }

    /// Midnight in a time zone of the IANA database, which comes with the crate `jiff`. Days in
    /// which clocks change have 23 or 25 hours there.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] in the field `zone` when there is none of that name.
    ///
    /// ```
    /// use seawall_ratelimit::Midnight;
    ///
    /// let exchange = Midnight::zone("America/New_York")?;
    /// assert!(Midnight::zone("America/Atlantis").is_err());
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    #[cfg(feature = "timezone")]
    pub fn zone(name: &str) -> Result<Self, InvalidConfig> {
        match jiff::tz::TimeZone::get(name) {
            Ok(zone) => Ok(Self {
                zone: Zone::Named(zone),
                plus_ns: 0,
            }),
            Err(_unknown) => Err(InvalidConfig::new(
                "zone",
                name,
                "a name of the IANA time zone database, such as `America/New_York`",
            )),
        }
    }

    /// So long after midnight instead.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] in the field `plus` when it is a day or more.
    pub fn plus(mut self, later: Duration) -> Result<Self, InvalidConfig> {
        let ns = seawall_core::ns(later);
        if i128::from(ns) >= DAY_NS {
            return Err(InvalidConfig::new(
                "plus",
                format!("{later:?}"),
                "less than a day",
            ));
        }
        self.plus_ns = ns;
        Ok(self)
    }

    /// The day of an instant, given in nanoseconds since 1970.
    pub(crate) fn day(&self, unix_ns: u128) -> Day {
        let unix = i128::try_from(unix_ns).unwrap_or(i128::MAX / 4);
        match &self.zone {
            Zone::Fixed(east) => {
                let shift = i128::from(*east) * 1_000_000_000 - i128::from(self.plus_ns);
                let number = (unix + shift).div_euclid(DAY_NS);
                Day {
                    number: i64::try_from(number).unwrap_or(i64::MAX),
                    ends: u128::try_from((number + 1) * DAY_NS - shift).unwrap_or(0),
                }
            }
            #[cfg(feature = "timezone")]
            Zone::Named(zone) => self.day_in(zone, unix),
        }
    }

    #[cfg(feature = "timezone")]
    fn day_in(&self, zone: &jiff::tz::TimeZone, unix: i128) -> Day {
        use jiff::{Timestamp, ToSpan};

        let instant = Timestamp::from_nanosecond(unix).unwrap_or(Timestamp::MAX);
        let plus = i64::try_from(self.plus_ns).unwrap_or(0);
        let here = instant.to_zoned(zone.clone());
        // The start of a date's day: the wall clock's midnight, and so much by the wall clock after.
        let start = |date: jiff::civil::Date| {
            let wall = date.to_datetime(jiff::civil::Time::midnight());
            let wall = wall.saturating_add(plus.nanoseconds());
            zone.to_ambiguous_zoned(wall)
                .compatible()
                .map_or(i128::MAX / 4, |at| at.timestamp().as_nanosecond())
        };
        let mut date = here.date();
        if unix < start(date) {
            date = date.saturating_sub(1.day());
        }
        let ends = start(date.saturating_add(1.day()));
        let epoch = jiff::civil::date(1970, 1, 1);
        let number = date
            .since(epoch)
            .map_or(i64::MAX, |span| span.get_days().into());
        Day {
            number,
            ends: u128::try_from(ends.max(unix + 1)).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u128 = 3_600 * 1_000_000_000;

    #[test]
    fn a_day_ends_at_midnight_where_it_is() {
        let at = 60_000 * 24 * HOUR + 20 * HOUR;
        let utc = Midnight::utc().day(at);
        assert_eq!((utc.number, utc.ends - at), (60_000, 4 * HOUR));
        let india = Midnight::offset(19_800).unwrap();
        let there = india.day(at);
        assert_eq!(
            (there.number, there.ends - at),
            (60_001, 22 * HOUR + HOUR / 2)
        );
        let at_three = india.plus(Duration::from_secs(3 * 3_600)).unwrap().day(at);
        assert_eq!(
            (at_three.number, at_three.ends - at),
            (60_000, HOUR + HOUR / 2)
        );
        assert!(Midnight::utc().plus(Duration::from_secs(86_400)).is_err());
    }

    #[cfg(feature = "timezone")]
    #[test]
    fn days_in_which_clocks_change_are_shorter_and_longer() {
        let ny = Midnight::zone("America/New_York").unwrap();
        // 2026-03-08 and 2026-11-01, noon UTC.
        for (noon, hours) in [(1_772_971_200_u128, 23), (1_793_534_400, 25)] {
            let day = ny.day(noon * 1_000_000_000);
            let before = ny.day(noon * 1_000_000_000 - 24 * HOUR);
            assert_eq!(day.number, before.number + 1);
            assert_eq!((day.ends - before.ends) / HOUR, hours);
        }
        let utc = Midnight::zone("UTC").unwrap();
        assert_eq!(utc.day(123 * HOUR), Midnight::utc().day(123 * HOUR));
    }

    proptest! {
        #[test]
        fn a_day_has_what_lies_between_two_ends(at in 0_u64..u64::MAX / 2, east in -80_000_i32..80_000, plus in 0_u64..86_400) {
            let midnight = Midnight::offset(east).unwrap().plus(Duration::from_secs(plus)).unwrap();
            let at = u128::from(at) + 48 * HOUR;
            let day = midnight.day(at);
            prop_assert!(day.ends > at && day.ends - at <= 24 * HOUR);
            prop_assert_eq!(midnight.day(day.ends - 1), day);
            prop_assert_eq!(midnight.day(day.ends).number, day.number + 1);
        }
    }
}

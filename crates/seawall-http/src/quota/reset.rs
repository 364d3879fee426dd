//! When a limit resets, in the ways in which upstreams write it.

use std::time::{Duration, SystemTime};

use crate::retry_after::decimal;

/// The furthest reset that is accepted, in the future and in the past: 31 days, the longest month
/// that a quota can have.
///
/// A reset that is further off is of another format than it was taken for. Milliseconds read as
/// seconds would stop a client for years; seconds left, read as seconds since 1970, would reset a
/// limit that is used up.
pub const LONGEST_RESET: Duration = Duration::from_secs(31 * 24 * 3600);

/// How an upstream writes when a limit resets.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use seawall_http::quota::ResetFormat;
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_679_411_600);
/// let minutes = |n: u64| Some(Duration::from_secs(60 * n));
/// assert_eq!(ResetFormat::EpochSeconds.resets_in("1679411660", now), minutes(1));
/// assert_eq!(ResetFormat::EpochMillis.resets_in("1679411660000", now), minutes(1));
/// assert_eq!(ResetFormat::SecondsLeft.resets_in("60", now), minutes(1));
/// assert_eq!(ResetFormat::GoDuration.resets_in("6m0s", now), minutes(6));
/// assert_eq!(ResetFormat::Rfc3339.resets_in("2023-03-21T15:14:20Z", now), minutes(1));
/// assert_eq!(ResetFormat::HttpDate.resets_in("Tue, 21 Mar 2023 15:14:20 GMT", now), minutes(1));
/// assert_eq!(ResetFormat::EpochSeconds.resets_in("60", now), None, "no time of these days");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetFormat {
    /// Seconds since 1970: `1679411617`.
    EpochSeconds,
    /// Milliseconds since 1970: `1679411617000`.
    EpochMillis,
    /// One of the two, distinguished by magnitude: from 10^11 on (in seconds the year 5138, in
    /// milliseconds 1973) it is milliseconds.
    EpochAuto,
    /// Seconds from now, with or without a fraction: `43`, `12.5`.
    SecondsLeft,
    /// A time from now in Go's notation (`time.ParseDuration`): `20ms`, `6m0s`, `1h23m31s`,
    /// `2m59.56s`.
    GoDuration,
    /// A time of day by RFC 3339: `2024-04-30T15:56:17Z`.
    Rfc3339,
    /// A time of day by RFC 9110: `Sun, 06 Nov 1994 08:49:37 GMT`.
    HttpDate,
    /// Whichever of the above it looks like, for upstreams that do not document it: a number of up to
    /// [`LONGEST_RESET`] in seconds is from now, a larger one since 1970.
    Auto,
}

/// From 10^11 on a time since 1970 is in milliseconds.
const MILLIS_FROM: Duration = Duration::from_secs(100_000_000_000);

/// A point of time since 1970, or a time from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reset {
    At(Duration),
    In(Duration),
}

impl ResetFormat {
    /// How long from `now` until the limit resets; zero when that is past, and `None` when
    /// `text` is not of this format or further off than [`LONGEST_RESET`].
    pub fn resets_in(self, text: &str, now: SystemTime) -> Option<Duration> {
        self.read(text, || since_epoch(now))
    }

    /// The same, for a caller that reads the clock only when there is a point of time.
    pub(super) fn read(self, text: &str, now: impl FnOnce() -> Duration) -> Option<Duration> {
        let left = match self.parse(text)? {
            Reset::In(left) => left,
            Reset::At(at) => {
                let now = now();
                if now.saturating_sub(at) > LONGEST_RESET {
                    return None;
                }
                at.saturating_sub(now)
            }
        };
        (left <= LONGEST_RESET).then_some(left)
    }

    fn parse(self, text: &str) -> Option<Reset> {
        match self {
            Self::EpochSeconds => decimal(text, 1).map(Reset::At),
            Self::EpochMillis => decimal(text, 1_000).map(Reset::At),
            Self::EpochAuto => epoch(text).map(Reset::At),
            Self::SecondsLeft => decimal(text, 1).map(Reset::In),
            Self::GoDuration => go_duration(text).map(Reset::In),
            Self::Rfc3339 => rfc3339(text).map(Reset::At),
            Self::HttpDate => http_date(text).map(Reset::At),
            Self::Auto => match decimal(text, 1) {
                Some(left) if left <= LONGEST_RESET => Some(Reset::In(left)),
                Some(_) => epoch(text).map(Reset::At),
                None => go_duration(text)
                    .map(Reset::In)
                    .or_else(|| rfc3339(text).map(Reset::At))
                    .or_else(|| http_date(text).map(Reset::At)),
            },
        }
    }
}

pub(super) fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

fn epoch(text: &str) -> Option<Duration> {
    let seconds = decimal(text, 1)?;
    if seconds < MILLIS_FROM {
        Some(seconds)
    } else {
        decimal(text, 1_000)
    }
}

pub(super) fn http_date(text: &str) -> Option<Duration> {
    httpdate::parse_http_date(text).ok().map(since_epoch)
}

/// Numbers with units, largest first or not, as Go has it; a bare `0` has no unit.
fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let part = match unit {
            "h" => decimal(number, 1)?.saturating_mul(3_600),
            "m" => decimal(number, 1)?.saturating_mul(60),
            "s" => decimal(number, 1)?,
            "ms" => decimal(number, 1_000)?,
            "us" => decimal(number, 1_000_000)?,
            "ns" => decimal(number, 1_000_000_000)?,
            _ => return None,
        };
        sum = sum.saturating_add(part);
        rest = tail;
    }
    (!text.is_empty()).then_some(sum)
}

/// `date-time` of RFC 3339, section 5.6, from 1970 on.
fn rfc3339(text: &str) -> Option<Duration> {
    let (date, time) = text.split_at_checked(10)?;
    let [year, month, day] = triple(date, b'-', 4)?;
    let time = time.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = time.split_at_checked(8)?;
    let [hour, minute, second] = triple(clock, b':', 2)?;
    // 60 is a leap second.
    let valid = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !valid {
        return None;
    }
    let (fraction, zone) = rest.split_at(rest.find(['Z', 'z', '+', '-'])?);
    if fraction == "." {
        return None;
    }
    let seconds = decimal(time.get(6..8 + fraction.len())?, 1)?;
    let minutes = days_since_epoch(year, month, day) * 1_440 + i64::from(hour * 60 + minute);
    let whole = u64::try_from((minutes - ahead(zone)?) * 60).ok()?;
    Some(seconds.saturating_add(Duration::from_secs(whole)))
}

/// How far the clocks of a zone are ahead, in minutes.
fn ahead(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let ahead = i64::from(hours * 60 + minutes);
    Some(if sign == "-" { -ahead } else { ahead })
}

/// Three numbers, the first of `width` digits, the others of two.
fn triple(text: &str, between: u8, width: usize) -> Option<[u32; 3]> {
    let mut parts = text.split(char::from(between));
    let three = [
        digits(parts.next()?, width)?,
        digits(parts.next()?, 2)?,
        digits(parts.next()?, 2)?,
    ];
    parts.next().is_none().then_some(three)
}

fn digits(text: &str, width: usize) -> Option<u32> {
    let plain = text.len() == width && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

const fn days_in(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(400) || (year.is_multiple_of(4) && !year.is_multiple_of(100)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970 to a date of the Gregorian calendar, by counting from a March so that the leap
/// day is the last of its year (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days_since_epoch(year: u32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((i64::from(month) + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests;

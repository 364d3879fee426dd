//! When a limit resets, in the ways in which upstreams write it.

use std::time::{Duration, SystemTime};

use crate::decimal::{decimal, go_duration};
use crate::server_clock::{Distance, FURTHEST, ServerClock, http_date};

/// The furthest reset that is accepted, in the future and in the past: 31 days, the longest month
/// that a quota can have.
///
/// A reset that is further off is of another format than it was taken for. Milliseconds read as
/// seconds would stop a client for years; seconds left, read as seconds since 1970, would reset a
/// limit that is used up.
pub const LONGEST_RESET: Duration = FURTHEST;

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
    /// Whichever of the above it looks like: a number of up to [`LONGEST_RESET`] in seconds is from
    /// now, a larger one since 1970, in seconds or milliseconds by its magnitude. Under a header
    /// whose name ends with `-ms` a small number is milliseconds from now.
    ///
    /// An upstream, or a proxy before it, does not always write what is documented: this is for
    /// those that are not known to.
    Auto,
    /// As [`Auto`](Self::Auto), where a small number is milliseconds from now.
    AutoMillis,
}

/// From 10^11 on a time since 1970 is in milliseconds.
const MILLIS_FROM: Duration = Duration::from_secs(100_000_000_000);

/// A point of time since 1970, or a time from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    At(Duration),
    In(Duration),
}

impl ResetFormat {
    /// How long from `now` until the limit resets; zero when that is past, and `None` when
    /// `text` is not of this format or further off than [`LONGEST_RESET`].
    pub fn resets_in(self, text: &str, now: SystemTime) -> Option<Duration> {
        let mut clock = ServerClock::new(|| now);
        self.read(text, |at| clock.distance(at, || None))
    }

    /// The same, for a caller that reads the clock only when there is a point of time.
    pub(super) fn read(
        self,
        text: &str,
        distance: impl FnOnce(Duration) -> Distance,
    ) -> Option<Duration> {
        match self.parse(text)? {
            Reset::In(left) => (left <= LONGEST_RESET).then_some(left),
            Reset::At(at) => {
                let distance = distance(at);
                distance.is_plausible().then_some(distance.ahead)
            }
        }
    }

    /// A number in `text` as a time from now, however large it is.
    pub(crate) fn plain_number(self, text: &str) -> Option<Duration> {
        let millis = matches!(self, Self::EpochMillis | Self::AutoMillis);
        decimal(text, if millis { 1_000 } else { 1 })
    }

    /// The point of time or the time from now in `text`.
    pub(crate) fn parse(self, text: &str) -> Option<Reset> {
        match self {
            Self::EpochSeconds => decimal(text, 1).map(Reset::At),
            Self::EpochMillis => decimal(text, 1_000).map(Reset::At),
            Self::EpochAuto => epoch(text).map(Reset::At),
            Self::SecondsLeft => decimal(text, 1).map(Reset::In),
            Self::GoDuration => go_duration(text).map(Reset::In),
            Self::Rfc3339 => rfc3339(text).map(Reset::At),
            Self::HttpDate => http_date(text).map(Reset::At),
            Self::Auto => any_form(text, 1),
            Self::AutoMillis => any_form(text, 1_000),
        }
    }
}

/// Whatever form `text` has; a small number is a time from now, of which `per_second` are a second.
/// A look at three bytes shows which form it can be.
fn any_form(text: &str, per_second: u64) -> Option<Reset> {
    let bytes = text.as_bytes();
    if bytes.get(4) == Some(&b'-') {
        return rfc3339(text).map(Reset::At);
    }
    if !bytes.first()?.is_ascii_digit() {
        return http_date(text).map(Reset::At);
    }
    if bytes.last()?.is_ascii_alphabetic() {
        return go_duration(text).map(Reset::In);
    }
    let left = decimal(text, per_second)?;
    if left <= LONGEST_RESET {
        Some(Reset::In(left))
    } else if per_second == 1 && left < MILLIS_FROM {
        Some(Reset::At(left))
    } else {
        epoch(text).map(Reset::At)
    }
}

fn epoch(text: &str) -> Option<Duration> {
    let seconds = decimal(text, 1)?;
    if seconds < MILLIS_FROM {
        Some(seconds)
    } else {
        decimal(text, 1_000)
    }
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

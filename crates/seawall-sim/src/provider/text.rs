//! The notations that providers use on the wire: times, identifiers, query strings.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::incident::SplitMix64;

/// Seconds since 1970, rounded up: a reset must not be announced too early.
pub(crate) fn epoch_seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    whole_seconds(since)
}

/// A duration in whole seconds, rounded up.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// A duration in whole milliseconds, rounded up.
pub(crate) fn whole_millis(duration: Duration) -> u128 {
    duration.as_nanos().div_ceil(1_000_000)
}

/// Year, month, day of a day counted from 1970-01-01 (Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// `2024-04-30T15:56:17Z`, rounded up to the second.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = epoch_seconds(time);
    let (date, of_day) = (day(seconds / 86_400), seconds % 86_400);
    format!(
        "{date}T{:02}:{:02}:{:02}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// `2024-04-30T15:56:17.000001Z`: to the microsecond, rounded down.
pub(crate) fn rfc3339_micros(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let whole = rfc3339(UNIX_EPOCH + Duration::from_secs(since.as_secs()));
    format!(
        "{}.{:06}Z",
        whole.trim_end_matches('Z'),
        since.subsec_micros()
    )
}

/// `20240430155617123`: digits alone, to the millisecond, rounded down.
pub(crate) fn digits(time: SystemTime) -> String {
    let text = rfc3339_micros(time);
    text.bytes()
        .filter(u8::is_ascii_digit)
        .take(17)
        .map(char::from)
        .collect()
}

/// The time that a date, or a date and a time of day in UTC, means.
pub(crate) fn parse_time(text: &str) -> Option<SystemTime> {
    let (date, of_day) = match text.split_once('T') {
        Some((date, of_day)) => (date, of_day.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let number = |text: &str, most: u64| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| *number <= most);
        number.filter(|_: &u64| digits)
    };
    let mut parts = date.split('-');
    let mut part = |most| number(parts.next()?, most);
    let (year, month, day) = (part(9_999)?, part(12)?, part(31)?);
    let (whole, fraction) = of_day.split_once('.').unwrap_or((of_day, "0"));
    let mut parts = whole.split(':');
    let mut part = |most| number(parts.next()?, most);
    let (hour, minute, second) = (part(23)?, part(59)?, part(60)?);
    number(fraction, u64::MAX)?;
    let nanos = number(&format!("{fraction:0<9.9}"), u64::MAX)?;
    let seconds = days(year, month, day)? * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::new(seconds, u32::try_from(nanos).ok()?))
}

/// Days from 1970-01-01 to a date not before it (Hinnant, `days_from_civil`).
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1_970 || month == 0 || day == 0 {
        return None;
    }
    let year = year - u64::from(month <= 2);
    let shifted = (month + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let (era, of_era) = (year / 400, year % 400);
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

/// `2024-04-30` for a day counted from 1970-01-01.
pub(crate) fn day(days: u64) -> String {
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The notation of Go's `time.Duration`, rounded up to milliseconds: `20ms`, `1s`, `6m0s`.
pub(crate) fn go_duration(duration: Duration) -> String {
    let millis = whole_millis(duration);
    if millis < 1_000 {
        return if millis == 0 {
            "0s".to_owned()
        } else {
            format!("{millis}ms")
        };
    }
    let (seconds, rest) = (millis / 1_000, millis % 1_000);
    let fraction = match rest {
        0 => String::new(),
        _ => format!(".{rest:03}").trim_end_matches('0').to_owned(),
    };
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{fraction}s"),
        (0, _) => format!("{minutes}m{seconds}{fraction}s"),
        _ => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

/// A random (version 4) UUID.
pub(crate) fn uuid(draw: &mut SplitMix64) -> String {
    let (high, low) = (draw.next_u64(), draw.next_u64());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff,
    )
}

/// The value of a key in a query string, percent-decoded.
pub(crate) fn query(query: Option<&str>, key: &str) -> Option<String> {
    query?.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name == key).then(|| decode(value))
    })
}

pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(&byte) = bytes.get(index) {
        let hex = bytes
            .get(index + 1..index + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, escaped) {
            (b'%', Some(escaped)) => {
                decoded.push(escaped);
                index += 3;
                continue;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        index += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_providers_write_them() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(rfc3339(at(1_714_492_577)), "2024-04-30T15:56:17Z");
        assert_eq!(rfc3339(at(951_782_400)), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(at(0)), "1970-01-01T00:00:00Z");
        for (millis, text) in [
            (0, "0s"),
            (20, "20ms"),
            (1_000, "1s"),
            (1_250, "1.25s"),
            (360_000, "6m0s"),
            (5_011_000, "1h23m31s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for seconds in [0, 951_782_399, 951_782_400, 1_714_492_577, 4_102_444_799] {
            let at = UNIX_EPOCH + Duration::new(seconds, 123_456_000);
            assert_eq!(parse_time(&rfc3339_micros(at)), Some(at));
        }
        let at = UNIX_EPOCH + Duration::new(1_714_492_577, 123_456_789);
        assert_eq!(rfc3339_micros(at), "2024-04-30T15:56:17.123456Z");
        assert_eq!(digits(at), "20240430155617123");
        assert_eq!(parse_time("2024-04-30T15:56:17.123456789Z"), Some(at));
        assert_eq!(
            parse_time("2024-04-30"),
            Some(UNIX_EPOCH + Duration::from_secs(1_714_435_200))
        );
        for wrong in [
            "",
            "2024",
            "2024-13-01",
            "2024-04-30T15:56Z",
            "2024-04-30T15:56:17.xZ",
        ] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        assert_eq!(
            query(Some("a=1&b=x%2Fy+z&c"), "b").as_deref(),
            Some("x/y z")
        );
        assert_eq!(query(Some("a=1&c"), "c").as_deref(), Some(""));
        assert_eq!(query(Some("a=100%"), "a").as_deref(), Some("100%"));
        assert_eq!(query(None, "a"), None);
    }
}

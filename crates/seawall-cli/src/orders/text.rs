//! Bytes, ages and times for people.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Text without what a terminal would act on: control characters and what is no UTF-8 are escaped.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '"' | '\'' => text.push(char),
                char => text.extend(char.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// A length of time in its two largest units.
pub(crate) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let of = |unit: u64| seconds / unit;
    let (large, small) = match seconds {
        0..60 => return format!("{seconds} s"),
        60..3_600 => ((of(60), "min"), (seconds % 60, "s")),
        3_600..86_400 => ((of(3_600), "h"), (of(60) % 60, "min")),
        _ => ((of(86_400), "d"), (of(3_600) % 24, "h")),
    };
    match small.0 {
        0 => format!("{} {}", large.0, large.1),
        _ => format!("{} {} {} {}", large.0, large.1, small.0, small.1),
    }
}

/// How long ago it was; a clock that was set back makes it nothing.
pub(crate) fn since(time: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(time).unwrap_or_default()
}

/// Reads `2h`, `90s`, `1d12h`.
pub(crate) fn parse_age(text: &str) -> Option<Duration> {
    let mut seconds = 0_u64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit())?;
        let (number, unit) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let unit_end = unit.find(|char: char| char.is_ascii_digit());
        let (unit, next) = unit.split_at(unit_end.unwrap_or(unit.len()));
        let unit = match unit.trim() {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = next;
    }
    Some(Duration::from_secs(seconds))
}

/// The moment as `2026-11-30 01:05:59.123 UTC`.
pub(crate) fn utc(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let [hour, minute, second] = [seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60];
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03} UTC")
}

/// The date of a day after 1970-01-01. Years begin in March here, so that a leap day is their last one;
/// the algorithm is `civil_from_days` of <https://howardhinnant.github.io/date_algorithms.html>.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_that_it_would_act_on() {
        assert_eq!(escape(b"{\"symbol\":\"AAPL\"}"), "{\"symbol\":\"AAPL\"}");
        assert_eq!(escape("Br\u{fc}cke".as_bytes()), "Br\u{fc}cke");
        assert_eq!(escape(b"\x1b[2J\r\n\0\\"), "\\u{1b}[2J\\r\\n\\0\\\\");
        assert_eq!(escape("\u{202e}abc".as_bytes()), "\\u{202e}abc");
        assert_eq!(escape(b"a\xff\xfeb"), "a\\xff\\xfeb");
    }

    #[test]
    fn ages_have_their_two_largest_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (3_599, "59 min 59 s"),
            (7_500, "2 h 5 min"),
            (86_399, "23 h 59 min"),
            (86_400 * 400 + 3_600, "400 d 1 h"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn ages_are_read_as_they_are_typed() {
        let read = |text| parse_age(text).map(|age| age.as_secs());
        for (text, seconds) in [
            ("2h", 7_200),
            ("90s", 90),
            ("15m", 900),
            ("15min", 900),
            ("3d", 259_200),
            ("1d12h", 129_600),
            ("1 h 30 m", 5_400),
        ] {
            assert_eq!(read(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "2",
            "h",
            "2w",
            "-2h",
            "1.5h",
            "2h3",
            "99999999999999999999d",
            "9999999999999999999d",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn moments_are_dates_of_the_calendar() {
        let of = |seconds: u64, millis: u64| {
            utc(UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + millis))
        };
        assert_eq!(of(0, 0), "1970-01-01 00:00:00.000 UTC");
        assert_eq!(of(951_782_400, 1), "2000-02-29 00:00:00.001 UTC");
        assert_eq!(of(951_868_800, 0), "2000-03-01 00:00:00.000 UTC");
        assert_eq!(of(1_796_000_759, 123), "2026-11-30 01:05:59.123 UTC");
        assert_eq!(of(4_102_444_799, 999), "2099-12-31 23:59:59.999 UTC");
        assert_eq!(of(4_107_542_400, 0), "2100-03-01 00:00:00.000 UTC");
    }
}

//! How long a response asks the client to wait.

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, RETRY_AFTER};

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// How long a response asks the client to wait: `retry-after-ms`, or `Retry-After` in either of
/// its forms.
///
/// `Retry-After` is a number of seconds or an HTTP date (RFC 9110, section 10.2.3); a date in the
/// past is a wait of zero. Fractions of seconds and the header `retry-after-ms` are not in the
/// RFC; AI providers send them, and their own clients prefer the milliseconds. Any other value is
/// ignored ([`HttpFeedback`](crate::quota::HttpFeedback) counts them), and what is longer than a
/// [`Duration`] can hold is [`Duration::MAX`].
///
/// `now` is only used for a date.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
/// use seawall_http::retry_after;
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(retry_after(&headers, SystemTime::UNIX_EPOCH), None);
/// headers.insert(RETRY_AFTER, HeaderValue::from_static("1.5"));
/// let wait = retry_after(&headers, SystemTime::UNIX_EPOCH);
/// assert_eq!(wait, Some(Duration::from_millis(1_500)));
/// ```
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    hint(headers, || now)
}

/// The same, for a caller that reads the clock only when there is a date.
pub(crate) fn hint(headers: &HeaderMap, now: impl FnOnce() -> SystemTime) -> Option<Duration> {
    let millis = text(headers, RETRY_AFTER_MS).and_then(|ms| decimal(ms, 1_000));
    millis.or_else(|| seconds_or_date(text(headers, RETRY_AFTER)?, now))
}

/// How many of the headers that ask to wait cannot be read.
pub(crate) fn unreadable_hints(headers: &HeaderMap) -> u64 {
    let millis = text(headers, RETRY_AFTER_MS).is_some_and(|ms| decimal(ms, 1_000).is_none());
    let epoch = || SystemTime::UNIX_EPOCH;
    let other = text(headers, RETRY_AFTER).is_some_and(|t| seconds_or_date(t, epoch).is_none());
    u64::from(millis) + u64::from(other)
}

/// Bytes that are no text are as unreadable as an empty one.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    Some(headers.get(name)?.to_str().unwrap_or_default().trim())
}

fn seconds_or_date(text: &str, now: impl FnOnce() -> SystemTime) -> Option<Duration> {
    decimal(text, 1).or_else(|| {
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(now()).unwrap_or(Duration::ZERO))
    })
}

/// A decimal number of units, of which `per_second` make a second.
pub(crate) fn decimal(text: &str, per_second: u64) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    // Only digits are left, so the one way to fail is to be too long.
    let units: u64 = whole.parse().unwrap_or(u64::MAX);
    if units == u64::MAX {
        return Some(Duration::MAX);
    }
    let billionths = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0_u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    let seconds = Duration::from_secs(units / per_second);
    let nanos = (units % per_second) * (1_000_000_000 / per_second) + billionths / per_second;
    Some(seconds.saturating_add(Duration::from_nanos(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn of(pairs: &[(&'static str, &str)], now: SystemTime) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        retry_after(&headers, now)
    }

    fn seconds(value: &str) -> Option<Duration> {
        of(&[("retry-after", value)], SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn seconds_are_read_whole_and_with_a_fraction() {
        assert_eq!(seconds("0"), Some(Duration::ZERO));
        assert_eq!(seconds(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(seconds("0.25"), Some(Duration::from_millis(250)));
        assert_eq!(seconds("7."), Some(Duration::from_secs(7)));
        assert_eq!(seconds("1.0000000019"), Some(Duration::new(1, 1)));
    }

    #[test]
    fn dates_count_from_now_and_the_past_is_zero() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let wait = |now| of(&[("retry-after", date)], now);
        let minute = Duration::from_secs(60);
        assert_eq!(wait(at - minute), Some(minute));
        assert_eq!(wait(at), Some(Duration::ZERO));
        assert_eq!(wait(at + minute), Some(Duration::ZERO));
    }

    #[test]
    fn milliseconds_come_first_and_garbage_falls_back() {
        let now = SystemTime::UNIX_EPOCH;
        let both = [("retry-after-ms", "1500.5"), ("retry-after", "2")];
        assert_eq!(of(&both, now), Some(Duration::from_micros(1_500_500)));
        let garbage = [("retry-after-ms", "soon"), ("retry-after", "2")];
        assert_eq!(of(&garbage, now), Some(Duration::from_secs(2)));
    }

    #[test]
    fn garbage_is_ignored_and_enormous_waits_saturate() {
        for garbage in [
            "", "-1", "+1", "soon", "NaN", "inf", "1e9", ".5", "1.2.3", "0x10", "1 2",
        ] {
            assert_eq!(seconds(garbage), None, "{garbage:?}");
        }
        let enormous = format!("1{}", "0".repeat(30));
        assert_eq!(seconds(&enormous), Some(Duration::MAX));
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(
            of(&[("retry-after-ms", &enormous)], now),
            Some(Duration::MAX)
        );
    }

    #[test]
    fn each_header_that_cannot_be_read_counts_once() {
        let unreadable = |pairs: &[(&'static str, &[u8])]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_bytes(value).unwrap());
            }
            unreadable_hints(&headers)
        };
        let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(unreadable(&[]), 0);
        assert_eq!(unreadable(&[("retry-after", b"2")]), 0);
        assert_eq!(unreadable(&[("retry-after", date)]), 0);
        assert_eq!(unreadable(&[("retry-after", b"soon")]), 1);
        assert_eq!(unreadable(&[("retry-after", b"\xff")]), 1);
        let both = [("retry-after-ms", &b"soon"[..]), ("retry-after", b"2")];
        assert_eq!(unreadable(&both), 1);
        let neither = [("retry-after-ms", &b"soon"[..]), ("retry-after", b"-1")];
        assert_eq!(unreadable(&neither), 2);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_nothing_panics(value in "[ -~]{0,40}") {
            let _ = seconds(&value);
        }

        #[test]
        fn milliseconds_and_seconds_agree(ms in any::<u32>()) {
            let now = SystemTime::UNIX_EPOCH;
            let expected = Some(Duration::from_millis(u64::from(ms)));
            prop_assert_eq!(of(&[("retry-after-ms", &ms.to_string())], now), expected);
            let text = format!("{}.{:03}", ms / 1_000, ms % 1_000);
            prop_assert_eq!(seconds(&text), expected);
        }
    }
}

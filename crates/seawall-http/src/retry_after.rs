//! How long a response asks the client to wait.

use std::time::{Duration, SystemTime};

use http::header::{HeaderMap, HeaderName, RETRY_AFTER};

use crate::quota::{LONGEST_RESET, Reset, ResetFormat};
use crate::server_clock::{ServerClock, date_of};

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// The longest wait that is applied of what a response asks for: a quarter of an hour. It is the
/// default of [`HttpClassifier::with_longest_wait`](crate::HttpClassifier::with_longest_wait).
///
/// A throttle of a limit per minute or per quarter of an hour ends within it. A header that asks for
/// more is mostly a slip: a Unix time, milliseconds for seconds, a date of another year. A client
/// that comes back too early is throttled once more; one that believes the slip is shut for years.
pub const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// The longest ban or exhausted quota that is applied: a day, after which one call asks again. It is
/// the default of [`HttpClassifier::with_longest_ban`](crate::HttpClassifier::with_longest_ban).
pub const LONGEST_BAN: Duration = Duration::from_secs(24 * 3600);

/// How long a response asks the client to wait: `retry-after-ms`, or `Retry-After`.
///
/// `Retry-After` is a number of seconds or an HTTP date (RFC 9110, section 10.2.3); a date in the
/// past is a wait of zero. Fractions of seconds and the header `retry-after-ms` are not in the
/// RFC; AI providers send them, and their own clients prefer the milliseconds. Whatever else can be
/// distinguished is read, too: Go's notation (`1m2.5s`), RFC 3339, and a Unix time of these days. Any
/// other value is ignored ([`HttpFeedback`](crate::quota::HttpFeedback) counts them).
///
/// A date is measured against the response's own `Date`, and against `now`, the local clock, where
/// there is none, or one that is more than a day off while `now` makes sense of the date. Of several
/// headers of the same name the longest counts, and one of more than [`LONGEST_RESET`] only when
/// there is no shorter one.
///
/// The result has no bound: what is longer than a [`Duration`] can hold is [`Duration::MAX`].
/// [`HttpClassifier`](crate::HttpClassifier) bounds it.
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
    let hint = hint(headers, || now, LONGEST_RESET);
    hint.within.or(hint.beyond)
}

/// What the headers of a response ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hint {
    /// The longest wait of those within the bound.
    pub(crate) within: Option<Duration>,
    /// The longest of those beyond it.
    pub(crate) beyond: Option<Duration>,
}

impl Hint {
    /// The wait, at most `longest`, the bound that it was read with.
    pub(crate) fn bounded(self, longest: Duration) -> Option<Duration> {
        self.within.or(self.beyond.map(|_| longest))
    }

    fn add(&mut self, wait: Duration, longest: Duration) {
        let slot = if wait <= longest {
            &mut self.within
        } else {
            &mut self.beyond
        };
        *slot = (*slot).max(Some(wait));
    }
}

/// What the headers ask for, for a caller that reads the clock only when there is a date.
pub(crate) fn hint(headers: &HeaderMap, local: impl Fn() -> SystemTime, longest: Duration) -> Hint {
    let mut hint = Hint::default();
    let mut clock = ServerClock::new(local);
    for (name, format) in NAMES {
        if hint.within.is_none() {
            for text in texts(headers, &name) {
                if let Some(wait) = wait(text, format, headers, &mut clock) {
                    hint.add(wait, longest);
                }
            }
        }
    }
    hint
}

/// How many of the headers that ask to wait cannot be read.
pub(crate) fn unreadable_hints(headers: &HeaderMap) -> u64 {
    let unreadable = |(name, format): (HeaderName, ResetFormat)| {
        let texts = texts(headers, &name);
        texts.filter(|text| format.parse(text).is_none()).count() as u64
    };
    NAMES.into_iter().map(unreadable).sum()
}

/// The headers that ask to wait, the most exact one first.
const NAMES: [(HeaderName, ResetFormat); 2] = [
    (RETRY_AFTER_MS, ResetFormat::AutoMillis),
    (RETRY_AFTER, ResetFormat::Auto),
];

/// Bytes that are no text are as unreadable as an empty one.
fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap_or_default().trim())
}

fn wait(
    text: &str,
    format: ResetFormat,
    headers: &HeaderMap,
    clock: &mut ServerClock<impl Fn() -> SystemTime>,
) -> Option<Duration> {
    match format.parse(text)? {
        Reset::In(wait) => Some(wait),
        Reset::At(at) => {
            let distance = clock.distance(at, || date_of(headers));
            // A number of seconds that is no time of these days is a number of seconds.
            let plain = if distance.is_plausible() {
                None
            } else {
                format.plain_number(text)
            };
            Some(plain.unwrap_or(distance.ahead))
        }
    }
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

    fn all_of(pairs: &[(&'static str, &str)], local: u64, longest: Duration) -> Hint {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let local = SystemTime::UNIX_EPOCH + Duration::from_secs(local);
        hint(&headers, || local, longest)
    }

    /// 2026-11-21 00:00:00 UTC.
    const NOW: u64 = 1_795_219_200;
    const TEN: Duration = Duration::from_secs(10);

    #[test]
    fn every_form_that_can_be_distinguished_is_read() {
        for text in [
            "10",
            "10.0",
            "10s",
            "0m10s",
            "10000ms",
            "1795219210",
            "1795219210000",
            "2026-11-21T00:00:10Z",
            "Sat, 21 Nov 2026 00:00:10 GMT",
            "Sat Nov 21 00:00:10 2026",
        ] {
            let hint = all_of(&[("retry-after", text)], NOW, LONGEST_WAIT);
            assert_eq!((hint.within, hint.beyond), (Some(TEN), None), "{text}");
        }
        for text in ["10000", "10s", "1795219210000", "2026-11-21T00:00:10Z"] {
            let hint = all_of(&[("retry-after-ms", text)], NOW, LONGEST_WAIT);
            assert_eq!(hint.within, Some(TEN), "{text}");
        }
    }

    #[test]
    fn of_several_the_longest_within_the_bound_counts() {
        let several = |values: &[&str]| {
            let pairs: Vec<_> = values.iter().map(|v| ("retry-after", *v)).collect();
            all_of(&pairs, NOW, LONGEST_WAIT).bounded(LONGEST_WAIT)
        };
        let minutes = |n: u64| Some(Duration::from_secs(60 * n));
        assert_eq!(several(&["0", "120"]), minutes(2));
        assert_eq!(several(&["120", "0"]), minutes(2));
        assert_eq!(several(&["soon", "120"]), minutes(2));
        assert_eq!(several(&["120", "31536000"]), minutes(2));
        assert_eq!(
            several(&["31536000", "Sat, 21 Nov 2026 00:01:00 GMT"]),
            minutes(1)
        );
        assert_eq!(several(&["31536000", "901"]), Some(LONGEST_WAIT));
        assert_eq!(several(&["soon"]), None);
        let absurd_ms = [("retry-after-ms", "999999999999"), ("retry-after", "60")];
        assert_eq!(
            all_of(&absurd_ms, NOW, LONGEST_WAIT).bounded(LONGEST_WAIT),
            minutes(1)
        );
    }

    #[test]
    fn a_unix_time_of_another_year_is_no_point_of_time() {
        let year = all_of(&[("retry-after", "1764386400")], NOW, LONGEST_WAIT);
        assert_eq!(year.beyond, Some(Duration::from_secs(1_764_386_400)));
        assert_eq!(year.bounded(LONGEST_WAIT), Some(LONGEST_WAIT));
        let past = all_of(&[("retry-after", "1795219190")], NOW, LONGEST_WAIT);
        assert_eq!(past.within, Some(Duration::ZERO));
    }

    #[test]
    fn a_date_is_measured_by_the_date_of_the_response() {
        let wait = |date: &str, local| {
            let pairs = [
                ("retry-after", "Sat, 21 Nov 2026 00:00:10 GMT"),
                ("date", date),
            ];
            all_of(&pairs, local, LONGEST_WAIT).bounded(LONGEST_WAIT)
        };
        // Ten minutes ahead, ten minutes behind, hours off.
        for skew in [-18_000_i64, -600, 600, 18_000] {
            let local = NOW.checked_add_signed(skew).unwrap();
            assert_eq!(
                wait("Sat, 21 Nov 2026 00:00:00 GMT", local),
                Some(TEN),
                "{skew}"
            );
        }
        for absurd in [
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "now",
        ] {
            assert_eq!(wait(absurd, NOW), Some(TEN), "{absurd}");
        }
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
        fn of_any_waits_the_longest_that_is_within_the_bound_counts(
            waits in prop::collection::vec(0..2_000_u64, 1..6),
        ) {
            let texts: Vec<_> = waits.iter().map(ToString::to_string).collect();
            let pairs: Vec<_> = texts.iter().map(|text| ("retry-after", &**text)).collect();
            let within = waits.iter().filter(|wait| **wait <= 900).max();
            let expected = Duration::from_secs(*within.unwrap_or(&900));
            let read = all_of(&pairs, NOW, LONGEST_WAIT).bounded(LONGEST_WAIT);
            prop_assert_eq!(read, Some(expected));
        }

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

//! How old a response is, and for how long it says that it is fresh.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{AGE, EXPIRES};

use super::directives::{LONGEST, directives, seconds};
use crate::server_clock::{date_of, http_date, since_epoch};

/// What a `Date` in whole seconds and two clocks that are set differ by: a `Date` that is less old says nothing,
/// or what is kept for a second would never be found.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);

/// Which of two values counts is not known: it is stale (RFC 9111, 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ambiguous;

/// How long a response says that it is fresh (RFC 9111, 4.2.1).
pub(super) fn freshness(headers: &HeaderMap, shared: bool) -> Option<Result<Duration, Ambiguous>> {
    let of = |directive: &str| {
        let all = directives(headers).filter(|(name, _)| name == directive);
        let mut spans = all.map(|(_, value)| seconds(value));
        let first = spans.next()?;
        let is_one = spans.all(|other| other == first);
        Some(if is_one { Ok(first) } else { Err(Ambiguous) })
    };
    let for_shared = shared.then(|| of("s-maxage")).flatten();
    for_shared.or_else(|| of("max-age")).or_else(|| {
        let at = headers.get(EXPIRES)?.to_str().ok().and_then(http_date);
        // What is no date is past.
        let span = at.map(|at| at.saturating_sub(date_of(headers).unwrap_or_else(local_time)));
        Some(Ok(span.unwrap_or_default().min(LONGEST)))
    })
}

fn local_time() -> Duration {
    since_epoch(SystemTime::now())
}

/// How old a response is by its `Date` (RFC 9111, 4.2.3).
pub(super) fn apparent_age(headers: &HeaderMap) -> Duration {
    date_of(headers).map_or(Duration::ZERO, |date| between(date, local_time()))
}

/// How long ago `date` was.
fn between(date: Duration, now: Duration) -> Duration {
    let age = now.saturating_sub(date).min(LONGEST);
    if age < CLOCKS_DIFFER {
        Duration::ZERO
    } else {
        age
    }
}

/// How old a response was when it was sent, by its `Age`: of a list, the first counts, and what is no number is none
/// (RFC 9111, 5.1).
pub(super) fn age_when_sent(headers: &HeaderMap) -> Option<Duration> {
    let age = headers.get(AGE)?.to_str().ok()?;
    let age = age.split(',').next()?.trim();
    let is_number = !age.is_empty() && age.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| seconds(Some(age)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::DATE;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(1_795_219_200);

    #[test]
    fn a_date_counts_once_clocks_do_not_explain_it() {
        for (ms, expected) in [
            (0, 0),
            (999, 0),
            (1_999, 0),
            (2_000, 2_000),
            (2_001, 2_001),
            (86_400_000, 86_400_000),
        ] {
            let ago = Duration::from_millis(ms);
            let expected = Duration::from_millis(expected);
            assert_eq!(between(NOW.checked_sub(ago).unwrap(), NOW), expected);
            assert_eq!(between(NOW + ago, NOW), Duration::ZERO);
        }
        assert_eq!(between(Duration::ZERO, NOW), NOW);
        assert_eq!(between(Duration::ZERO, Duration::MAX), LONGEST);
    }

    #[test]
    fn an_age_is_a_number_and_the_first_of_a_list() {
        for (age, expected) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("7, 3", Some(7)),
            ("99999999999999999999999999", Some(1 << 31)),
            ("", None),
            (", 7", None),
            ("-7", None),
            ("+7", None),
            ("7.5", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AGE, HeaderValue::from_str(age).unwrap());
            let expected = expected.map(Duration::from_secs);
            assert_eq!(age_when_sent(&headers), expected, "{age}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_nothing_panics(text in "\\PC{0,40}", number in "[0-9]{0,40}") {
            for value in [&text, &number] {
                let mut headers = HeaderMap::new();
                let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""));
                for name in [AGE, DATE, EXPIRES] {
                    headers.insert(name, value.clone());
                }
                prop_assert!(apparent_age(&headers) <= LONGEST);
                prop_assert!(age_when_sent(&headers).unwrap_or_default() <= LONGEST);
                let fresh = freshness(&headers, true);
                prop_assert!(fresh.is_some_and(|fresh| fresh.is_ok_and(|it| it <= LONGEST)));
            }
        }
    }
}

//! The directives of `Cache-Control`.

use std::time::Duration;

use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderMap, HeaderValue};

/// The longest span that is believed: a value that is larger is this (RFC 9111, 1.2.2).
pub(super) const LONGEST: Duration = Duration::from_secs(1 << 31);

/// The directives of a message: names in lower case, and their values without quotation marks.
pub(super) fn directives(headers: &HeaderMap) -> impl Iterator<Item = (String, Option<&str>)> {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    let texts = lines.filter_map(|line| line.to_str().ok());
    let parts = texts.flat_map(|text| text.split(','));
    parts.map(|part| {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name, Some(value.trim().trim_matches('"'))),
            None => (part, None),
        };
        (name.trim().to_ascii_lowercase(), value)
    })
}

/// A number of seconds; one that is none is zero, as RFC 9111 wants what is invalid to be stale.
pub(super) fn seconds(value: Option<&str>) -> Duration {
    let digits = value.filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
    // Too many digits are a large number, not none.
    let number = digits.map_or(0, |digits| match digits.is_empty() {
        true => 0,
        false => digits.parse().unwrap_or(u64::MAX),
    });
    Duration::from_secs(number).min(LONGEST)
}

/// Of a directive that is repeated the shortest counts.
pub(super) fn shorten(span: &mut Option<Duration>, other: Duration) {
    *span = Some(span.map_or(other, |span| span.min(other)));
}

/// What a request asks of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asks {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) only_if_cached: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) min_fresh: Duration,
    pub(super) max_stale: Option<Duration>,
}

impl Asks {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut asks = Self::default();
        if !headers.contains_key(CACHE_CONTROL) {
            let no_cache = |value: &HeaderValue| {
                value
                    .as_bytes()
                    .trim_ascii()
                    .eq_ignore_ascii_case(b"no-cache")
            };
            asks.no_cache = headers.get(PRAGMA).is_some_and(no_cache);
            return asks;
        }
        for (name, value) in directives(headers) {
            match &*name {
                "no-store" => asks.no_store = true,
                "no-cache" => asks.no_cache = true,
                "only-if-cached" => asks.only_if_cached = true,
                "max-age" => shorten(&mut asks.max_age, seconds(value)),
                "min-fresh" => asks.min_fresh = asks.min_fresh.max(seconds(value)),
                "max-stale" => {
                    let span = value.map_or(LONGEST, |value| seconds(Some(value)));
                    shorten(&mut asks.max_stale, span);
                }
                _ => {}
            }
        }
        asks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(value: &str) -> Asks {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_str(value).unwrap());
        Asks::read(&headers)
    }

    #[test]
    fn requests_are_read_whatever_their_case() {
        assert!(asks("No-Store").no_store);
        assert!(asks("max-age=5, NO-CACHE").no_cache);
        assert_eq!(
            asks("max-age=7,max-age=\"5\"").max_age,
            Some(Duration::from_secs(5))
        );
        assert_eq!(asks("max-age=-1").max_age, Some(Duration::ZERO));
        assert_eq!(asks("max-age").max_age, Some(Duration::ZERO));
        assert_eq!(asks("max-stale").max_stale, Some(LONGEST));
        assert_eq!(
            asks("max-stale=99999999999999999999999").max_stale,
            Some(LONGEST)
        );
        assert_eq!(asks("min-fresh=3").min_fresh, Duration::from_secs(3));
        assert_eq!(asks(",=,\"").max_age, None);
        let mut pragma = HeaderMap::new();
        pragma.insert(PRAGMA, HeaderValue::from_static("No-Cache"));
        assert!(Asks::read(&pragma).no_cache);
    }
}

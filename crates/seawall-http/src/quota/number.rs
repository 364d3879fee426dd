//! Numbers and names in headers, and the count of what could not be read.

use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{HeaderMap, HeaderName};

/// How often a header about a limit could not be read in this process, and was ignored: an
/// upstream whose limits are not heard is one to look at.
///
/// One count per field of an answer: a value that is no number, is too large or negative, more
/// left than there is, a reset that is further off than [`LONGEST_RESET`](super::LONGEST_RESET),
/// the same header twice with different values.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use seawall_http::quota::{RateLimitHeaders, unreadable_rate_limit};
///
/// let before = unreadable_rate_limit();
/// let mut headers = HeaderMap::new();
/// headers.insert("x-ratelimit-remaining", HeaderValue::from_static("plenty"));
/// RateLimitHeaders::alpaca().read(&headers, |limit| unreachable!("{limit:?}"));
/// assert!(unreadable_rate_limit() > before);
/// ```
pub fn unreadable_rate_limit() -> u64 {
    UNREADABLE.load(Ordering::Relaxed)
}

// Of the process: readers are values, and there is no layer among them that could own a counter.
static UNREADABLE: AtomicU64 = AtomicU64::new(0);

pub(super) fn unreadable() {
    UNREADABLE.fetch_add(1, Ordering::Relaxed);
}

/// `value`, counted as unreadable when it is `None`.
pub(super) fn counted<T>(value: Option<T>) -> Option<T> {
    if value.is_none() {
        unreadable();
    }
    value
}

/// The text of a header that says one thing. Of two values that differ none can be believed.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.any(|other| other != value) {
        unreadable();
        return None;
    }
    counted(value.to_str().ok().map(str::trim))
}

/// The number in a header; see [`whole`].
pub(super) fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    counted(whole(text(headers, name)?))
}

/// A decimal number without its fraction, as half a request cannot be sent.
pub(super) fn whole(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    // `parse` would take a sign.
    (digits(whole) && digits(fraction))
        .then(|| whole.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fraction_is_cut_off() {
        assert_eq!(whole("996.0"), Some(996));
        assert_eq!(whole("0.99"), Some(0));
        assert_eq!(whole("007"), Some(7));
        assert_eq!(whole("18446744073709551615"), Some(u64::MAX));
    }

    #[test]
    fn what_is_no_amount_is_none() {
        let huge = format!("1{}", "0".repeat(30));
        for garbage in [
            "",
            ".",
            ".5",
            "-1",
            "+1",
            "-0",
            "1e3",
            "NaN",
            "inf",
            "1,000",
            "1 000",
            "0x10",
            "1.2.3",
            "18446744073709551616",
            &huge,
            "\u{661}",
        ] {
            assert_eq!(whole(garbage), None, "{garbage:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_are_written(n: u64, fraction in "(\\.[0-9]{0,9})?") {
            prop_assert_eq!(whole(&format!("{n}{fraction}")), Some(n));
        }
    }
}

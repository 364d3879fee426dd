//! gRPC's own header for when to come back.

use std::time::Duration;

use http::HeaderMap;
use seawall_core::{Reason, Rejection};

/// The metadata key in which a server sends when to retry (gRFC A6).
pub const RETRY_PUSHBACK_MS: &str = "grpc-retry-pushback-ms";

/// What a server asks for before another attempt.
///
/// ```
/// use std::time::Duration;
/// use http::{HeaderMap, HeaderValue};
/// use seawall_grpc::{Pushback, RETRY_PUSHBACK_MS};
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(Pushback::of(&headers), None);
/// headers.insert(RETRY_PUSHBACK_MS, HeaderValue::from_static("250"));
/// assert_eq!(Pushback::of(&headers), Some(Pushback::After(Duration::from_millis(250))));
/// headers.insert(RETRY_PUSHBACK_MS, HeaderValue::from_static("-1"));
/// assert_eq!(Pushback::of(&headers), Some(Pushback::Never));
/// ```
// Exhaustive: gRFC A6 knows these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pushback {
    /// Not before this wait.
    After(Duration),
    /// Not at all: by gRFC A6 a negative number, and anything that is not a number.
    Never,
}

impl Pushback {
    /// The pushback in the headers or the metadata of a response, if there is one.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(RETRY_PUSHBACK_MS)?.as_bytes();
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        Some(if digits {
            // Only the length can be wrong.
            let text = std::str::from_utf8(value).unwrap_or_default();
            Self::After(Duration::from_millis(text.parse().unwrap_or(u64::MAX)))
        } else {
            Self::Never
        })
    }

    /// The wait that is asked for; [`Duration::MAX`] where there should be no other attempt.
    pub const fn wait(self) -> Duration {
        match self {
            Self::After(wait) => wait,
            Self::Never => Duration::MAX,
        }
    }

    /// The wait, at most `longest` unless there should be no other attempt.
    pub(crate) fn wait_within(self, longest: Duration) -> Duration {
        match self {
            Self::After(wait) => wait.min(longest),
            Self::Never => self.wait(),
        }
    }

    /// The pushback that a rejection sends to the other side.
    pub(crate) fn in_rejection(rejection: &Rejection) -> Option<Self> {
        match (rejection.reason(), rejection.retry_after()) {
            // It will not become cheaper.
            (Reason::TooExpensive, _) => Some(Self::Never),
            _ if rejection.is_final() => Some(Self::Never),
            (_, wait) => wait.map(Self::After),
        }
    }

    /// The value on the wire: whole milliseconds, rounded up.
    pub(crate) fn to_text(self) -> String {
        match self {
            Self::After(wait) => wait.as_nanos().div_ceil(1_000_000).to_string(),
            Self::Never => "-1".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(value: &str) -> Option<Pushback> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_PUSHBACK_MS, HeaderValue::from_str(value).unwrap());
        Pushback::of(&headers)
    }

    #[test]
    fn anything_but_a_number_means_never() {
        for never in ["", "-1", "+1", "soon", "1.5", " 1"] {
            assert_eq!(read(never), Some(Pushback::Never), "{never:?}");
        }
        assert_eq!(read("0"), Some(Pushback::After(Duration::ZERO)));
        let enormous = Pushback::After(Duration::from_millis(u64::MAX));
        assert_eq!(read(&"9".repeat(40)), Some(enormous));
    }

    #[test]
    fn waits_are_rounded_up_and_come_back_as_sent() {
        for (wait, text) in [
            (Duration::ZERO, "0"),
            (Duration::from_nanos(1), "1"),
            (Duration::from_micros(2_500), "3"),
        ] {
            assert_eq!(Pushback::After(wait).to_text(), text);
        }
        for pushback in [Pushback::Never, Pushback::After(Duration::from_secs(7))] {
            assert_eq!(read(&pushback.to_text()), Some(pushback));
        }
    }
}

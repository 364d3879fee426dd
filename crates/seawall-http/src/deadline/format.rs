//! How a header expresses the time that is left.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use seawall_core::InvalidConfig;

/// A header with the time for which a response is of use, and its form.
pub trait DeadlineFormat {
    /// The name of the header.
    fn header(&self) -> &HeaderName;

    /// The time in a value; `None` when there is none. Must not panic, whatever it is given.
    fn parse(&self, value: &[u8]) -> Option<Duration>;

    /// The value for `left`: never longer, except where that would be zero and zero means something
    /// else.
    fn format(&self, left: Duration) -> HeaderValue;
}

static EXPECTED: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");

/// A header of whole milliseconds or seconds.
///
/// ```
/// use std::time::Duration;
/// use seawall_http::deadline::{DeadlineFormat, DeadlineHeader};
///
/// let header = DeadlineHeader::default();
/// assert_eq!(header.header(), "x-envoy-expected-rq-timeout-ms");
/// assert_eq!(header.format(Duration::from_micros(2_500)), "2");
/// assert_eq!(header.parse(b"2"), Some(Duration::from_millis(2)));
///
/// let header = DeadlineHeader::seconds("request-timeout")?;
/// assert_eq!(header.parse(b"30"), Some(Duration::from_secs(30)));
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadlineHeader {
    name: HeaderName,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Millis,
    Seconds,
}

impl DeadlineHeader {
    /// A header of that name in whole milliseconds.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `header` when `name` is not the name of a header.
    pub fn millis(name: &str) -> Result<Self, InvalidConfig> {
        Self::of(name, Unit::Millis)
    }

    /// A header of that name in whole seconds.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `header` when `name` is not the name of a header.
    pub fn seconds(name: &str) -> Result<Self, InvalidConfig> {
        Self::of(name, Unit::Seconds)
    }

    fn of(name: &str, unit: Unit) -> Result<Self, InvalidConfig> {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Ok(Self { name, unit }),
            Err(_) => Err(InvalidConfig::new(
                "header",
                format!("{name:?}"),
                "the name of an HTTP header",
            )),
        }
    }
}

impl Default for DeadlineHeader {
    /// `x-envoy-expected-rq-timeout-ms`, in milliseconds.
    fn default() -> Self {
        Self {
            name: EXPECTED.clone(),
            unit: Unit::Millis,
        }
    }
}

impl DeadlineFormat for DeadlineHeader {
    fn header(&self) -> &HeaderName {
        &self.name
    }

    fn parse(&self, value: &[u8]) -> Option<Duration> {
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
        match (number, self.unit) {
            (0, _) => None,
            (number, Unit::Millis) => Some(Duration::from_millis(number)),
            (number, Unit::Seconds) => Some(Duration::from_secs(number)),
        }
    }

    fn format(&self, left: Duration) -> HeaderValue {
        let number = match self.unit {
            Unit::Millis => u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            Unit::Seconds => left.as_secs(),
        };
        HeaderValue::from(number.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn garbage_says_nothing() {
        let header = DeadlineHeader::default();
        let long = "1".repeat(31);
        for garbage in [
            "", "0", "000", "-1", "+1", "1.5", "1s", " 1", "soon", "\u{661}", &long,
        ] {
            assert_eq!(header.parse(garbage.as_bytes()), None, "{garbage:?}");
        }
        assert_eq!(header.parse(b"0001"), Some(Duration::from_millis(1)));
    }

    #[test]
    fn a_name_that_no_header_has_is_rejected() {
        for name in ["", "a b", "a:", "\n"] {
            assert_eq!(DeadlineHeader::millis(name).unwrap_err().field(), "header");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let header = DeadlineHeader::seconds("x").unwrap();
            let plain = std::str::from_utf8(&value).is_ok_and(|v| v.parse::<u64>().is_ok());
            prop_assert!(header.parse(&value).is_none() || plain);
        }

        #[test]
        fn what_is_written_is_read_and_never_longer(ns in any::<u64>(), seconds: bool) {
            let left = Duration::from_nanos(ns);
            let (header, unit) = if seconds {
                (DeadlineHeader::seconds("x").unwrap(), Duration::from_secs(1))
            } else {
                (DeadlineHeader::default(), Duration::from_millis(1))
            };
            let read = header.parse(header.format(left).as_bytes()).unwrap();
            prop_assert!(read <= left.max(unit));
            prop_assert!(left.saturating_sub(read) < unit);
        }
    }
}

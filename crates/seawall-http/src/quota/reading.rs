//! The headers of one response, and how many of them could not be read.

use std::cell::Cell;

use http::header::{HeaderMap, HeaderName};

/// The headers of one response, as they are read.
pub(super) struct Reading<'a> {
    pub(super) headers: &'a HeaderMap,
    unreadable: Cell<u32>,
}

impl<'a> Reading<'a> {
    pub(super) const fn new(headers: &'a HeaderMap) -> Self {
        Self {
            headers,
            unreadable: Cell::new(0),
        }
    }

    /// How many fields could not be read so far.
    pub(super) const fn unreadable(&self) -> u32 {
        self.unreadable.get()
    }

    /// Counts a field that could not be read.
    pub(super) fn count_unreadable(&self) {
        self.unreadable.set(self.unreadable.get().saturating_add(1));
    }

    /// `value`, counted as unreadable when it is `None`.
    pub(super) fn counted<T>(&self, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.count_unreadable();
        }
        value
    }

    /// The text of a header with one value. Of two values that differ neither can be trusted.
    pub(super) fn text(&self, name: &HeaderName) -> Option<&'a str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        if values.any(|other| other != value) {
            self.count_unreadable();
            return None;
        }
        self.counted(value.to_str().ok().map(str::trim))
    }

    /// The number in a header; see [`whole`].
    pub(super) fn number(&self, name: &HeaderName) -> Option<u64> {
        self.counted(whole(self.text(name)?))
    }
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

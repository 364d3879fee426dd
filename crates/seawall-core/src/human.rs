//! Durations for people.

use std::fmt;
use std::time::Duration;

/// A wait in words for people: rounded up to two digits or whole units, so that it is never too
/// short.
pub(crate) struct Wait(pub(crate) Duration);

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u128, &str); 5] = [
            (1_000_000, "ms"),
            (1_000_000_000, "s"),
            (60 * 1_000_000_000, "min"),
            (3_600 * 1_000_000_000, "h"),
            (86_400 * 1_000_000_000, "days"),
        ];
        let ns = self.0.as_nanos();
        if ns == 0 {
            return f.write_str("0 ms");
        }
        // A unit is used up to twice the next one: 90 s, not 1.5 min.
        let fits = |i: &usize| UNITS.get(i + 1).is_none_or(|(next, _)| ns < next * 2);
        let index = (0..UNITS.len()).find(fits).unwrap_or(UNITS.len() - 1);
        let (unit, name) = UNITS[index];
        // Seconds below ten have a tenth, everything else is whole.
        if name == "s" && ns < 10 * unit {
            let tenths = ns.div_ceil(unit / 10);
            if !tenths.is_multiple_of(10) {
                return write!(f, "{}.{} s", tenths / 10, tenths % 10);
            }
            return write!(f, "{} s", tenths / 10);
        }
        write!(f, "{} {name}", ns.div_ceil(unit))
    }
}

/// A duration in settings and in errors of configuration: as Rust writes it, save that nothing is
/// `0s` whatever it was made of, and [`Duration::MAX`] is `forever`.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::Span;
///
/// assert_eq!(Span(Duration::ZERO).to_string(), "0s");
/// assert_eq!(Span(Duration::from_millis(1_500)).to_string(), "1.5s");
/// assert_eq!(Span(Duration::MAX).to_string(), "forever");
/// assert_eq!(Span::or_none(None), "none");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// A duration that may be missing: `none`.
    pub fn or_none(duration: Option<Duration>) -> String {
        duration.map_or_else(|| "none".to_owned(), |duration| Self(duration).to_string())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Duration::ZERO => f.write_str("0s"),
            Duration::MAX => f.write_str("forever"),
            duration => write!(f, "{duration:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up_for_people() {
        for (ns, text) in [
            (0, "0 ms"),
            (1, "1 ms"),
            (250_000_000, "250 ms"),
            (1_999_000_001, "2000 ms"),
            (2_000_000_000, "2 s"),
            (2_340_000_000, "2.4 s"),
            (12_000_000_001, "13 s"),
            (90_000_000_000, "90 s"),
            (120_000_000_000, "2 min"),
            (3_600_000_000_000, "60 min"),
            (7_200_000_000_000, "2 h"),
            (86_400_000_000_000, "24 h"),
            (172_800_000_000_000, "2 days"),
        ] {
            assert_eq!(Wait(Duration::from_nanos(ns)).to_string(), text);
        }
        assert_eq!(Wait(Duration::MAX).to_string(), "213503982334602 days");
    }
}

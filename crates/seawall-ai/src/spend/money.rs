//! Amounts of money, exact.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use seawall_core::InvalidConfig;

/// An amount of money in a currency of the user's own, exact to twelve decimals.
///
/// Nothing is rounded: it is a whole number of trillionths. Sums saturate at 10^26.
///
/// ```
/// use seawall_ai::spend::Money;
///
/// let price: Money = "0.075".parse()?;
/// assert_eq!(price.to_string(), "0.075");
/// assert_eq!(price.plus("2".parse()?).to_string(), "2.075");
/// let invalid = "1.5e3".parse::<Money>().unwrap_err();
/// assert_eq!(
///     invalid.to_string(),
///     "`money` is \"1.5e3\", accepted is a decimal number from 0 to 18446744073709551615, with at \
///      most 12 decimals",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u128);

const DECIMALS: usize = 12;
const UNIT: u128 = 1_000_000_000_000;
/// Far from overflow, also for sums of sums.
const MOST: u128 = UNIT * 100_000_000_000_000_000_000_000_000;

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many full units of the currency.
    pub const fn whole(units: u64) -> Self {
        Self(units as u128 * UNIT)
    }

    /// Both together; saturates.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        let sum = self.0 + other.0;
        Self(if sum > MOST { MOST } else { sum })
    }

    /// What is left without `other`; zero where that is more.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// So many times this; saturates.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        let product = self.0.saturating_mul(count as u128);
        Self(if product > MOST { MOST } else { product })
    }

    /// A millionth; `None` where that is not exact.
    pub(crate) const fn millionth(self) -> Option<Self> {
        match self.0 % 1_000_000 {
            0 => Some(Self(self.0 / 1_000_000)),
            _ => None,
        }
    }

    /// In hundredths, rounded up; saturates.
    pub(crate) fn hundredths(self) -> u32 {
        u32::try_from(self.0.div_ceil(UNIT / 100)).unwrap_or(u32::MAX)
    }

    /// As a float, for a metric.
    pub(crate) const fn approximate(self) -> f64 {
        self.0 as f64 / UNIT as f64
    }
}

impl FromStr for Money {
    type Err = InvalidConfig;

    fn from_str(text: &str) -> Result<Self, InvalidConfig> {
        let invalid = || {
            let accepted = format!(
                "a decimal number from 0 to {}, with at most {DECIMALS} decimals",
                u64::MAX
            );
            let text: String = text.chars().take(60).collect();
            InvalidConfig::new("money", format!("{text:?}"), accepted)
        };
        let (units, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(units) || !digits(decimals) || decimals.len() > DECIMALS {
            return Err(invalid());
        }
        let units: u64 = units.parse().ok().ok_or_else(invalid)?;
        let decimals: u64 = format!("{decimals:0<DECIMALS$}")
            .parse()
            .ok()
            .ok_or_else(invalid)?;
        Ok(Self(u128::from(units) * UNIT + u128::from(decimals)))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, decimals) = (self.0 / UNIT, self.0 % UNIT);
        if decimals == 0 {
            return write!(f, "{units}");
        }
        let decimals = format!("{decimals:0>DECIMALS$}");
        write!(f, "{units}.{}", decimals.trim_end_matches('0'))
    }
}

/// As [`Display`](fmt::Display).
impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

/// As text, since a float would not be exact.
#[cfg(feature = "serde")]
impl serde::Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_amount_is_rejected() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1,5",
            "1e3",
            "NaN",
            "0.0000000000001",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_amount_is_written_as_money_everywhere() {
        let amount: Money = "2.075".parse().unwrap();
        assert_eq!(format!("{amount} {amount:?}"), "2.075 2.075");
    }

    #[test]
    fn the_largest_amounts_saturate() {
        let most = Money::whole(u64::MAX).times(u64::MAX);
        assert_eq!(most, Money(MOST));
        assert_eq!(most.plus(most), most);
        assert_eq!(most.hundredths(), u32::MAX);
        assert_eq!(Money::ZERO.less(most), Money::ZERO);
    }

    proptest! {
        #[test]
        fn an_amount_is_read_as_it_is_written(units in any::<u64>(), decimals in 0..UNIT as u64) {
            let amount = Money(u128::from(units) * UNIT + u128::from(decimals));
            prop_assert_eq!(amount.to_string().parse::<Money>(), Ok(amount));
        }
    }
}

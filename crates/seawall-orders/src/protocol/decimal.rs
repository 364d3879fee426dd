//! Exact decimal numbers, for quantities and money.

use std::fmt;
use std::str::FromStr;

/// Digits behind the point.
const PLACES: usize = 18;
const ONE: i128 = 10_i128.pow(PLACES as u32);

/// An exact decimal number with 18 places and up to 20 digits before the point, as brokers write
/// quantities and money. Sums saturate.
///
/// ```
/// use seawall_orders::protocol::Decimal;
///
/// let filled: Decimal = "0.00250000".parse()?;
/// assert_eq!(filled.to_string(), "0.0025");
/// assert_eq!(filled, "0.0025".parse()?);
/// assert_eq!((filled + Decimal::from(3)).to_string(), "3.0025");
/// assert!("NaN".parse::<Decimal>().is_err());
/// # Ok::<(), seawall_orders::protocol::InvalidDecimal>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(i128);

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self(0);

    /// Without its sign.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }
}

impl From<u32> for Decimal {
    fn from(whole: u32) -> Self {
        Self(i128::from(whole) * ONE)
    }
}

impl std::ops::Add for Decimal {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::Sub for Decimal {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// Rounded to 18 places towards zero.
impl std::ops::Mul for Decimal {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let one = ONE.unsigned_abs();
        let [(whole_a, part_a), (whole_b, part_b)] = [self, other].map(|of| {
            let whole = of.0.unsigned_abs() / one;
            (whole, of.0.unsigned_abs() - whole * one)
        });
        // Only the product of the whole parts can be too large: a part is below 10^18, and a whole
        // below 1.71 * 10^20.
        let product = whole_a
            .saturating_mul(whole_b)
            .saturating_mul(one)
            .saturating_add(whole_a * part_b)
            .saturating_add(part_a * whole_b)
            .saturating_add(match part_a * part_b {
                // A division costs more than all else, and most quantities are whole numbers.
                0 => 0,
                parts => parts / one,
            });
        let product = i128::try_from(product).unwrap_or(i128::MAX);
        Self(if (self.0 < 0) == (other.0 < 0) {
            product
        } else {
            -product
        })
    }
}

#[cfg(feature = "serde")]
/// As its text, so that nothing is rounded.
impl serde::Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is no [`Decimal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDecimal(String);

impl fmt::Display for InvalidDecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(
            f,
            "`{text}` is no decimal number, accepted is one such as `-12.5` with up to 18 places"
        )
    }
}

impl std::error::Error for InvalidDecimal {}

impl FromStr for Decimal {
    type Err = InvalidDecimal;

    fn from_str(text: &str) -> Result<Self, InvalidDecimal> {
        parse(text)
            .map(Self)
            .ok_or_else(|| InvalidDecimal(text.chars().take(64).collect()))
    }
}

fn parse(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    // Zeros at the end say nothing, however many there are.
    let places = places.trim_end_matches('0');
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if digits.trim_matches('.').is_empty() || places.len() > PLACES {
        return None;
    }
    if !all_digits(whole) || !all_digits(places) {
        return None;
    }
    let number = |part: &str| {
        if part.is_empty() {
            Some(0)
        } else {
            part.parse::<i128>().ok()
        }
    };
    let scale = 10_i128.pow((PLACES - places.len()) as u32);
    let value = number(whole)?
        .checked_mul(ONE)?
        .checked_add(number(places)? * scale)?;
    Some(if digits.len() == text.len() {
        value
    } else {
        -value
    })
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (one, value) = (ONE as u128, self.0.unsigned_abs());
        let text = format!("{sign}{}.{:0PLACES$}", value / one, value % one);
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

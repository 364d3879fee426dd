//! Configuration values that cannot be wrong, and the one error they are rejected with.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// Why a configuration value was rejected: which field, what it was, and what is accepted.
///
/// ```
/// use seawall_core::Ratio;
///
/// let rejected = Ratio::new(1.5).unwrap_err().in_field("failure_rate");
/// assert_eq!(
///     rejected.to_string(),
///     "`failure_rate` is 1.5, accepted is a number from 0 to 1",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConfig {
    field: Cow<'static, str>,
    value: String,
    accepted: Cow<'static, str>,
}

impl InvalidConfig {
    /// Rejects `value` of `field` and says what is `accepted` instead.
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        value: impl fmt::Display,
        accepted: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field: field.into(),
            value: value.to_string(),
            accepted: accepted.into(),
        }
    }

    /// Names the field that the value was meant for, in place of the one named so far.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = field.into();
        self
    }

    /// The field that was rejected.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The rejected value, as it was given.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What is accepted in its place.
    pub fn accepted(&self) -> &str {
        &self.accepted
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is {}, accepted is {}",
            self.field, self.value, self.accepted
        )
    }
}

impl std::error::Error for InvalidConfig {}

/// A share from 0 to 1, both included; never NaN.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);
    /// One half.
    pub const HALF: Self = Self(0.5);
    /// Everything.
    pub const ONE: Self = Self(1.0);

    /// Takes a share given as a number from 0 to 1.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `value` is NaN, below 0 or above 1.
    pub fn new(value: f64) -> Result<Self, InvalidConfig> {
        if (0.0..=1.0).contains(&value) {
            // Adding zero turns a negative zero into zero.
            Ok(Self(value + 0.0))
        } else {
            Err(InvalidConfig::new("ratio", value, "a number from 0 to 1"))
        }
    }

    /// The share as a number from 0 to 1.
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// A count of at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NonZeroCount(NonZeroU32);

impl NonZeroCount {
    /// One.
    pub const ONE: Self = Self(NonZeroU32::MIN);

    /// Takes a count of at least one.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `value` is 0.
    pub fn new(value: u32) -> Result<Self, InvalidConfig> {
        NonZeroU32::new(value)
            .map(Self)
            .ok_or_else(|| InvalidConfig::new("count", value, "a whole number from 1"))
    }

    /// Checks the setting `field`: `NonZeroCount::check("permits", permits)?`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `field` when `value` is 0.
    pub fn check(field: &'static str, value: u32) -> Result<(), InvalidConfig> {
        Self::new(value).map_err(|invalid| invalid.in_field(field))?;
        Ok(())
    }

    /// The count as a number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// A duration longer than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NonZeroDuration(Duration);

impl NonZeroDuration {
    /// Takes a duration longer than zero; [`Duration::MAX`] is accepted and means "forever".
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `value` is zero.
    pub fn new(value: Duration) -> Result<Self, InvalidConfig> {
        if value.is_zero() {
            Err(InvalidConfig::new("duration", "0s", "longer than zero"))
        } else {
            Ok(Self(value))
        }
    }

    /// Checks the setting `field`: `NonZeroDuration::check("window", window)?`.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `field` when `value` is zero.
    pub fn check(field: &'static str, value: Duration) -> Result<(), InvalidConfig> {
        Self::new(value).map_err(|invalid| invalid.in_field(field))?;
        Ok(())
    }

    /// So many seconds; `None` for zero. For constants.
    pub const fn from_secs(secs: u64) -> Option<Self> {
        if secs == 0 {
            None
        } else {
            Some(Self(Duration::from_secs(secs)))
        }
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Ratio> for f64 {
    fn from(ratio: Ratio) -> Self {
        ratio.get()
    }
}

impl From<NonZeroCount> for u32 {
    fn from(count: NonZeroCount) -> Self {
        count.get()
    }
}

impl From<NonZeroDuration> for Duration {
    fn from(duration: NonZeroDuration) -> Self {
        duration.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_outside_of_zero_to_one_are_rejected_by_name() {
        for bad in [-0.1, 1.000_1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let rejected = Ratio::new(bad).unwrap_err();
            assert_eq!(rejected.field(), "ratio");
            assert_eq!(rejected.value(), bad.to_string());
        }
        assert_eq!(Ratio::new(-0.0).unwrap().get().to_bits(), 0);
        assert_eq!(Ratio::new(1.0).unwrap(), Ratio::ONE);
    }

    #[test]
    fn zero_counts_and_durations_are_rejected() {
        assert_eq!(NonZeroCount::new(0).unwrap_err().field(), "count");
        assert_eq!(NonZeroCount::new(1).unwrap(), NonZeroCount::ONE);
        assert_eq!(
            NonZeroDuration::new(Duration::ZERO).unwrap_err().value(),
            "0s"
        );
        assert_eq!(
            NonZeroDuration::new(Duration::MAX).unwrap().get(),
            Duration::MAX
        );
    }
}

//! Settings of a provider that cannot be wrong.

use std::fmt;
use std::time::Duration;

/// A setting that no provider could have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSetting {
    field: &'static str,
    value: String,
    accepted: &'static str,
}

impl InvalidSetting {
    pub(crate) fn new(
        field: &'static str,
        value: &dyn fmt::Display,
        accepted: &'static str,
    ) -> Self {
        let value = value.to_string();
        Self {
            field,
            value,
            accepted,
        }
    }

    /// The name of the field.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} = {}: expected {}",
            self.field, self.value, self.accepted
        )
    }
}

impl std::error::Error for InvalidSetting {}

fn positive(field: &'static str, value: Duration) -> Result<(), InvalidSetting> {
    const DAY_400: Duration = Duration::from_secs(400 * 24 * 60 * 60);
    if value.is_zero() || value > DAY_400 {
        let accepted = "more than 0, at most 400 days";
        return Err(InvalidSetting {
            field,
            value: format!("{value:?}"),
            accepted,
        });
    }
    Ok(())
}

/// A number of requests, or of tokens, per time.
///
/// ```
/// use std::time::Duration;
/// use seawall_sim::provider::Limit;
///
/// let demo = Limit::new(20, Duration::from_secs(1))?;
/// assert_eq!((demo.count(), demo.per()), (20, Duration::from_secs(1)));
/// assert!(Limit::new(0, Duration::from_secs(1)).is_err());
/// # Ok::<(), seawall_sim::provider::InvalidSetting>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    count: u32,
    per: Duration,
}

impl Limit {
    /// At most `count` requests (or tokens) in each `per`.
    ///
    /// # Errors
    ///
    /// The count is 0, or the time is 0 or longer than 400 days.
    pub fn new(count: u32, per: Duration) -> Result<Self, InvalidSetting> {
        if count == 0 {
            let accepted = "at least 1";
            return Err(InvalidSetting {
                field: "count",
                value: "0".to_owned(),
                accepted,
            });
        }
        positive("per", per)?;
        Ok(Self { count, per })
    }

    /// For literals whose validity is plain to see.
    pub(crate) const fn known(count: u32, per: Duration) -> Self {
        Self { count, per }
    }

    /// The number of requests or tokens.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The time in which they may be used.
    #[must_use]
    pub const fn per(self) -> Duration {
        self.per
    }
}

/// When a provider stops talking to a caller that keeps violating its limits.
///
/// None of the built-in profiles bans by itself, as the real ones do not; the constants are what
/// those that do ban are known for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BanPolicy {
    pub(crate) after_violations: u32,
    pub(crate) within: Duration,
    pub(crate) lasts: Duration,
    pub(crate) status: u16,
    pub(crate) prolonged: bool,
}

impl BanPolicy {
    /// Interactive Brokers' Web API: the first violation puts the caller into the penalty box for
    /// ten minutes, with status 429.
    pub const INTERACTIVE_BROKERS: Self = Self::known(1, 60, 600, 429, false);
    /// SEC EDGAR: 403 until the rate has been low for ten minutes; each request in the meantime
    /// starts the ten minutes again.
    pub const SEC_EDGAR: Self = Self::known(1, 60, 600, 403, true);
    /// Binance: an address that goes on after 429 is banned with 418, for two minutes at first.
    pub const BINANCE: Self = Self::known(2, 60, 120, 418, false);

    const fn known(violations: u32, within: u64, lasts: u64, status: u16, prolonged: bool) -> Self {
        Self {
            after_violations: violations,
            within: Duration::from_secs(within),
            lasts: Duration::from_secs(lasts),
            status,
            prolonged,
        }
    }

    /// Bans for `lasts` after `after_violations` violations within `within`, with `status`.
    ///
    /// # Errors
    ///
    /// The number is 0, a time is 0 or longer than 400 days, or the status is not 400 to 599.
    pub fn new(
        after_violations: u32,
        within: Duration,
        lasts: Duration,
        status: u16,
    ) -> Result<Self, InvalidSetting> {
        if after_violations == 0 {
            let (field, accepted) = ("after_violations", "at least 1");
            return Err(InvalidSetting {
                field,
                value: "0".to_owned(),
                accepted,
            });
        }
        positive("within", within)?;
        positive("lasts", lasts)?;
        if !(400..600).contains(&status) {
            let accepted = "a status from 400 to 599";
            return Err(InvalidSetting {
                field: "status",
                value: status.to_string(),
                accepted,
            });
        }
        Ok(Self {
            after_violations,
            within,
            lasts,
            status,
            prolonged: false,
        })
    }

    /// Every request during a ban starts it again; by default nothing prolongs a ban.
    #[must_use]
    pub fn prolonged_by_requests(mut self, prolonged: bool) -> Self {
        self.prolonged = prolonged;
        self
    }

    /// The same policy with bans of another length, for runs that cannot wait ten minutes.
    ///
    /// # Errors
    ///
    /// The time is 0 or longer than 400 days.
    pub fn lasting(mut self, lasts: Duration) -> Result<Self, InvalidSetting> {
        positive("lasts", lasts)?;
        self.lasts = lasts;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn absurd_settings_are_rejected_by_name() {
        let zero = Duration::ZERO;
        assert_eq!(
            Limit::new(0, SECOND).expect_err("zero").to_string(),
            "count = 0: expected at least 1"
        );
        assert_eq!(Limit::new(1, zero).expect_err("zero").field(), "per");
        assert_eq!(
            Limit::new(1, Duration::MAX).expect_err("endless").field(),
            "per"
        );
        assert_eq!(
            BanPolicy::new(0, SECOND, SECOND, 403)
                .expect_err("")
                .field(),
            "after_violations"
        );
        assert_eq!(
            BanPolicy::new(1, SECOND, zero, 403).expect_err("").field(),
            "lasts"
        );
        assert_eq!(
            BanPolicy::new(1, SECOND, SECOND, 200)
                .expect_err("")
                .field(),
            "status"
        );
    }
}

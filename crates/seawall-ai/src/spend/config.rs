//! The settings of a budget.

use seawall_core::InvalidConfig;

use super::money::Money;
use super::period::SpendPeriod;

/// How much may be spent per hour, day and month, and when these begin.
///
/// ```
/// use seawall_ai::spend::{Money, SpendConfig};
///
/// let config = SpendConfig::builder()
///     .per_day(Money::whole(50))
///     .per_month(Money::whole(400))
///     .utc_offset(-5 * 3_600)
///     .build()?;
/// assert_eq!(config.per_hour(), None);
///
/// let invalid = SpendConfig::builder().build().unwrap_err();
/// assert_eq!(
///     invalid.to_string(),
///     "`limits` is none, accepted is at least one of per_hour, per_day and per_month",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpendConfig {
    per_hour: Option<Money>,
    per_day: Option<Money>,
    per_month: Option<Money>,
    utc_offset: i32,
    shadow: bool,
}

impl SpendConfig {
    /// Starts without any limit.
    pub fn builder() -> SpendConfigBuilder {
        SpendConfigBuilder::default()
    }

    seawall_core::getters! {
        /// The most per hour.
        pub const fn per_hour -> Option<Money>;
        /// The most per day.
        pub const fn per_day -> Option<Money>;
        /// The most per month.
        pub const fn per_month -> Option<Money>;
        /// By how many seconds the clocks are ahead of UTC by which days and months begin.
        pub const fn utc_offset -> i32;
        /// Whether the budget starts in shadow mode.
        pub const fn shadow -> bool;
    }

    /// The most per `period`.
    pub const fn limit(&self, period: SpendPeriod) -> Option<Money> {
        match period {
            SpendPeriod::Hour => self.per_hour,
            SpendPeriod::Day => self.per_day,
            SpendPeriod::Month => self.per_month,
        }
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let money = |limit: Option<Money>| limit.map_or("none".to_owned(), |most| most.to_string());
        vec![
            ("per_hour", money(self.per_hour)),
            ("per_day", money(self.per_day)),
            ("per_month", money(self.per_month)),
            ("utc_offset", self.utc_offset.to_string()),
            ("shadow", self.shadow.to_string()),
        ]
    }
}

/// Collects the settings of a budget; see [`SpendConfig::builder`].
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct SpendConfigBuilder {
    config: SpendConfig,
}

impl SpendConfigBuilder {
    seawall_core::setters! { self.config:
        /// The most that may be spent from one full hour to the next. Default: any amount.
        pub const fn per_hour(Some(Money));

        /// The most that may be spent from midnight to midnight. Default: any amount.
        pub const fn per_day(Some(Money));

        /// The most that may be spent in a calendar month. Default: any amount.
        pub const fn per_month(Some(Money));

        /// By how many seconds clocks are ahead of UTC, all year, by which hours, days and months begin:
        /// from -86,399 to 86,399; negative to the west. Default: 0.
        pub const fn utc_offset(i32);

        /// Whether the budget starts in shadow mode: what it would reject passes, and is counted
        /// and emitted. Default: no.
        pub const fn shadow(bool);
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when there is no limit or one of zero, a longer period has a smaller limit than
    /// a shorter one, which would be without effect, or `utc_offset` is a day or more.
    pub fn build(self) -> Result<SpendConfig, InvalidConfig> {
        let config = self.config;
        let limits = [
            ("per_hour", config.per_hour),
            ("per_day", config.per_day),
            ("per_month", config.per_month),
        ];
        let mut least = None;
        for (field, limit) in limits {
            let Some(limit) = limit else { continue };
            if limit == Money::ZERO {
                return Err(InvalidConfig::new(field, 0, "more than zero"));
            }
            if least.is_some_and(|least| limit < least) {
                let accepted = "no less than for a shorter period";
                return Err(InvalidConfig::new(field, limit, accepted));
            }
            least = Some(limit);
        }
        if least.is_none() {
            let accepted = "at least one of per_hour, per_day and per_month";
            return Err(InvalidConfig::new("limits", "none", accepted));
        }
        if config.utc_offset.unsigned_abs() >= 86_400 {
            let accepted = "seconds east of Greenwich, from -86399 to 86399";
            return Err(InvalidConfig::new(
                "utc_offset",
                config.utc_offset,
                accepted,
            ));
        }
        Ok(config)
    }
}

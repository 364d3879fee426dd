//! One rule of a provider: how much of what per period.

use std::fmt;
use std::time::Duration;

use seawall_core::{InvalidConfig, Unit, ns};

use super::daily_reset::DailyReset;
use super::quota_file::QuotaFile;
use crate::bucket::{MAX_FILL_NS, Rate, fill_ns};

/// How many limits one layer has at most.
pub(crate) const MAX_LIMITS: usize = 8;

/// One rule of a provider: how much of what per period, and how the provider counts.
///
/// Each constructor returns a type of its own, which has only the options that it uses. All of
/// them convert into `Limit`, and
/// [`RateLimitConfigBuilder::limit`](crate::RateLimitConfigBuilder::limit) takes any of them.
///
/// | constructor | grants | use it when |
/// |---|---|---|
/// | [`bucket`](Self::bucket) | a rate, and a burst after idle time | the provider counts smoothly, or you stay well below its limit; the cheapest: alone it takes no lock |
/// | [`quota`](Self::quota) | a bucket at a share of what is allowed | you do not know how the provider counts |
/// | [`strict`](Self::strict) | never more than the count in *any* period | the provider bans for one request too many |
/// | [`window`](Self::window) | the count from one full minute (hour, ...) of the wall clock to the next | the provider documents that it counts so |
/// | [`daily`](Self::daily) | the count per calendar day of a time zone | quotas of free plans |
///
/// Each counts [`Unit::Cost`] unless `with_unit` sets another unit. Values are checked by
/// [`RateLimitConfigBuilder::build`](crate::RateLimitConfigBuilder::build).
///
/// ```
/// use std::time::Duration;
/// use seawall_core::Unit;
/// use seawall_ratelimit::{DailyReset, Limit, RateLimitConfig};
///
/// // Orders at Zerodha Kite: 10 per second, 400 per minute, 5,000 per day.
/// let orders = RateLimitConfig::builder()
///     .limit(Limit::strict(10, Duration::from_secs(1)))
///     .limit(Limit::strict(400, Duration::from_secs(60)))
///     .limit(Limit::daily(5_000, DailyReset::offset(19_800)?))
///     .build()?;
/// assert_eq!(orders.limits().len(), 3);
/// assert_eq!(orders.limits()[1].to_string(), "400 cost per 60s, strict");
///
/// // Requests and tokens of an AI model, both at once.
/// let model = RateLimitConfig::builder()
///     .limit(Limit::bucket(500, Duration::from_secs(60)).with_unit(Unit::Requests))
///     .limit(Limit::bucket(200_000, Duration::from_secs(60)).burst(20_000).with_unit(Unit::Tokens))
///     .build()?;
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    count: u32,
    period: Duration,
    pub(super) unit: Unit,
    pub(super) kind: Kind,
}

/// How a limit counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Bucket {
        burst: Option<u32>,
    },
    Strict {
        margin: Duration,
    },
    Window {
        offset: Duration,
        margin: Duration,
    },
    Daily {
        reset: DailyReset,
        already_used: u32,
        file: Option<QuotaFile>,
    },
    /// A bucket at a utilization that leaves nothing for the burst, or nothing for the rate.
    Unusable {
        utilization: f64,
    },
}

impl Limit {
    pub(super) const fn new(count: u32, period: Duration, kind: Kind) -> Self {
        Self {
            count,
            period,
            unit: Unit::Cost,
            kind,
        }
    }

    seawall_core::getters! {
        /// How much is granted per [`period`](Self::period).
        pub const fn count -> u32;
        /// The period in which the [`count`](Self::count) is granted; 24 hours for a daily limit.
        pub const fn period -> Duration;
        /// What is counted.
        pub const fn unit -> Unit;
    }

    /// How it counts: `"bucket"`, `"strict"`, `"window"`, `"daily"`.
    pub const fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Bucket { .. } | Kind::Unusable { .. } => "bucket",
            Kind::Strict { .. } => "strict",
            Kind::Window { .. } => "window",
            Kind::Daily { .. } => "daily",
        }
    }

    /// The most that one call may cost.
    pub fn capacity(&self) -> u32 {
        match self.kind {
            Kind::Bucket { burst } => burst.unwrap_or(self.default_burst()),
            _ => self.count,
        }
    }

    fn default_burst(&self) -> u32 {
        (self.count / 10).max(1)
    }

    /// Whether a rejection is [`QuotaExhausted`](seawall_core::Reason::QuotaExhausted): waiting for
    /// seconds does not help.
    pub(crate) const fn is_quota(&self) -> bool {
        const MIN_SECS: u64 = 3_600;
        !matches!(self.kind, Kind::Bucket { .. }) && self.period.as_secs() >= MIN_SECS
    }

    /// Whether it needs the wall clock.
    pub(crate) const fn is_by_wall_clock(&self) -> bool {
        matches!(self.kind, Kind::Window { .. } | Kind::Daily { .. })
    }

    pub(crate) const fn how(&self) -> &Kind {
        &self.kind
    }

    pub(crate) const fn file(&self) -> Option<&QuotaFile> {
        match &self.kind {
            Kind::Daily { file, .. } => file.as_ref(),
            _ => None,
        }
    }

    /// How much an upstream allows in a window of its own, if this limit keeps to it.
    pub(crate) fn count_in(&self, window: Duration) -> u64 {
        if window == self.period {
            return self.count.into();
        }
        match self.rate() {
            Some(rate) => rate.at_most_within(ns(window)),
            None => {
                let share = u128::from(self.count) * window.as_nanos();
                let count = share.div_ceil(self.period.as_nanos().max(1));
                u64::try_from(count).unwrap_or(u64::MAX)
            }
        }
    }

    /// The rate of a bucket; `None` for other kinds.
    pub(crate) fn rate(&self) -> Option<Rate> {
        let Kind::Bucket { .. } = self.kind else {
            return None;
        };
        Some(Rate::new(self.count, ns(self.period), self.capacity()))
    }

    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        if let Kind::Unusable { utilization } = self.kind {
            let accepted = format!(
                "a share that leaves at least one of the {} for the rate and one for the burst; \
                 for all of it use a strict limit",
                self.count
            );
            return Err(InvalidConfig::new("utilization", utilization, accepted));
        }
        if self.count == 0 {
            return Err(InvalidConfig::new("rate", 0, "a whole number from 1"));
        }
        let period_ns = ns(self.period);
        if !(1..=MAX_FILL_NS).contains(&period_ns) {
            let accepted = "longer than zero and at most 366 days";
            return Err(InvalidConfig::new("period", debug(self.period), accepted));
        }
        match self.kind {
            Kind::Bucket { .. } => self.check_bucket(period_ns),
            Kind::Strict { margin } => check_margin(margin, self.period),
            Kind::Window { offset, .. } if offset >= self.period => Err(InvalidConfig::new(
                "offset",
                debug(offset),
                format!("shorter than the window, {:?}", self.period),
            )),
            Kind::Window { margin, .. } => check_margin(margin, self.period / 2),
            Kind::Daily { .. } | Kind::Unusable { .. } => Ok(()),
        }
    }

    fn check_bucket(&self, period_ns: u64) -> Result<(), InvalidConfig> {
        if u64::from(self.count) > period_ns {
            let accepted = format!(
                "at most one per nanosecond, {period_ns} per {:?}",
                self.period
            );
            return Err(InvalidConfig::new("rate", self.count, accepted));
        }
        let burst = self.capacity();
        if burst == 0 {
            return Err(InvalidConfig::new("burst", 0, "a whole number from 1"));
        }
        if fill_ns(self.count, period_ns, burst).is_none_or(|fill| fill > MAX_FILL_NS) {
            let accepted = "at most what the rate grants in 366 days";
            return Err(InvalidConfig::new("burst", burst, accepted));
        }
        Ok(())
    }
}

fn check_margin(margin: Duration, max: Duration) -> Result<(), InvalidConfig> {
    if margin <= max {
        return Ok(());
    }
    let accepted = format!("at most {max:?}");
    Err(InvalidConfig::new("margin", debug(margin), accepted))
}

fn debug(duration: Duration) -> String {
    format!("{duration:?}")
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit, kind) = (self.count, self.unit.as_str(), self.kind());
        match &self.kind {
            Kind::Bucket { .. } | Kind::Unusable { .. } => {
                let burst = self.capacity();
                write!(f, "{count} {unit} per {:?}, {burst} at once", self.period)
            }
            Kind::Daily { .. } => write!(f, "{count} {unit} per day"),
            Kind::Strict { .. } | Kind::Window { .. } => {
                write!(f, "{count} {unit} per {:?}, {kind}", self.period)
            }
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Limit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Limit", 5)?;
        fields.serialize_field("kind", self.kind())?;
        fields.serialize_field("count", &self.count)?;
        fields.serialize_field("period", &self.period.as_secs_f64())?;
        fields.serialize_field("unit", self.unit.as_str())?;
        fields.serialize_field("capacity", &self.capacity())?;
        fields.end()
    }
}

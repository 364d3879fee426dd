//! One rule of a provider: how much of what per which time.

use std::fmt;
use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, Ratio, Unit, ns};

use crate::bucket::{MAX_FILL_NS, Rate, fill_ns};
use crate::meter::{DailyReset, QuotaFile};

/// One rule of a provider: how much of what per which time, and how the provider counts.
///
/// | kind | what it grants | when to take it |
/// |---|---|---|
/// | [`bucket`](Self::bucket) | a rate, and a burst after a rest | the provider counts smoothly, or you stay well below its limit; the cheapest: no lock |
/// | [`strict`](Self::strict) | never more than the count in *any* stretch of the time | the provider bans for one request too many |
/// | [`window`](Self::window) | the count between two full minutes (hours, ...) of the wall clock | the provider counts by the clock and tells so |
/// | [`daily`](Self::daily) | the count per calendar day of a time zone | quotas of free plans |
///
/// Each counts [`Unit::Cost`], [`with_unit`](Self::with_unit) says otherwise. Nothing is checked
/// before [`RateLimitConfigBuilder::build`](crate::RateLimitConfigBuilder::build).
///
/// ```
/// use std::time::Duration;
/// use seawall_core::Unit;
/// use seawall_ratelimit::{Limit, DailyReset, RateLimitConfig};
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
    pub(crate) count: u32,
    pub(crate) per: Duration,
    pub(crate) unit: Unit,
    pub(crate) kind: Kind,
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
        midnight: DailyReset,
        already_used: u32,
        file: Option<QuotaFile>,
    },
    /// A share of what somebody else allows was asked for that leaves no room for a burst.
    Impossible {
        share: f64,
    },
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Limit {
    /// `rate` per `per` in the long run, and [a burst](Self::burst) at once after a rest: the
    /// generic cell rate algorithm. Any stretch of time `t` sees at most `burst + rate * t / per`.
    pub const fn bucket(rate: u32, per: Duration) -> Self {
        Self::new(rate, per, Kind::Bucket { burst: None })
    }

    /// Never more than `count` in any stretch of `per`: what a provider that keeps a log of the
    /// last requests lets through, to the last one.
    ///
    /// Up to 1,024 every departure is remembered (16 bytes each). Above, departures are counted
    /// in slices of 1/128 of `per` and each slice counts until all of it is old enough; so the
    /// bound still holds in any stretch, and at least 99 % of it can be used.
    pub const fn strict(count: u32, per: Duration) -> Self {
        let margin = Duration::ZERO;
        Self::new(count, per, Kind::Strict { margin })
    }

    /// At most `count` from one full `per` of the wall clock to the next: per minute, from second
    /// 0 on. Twice the count can depart around the moment where two windows meet, as the provider
    /// allows it.
    ///
    /// Only for providers that count so and whose clock is right: a clock that differs from this
    /// machine's by more than [the margin](Self::margin) sees departures in another window. Take
    /// [`strict`](Self::strict) where that is not certain.
    pub const fn window(count: u32, per: Duration) -> Self {
        let (offset, margin) = (Duration::ZERO, Duration::ZERO);
        Self::new(count, per, Kind::Window { offset, margin })
    }

    /// At most `count` per calendar day, from one midnight to the next. Who is rejected since the
    /// day's quota is used up hears [`QuotaExhausted`](seawall_core::Reason::QuotaExhausted), as
    /// with every limit of another kind than a bucket that counts over an hour or more.
    pub const fn daily(count: u32, midnight: DailyReset) -> Self {
        let kind = Kind::Daily {
            midnight,
            already_used: 0,
            file: None,
        };
        Self::new(count, DAY, kind)
    }

    /// What a provider allows, to take a share of: [`Allowed::at`].
    pub const fn of(count: u32, per: Duration) -> Allowed {
        Allowed { count, per }
    }

    const fn new(count: u32, per: Duration, kind: Kind) -> Self {
        Self {
            count,
            per,
            unit: Unit::Cost,
            kind,
        }
    }

    /// How much a bucket grants at once after a rest, and the most that one call may cost; of no
    /// effect on other kinds. A whole number from 1; default: a tenth of the rate, at least 1.
    #[must_use]
    pub fn burst(mut self, burst: u32) -> Self {
        if let Kind::Bucket { burst: old } = &mut self.kind {
            *old = Some(burst);
        }
        self
    }

    /// What is counted. Default: [`Unit::Cost`], which is 1 per request unless the request says
    /// otherwise.
    #[must_use]
    pub fn with_unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// By how much the time between departure and arrival may vary, and the clocks differ.
    ///
    /// A strict limit then keeps its count in any stretch of `per + margin`: two requests that
    /// depart `per` apart may arrive closer to each other. A window counts what departs within
    /// `margin` of its edge in both windows. Of no effect on other kinds. Default: zero.
    #[must_use]
    pub fn margin(mut self, by: Duration) -> Self {
        match &mut self.kind {
            Kind::Strict { margin } | Kind::Window { margin, .. } => *margin = by,
            Kind::Bucket { .. } | Kind::Daily { .. } | Kind::Impossible { .. } => {}
        }
        self
    }

    /// How long after the full `per` of the wall clock (UTC) a window begins; of no effect on
    /// other kinds. Default: zero.
    #[must_use]
    pub fn offset(mut self, by: Duration) -> Self {
        if let Kind::Window { offset, .. } = &mut self.kind {
            *offset = by;
        }
        self
    }

    /// How much of today's quota is used already; of no effect on other kinds than
    /// [`daily`](Self::daily). Default: 0.
    #[must_use]
    pub fn already_used(mut self, count: u32) -> Self {
        if let Kind::Daily { already_used, .. } = &mut self.kind {
            *already_used = count;
        }
        self
    }

    /// Keeps what is used of a day's quota in a file, so that a restart does not forget it; of no
    /// effect on other kinds than [`daily`](Self::daily).
    #[must_use]
    pub fn persist_in(mut self, quota: QuotaFile) -> Self {
        if let Kind::Daily { file, .. } = &mut self.kind {
            *file = Some(quota);
        }
        self
    }

    /// How much is granted per [`per`](Self::per).
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The time in which the [`count`](Self::count) is granted; a day for a calendar quota.
    pub const fn per(&self) -> Duration {
        self.per
    }

    /// What is counted.
    pub const fn unit(&self) -> Unit {
        self.unit
    }

    /// How it counts: `"bucket"`, `"strict"`, `"window"`, `"daily"`.
    pub const fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Bucket { .. } | Kind::Impossible { .. } => "bucket",
            Kind::Strict { .. } => "strict",
            Kind::Window { .. } => "window",
            Kind::Daily { .. } => "daily",
        }
    }

    /// The most that one call may cost.
    pub fn capacity(&self) -> u32 {
        match self.kind {
            Kind::Bucket { burst } => burst.unwrap_or(self.derived_burst()),
            _ => self.count,
        }
    }

    fn derived_burst(&self) -> u32 {
        (self.count / 10).max(1)
    }

    /// Whether waiting for seconds does not help once it is used up.
    pub(crate) const fn is_quota(&self) -> bool {
        const LONG: u64 = 3_600;
        let counts = !matches!(self.kind, Kind::Bucket { .. });
        counts && self.per.as_secs() >= LONG
    }

    /// The file that it is kept in.
    pub(crate) const fn file(&self) -> Option<&QuotaFile> {
        match &self.kind {
            Kind::Daily { file, .. } => file.as_ref(),
            _ => None,
        }
    }

    /// The rate of a bucket; `None` for other kinds.
    pub(crate) fn rate(&self) -> Option<Rate> {
        let Kind::Bucket { .. } = self.kind else {
            return None;
        };
        Some(Rate::new(self.count, ns(self.per), self.capacity()))
    }

    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        if let Kind::Impossible { share } = self.kind {
            return Err(InvalidConfig::new(
                "at",
                share,
                format!(
                    "a share that leaves one of the {} for a burst, and one for the rate: below \
                     that, or a strict limit",
                    self.count
                ),
            ));
        }
        NonZeroCount::new(self.count).map_err(|e| e.in_field("rate"))?;
        NonZeroDuration::new(self.per).map_err(|e| e.in_field("per"))?;
        let per_ns = ns(self.per);
        if per_ns > MAX_FILL_NS {
            return Err(InvalidConfig::new(
                "per",
                format!("{:?}", self.per),
                "at most 366 days",
            ));
        }
        match self.kind {
            Kind::Bucket { burst } => self.check_bucket(per_ns, burst),
            Kind::Strict { margin } => self.check_margin(margin, self.per),
            Kind::Window { offset, margin } => {
                if offset >= self.per {
                    return Err(InvalidConfig::new(
                        "offset",
                        format!("{offset:?}"),
                        format!("shorter than the window, {:?}", self.per),
                    ));
                }
                self.check_margin(margin, self.per / 2)
            }
            Kind::Daily { .. } | Kind::Impossible { .. } => Ok(()),
        }
    }

    fn check_bucket(&self, per_ns: u64, burst: Option<u32>) -> Result<(), InvalidConfig> {
        if u64::from(self.count) > per_ns {
            return Err(InvalidConfig::new(
                "rate",
                self.count,
                format!("at most one per nanosecond, {per_ns} per {:?}", self.per),
            ));
        }
        let burst = burst.unwrap_or(self.derived_burst());
        NonZeroCount::new(burst).map_err(|e| e.in_field("burst"))?;
        if fill_ns(self.count, per_ns, burst).is_none_or(|fill| fill > MAX_FILL_NS) {
            return Err(InvalidConfig::new(
                "burst",
                burst,
                "at most what the rate grants in 366 days",
            ));
        }
        Ok(())
    }

    fn check_margin(&self, margin: Duration, longest: Duration) -> Result<(), InvalidConfig> {
        if margin <= longest {
            return Ok(());
        }
        Err(InvalidConfig::new(
            "margin",
            format!("{margin:?}"),
            format!("at most {longest:?}"),
        ))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit, kind) = (self.count, self.unit.as_str(), self.kind());
        match &self.kind {
            Kind::Bucket { .. } | Kind::Impossible { .. } => {
                let burst = self.capacity();
                write!(f, "{count} {unit} per {:?}, {burst} at once", self.per)
            }
            Kind::Daily { .. } => write!(f, "{count} {unit} per day"),
            Kind::Strict { .. } | Kind::Window { .. } => {
                write!(f, "{count} {unit} per {:?}, {kind}", self.per)
            }
        }
    }
}

/// What a provider allows: made by [`Limit::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    count: u32,
    per: Duration,
}

impl Allowed {
    /// A bucket whose rate is this share of what is allowed, and whose burst is the rest: however
    /// the provider counts, in any stretch of its time `burst + rate * time` is at most what it
    /// allows.
    ///
    /// Rejected when it is built, with the field `at`, where the share leaves nothing for a burst
    /// or for the rate: all of it, or nothing.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_core::Ratio;
    /// use seawall_ratelimit::Limit;
    ///
    /// let safe = Limit::of(200, Duration::from_secs(60)).at(Ratio::new(0.8)?);
    /// assert_eq!(safe, Limit::bucket(200, Duration::from_secs(75)).burst(40));
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn at(self, share: Ratio) -> Limit {
        let share = share.get();
        // What the rate lets into one stretch of the time, in whole ones: a part of one comes
        // too late.
        let flows = (f64::from(self.count) * share + 1e-9).floor() as u32;
        let burst = self.count.saturating_sub(flows);
        if burst == 0 || share <= 0.0 {
            return Limit::new(self.count, self.per, Kind::Impossible { share });
        }
        // Longer by a nanosecond rather than shorter.
        let stretched = (ns(self.per) as f64 / share).ceil();
        let per = Duration::from_nanos(stretched as u64);
        Limit::bucket(self.count, per).burst(burst)
    }
}

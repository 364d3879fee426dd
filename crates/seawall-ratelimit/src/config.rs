//! The settings of a rate limit.

use std::time::Duration;

use seawall_core::{InvalidConfig, Ratio, ns};

use crate::limit::{Limit, MAX_LIMITS};
use crate::reserved::ReservedShare;

/// The most that may wait: the count shares a word with the flags of the limiter.
const MAX_WAITING: u32 = 1 << 24;

/// How much is granted per period, and how long a call may wait for it.
///
/// One rate and burst are set with [`rate`](RateLimitConfigBuilder::rate) and
/// [`burst`](RateLimitConfigBuilder::burst); other kinds, and several at once, with
/// [`limit`](RateLimitConfigBuilder::limit).
///
/// ```
/// use std::time::Duration;
/// use seawall_ratelimit::RateLimitConfig;
///
/// let config = RateLimitConfig::builder()
///     .rate(200, Duration::from_secs(60))
///     .burst(10)
///     .max_wait(Duration::from_secs(1))
///     .build()?;
/// assert_eq!(config.limits()[0].capacity(), 10);
///
/// let invalid = RateLimitConfig::builder().rate(0, Duration::from_secs(1)).build().unwrap_err();
/// assert_eq!(invalid.to_string(), "`rate` is 0, accepted is a whole number from 1");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug)]
pub struct RateLimitConfig {
    limits: Vec<Limit>,
    max_wait: Duration,
    max_waiting: u32,
    priority_aging: Duration,
    // `None` where they were not set: another configuration may have its own then.
    default_pause: Option<Duration>,
    max_pause: Option<Duration>,
    max_ban: Option<Duration>,
    max_debt: u32,
    reserved_share: ReservedShare,
    shadow: bool,
}

const DEFAULT_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(15 * 60);
const MAX_BAN: Duration = Duration::from_secs(24 * 3600);

impl RateLimitConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> RateLimitConfigBuilder {
        RateLimitConfigBuilder::default()
    }

    /// The limits, all of which hold at once; at least one.
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    seawall_core::getters! {
        /// How long a call may wait; zero when it is rejected at once.
        pub const fn max_wait -> Duration;
        /// How many calls may wait.
        pub const fn max_waiting -> u32;
        /// How much longer at most a call of low priority waits than one of normal priority that
        /// came at the same time.
        pub const fn priority_aging -> Duration;
        /// How many periods of a limit it takes at most to pay for usage that was not estimated.
        pub const fn max_debt -> u32;
        /// Whether the layer starts in shadow mode.
        pub const fn shadow -> bool;
    }

    /// How long a throttle pauses the layer when the upstream reports no time.
    pub fn default_pause(&self) -> Duration {
        self.default_pause.unwrap_or(DEFAULT_PAUSE)
    }

    /// How long a throttle pauses the layer at most.
    pub fn max_pause(&self) -> Duration {
        self.max_pause.unwrap_or(MAX_PAUSE)
    }

    /// How long a ban pauses the layer at most, and for how long a report is believed.
    pub fn max_ban(&self) -> Duration {
        self.max_ban.unwrap_or(MAX_BAN)
    }

    /// Which share of each limit only calls of [`RESERVED`](seawall_core::Priority::RESERVED) priority
    /// use; `None` where nothing is reserved.
    pub fn reserved_share(&self) -> Option<Ratio> {
        self.reserved_share.get()
    }

    /// Whether [`reserved_share`](RateLimitConfigBuilder::reserved_share) was set, to a share or to none.
    pub const fn is_reserved_share_set(&self) -> bool {
        self.reserved_share.is_set()
    }

    /// The same with no [`reserved_share`](RateLimitConfigBuilder::reserved_share) set: a layer that is
    /// configured with it goes back to the
    /// [default](RateLimitConfigBuilder::default_reserved_share) of its share.
    #[must_use]
    pub fn unset_reserved_share(mut self) -> Self {
        self.reserved_share.unset();
        self
    }

    /// With the reserved share of `base`, where none was set here.
    pub(crate) fn with_reserved_share_of(self, base: &Self) -> Self {
        Self {
            reserved_share: self.reserved_share.or(base.reserved_share),
            ..self
        }
    }

    /// How many tokens of a limit of this capacity are reserved.
    pub(crate) fn reserved_of(&self, capacity: u64) -> u64 {
        self.reserved_share.of(capacity)
    }

    /// Takes the pauses that were not set here from `base`: `default_pause`, `max_pause` and
    /// `max_ban`. How an upstream pauses its clients does not change with their rate.
    ///
    /// What is set here holds: a default pause of `base` is cut to a `max_pause` that is set here,
    /// and a `max_pause` of `base` is no shorter than a `default_pause` that is set here.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_ratelimit::RateLimitConfig;
    ///
    /// let hour = Duration::from_secs(3_600);
    /// let free = RateLimitConfig::builder().default_pause(hour).max_pause(hour).build()?;
    /// let paid = RateLimitConfig::builder().rate(10, Duration::from_secs(1)).build()?;
    /// assert_eq!(paid.with_pauses_of(&free).default_pause(), hour);
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn with_pauses_of(self, base: &Self) -> Self {
        let max_pause = self.max_pause.or_else(|| {
            let longest = base.max_pause?;
            Some(longest.max(self.default_pause.unwrap_or_default()))
        });
        let longest = max_pause.unwrap_or(MAX_PAUSE);
        Self {
            default_pause: self
                .default_pause
                .or_else(|| Some(base.default_pause?.min(longest))),
            max_pause,
            max_ban: self.max_ban.or(base.max_ban),
            ..self
        }
    }

    /// The same with a `max_pause` of at least `longest`, for a classifier that allows such waits.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_ratelimit::RateLimitConfig;
    ///
    /// let hour = Duration::from_secs(3_600);
    /// let config = RateLimitConfig::default().raise_max_pause(hour);
    /// assert_eq!(config.max_pause(), hour);
    /// assert_eq!(config.raise_max_pause(hour / 2).max_pause(), hour);
    /// ```
    #[must_use]
    pub fn raise_max_pause(self, longest: Duration) -> Self {
        Self {
            max_pause: Some(longest.max(self.max_pause())),
            ..self
        }
    }

    /// Settings without any limit, for a limiter that is never asked.
    pub(crate) fn unlimited() -> Self {
        Self {
            limits: Vec::new(),
            ..Self::default()
        }
    }

    /// Rejects other limits than those of `self`, save for their numbers: the costs of queued
    /// calls were computed for these.
    pub(crate) fn check_shape(&self, new: &Self) -> Result<(), InvalidConfig> {
        let shape = |config: &Self| -> Vec<_> {
            let limits = config.limits.iter();
            limits.map(|l| (l.kind(), l.unit())).collect()
        };
        let current = shape(self);
        if current == shape(new) {
            return Ok(());
        }
        let kinds: Vec<_> = current
            .iter()
            .map(|(kind, unit)| format!("{kind} of {}", unit.as_str()))
            .collect();
        let accepted = format!(
            "as many as before, of the same kinds and units in the same order: {}",
            kinds.join(", ")
        );
        Err(InvalidConfig::new("limits", new.list(), accepted))
    }

    pub(crate) fn list(&self) -> String {
        let limits: Vec<_> = self.limits.iter().map(ToString::to_string).collect();
        limits.join("; ")
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("limits", self.list()),
            ("max_wait", format!("{:?}", self.max_wait)),
            ("max_waiting", self.max_waiting.to_string()),
            ("priority_aging", format!("{:?}", self.priority_aging)),
            ("default_pause", format!("{:?}", self.default_pause())),
            ("max_pause", format!("{:?}", self.max_pause())),
            ("max_ban", format!("{:?}", self.max_ban())),
            ("max_debt", self.max_debt.to_string()),
            ("reserved_share", self.reserved_share.words()),
            ("shadow", self.shadow.to_string()),
        ]
    }
}

/// By what they do: a setting that was not set equals its default. Only the reserved share does not, whose
/// default is that of the layer.
impl PartialEq for RateLimitConfig {
    fn eq(&self, other: &Self) -> bool {
        let times = |config: &Self| {
            (
                (config.max_wait, config.priority_aging),
                (config.default_pause(), config.max_pause(), config.max_ban()),
            )
        };
        let rest = |config: &Self| {
            (
                (config.max_waiting, config.max_debt, config.shadow),
                (config.reserved_share(), config.is_reserved_share_set()),
            )
        };
        self.limits == other.limits && times(self) == times(other) && rest(self) == rest(other)
    }
}

impl Default for RateLimitConfig {
    /// 100 per minute, 10 at once, rejected at once when over it.
    ///
    /// 100 per minute is below the free tier of most APIs that limit by the minute: a number to
    /// start from, not one to keep.
    fn default() -> Self {
        Self {
            limits: vec![Limit::bucket(100, Duration::from_secs(60)).into()],
            max_wait: Duration::ZERO,
            max_waiting: 1_024,
            priority_aging: Duration::from_secs(5),
            default_pause: None,
            max_pause: None,
            max_ban: None,
            max_debt: 3,
            reserved_share: ReservedShare::default(),
            shadow: false,
        }
    }
}

/// Collects the settings of a rate limit; see [`RateLimitConfig::builder`].
#[must_use]
#[derive(Clone, Debug)]
pub struct RateLimitConfigBuilder {
    config: RateLimitConfig,
    rate: Option<(u32, Duration)>,
    burst: Option<u32>,
    /// The first setting that has no effect without a `max_wait`.
    of_waiting: Option<(&'static str, String)>,
}

impl Default for RateLimitConfigBuilder {
    fn default() -> Self {
        RateLimitConfig::unlimited().into()
    }
}

impl From<RateLimitConfig> for RateLimitConfigBuilder {
    /// Starts from these settings. Their limits stay: [`rate`](Self::rate) and
    /// [`limit`](Self::limit) add to them, and [`without_limits`](Self::without_limits) drops them.
    fn from(config: RateLimitConfig) -> Self {
        Self {
            config,
            rate: None,
            burst: None,
            of_waiting: None,
        }
    }
}

impl RateLimitConfigBuilder {
    /// How much is granted per period: a whole number from 1, a period of at most 366 days, and at
    /// most one per nanosecond. It counts [`RequestMeta::cost`](seawall_core::RequestMeta): requests,
    /// unless the layer has a describer. Default: 100 per minute, unless there is a
    /// [`limit`](Self::limit).
    ///
    /// Short for a [`Limit::bucket`], the first of the limits.
    pub const fn rate(mut self, rate: u32, period: Duration) -> Self {
        self.rate = Some((rate, period));
        self
    }

    /// How much the [`rate`](Self::rate) grants at once after idle time, and the most that one call
    /// may cost: a whole number from 1. Default: a tenth of the rate, at least 1.
    ///
    /// Any stretch of time sees at most the burst plus what the rate grants in it. Where the
    /// upstream counts `n` per window, burst and rate per window must be at most `n` together:
    /// [`Limit::quota`] computes that.
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = Some(burst);
        self
    }

    /// Adds a limit. All limits hold at once: a call departs when every one of them grants it, and
    /// takes from none of them otherwise. At most 8.
    pub fn limit(mut self, limit: impl Into<Limit>) -> Self {
        self.config.limits.push(limit.into());
        self
    }

    /// Drops the limits that there are so far.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_ratelimit::{Limit, RateLimitConfig, RateLimitConfigBuilder};
    ///
    /// let free = RateLimitConfig::builder().rate(5, Duration::from_secs(60)).build()?;
    /// let paid = RateLimitConfigBuilder::from(free)
    ///     .without_limits()
    ///     .limit(Limit::strict(75, Duration::from_secs(60)))
    ///     .build()?;
    /// assert_eq!(paid.limits().len(), 1);
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    pub fn without_limits(mut self) -> Self {
        self.config.limits.clear();
        self.rate = None;
        self
    }

    seawall_core::setters! { self.config:
        /// How long a call may wait for its tokens, counted from the first poll of its future, the
        /// readiness of its service included. Zero, the default, rejects at once. A call whose
        /// tokens would come later than this, or later than its own
        /// [deadline](seawall_core::RequestMeta), is rejected at once.
        ///
        /// Tokio's timer has a resolution of one millisecond, so a waiter departs up to that much
        /// after its tokens are there. Where the burst exceeds the cost of a call by less than what
        /// the rate grants in a millisecond, tokens overflow meanwhile, and waiters depart below
        /// the rate: with a burst of 1 and a rate of 400 per second, one per 3 ms. A burst that
        /// holds a few milliseconds of the rate avoids that.
        pub const fn max_wait(Duration);

        /// How long [a throttle](seawall_core::QuotaSignal::Pause) pauses the layer when the
        /// upstream reports no time. Zero does not pause. Default: one second.
        pub const fn default_pause(Some(Duration));

        /// How long [a throttle](seawall_core::QuotaSignal::Pause) pauses the layer at most, longer than
        /// zero: an upstream, or a proxy before it, that reports an absurd time must not stop a client
        /// for years. What is cut is [counted](crate::RateLimitCounts::bounded) and emitted as
        /// [`Bounded`](seawall_core::EventKind::Bounded). Default: 15 minutes, the longest window of the
        /// common APIs. It does not hold for what an operator commands. A classifier that allows
        /// longer waits (`HttpClassifier::with_longest_wait`) is cut to it all the same: raise both,
        /// and the breaker's `max_retry_after` for failures.
        pub const fn max_pause(Some(Duration));

        /// As [`max_pause`](Self::max_pause) for [a ban or a quota that is used
        /// up](seawall_core::QuotaSignal::Ban), and the longest time for which a report of what is left
        /// is believed, unless the period of its limit is longer. Default: one day, since daily quotas
        /// are renewed within that. A classifier that allows longer bans
        /// (`HttpClassifier::with_longest_ban`) is cut to it all the same, as it is to the breaker's
        /// `open_on_ban`: raise all three. The stacks of `seawall` have three days here and there,
        /// the longest ban that an exchange documents.
        pub const fn max_ban(Some(Duration));

        /// How much may be owed at most after calls that used more than was estimated, in periods of
        /// each limit, from 1 to 1,000: a limit of 100,000 tokens per minute owes no more than
        /// 300,000 at 3, the default, which are paid back in three minutes. It bounds what one absurd
        /// report costs, and is more than a correct estimate is ever wrong by.
        pub const fn max_debt(u32);

        /// Whether the layer starts in shadow mode: calls that it would reject pass at once, and
        /// are counted and emitted as [`Shadowed`](seawall_core::EventKind::Shadowed). What an
        /// operator has paused or drains rejects all the same. Default: no.
        pub const fn shadow(bool);
    }

    /// Which share of each limit is reserved for calls of
    /// [`RESERVED`](seawall_core::Priority::RESERVED) priority or higher: above 0 and below 1, or `None`.
    /// Default: [`default_reserved_share`](Self::default_reserved_share).
    ///
    /// A call of a lower priority departs only where it leaves so many tokens: the share of the limit's
    /// capacity, rounded down, at least one. A limit with a capacity of one reserves none. A reserved call
    /// uses all that is there, and goes before all others in the queue, however long they wait, also there. So a cancel
    /// leaves at once although orders have used up the rest, and no limit grants more than without it.
    ///
    /// While no reserved call comes, the others have the whole rate of a bucket: what is reserved is a level
    /// of it. Where the rest of its burst comes back in less than some 20 ms, as one of two tokens at 100 per
    /// second, they have about a tenth less, since waits end a millisecond late. Of a strict limit, a window or
    /// a day they have what is not reserved.
    ///
    /// A share of an account is one of its limits alone: reserved calls of a key wait like others for the
    /// limits of that key, unless these have a share as well.
    ///
    /// A call that costs more than the rest of the capacity waits until the limit is full. That may be
    /// never while reserved calls keep coming, and calls behind it wait as long as it does. Calls of
    /// reserved priority are not counted by [`max_waiting`](Self::max_waiting) with the others: as many of
    /// them may wait in addition.
    ///
    /// A layer that is configured with settings in which it was not set keeps the share in force, unless
    /// it was [unset](RateLimitConfig::unset_reserved_share).
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_core::{Priority, Ratio, Replay, RequestMeta};
    /// use seawall_ratelimit::{Limit, RateLimitConfig, RateLimitLayer};
    ///
    /// let config = RateLimitConfig::builder()
    ///     .limit(Limit::strict(10, Duration::from_secs(60)))
    ///     .reserved_share(Ratio::new(0.2)?)
    ///     .build()?;
    /// let limit = RateLimitLayer::new("broker", config).handle();
    /// let order = RequestMeta::new(Replay::Never);
    /// let cancel = RequestMeta::new(Replay::Safe).with_priority(Priority::RESERVED);
    /// # let rt = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    /// # rt.block_on(async {
    /// for _ in 0..8 {
    ///     limit.reserve(&order).await.unwrap().commit();
    /// }
    /// assert!(limit.reserve(&order).await.is_err());
    /// assert!(limit.reserve(&cancel).await.is_ok());
    /// # });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserved_share(mut self, share: impl Into<Option<Ratio>>) -> Self {
        self.config.reserved_share.set(share.into());
        self
    }

    /// Which share is reserved where [`reserved_share`](Self::reserved_share) is not set: above 0 and
    /// below 1, or `None`. A layer that is configured with settings that have no default keeps the one that
    /// it has. Default: `None`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_core::Ratio;
    /// use seawall_ratelimit::{RateLimitConfig, RateLimitLayer};
    ///
    /// let rate = |rate| RateLimitConfig::builder().rate(rate, Duration::from_secs(1));
    /// let tenth = Ratio::new(0.1)?;
    /// let limit = RateLimitLayer::new("broker", rate(20).default_reserved_share(tenth).build()?).handle();
    /// limit.configure(rate(20).reserved_share(Ratio::new(0.5)?).build()?)?;
    /// limit.configure(rate(30).build()?.unset_reserved_share())?;
    /// assert_eq!(limit.config().reserved_share(), Some(tenth));
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    pub fn default_reserved_share(mut self, share: impl Into<Option<Ratio>>) -> Self {
        self.config.reserved_share.set_default(share.into());
        self
    }

    /// How many calls may wait, from 1 to 16,777,216; the next one is rejected. Needs a
    /// [`max_wait`](Self::max_wait). Default: 1,024.
    pub fn max_waiting(mut self, calls: u32) -> Self {
        self.config.max_waiting = calls;
        if calls > 0 {
            self.of_waiting = Some(("max_waiting", calls.to_string()));
        }
        self
    }

    /// How much waiting makes up for the step from [low](seawall_core::Priority::LOW) to
    /// [normal](seawall_core::Priority::NORMAL) priority, and from that to
    /// [high](seawall_core::Priority::HIGH); longer than zero. A call is overtaken by one of the
    /// next step only if that one came less than this after it, so no call starves. Needs a
    /// [`max_wait`](Self::max_wait). Default: 5 seconds.
    pub fn priority_aging(mut self, per_step: Duration) -> Self {
        self.config.priority_aging = per_step;
        self.of_waiting = Some(("priority_aging", format!("{per_step:?}")));
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when
    /// * `rate` or `burst` is 0, or `rate` over one per nanosecond;
    /// * `period` is zero or over 366 days, or `burst` is more than the rate grants in 366 days;
    /// * there is a `burst` without a `rate`;
    /// * there is a `max_wait` with a `max_waiting` of 0, or a `max_waiting` or `priority_aging`
    ///   without a `max_wait`;
    /// * `margin` is longer than the period of its limit, or `offset` not shorter;
    /// * [`utilization`](crate::Quota::utilization) leaves nothing for the burst or the rate;
    /// * two limits are kept in one file, or there are more than 8 limits;
    /// * `max_waiting` is over 16,777,216, or `priority_aging` zero;
    /// * `reserved_share` is 0 or 1;
    /// * `max_pause` or `max_ban` is zero, `default_pause` longer than `max_pause`, or `max_debt` not
    ///   from 1 to 1,000.
    pub fn build(self) -> Result<RateLimitConfig, InvalidConfig> {
        let mut config = self.config;
        match (self.rate, self.burst) {
            (Some((rate, period)), burst) => {
                let bucket = Limit::bucket(rate, period);
                let bucket = match burst {
                    Some(burst) => bucket.burst(burst),
                    None => bucket,
                };
                config.limits.insert(0, bucket.into());
            }
            (None, Some(burst)) => {
                let accepted = "a burst of `rate`; the burst of a limit is set on the limit";
                return Err(InvalidConfig::new("burst", burst, accepted));
            }
            (None, None) if config.limits.is_empty() => {
                config.limits = RateLimitConfig::default().limits;
            }
            (None, None) => {}
        }
        check_limits(&config.limits)?;
        check_bounds(&config)?;
        check_waiting(&config, self.of_waiting)?;
        Ok(config)
    }
}

fn check_limits(limits: &[Limit]) -> Result<(), InvalidConfig> {
    if limits.len() > MAX_LIMITS {
        return Err(InvalidConfig::new("limits", limits.len(), "at most 8"));
    }
    for (index, limit) in limits.iter().enumerate() {
        limit.check()?;
        let file = limit.file();
        if file.is_some() && limits[..index].iter().any(|other| other.file() == file) {
            let accepted = "a file of its own for each limit";
            return Err(InvalidConfig::new("persist_in", "one file twice", accepted));
        }
    }
    Ok(())
}

fn check_bounds(config: &RateLimitConfig) -> Result<(), InvalidConfig> {
    for (field, value) in [
        ("max_pause", config.max_pause()),
        ("max_ban", config.max_ban()),
    ] {
        if value.is_zero() {
            return Err(InvalidConfig::new(field, "0ns", "longer than zero"));
        }
    }
    if config.default_pause() > config.max_pause() {
        let value = format!("{:?}", config.default_pause());
        let accepted = format!("at most `max_pause`, {:?}", config.max_pause());
        return Err(InvalidConfig::new("default_pause", value, accepted));
    }
    config.reserved_share.check()?;
    if !(1..=1_000).contains(&config.max_debt) {
        let accepted = "a whole number from 1 to 1000";
        return Err(InvalidConfig::new("max_debt", config.max_debt, accepted));
    }
    Ok(())
}

fn check_waiting(
    config: &RateLimitConfig,
    of_waiting: Option<(&'static str, String)>,
) -> Result<(), InvalidConfig> {
    let waits = !config.max_wait.is_zero();
    let max_waiting = config.max_waiting;
    if max_waiting > MAX_WAITING || (waits && max_waiting == 0) {
        let accepted = "a number from 1 to 16777216";
        return Err(InvalidConfig::new("max_waiting", max_waiting, accepted));
    }
    if ns(config.priority_aging) == 0 {
        return Err(InvalidConfig::new(
            "priority_aging",
            "0ns",
            "longer than zero",
        ));
    }
    match of_waiting {
        Some((field, value)) if !waits => {
            let accepted = "none without a `max_wait`: calls do not wait";
            Err(InvalidConfig::new(field, value, accepted))
        }
        _ => Ok(()),
    }
}

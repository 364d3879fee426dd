//! The settings of a rate limit.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroDuration};

use crate::Limit;

/// How many limits one layer has at most.
pub(crate) const MAX_LIMITS: usize = 8;

/// The most that may wait: the count shares a word with the flags of the layer.
const MAX_WAITING: u32 = 1 << 24;

/// How much per which time, and how long a call may wait for it.
///
/// One rate and burst is a builder's [`rate`](RateLimitConfigBuilder::rate) and
/// [`burst`](RateLimitConfigBuilder::burst); other kinds, and several at once, are
/// [limits](RateLimitConfigBuilder::limit).
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
/// let rejected = RateLimitConfig::builder().rate(0, Duration::from_secs(1)).build().unwrap_err();
/// assert_eq!(rejected.to_string(), "`rate` is 0, accepted is a whole number from 1");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimitConfig {
    pub(crate) limits: Vec<Limit>,
    max_wait: Duration,
    max_waiting: u32,
    priority_aging: NonZeroDuration,
    default_pause: Duration,
    shadow: bool,
}

impl RateLimitConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> RateLimitConfigBuilder {
        RateLimitConfigBuilder::default()
    }

    /// The rules, all of which hold at once; at least one.
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// How long a call may wait; zero when it is rejected at once.
    pub const fn max_wait(&self) -> Duration {
        self.max_wait
    }

    /// How many calls may wait.
    pub const fn max_waiting(&self) -> u32 {
        self.max_waiting
    }

    /// How much longer a call of low priority waits at most than one of normal priority that came
    /// at the same time.
    pub const fn priority_aging(&self) -> NonZeroDuration {
        self.priority_aging
    }

    /// How long a throttle pauses the layer when the upstream does not say.
    pub const fn default_pause(&self) -> Duration {
        self.default_pause
    }

    /// Whether the layer only watches.
    pub const fn shadow(&self) -> bool {
        self.shadow
    }

    /// Rejects settings with other limits than those of `self`, save for their numbers: calls in
    /// line have been told their costs by those.
    pub(crate) fn same_shape(&self, other: &Self) -> Result<(), InvalidConfig> {
        let shape = |config: &Self| {
            let limits = config.limits.iter();
            limits.map(|l| (l.kind(), l.unit())).collect::<Vec<_>>()
        };
        if shape(self) == shape(other) {
            return Ok(());
        }
        let accepted = shape(self);
        let accepted = accepted
            .iter()
            .map(|(kind, unit)| format!("{kind} of {}", unit.as_str()));
        Err(InvalidConfig::new(
            "limits",
            other.listed(),
            format!(
                "as many as before, of the same kinds and units in the same order: {}",
                accepted.collect::<Vec<_>>().join(", ")
            ),
        ))
    }

    fn listed(&self) -> String {
        let limits: Vec<_> = self.limits.iter().map(ToString::to_string).collect();
        limits.join("; ")
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("limits", self.listed()),
            ("max_wait", format!("{:?}", self.max_wait)),
            ("max_waiting", self.max_waiting.to_string()),
            ("ageing", format!("{:?}", self.priority_aging.get())),
            ("pause_unsaid", format!("{:?}", self.default_pause)),
            ("shadow", self.shadow.to_string()),
        ]
    }
}

impl Default for RateLimitConfig {
    /// 100 per minute, 10 at once, rejected at once when over it.
    ///
    /// 100 per minute is below the free tier of most APIs that limit by the minute; it is a
    /// number to start from, not one to keep.
    fn default() -> Self {
        let builder = RateLimitConfigBuilder::default();
        Self {
            limits: vec![DEFAULT_LIMIT],
            max_wait: builder.max_wait,
            max_waiting: builder.max_waiting,
            priority_aging: DEFAULT_AGEING,
            default_pause: builder.default_pause,
            shadow: builder.shadow,
        }
    }
}

const DEFAULT_LIMIT: Limit = Limit::bucket(100, Duration::from_secs(60));

const DEFAULT_AGEING: NonZeroDuration = match NonZeroDuration::from_secs(5) {
    Some(priority_aging) => priority_aging,
    None => unreachable!(),
};

/// Collects the settings of a rate limit; see [`RateLimitConfig::builder`].
#[derive(Clone, Debug)]
pub struct RateLimitConfigBuilder {
    rate: Option<(u32, Duration)>,
    burst: Option<u32>,
    limits: Vec<Limit>,
    max_wait: Duration,
    max_waiting: u32,
    priority_aging: Duration,
    default_pause: Duration,
    shadow: bool,
}

impl Default for RateLimitConfigBuilder {
    fn default() -> Self {
        Self {
            rate: None,
            burst: None,
            limits: Vec::new(),
            max_wait: Duration::ZERO,
            max_waiting: 1_024,
            priority_aging: DEFAULT_AGEING.get(),
            default_pause: Duration::from_secs(1),
            shadow: false,
        }
    }
}

impl RateLimitConfigBuilder {
    /// How much is granted per which time: a whole number from 1, per at most 366 days, and not
    /// more than one per nanosecond. The unit is that of [`RequestMeta::cost`](seawall_core::RequestMeta):
    /// requests, unless the layer is told otherwise. Default: 100 per minute, unless there is a
    /// [`limit`](Self::limit).
    ///
    /// Short for a [`Limit::bucket`], the first of the limits.
    #[must_use]
    pub const fn rate(mut self, rate: u32, per: Duration) -> Self {
        self.rate = Some((rate, per));
        self
    }

    /// How much the [`rate`](Self::rate) grants at once after a rest, and the most that one call
    /// may cost: a whole number from 1. Default: a tenth of the rate, at least 1.
    ///
    /// Any stretch of time sees at most the burst plus what the rate grants in it. Where the
    /// upstream counts `n` per window, burst and rate per window must be at most `n` together:
    /// [`Limit::of`] does that sum.
    #[must_use]
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = Some(burst);
        self
    }

    /// Adds a rule. All of them hold at once: a call departs when every one of them grants it,
    /// and takes from none of them otherwise. At most 8.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limits.push(limit);
        self
    }

    /// How long a call may wait for its turn, counted from the first poll of its future; the time
    /// in which it stands aside, since its service is not ready, is part of it. Zero, the
    /// default, rejects at once; a call whose turn would come later is rejected at once too, and so
    /// is one whose turn would come after its own [deadline](seawall_core::RequestMeta).
    ///
    /// Tokio's timer has a resolution of one millisecond, so a waiter departs up to that much
    /// after its tokens are there. Where the burst exceeds the cost of a call by less than what
    /// the rate grants in a millisecond, tokens overflow meanwhile, and waiters depart below the
    /// rate: with a burst of 1 and a rate of 400 per second, one per 3 ms. For calls that cost the
    /// whole burst, the forecast by which a call may wait knows of it; for others, a call that was
    /// let into the line may be rejected at the end of its wait. A burst with a few milliseconds of
    /// the rate in it avoids both.
    #[must_use]
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// How many calls may wait; the next one is rejected. Of no effect while `max_wait` is zero.
    /// At most 16,777,216. Default: 1,024.
    #[must_use]
    pub const fn max_waiting(mut self, calls: u32) -> Self {
        self.max_waiting = calls;
        self
    }

    /// How much waiting makes up for the step from [low](seawall_core::Priority::LOW) to
    /// [normal](seawall_core::Priority::NORMAL) priority, and from that to
    /// [high](seawall_core::Priority::HIGH); longer than zero. Who waits is passed by those of one
    /// step more only if they came less than that after it, so nobody starves. Default: 5 seconds.
    #[must_use]
    pub const fn priority_aging(mut self, per_step: Duration) -> Self {
        self.priority_aging = per_step;
        self
    }

    /// How long [a throttle](seawall_core::QuotaSignal::Pause) pauses the layer when the upstream does
    /// not say for how long. Default: one second.
    #[must_use]
    pub const fn default_pause(mut self, pause: Duration) -> Self {
        self.default_pause = pause;
        self
    }

    /// Whether the layer only watches: what it would reject passes, at once, and is counted and
    /// told as [`Shadowed`](seawall_core::EventKind::Shadowed). Default: no.
    #[must_use]
    pub const fn shadow(mut self, on: bool) -> Self {
        self.shadow = on;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `rate` or `burst` is 0; when `per` is zero or over 366 days; when
    /// `rate` is over one per nanosecond; when `burst` takes over 366 days to come together or is
    /// given without a `rate`; when `margin` is longer than the time of its limit, or `offset` not
    /// shorter; when [`Allowed::at`](crate::Allowed::at) got a share without room for a burst; when
    /// two limits are kept in one file; when there are more than 8 limits, or more than 16,777,216 may wait; when `priority_aging` is zero.
    pub fn build(self) -> Result<RateLimitConfig, InvalidConfig> {
        let mut limits = self.limits;
        let plain = match (self.rate, self.burst) {
            (Some((rate, per)), _) => Some(Limit::bucket(rate, per)),
            (None, _) if limits.is_empty() => Some(DEFAULT_LIMIT),
            (None, Some(burst)) => {
                return Err(InvalidConfig::new(
                    "burst",
                    burst,
                    "a burst of `rate`; the burst of a limit is set at the limit",
                ));
            }
            (None, None) => None,
        };
        if let Some(plain) = plain {
            let plain = match self.burst {
                Some(burst) => plain.burst(burst),
                None => plain,
            };
            limits.insert(0, plain);
        }
        if limits.len() > MAX_LIMITS {
            return Err(InvalidConfig::new("limits", limits.len(), "at most 8"));
        }
        for (index, limit) in limits.iter().enumerate() {
            limit.check()?;
            let file = limit.file();
            if file.is_some() && limits[..index].iter().any(|other| other.file() == file) {
                return Err(InvalidConfig::new(
                    "kept_in",
                    "one file twice",
                    "a file of its own for each limit",
                ));
            }
        }
        if self.max_waiting > MAX_WAITING {
            return Err(InvalidConfig::new(
                "max_waiting",
                self.max_waiting,
                "at most 16777216",
            ));
        }
        Ok(RateLimitConfig {
            limits,
            max_wait: self.max_wait,
            max_waiting: self.max_waiting,
            priority_aging: NonZeroDuration::new(self.priority_aging)
                .map_err(|e| e.in_field("ageing"))?,
            default_pause: self.default_pause,
            shadow: self.shadow,
        })
    }
}

//! The settings of a rate limit.

use std::time::Duration;

use seawall_core::{Count, InvalidConfig, Positive, ns};

use crate::bucket::{MAX_FILL_NS, fill_ns};

/// How much per which time, how much at once, and how long a call may wait for it.
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
/// assert_eq!(config.burst().get(), 10);
///
/// let refused = RateLimitConfig::builder().rate(0, Duration::from_secs(1)).build().unwrap_err();
/// assert_eq!(refused.to_string(), "`rate` is 0, accepted is a whole number from 1");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitConfig {
    rate: Count,
    per: Positive,
    burst: Count,
    max_wait: Duration,
    max_waiting: u32,
}

impl RateLimitConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> RateLimitConfigBuilder {
        RateLimitConfigBuilder::default()
    }

    /// How much is granted per [`per`](Self::per) in the long run.
    pub const fn rate(&self) -> Count {
        self.rate
    }

    /// The time in which the [`rate`](Self::rate) is granted.
    pub const fn per(&self) -> Positive {
        self.per
    }

    /// How much is granted at once after a rest.
    pub const fn burst(&self) -> Count {
        self.burst
    }

    /// How long a call may wait; zero when it is refused at once.
    pub const fn max_wait(&self) -> Duration {
        self.max_wait
    }

    /// How many calls may wait.
    pub const fn max_waiting(&self) -> u32 {
        self.max_waiting
    }
}

impl Default for RateLimitConfig {
    /// 100 per minute, 10 at once, refused at once when over it.
    ///
    /// 100 per minute is below the free tier of most APIs that limit by the minute; it is a
    /// number to start from, not one to keep.
    fn default() -> Self {
        let builder = RateLimitConfigBuilder::default();
        Self {
            rate: Count::new(builder.rate).unwrap_or(Count::ONE),
            per: MINUTE,
            burst: builder.derived_burst(),
            max_wait: builder.max_wait,
            max_waiting: builder.max_waiting,
        }
    }
}

const MINUTE: Positive = match Positive::from_secs(60) {
    Some(minute) => minute,
    None => unreachable!(),
};

/// Collects the settings of a rate limit; see [`RateLimitConfig::builder`].
#[derive(Clone, Copy, Debug)]
pub struct RateLimitConfigBuilder {
    rate: u32,
    per: Duration,
    burst: Option<u32>,
    max_wait: Duration,
    max_waiting: u32,
}

impl Default for RateLimitConfigBuilder {
    fn default() -> Self {
        Self {
            rate: 100,
            per: MINUTE.get(),
            burst: None,
            max_wait: Duration::ZERO,
            max_waiting: 1_024,
        }
    }
}

impl RateLimitConfigBuilder {
    /// How much is granted per which time: a whole number from 1, per at most 366 days, and not
    /// more than one per nanosecond. The unit is that of [`Meta::cost`](seawall_core::Meta):
    /// requests, unless the layer is told otherwise. Default: 100 per minute.
    #[must_use]
    pub const fn rate(mut self, rate: u32, per: Duration) -> Self {
        self.rate = rate;
        self.per = per;
        self
    }

    /// How much is granted at once after a rest, and the most that one call may cost: a whole
    /// number from 1. Default: a tenth of the rate, at least 1.
    ///
    /// Any stretch of time sees at most the burst plus what the rate grants in it. Where the
    /// upstream counts `n` per window, burst and rate per window must be at most `n` together.
    #[must_use]
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = Some(burst);
        self
    }

    /// How long a call may wait for its turn, counted from the first poll of its future; the time
    /// in which it stands aside, since its service is not ready, is part of it. Zero, the
    /// default, refuses at once; a call whose turn would come later is refused at once too.
    ///
    /// Tokio's timer has a resolution of one millisecond, so a waiter departs up to that much
    /// after its tokens are there. Where the burst exceeds the cost of a call by less than what
    /// the rate grants in a millisecond, tokens overflow meanwhile, and waiters depart below the
    /// rate: with a burst of 1 and a rate of 400 per second, one per 3 ms. For calls that cost the
    /// whole burst, the forecast by which a call may wait knows of it; for others, a call that was
    /// let into the line may be refused at the end of its wait. A burst with a few milliseconds of
    /// the rate in it avoids both.
    #[must_use]
    pub const fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// How many calls may wait; the next one is refused. Of no effect while `max_wait` is zero.
    /// Default: 1,024.
    #[must_use]
    pub const fn max_waiting(mut self, calls: u32) -> Self {
        self.max_waiting = calls;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `rate` or `burst` is 0; when `per` is zero or over 366 days; when
    /// `rate` is over one per nanosecond; when `burst` takes over 366 days to come together.
    pub fn build(self) -> Result<RateLimitConfig, InvalidConfig> {
        let rate = Count::new(self.rate).map_err(|e| e.in_field("rate"))?;
        let per = Positive::new(self.per).map_err(|e| e.in_field("per"))?;
        let per_ns = ns(self.per);
        if per_ns > MAX_FILL_NS {
            return Err(InvalidConfig::new(
                "per",
                format!("{:?}", self.per),
                "at most 366 days",
            ));
        }
        if u64::from(self.rate) > per_ns {
            return Err(InvalidConfig::new(
                "rate",
                self.rate,
                format!("at most one per nanosecond, {per_ns} per {:?}", self.per),
            ));
        }
        let burst = match self.burst {
            Some(burst) => Count::new(burst).map_err(|e| e.in_field("burst"))?,
            None => self.derived_burst(),
        };
        if fill_ns(self.rate, per_ns, burst.get()).is_none_or(|fill| fill > MAX_FILL_NS) {
            return Err(InvalidConfig::new(
                "burst",
                burst.get(),
                "at most what the rate grants in 366 days",
            ));
        }
        Ok(RateLimitConfig {
            rate,
            per,
            burst,
            max_wait: self.max_wait,
            max_waiting: self.max_waiting,
        })
    }

    fn derived_burst(&self) -> Count {
        Count::new(self.rate / 10).unwrap_or(Count::ONE)
    }
}

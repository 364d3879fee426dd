//! The settings of a bulkhead.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration};

/// How many calls run at once, how many wait, in which order, and for how long.
///
/// ```
/// use std::time::Duration;
/// use seawall_bulkhead::BulkheadConfig;
///
/// let config = BulkheadConfig::builder()
///     .max_concurrent(10)
///     .max_waiting(20)
///     .max_wait(Duration::from_secs(2))
///     .build()?;
/// assert_eq!(config.max_concurrent().get(), 10);
///
/// let rejected = BulkheadConfig::builder().max_concurrent(0).build().unwrap_err();
/// assert_eq!(
///     rejected.to_string(),
///     "`max_concurrent` is 0, accepted is a whole number from 1",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkheadConfig {
    max_concurrent: NonZeroCount,
    max_waiting: u32,
    max_wait: NonZeroDuration,
    priority_aging: NonZeroDuration,
    lifo_threshold: Option<u32>,
    reject_doomed: bool,
    shadow: bool,
}

impl BulkheadConfig {
    /// Starts from the [default](Self::default) settings.
    pub fn builder() -> BulkheadConfigBuilder {
        BulkheadConfigBuilder::default()
    }

    /// How many calls run at once.
    pub const fn max_concurrent(&self) -> NonZeroCount {
        self.max_concurrent
    }

    /// How many calls wait for a place; 0 when calls are rejected at once.
    pub const fn max_waiting(&self) -> u32 {
        self.max_waiting
    }

    /// How long a call waits for a place before it is rejected.
    pub const fn max_wait(&self) -> NonZeroDuration {
        self.max_wait
    }

    /// How much longer a call of low priority waits at most than one of normal priority that came
    /// at the same time.
    pub const fn priority_aging(&self) -> NonZeroDuration {
        self.priority_aging
    }

    /// With more than how many in line the newest goes first; `None` when it never does.
    pub const fn lifo_threshold(&self) -> Option<u32> {
        self.lifo_threshold
    }

    /// Whether a call is rejected at once when its deadline will pass before its turn comes.
    pub const fn reject_doomed(&self) -> bool {
        self.reject_doomed
    }

    /// Whether the layer only watches.
    pub const fn shadow(&self) -> bool {
        self.shadow
    }

    pub(crate) const fn with_max_concurrent(mut self, places: NonZeroCount) -> Self {
        self.max_concurrent = places;
        self
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let lifo = self.lifo_threshold.map(|waiting| waiting.to_string());
        vec![
            ("max_concurrent", self.max_concurrent.get().to_string()),
            ("max_waiting", self.max_waiting.to_string()),
            ("acquire_timeout", format!("{:?}", self.max_wait.get())),
            ("ageing", format!("{:?}", self.priority_aging.get())),
            ("lifo_above", lifo.unwrap_or_else(|| "never".into())),
            ("shed", self.reject_doomed.to_string()),
            ("shadow", self.shadow.to_string()),
        ]
    }
}

impl Default for BulkheadConfig {
    /// 50 calls at once, nobody waits; those who are allowed to wait do so for 30 seconds, first
    /// come, first served.
    ///
    /// 50 is a common size of a client's connection pool per host; waiting is off, since a
    /// caller that waits holds a task and a request while it could do without the answer.
    fn default() -> Self {
        let fallback = BulkheadConfigBuilder::default();
        Self {
            max_concurrent: NonZeroCount::new(fallback.max_concurrent).unwrap_or(NonZeroCount::ONE),
            max_waiting: fallback.max_waiting,
            max_wait: DEFAULT_TIMEOUT,
            priority_aging: DEFAULT_AGEING,
            lifo_threshold: fallback.lifo_threshold,
            reject_doomed: fallback.reject_doomed,
            shadow: fallback.shadow,
        }
    }
}

const DEFAULT_TIMEOUT: NonZeroDuration = match NonZeroDuration::from_secs(30) {
    Some(timeout) => timeout,
    None => unreachable!(),
};

const DEFAULT_AGEING: NonZeroDuration = match NonZeroDuration::from_secs(5) {
    Some(priority_aging) => priority_aging,
    None => unreachable!(),
};

/// Collects the settings of a bulkhead; see [`BulkheadConfig::builder`].
#[derive(Clone, Copy, Debug)]
pub struct BulkheadConfigBuilder {
    max_concurrent: u32,
    max_waiting: u32,
    max_wait: Duration,
    priority_aging: Duration,
    lifo_threshold: Option<u32>,
    reject_doomed: bool,
    shadow: bool,
}

impl Default for BulkheadConfigBuilder {
    fn default() -> Self {
        Self {
            max_concurrent: 50,
            max_waiting: 0,
            max_wait: DEFAULT_TIMEOUT.get(),
            priority_aging: DEFAULT_AGEING.get(),
            lifo_threshold: None,
            reject_doomed: true,
            shadow: false,
        }
    }
}

impl BulkheadConfigBuilder {
    /// How many calls run at once: a whole number from 1. Default: 50.
    #[must_use]
    pub const fn max_concurrent(mut self, calls: u32) -> Self {
        self.max_concurrent = calls;
        self
    }

    /// How many calls wait for a place beside those that run. Default: 0, reject at once.
    #[must_use]
    pub const fn max_waiting(mut self, calls: u32) -> Self {
        self.max_waiting = calls;
        self
    }

    /// How long a call waits for a place, longer than zero; counted from the first poll of its
    /// future. The time in which it stands aside, since its service is not ready, is part of it.
    /// A call whose own [deadline](seawall_core::RequestMeta) is earlier waits until that. Of no effect
    /// while nobody may wait. Default: 30 seconds.
    #[must_use]
    pub const fn max_wait(mut self, timeout: Duration) -> Self {
        self.max_wait = timeout;
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

    /// While more than so many wait, those who come go before those who are there: the newest
    /// first, and still by priority. Default: never.
    ///
    /// In a line that is longer than what can be served before callers give up, first come, first
    /// served means that everybody is served too late. With the newest first, some are served in
    /// time, and the oldest, who are lost anyway, wait out their patience. Once the line is that
    /// short again, those who come go to its end; who came meanwhile keeps the place it got.
    #[must_use]
    pub const fn lifo_threshold(mut self, waiting: u32) -> Self {
        self.lifo_threshold = Some(waiting);
        self
    }

    /// Whether a call that would have to wait is rejected at once when its
    /// [deadline](seawall_core::RequestMeta) will pass before its turn comes, by the pace at which the
    /// line has moved of late. Default: yes. Of no effect on calls without a deadline, and while
    /// the line has not moved often enough to tell.
    #[must_use]
    pub const fn reject_doomed(mut self, on: bool) -> Self {
        self.reject_doomed = on;
        self
    }

    /// Whether the layer only watches: what it would reject passes, nobody waits, and what would
    /// have been rejected is counted and told as [`Shadowed`](seawall_core::EventKind::Shadowed).
    /// Default: no.
    #[must_use]
    pub const fn shadow(mut self, on: bool) -> Self {
        self.shadow = on;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `max_concurrent` is 0, or `max_wait` or `priority_aging` is zero.
    pub fn build(self) -> Result<BulkheadConfig, InvalidConfig> {
        Ok(BulkheadConfig {
            max_concurrent: NonZeroCount::new(self.max_concurrent)
                .map_err(|e| e.in_field("max_concurrent"))?,
            max_waiting: self.max_waiting,
            max_wait: NonZeroDuration::new(self.max_wait)
                .map_err(|e| e.in_field("acquire_timeout"))?,
            priority_aging: NonZeroDuration::new(self.priority_aging)
                .map_err(|e| e.in_field("ageing"))?,
            lifo_threshold: self.lifo_threshold,
            reject_doomed: self.reject_doomed,
            shadow: self.shadow,
        })
    }
}

//! The settings of a bulkhead.

use std::fmt::Display;
use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, ns};

use crate::semaphore::queue::QueueRules;

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
/// assert_eq!(config.max_concurrent(), 10);
///
/// let rejected = BulkheadConfig::builder().max_concurrent(0).build().unwrap_err();
/// assert_eq!(
///     rejected.to_string(),
///     "`max_concurrent` is 0, accepted is a whole number from 1",
/// );
///
/// // A setting that would do nothing is an error.
/// let no_queue = BulkheadConfig::builder().max_wait(Duration::from_secs(2)).build().unwrap_err();
/// assert_eq!(
///     no_queue.to_string(),
///     "`max_wait` is 2s, accepted is none while `max_waiting` is 0, as no call waits",
/// );
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkheadConfig {
    max_concurrent: u32,
    max_waiting: u32,
    max_wait: Duration,
    priority_aging: Duration,
    lifo_threshold: Option<u32>,
    reject_doomed: bool,
    shadow: bool,
}

impl BulkheadConfig {
    /// Starts from the [default](Self::default) settings.
    pub const fn builder() -> BulkheadConfigBuilder {
        BulkheadConfigBuilder {
            config: Self::DEFAULT,
            waiting_setting: None,
        }
    }

    const DEFAULT: Self = Self {
        max_concurrent: 50,
        max_waiting: 0,
        max_wait: DEFAULT_MAX_WAIT,
        priority_aging: Duration::from_secs(5),
        lifo_threshold: None,
        reject_doomed: true,
        shadow: false,
    };

    seawall_core::getters! {
        /// How many calls run at once.
        pub const fn max_concurrent -> u32;

        /// How many calls wait for a permit; 0 when calls are rejected at once.
        pub const fn max_waiting -> u32;

        /// How long a call waits for a permit before it is rejected.
        pub const fn max_wait -> Duration;

        /// How much longer a call of low priority waits at most than one of normal priority that
        /// came at the same time.
        pub const fn priority_aging -> Duration;

        /// With more than how many queued calls the newest goes first; `None` when it never does.
        pub const fn lifo_threshold -> Option<u32>;

        /// Whether a call is rejected at once when its deadline will pass before its turn comes.
        pub const fn reject_doomed -> bool;

        /// Whether the layer is in shadow mode.
        pub const fn shadow -> bool;
    }

    pub(crate) const fn in_force(mut self, limit: u32, shadow: bool) -> Self {
        self.max_concurrent = limit;
        self.shadow = shadow;
        self
    }

    pub(crate) fn queue_rules(&self) -> QueueRules {
        QueueRules {
            max_waiting: self.max_waiting,
            max_wait_ns: ns(self.max_wait),
            // The named priorities are 64 steps apart.
            priority_step_ns: (ns(self.priority_aging) / 64).max(1),
            lifo_threshold: self.lifo_threshold,
            reject_doomed: self.reject_doomed,
        }
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let lifo = self.lifo_threshold.map(|waiting| waiting.to_string());
        vec![
            ("max_concurrent", self.max_concurrent.to_string()),
            ("max_waiting", self.max_waiting.to_string()),
            ("max_wait", format!("{:?}", self.max_wait)),
            ("priority_aging", format!("{:?}", self.priority_aging)),
            ("lifo_threshold", lifo.unwrap_or_else(|| "never".into())),
            ("reject_doomed", self.reject_doomed.to_string()),
            ("shadow", self.shadow.to_string()),
        ]
    }
}

impl Default for BulkheadConfig {
    /// 50 calls at once, and none waits.
    ///
    /// 50 is a common size of a client's connection pool per host; waiting is off, since a
    /// caller that waits holds a task and a request while it could do without the response.
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// For how long calls wait, where they may.
pub(crate) const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(30);

/// Collects the settings of a bulkhead; see [`BulkheadConfig::builder`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct BulkheadConfigBuilder {
    config: BulkheadConfig,
    /// The last setting that was made and needs waiting slots.
    waiting_setting: Option<&'static str>,
}

impl From<BulkheadConfig> for BulkheadConfigBuilder {
    /// Starts from these settings. Those of the queue may stay where `max_waiting` becomes 0.
    fn from(config: BulkheadConfig) -> Self {
        Self {
            config,
            waiting_setting: None,
        }
    }
}

impl BulkheadConfigBuilder {
    seawall_core::setters! { self.config:
        /// How many calls run at once: a whole number from 1. Default: 50.
        pub const fn max_concurrent(u32);

        /// How many calls wait for a permit beside those that run. Default: 0, reject at once.
        pub const fn max_waiting(u32);

        /// Whether the layer is in shadow mode: every call passes, none waits, and calls that would
        /// have been rejected are counted and emitted as
        /// [`Shadowed`](seawall_core::EventKind::Shadowed). Default: no.
        pub const fn shadow(bool);
    }

    /// How long a call waits for a permit, longer than zero; counted from the first poll of its
    /// future. The time in which it is skipped, since its service is not ready, is part of it. A
    /// call whose own [deadline](seawall_core::RequestMeta) is earlier waits until that. Needs
    /// `max_waiting`. Default: 30 seconds.
    pub const fn max_wait(mut self, timeout: Duration) -> Self {
        self.config.max_wait = timeout;
        self.waiting_setting = Some("max_wait");
        self
    }

    /// How much waiting makes up for the step from [low](seawall_core::Priority::LOW) to
    /// [normal](seawall_core::Priority::NORMAL) priority, and from that to
    /// [high](seawall_core::Priority::HIGH); longer than zero. A waiter is passed by one of one
    /// step more only if that one came less than this after it, so none starves. Needs
    /// `max_waiting`. Default: 5 seconds.
    pub const fn priority_aging(mut self, per_step: Duration) -> Self {
        self.config.priority_aging = per_step;
        self.waiting_setting = Some("priority_aging");
        self
    }

    /// While more calls than this are queued, the newest goes first, and still by priority. Needs
    /// `max_waiting`. Default: never.
    ///
    /// In a queue that is longer than what can be served before callers give up, first in, first
    /// out means that everybody is served too late. With the newest first, some are served in
    /// time, and the oldest, which are lost anyway, wait until their `max_wait` ends. Once the
    /// queue is that short again, new calls go to its end; those that came meanwhile keep their
    /// rank.
    pub const fn lifo_threshold(mut self, waiting: u32) -> Self {
        self.config.lifo_threshold = Some(waiting);
        self.waiting_setting = Some("lifo_threshold");
        self
    }

    /// Whether a call that would have to wait is rejected at once when its
    /// [deadline](seawall_core::RequestMeta) will pass before its turn comes, by how fast the
    /// queue has moved recently. Without effect on calls without a deadline, and while the queue
    /// has not moved often enough for a forecast. Needs `max_waiting`. Default: yes.
    pub const fn reject_doomed(mut self, on: bool) -> Self {
        self.config.reject_doomed = on;
        self.waiting_setting = Some("reject_doomed");
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `max_concurrent` is 0, `max_wait` or `priority_aging` is zero, or
    /// when one of `max_wait`, `priority_aging`, `lifo_threshold` and `reject_doomed` is set while
    /// `max_waiting` is 0, or when `lifo_threshold` is not below `max_waiting`: it would have no
    /// effect.
    pub fn build(self) -> Result<BulkheadConfig, InvalidConfig> {
        let config = self.config;
        NonZeroCount::check("max_concurrent", config.max_concurrent)?;
        NonZeroDuration::check("max_wait", config.max_wait)?;
        NonZeroDuration::check("priority_aging", config.priority_aging)?;
        if config.max_waiting == 0
            && let Some(field) = self.waiting_setting
        {
            let settings = config.settings();
            let value = settings.into_iter().find(|(name, _)| *name == field);
            return Err(needs_waiting(
                field,
                value.map_or_else(String::new, |v| v.1),
            ));
        }
        if let Some(threshold) = config.lifo_threshold
            && threshold >= config.max_waiting
        {
            let accepted = format!(
                "a number below `max_waiting`, {}: more calls are never queued",
                config.max_waiting
            );
            return Err(InvalidConfig::new("lifo_threshold", threshold, accepted));
        }
        Ok(config)
    }
}

/// A setting of the queue without waiting slots.
pub(crate) fn needs_waiting(field: &'static str, value: impl Display) -> InvalidConfig {
    let accepted = "none while `max_waiting` is 0, as no call waits";
    InvalidConfig::new(field, value, accepted)
}

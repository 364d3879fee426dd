//! Settings.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroDuration};

/// How long the body of a response may take.
///
/// ```
/// use std::time::Duration;
/// use seawall_http::body_timeout::BodyTimeoutConfig;
///
/// let config = BodyTimeoutConfig::builder().first_byte(Duration::from_secs(30)).build()?;
/// assert_eq!(config.idle(), Some(Duration::from_secs(60)), "the default");
///
/// let rejected = BodyTimeoutConfig::builder().total(Duration::ZERO).build().unwrap_err();
/// assert_eq!(rejected.to_string(), "`total` is 0s, accepted is longer than zero");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyTimeoutConfig {
    first_byte: Option<Duration>,
    idle: Option<Duration>,
    total: Option<Duration>,
    within_deadline: bool,
}

impl BodyTimeoutConfig {
    pub(super) const UNLIMITED: Self = Self {
        first_byte: None,
        idle: None,
        total: None,
        within_deadline: false,
    };

    /// A builder with the defaults of [`BodyTimeoutConfig::default`].
    pub fn builder() -> BodyTimeoutConfigBuilder {
        BodyTimeoutConfigBuilder {
            config: Self::default(),
            is_idle_set: false,
        }
    }

    seawall_core::getters! {
        /// How long a call may take to the first byte of the body.
        pub const fn first_byte -> Option<Duration>;

        /// How long a reader may find nothing to read.
        pub const fn idle -> Option<Duration>;

        /// How long the body may take in total.
        pub const fn total -> Option<Duration>;

        /// Whether the body ends at the deadline of its request.
        pub const fn within_deadline -> bool;
    }
}

impl Default for BodyTimeoutConfig {
    /// A minute without anything to read, and no other limit. A minute is the time after which
    /// the load balancers of AWS close an idle connection, so that servers which stream send
    /// something more often than that.
    fn default() -> Self {
        Self {
            idle: Some(Duration::from_secs(60)),
            ..Self::UNLIMITED
        }
    }
}

/// Builds a [`BodyTimeoutConfig`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct BodyTimeoutConfigBuilder {
    config: BodyTimeoutConfig,
    is_idle_set: bool,
}

impl From<BodyTimeoutConfig> for BodyTimeoutConfigBuilder {
    /// Starts from these settings. Their idle time goes where `total` becomes shorter.
    fn from(config: BodyTimeoutConfig) -> Self {
        Self {
            config,
            is_idle_set: false,
        }
    }
}

impl BodyTimeoutConfigBuilder {
    seawall_core::setters! { self.config:
        /// Sets how long a call may take to the first byte of the body, with the wait for the head.
        /// Models that think first need minutes. Default: no limit of its own, so that the wait
        /// from the head to the first byte is idle time.
        pub const fn first_byte(Some(Duration));

        /// Sets how long the body may take in total, from the head of the response on. Default: no
        /// limit.
        pub const fn total(Some(Duration));

        /// Ends the body at the deadline of its request, where it has one (see
        /// [`deadline_of`](crate::deadline::deadline_of)). Default: a deadline is for the head, and
        /// a body may stream for longer.
        pub const fn within_deadline(bool);
    }

    /// Sets how long a reader may find nothing to read; before the first byte it counts only
    /// where that has no limit of its own. Default 60 s, or none when `total` is shorter.
    pub const fn idle(mut self, limit: Duration) -> Self {
        self.is_idle_set = true;
        self.config.idle = Some(limit);
        self
    }

    /// Sets no limit to the time between frames.
    pub const fn without_idle(mut self) -> Self {
        self.is_idle_set = true;
        self.config.idle = None;
        self
    }

    /// The configuration.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `first_byte`, `idle` or `total` when it is zero, and `idle` when
    /// it is longer than `total`: it would have no effect.
    pub fn build(self) -> Result<BodyTimeoutConfig, InvalidConfig> {
        let mut config = self.config;
        for (field, limit) in [
            ("first_byte", config.first_byte),
            ("idle", config.idle),
            ("total", config.total),
        ] {
            if let Some(limit) = limit {
                NonZeroDuration::new(limit).map_err(|rejected| rejected.in_field(field))?;
            }
        }
        if let (Some(idle), Some(total)) = (config.idle, config.total)
            && idle > total
        {
            if self.is_idle_set {
                let accepted = format!("at most `total`, {total:?}");
                return Err(InvalidConfig::new("idle", format!("{idle:?}"), accepted));
            }
            config.idle = None;
        }
        Ok(config)
    }
}

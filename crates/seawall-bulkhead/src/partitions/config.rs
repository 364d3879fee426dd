//! The settings of a partitioned bulkhead and of the shares in it.

use std::fmt;
use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, PartitionKey};

use crate::config::{DEFAULT_MAX_WAIT, needs_waiting};

/// What one key may have of the permits.
///
/// ```
/// use seawall_bulkhead::partitions::PartitionShare;
///
/// let share = PartitionShare::new().guaranteed(10).max(30).weight(2).max_waiting(100);
/// # let _ = share;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionShare {
    pub(crate) guaranteed: u32,
    pub(crate) max: u32,
    pub(crate) weight: u32,
    pub(crate) max_waiting: u32,
}

impl PartitionShare {
    /// Nothing is guaranteed, all permits may be borrowed, at the weight of 1, and 64 calls may
    /// wait.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            guaranteed: 0,
            max: u32::MAX,
            weight: 1,
            max_waiting: 64,
        }
    }

    seawall_core::setters! { self:
        /// How many permits the key gets before any key borrows one. For a key that is named in the
        /// configuration, they are kept available when it does not use them: its next call finds
        /// one at once. Default: 0.
        #[must_use]
        pub const fn guaranteed(u32);

        /// The most permits that the key has at once, a whole number from 1. Default: no bound of
        /// its own.
        #[must_use]
        pub const fn max(u32);

        /// How much the key borrows beside others that wait: twice the weight, twice the permits; a
        /// whole number from 1. Default: 1.
        #[must_use]
        pub const fn weight(u32);

        /// How many calls of the key wait; the next one is rejected. Default: 64.
        #[must_use]
        pub const fn max_waiting(u32);
    }

    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        NonZeroCount::check("max", self.max)?;
        NonZeroCount::check("weight", self.weight)?;
        if self.guaranteed > self.max {
            let accepted = format!("a whole number from 0 to {}, the `max`", self.max);
            return Err(InvalidConfig::new("guaranteed", self.guaranteed, accepted));
        }
        Ok(())
    }
}

/// In words: `0 guaranteed, no max, weight 1, 64 waiting`.
impl fmt::Display for PartitionShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (guaranteed, weight, waiting) = (self.guaranteed, self.weight, self.max_waiting);
        write!(f, "{guaranteed} guaranteed, ")?;
        match self.max {
            u32::MAX => f.write_str("no max")?,
            max => write!(f, "max {max}")?,
        }
        write!(f, ", weight {weight}, {waiting} waiting")
    }
}

impl Default for PartitionShare {
    fn default() -> Self {
        Self::new()
    }
}

/// How many calls run at once in all, and what each key may have of that.
///
/// ```
/// use seawall_bulkhead::PartitionKey;
/// use seawall_bulkhead::partitions::{PartitionConfig, PartitionShare};
///
/// let config = PartitionConfig::builder()
///     .max_concurrent(40)
///     .default_share(PartitionShare::new().max(20))
///     .share(PartitionKey::of("closing"), PartitionShare::new().guaranteed(5))
///     .build()?;
/// assert_eq!(config.max_concurrent(), 40);
///
/// let rejected = PartitionConfig::builder()
///     .max_concurrent(4)
///     .share(PartitionKey::of("closing"), PartitionShare::new().guaranteed(5))
///     .build()
///     .unwrap_err();
/// assert_eq!(
///     rejected.to_string(),
///     "`guaranteed` is 5, accepted is at most 4 for all keys together, the `max_concurrent`",
/// );
/// # Ok::<(), seawall_bulkhead::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionConfig {
    max_concurrent: u32,
    max_wait: Duration,
    default_share: PartitionShare,
    shadow: bool,
    shares: Vec<(PartitionKey, PartitionShare)>,
}

impl PartitionConfig {
    /// Starts with 50 permits, a wait of 30 seconds, and [`PartitionShare::new`] for every key.
    pub const fn builder() -> PartitionConfigBuilder {
        PartitionConfigBuilder {
            config: Self {
                max_concurrent: 50,
                max_wait: DEFAULT_MAX_WAIT,
                default_share: PartitionShare::new(),
                shadow: false,
                shares: Vec::new(),
            },
            max_wait_set: false,
        }
    }

    seawall_core::getters! {
        /// How many calls of all keys run at once.
        pub const fn max_concurrent -> u32;

        /// How long a call waits for a permit before it is rejected.
        pub const fn max_wait -> Duration;

        /// The share of each key that is not named.
        pub const fn default_share -> PartitionShare;

        /// Whether the layer is in shadow mode.
        pub const fn shadow -> bool;
    }

    /// The keys with a share of their own.
    pub fn shares(&self) -> &[(PartitionKey, PartitionShare)] {
        &self.shares
    }

    pub(crate) fn in_force(
        &self,
        max_concurrent: u32,
        shadow: bool,
        shares: Vec<(PartitionKey, PartitionShare)>,
    ) -> Self {
        Self {
            max_concurrent,
            max_wait: self.max_wait,
            default_share: self.default_share,
            shadow,
            shares,
        }
    }

    fn may_wait(&self) -> bool {
        let mut shares = self.shares.iter().map(|(_, share)| share);
        self.default_share.max_waiting > 0 || shares.any(|share| share.max_waiting > 0)
    }
}

/// Collects the settings of a partitioned bulkhead; see [`PartitionConfig::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct PartitionConfigBuilder {
    config: PartitionConfig,
    max_wait_set: bool,
}

impl PartitionConfigBuilder {
    seawall_core::setters! { self.config:
        /// How many calls of all keys run at once: a whole number from 1. Default: 50.
        pub const fn max_concurrent(u32);

        /// The share of each key that is not named.
        pub const fn default_share(PartitionShare);

        /// Whether the layer is in shadow mode: every call passes, none waits, and those that would
        /// have been rejected are counted and emitted as
        /// [`Shadowed`](seawall_core::EventKind::Shadowed). Default: no.
        pub const fn shadow(bool);
    }

    /// How long a call waits for a permit, longer than zero, counted from the first poll of its
    /// future; its own [deadline](seawall_core::RequestMeta) can end it before. Needs a share with
    /// `max_waiting`. Default: 30 seconds.
    pub const fn max_wait(mut self, timeout: Duration) -> Self {
        self.config.max_wait = timeout;
        self.max_wait_set = true;
        self
    }

    /// The share of one key; the last one counts.
    pub fn share(mut self, key: PartitionKey, share: PartitionShare) -> Self {
        self.config.shares.retain(|(of, _)| *of != key);
        self.config.shares.push((key, share));
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `max_concurrent` is 0, `max_wait` is zero, or is set where no share
    /// lets calls wait, `max` or `weight` of a share is 0, more is `guaranteed` than its `max`, or
    /// more to all named keys together than there are permits.
    pub fn build(self) -> Result<PartitionConfig, InvalidConfig> {
        let config = self.config;
        NonZeroCount::check("max_concurrent", config.max_concurrent)?;
        config.default_share.check()?;
        for (_, share) in &config.shares {
            share.check()?;
        }
        let shares = config.shares.iter().map(|(_, share)| share);
        check_guarantees(config.max_concurrent, shares)?;
        NonZeroDuration::check("max_wait", config.max_wait)?;
        if self.max_wait_set && !config.may_wait() {
            return Err(needs_waiting("max_wait", format!("{:?}", config.max_wait)));
        }
        Ok(config)
    }
}

pub(crate) fn check_guarantees<'a>(
    permits: u32,
    shares: impl Iterator<Item = &'a PartitionShare>,
) -> Result<(), InvalidConfig> {
    let guaranteed: u64 = shares.map(|share| u64::from(share.guaranteed)).sum();
    if guaranteed <= u64::from(permits) {
        return Ok(());
    }
    let accepted = format!("at most {permits} for all keys together, the `max_concurrent`");
    Err(InvalidConfig::new("guaranteed", guaranteed, accepted))
}

//! The settings of a pool and of the shares in it.

use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroCount, NonZeroDuration, PartitionKey};

/// What one key may have of a pool.
///
/// ```
/// use seawall_bulkhead::PartitionShare;
///
/// let desk = PartitionShare::new().guaranteed(10).max(30).weight(2).max_waiting(100);
/// # let _ = desk;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionShare {
    pub(crate) guaranteed: u32,
    pub(crate) max: u32,
    pub(crate) weight: u32,
    pub(crate) max_waiting: u32,
}

impl PartitionShare {
    /// Nothing is guaranteed, the whole pool may be borrowed, at the weight of 1, and 64 calls may
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

    /// So many places are had before anybody borrows one. For a key that is named in the
    /// configuration, they are kept free when it does not use them: its next call finds one at
    /// once. Default: 0.
    #[must_use]
    pub const fn guaranteed(mut self, places: u32) -> Self {
        self.guaranteed = places;
        self
    }

    /// The most places that are had at once, a whole number from 1. Default: no bound but the pool.
    #[must_use]
    pub const fn max(mut self, places: u32) -> Self {
        self.max = places;
        self
    }

    /// How much is borrowed beside others that wait: twice the weight, twice the places; a whole
    /// number from 1. Default: 1.
    #[must_use]
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// How many calls wait; the next one is rejected. Default: 64.
    #[must_use]
    pub const fn max_waiting(mut self, calls: u32) -> Self {
        self.max_waiting = calls;
        self
    }

    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        NonZeroCount::new(self.max).map_err(|e| e.in_field("max"))?;
        NonZeroCount::new(self.weight).map_err(|e| e.in_field("weight"))?;
        if self.guaranteed > self.max {
            let accepted = format!("a whole number from 0 to {}, the `max`", self.max);
            return Err(InvalidConfig::new("guaranteed", self.guaranteed, accepted));
        }
        Ok(())
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
/// use seawall_bulkhead::{PartitionConfig, PartitionShare};
/// use seawall_core::PartitionKey;
///
/// let config = PartitionConfig::builder()
///     .max_concurrent(40)
///     .default_share(PartitionShare::new().max(20))
///     .share(PartitionKey::of("closing"), PartitionShare::new().guaranteed(5))
///     .build()?;
/// # let _ = config;
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
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionConfig {
    pub(crate) max_concurrent: NonZeroCount,
    pub(crate) max_wait: NonZeroDuration,
    pub(crate) default_share: PartitionShare,
    pub(crate) shares: Vec<(PartitionKey, PartitionShare)>,
}

impl PartitionConfig {
    /// Starts with 50 places, 30 seconds of patience, and [`PartitionShare::new`] for every key.
    pub fn builder() -> PartitionConfigBuilder {
        PartitionConfigBuilder {
            max_concurrent: 50,
            max_wait: Duration::from_secs(30),
            default_share: PartitionShare::new(),
            shares: Vec::new(),
        }
    }
}

/// Collects the settings of a pool; see [`PartitionConfig::builder`].
#[derive(Clone, Debug)]
pub struct PartitionConfigBuilder {
    max_concurrent: u32,
    max_wait: Duration,
    default_share: PartitionShare,
    shares: Vec<(PartitionKey, PartitionShare)>,
}

impl PartitionConfigBuilder {
    /// How many calls of all keys run at once: a whole number from 1. Default: 50.
    #[must_use]
    pub const fn max_concurrent(mut self, calls: u32) -> Self {
        self.max_concurrent = calls;
        self
    }

    /// How long a call waits for a place, longer than zero, counted from the first poll of its
    /// future; its own [deadline](seawall_core::RequestMeta) can end it before. Default: 30 seconds.
    #[must_use]
    pub const fn max_wait(mut self, timeout: Duration) -> Self {
        self.max_wait = timeout;
        self
    }

    /// The share of each key that is not named.
    #[must_use]
    pub const fn default_share(mut self, share: PartitionShare) -> Self {
        self.default_share = share;
        self
    }

    /// The share of one key; the last one counts.
    #[must_use]
    pub fn share(mut self, key: PartitionKey, share: PartitionShare) -> Self {
        self.shares.retain(|(of, _)| *of != key);
        self.shares.push((key, share));
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when `max_concurrent` is 0, `max_wait` is zero, `max` or `weight` of
    /// a share is 0, more is `guaranteed` than its `max`, or more to all named keys together than
    /// there are places.
    pub fn build(self) -> Result<PartitionConfig, InvalidConfig> {
        let max_concurrent =
            NonZeroCount::new(self.max_concurrent).map_err(|e| e.in_field("max_concurrent"))?;
        self.default_share.check()?;
        for (_, share) in &self.shares {
            share.check()?;
        }
        check_guarantees(self.max_concurrent, self.shares.iter().map(|(_, s)| s))?;
        Ok(PartitionConfig {
            max_concurrent,
            max_wait: NonZeroDuration::new(self.max_wait)
                .map_err(|e| e.in_field("acquire_timeout"))?,
            default_share: self.default_share,
            shares: self.shares,
        })
    }
}

pub(crate) fn check_guarantees<'a>(
    places: u32,
    shares: impl Iterator<Item = &'a PartitionShare>,
) -> Result<(), InvalidConfig> {
    let guaranteed: u64 = shares.map(|share| u64::from(share.guaranteed)).sum();
    if guaranteed <= u64::from(places) {
        return Ok(());
    }
    let accepted = format!("at most {places} for all keys together, the `max_concurrent`");
    Err(InvalidConfig::new("guaranteed", guaranteed, accepted))
}

//! The settings of a cache, and of a layer that coalesces.

use std::num::NonZeroU64;
use std::time::Duration;

use seawall_core::{InvalidConfig, Span};

/// The most entries unless set.
const ENTRIES: usize = 10_000;
/// The longest wait for another call unless set.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The most refreshes at once unless set.
const REFRESHES: usize = 16;

/// How long answers are kept, and how many.
///
/// ```
/// use std::time::Duration;
/// use seawall_cache::CacheConfig;
///
/// // Quotes: fresh for a second, good enough for three more while a new one is fetched, and for an hour where
/// // the upstream fails.
/// let quotes = CacheConfig::builder(Duration::from_secs(1))
///     .stale_while_revalidate(Duration::from_secs(3))
///     .stale_on_failure(Duration::from_secs(3600))
///     .build()?;
/// assert_eq!(quotes.ttl(), Duration::from_secs(1));
///
/// let rejected = CacheConfig::builder(Duration::ZERO).build().unwrap_err();
/// assert_eq!(rejected.to_string(), "`ttl` is 0s, accepted is longer than zero");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    ttl: Duration,
    stale_while_revalidate: Option<Duration>,
    stale_on_failure: Option<Duration>,
    negative_ttl: Option<Duration>,
    max_entries: usize,
    max_weight: Option<u64>,
    coalesce: bool,
    max_wait: Option<Duration>,
    max_refreshes: Option<usize>,
}

impl CacheConfig {
    /// A builder: answers are fresh for `ttl`, unless the [rules](crate::CacheRules) know better.
    pub const fn builder(ttl: Duration) -> CacheConfigBuilder {
        CacheConfigBuilder {
            config: Self {
                ttl,
                stale_while_revalidate: None,
                stale_on_failure: None,
                negative_ttl: None,
                max_entries: ENTRIES,
                max_weight: None,
                coalesce: true,
                max_wait: None,
                max_refreshes: None,
            },
        }
    }

    /// Answers are fresh for `ttl`; everything else is as it is unless set.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `ttl` when it is zero.
    pub fn new(ttl: Duration) -> Result<Self, InvalidConfig> {
        Self::builder(ttl).build()
    }

    seawall_core::getters! {
        /// How long an answer is fresh.
        pub const fn ttl -> Duration;

        /// How long after that it is used while a new one is fetched; `None` where it is not.
        pub const fn stale_while_revalidate -> Option<Duration>;

        /// Up to which age an answer is used where the upstream fails; `None` where it is not.
        pub const fn stale_on_failure -> Option<Duration>;

        /// How long an answer is kept that says nothing of the upstream, as that there is no such thing;
        /// `None` where it is not.
        pub const fn negative_ttl -> Option<Duration>;

        /// The most entries.
        pub const fn max_entries -> usize;

        /// The most that all entries may weigh together, if that is limited.
        pub const fn max_weight -> Option<u64>;

        /// Whether callers of one key share one call.
        pub const fn coalesce -> bool;
    }

    /// The longest time that a caller waits for the call of another one.
    pub const fn max_wait(&self) -> Duration {
        match self.max_wait {
            Some(wait) => wait,
            None => MAX_WAIT,
        }
    }

    /// The most refreshes in the background at once.
    pub const fn max_refreshes(&self) -> usize {
        match self.max_refreshes {
            Some(most) => most,
            None => REFRESHES,
        }
    }

    /// What all entries may weigh together, as the store counts it.
    pub(crate) const fn capacity(&self) -> u64 {
        match self.max_weight {
            Some(weight) => weight,
            None => self.max_entries as u64,
        }
    }

    /// The share by number of an entry, which is the least that it counts for; `None` where each counts 1.
    pub(crate) fn share(&self) -> Option<NonZeroU64> {
        let most = self.max_weight?;
        NonZeroU64::new(most.div_ceil(self.max_entries as u64))
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let count = |count: Option<u64>| count.map_or_else(|| "none".to_owned(), |n| n.to_string());
        vec![
            ("ttl", Span(self.ttl).to_string()),
            (
                "stale_while_revalidate",
                Span::or_none(self.stale_while_revalidate),
            ),
            ("stale_on_failure", Span::or_none(self.stale_on_failure)),
            ("negative_ttl", Span::or_none(self.negative_ttl)),
            ("max_entries", self.max_entries.to_string()),
            ("max_weight", count(self.max_weight)),
            ("coalesce", self.coalesce.to_string()),
            ("max_wait", Span(self.max_wait()).to_string()),
            ("max_refreshes", self.max_refreshes().to_string()),
        ]
    }
}

/// Collects the settings of a [`CacheConfig`] and checks them at the end.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CacheConfigBuilder {
    config: CacheConfig,
}

impl CacheConfigBuilder {
    seawall_core::setters! { self.config:
        /// Sets how long an answer is fresh: from when its response was there, whenever its call began, and less the
        /// age that the [rules](crate::Lifetime::age) know of.
        pub const fn ttl(Duration);

        /// Sets how long an answer that is not fresh any more is used while a new one is fetched; not at
        /// all unless set. It is marked as degraded where the layer has a [mark](crate::CacheLayer::mark); without one
        /// its caller cannot know.
        pub const fn stale_while_revalidate(Some(Duration));

        /// Sets up to which age an answer is used where the upstream fails or a layer below rejects; not at
        /// all unless set. It is marked as degraded where the layer has a [mark](crate::CacheLayer::mark); without one
        /// its caller cannot know. No response can allow more, nor for a refresh.
        pub const fn stale_on_failure(Some(Duration));

        /// Sets how long a response is kept whose outcome is [`Ignored`](seawall_core::Outcome::Ignored), as
        /// that there is no such symbol; not at all unless set. It is never used when stale.
        pub const fn negative_ttl(Some(Duration));

        /// Sets the most entries; 10,000 unless set. They are spread over parts of equal size by their
        /// hash, and each part drops what is used least for itself, so that somewhat fewer may fit. The share of a
        /// part is rounded up, which is less than 4 % more. How many parts there are is settled when the layer is made:
        /// a much smaller bound of later settings leaves each of them one entry.
        pub const fn max_entries(usize);

        /// Sets the most that all entries may weigh together, in the unit of the
        /// [storer](seawall_core::StoreSink::put), with what their keys weigh by the
        /// [rules](crate::CacheRules::key_weight); no limit unless set. An answer that is about as heavy as a
        /// quarter of it, or heavier, is not kept. A part, of four at most, has its share rounded up: 4 is the
        /// smallest bound that is kept to. Set by [`configure`](crate::CacheHandle::configure) where weight had no limit
        /// when the layer was made, it is spread over the parts of then, four for each core of the machine.
        pub const fn max_weight(Some(u64));

        /// Sets whether callers of one key that is not kept share one call; they do unless set.
        pub const fn coalesce(bool);

        /// Sets the longest time that a caller waits for the call of another one before it makes its own;
        /// 30 s unless set. Where yet another one has taken that call over meanwhile it waits as long again,
        /// and no longer. A refresh that takes as long is given up, or made by another caller, too. Only where
        /// callers share calls, or with [`stale_while_revalidate`](Self::stale_while_revalidate).
        pub const fn max_wait(Some(Duration));

        /// Sets how many answers are refreshed in the background at once; 16 unless set. What exceeds that is
        /// refreshed later. Only with [`stale_while_revalidate`](Self::stale_while_revalidate).
        pub const fn max_refreshes(Some(usize));
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `ttl`, `stale_while_revalidate`, `negative_ttl`, `max_entries`, `max_weight`,
    /// `max_wait` or `max_refreshes` when it is zero; `stale_on_failure` when it ends before the answer is
    /// stale; `max_wait` when callers neither share calls nor refresh; `max_refreshes` without `stale_while_revalidate`.
    pub fn build(self) -> Result<CacheConfig, InvalidConfig> {
        let config = self.config;
        let spans = [
            ("ttl", Some(config.ttl)),
            ("stale_while_revalidate", config.stale_while_revalidate),
            ("negative_ttl", config.negative_ttl),
            ("max_wait", config.max_wait),
        ];
        for (field, span) in spans {
            if span == Some(Duration::ZERO) {
                return Err(InvalidConfig::new(
                    field,
                    Span(Duration::ZERO),
                    "longer than zero",
                ));
            }
        }
        let counts = [
            ("max_entries", Some(config.max_entries as u64)),
            ("max_weight", config.max_weight),
            (
                "max_refreshes",
                config.max_refreshes.map(|most| most as u64),
            ),
        ];
        for (field, count) in counts {
            if count == Some(0) {
                return Err(InvalidConfig::new(field, 0, "at least 1"));
            }
        }
        let refreshed = config.stale_while_revalidate.unwrap_or_default();
        let least = config.ttl.saturating_add(refreshed);
        if let Some(bound) = config.stale_on_failure
            && bound < least
        {
            let accepted = match config.stale_while_revalidate {
                None => format!("at least `ttl`, {}", Span(least)),
                Some(_) => format!(
                    "at least `ttl` and `stale_while_revalidate`, {}",
                    Span(least)
                ),
            };
            return Err(InvalidConfig::new(
                "stale_on_failure",
                Span(bound),
                accepted,
            ));
        }
        if let Some(wait) = config.max_wait
            && !config.coalesce
            && config.stale_while_revalidate.is_none()
        {
            let accepted = "none where callers neither share calls nor refresh";
            return Err(InvalidConfig::new("max_wait", Span(wait), accepted));
        }
        if let Some(most) = config.max_refreshes
            && config.stale_while_revalidate.is_none()
        {
            let accepted = "none without `stale_while_revalidate`";
            return Err(InvalidConfig::new("max_refreshes", most, accepted));
        }
        Ok(config)
    }
}

/// How callers of one key share a call.
///
/// ```
/// use std::time::Duration;
/// use seawall_cache::CoalesceConfig;
///
/// let config = CoalesceConfig::builder().max_wait(Duration::from_secs(5)).build()?;
/// assert_eq!(config.max_wait(), Duration::from_secs(5));
/// let rejected = CoalesceConfig::builder().max_wait(Duration::ZERO).build().unwrap_err();
/// assert_eq!(rejected.field(), "max_wait");
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoalesceConfig {
    max_wait: Duration,
    share_failures: bool,
}

impl CoalesceConfig {
    /// A builder that starts from the defaults.
    pub fn builder() -> CoalesceConfigBuilder {
        CoalesceConfigBuilder {
            config: Self::default(),
        }
    }

    seawall_core::getters! {
        /// The longest time that a caller waits for the call of another one.
        pub const fn max_wait -> Duration;

        /// Whether waiters get what a call has failed with.
        pub const fn share_failures -> bool;
    }

    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("max_wait", Span(self.max_wait).to_string()),
            ("share_failures", self.share_failures.to_string()),
        ]
    }
}

impl Default for CoalesceConfig {
    /// A caller waits for 30 s, and where a call fails the next waiter makes its own.
    fn default() -> Self {
        Self {
            max_wait: MAX_WAIT,
            share_failures: false,
        }
    }
}

/// Collects the settings of a [`CoalesceConfig`] and checks them at the end.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CoalesceConfigBuilder {
    config: CoalesceConfig,
}

impl CoalesceConfigBuilder {
    seawall_core::setters! { self.config:
        /// Sets the longest time that a caller waits for the call of another one before it makes its own;
        /// 30 s unless set. Where yet another one has taken that call over meanwhile it waits as long again,
        /// and no longer.
        pub const fn max_wait(Duration);

        /// Sets whether all waiters get what a call has failed with: its response, the rejection of a layer
        /// below, or a copy of its error (see [`copy_error`](crate::CoalesceLayer::copy_error)). Unless set,
        /// and for what cannot be copied, the next waiter makes the call again. What only concerns one
        /// caller, as the deadline of it, is never shared, nor what the rules
        /// [forbid](crate::CacheRules::is_shareable), as a cookie.
        pub const fn share_failures(bool);
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `max_wait` when it is zero.
    pub fn build(self) -> Result<CoalesceConfig, InvalidConfig> {
        if self.config.max_wait.is_zero() {
            let zero = Span(Duration::ZERO);
            return Err(InvalidConfig::new("max_wait", zero, "longer than zero"));
        }
        Ok(self.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn impossible_settings_are_rejected_by_name() {
        let builder = || CacheConfig::builder(10 * MS);
        let field = |b: CacheConfigBuilder| b.build().unwrap_err().field().to_owned();
        assert_eq!(field(CacheConfig::builder(Duration::ZERO)), "ttl");
        assert_eq!(field(builder().ttl(Duration::ZERO)), "ttl");
        let refresh = builder().stale_while_revalidate(Duration::ZERO);
        assert_eq!(field(refresh), "stale_while_revalidate");
        assert_eq!(
            field(builder().negative_ttl(Duration::ZERO)),
            "negative_ttl"
        );
        assert_eq!(field(builder().max_entries(0)), "max_entries");
        assert_eq!(field(builder().max_weight(0)), "max_weight");
        assert_eq!(field(builder().max_wait(Duration::ZERO)), "max_wait");
        assert_eq!(field(builder().coalesce(false).max_wait(MS)), "max_wait");
        let refreshes = builder().coalesce(false).stale_while_revalidate(MS);
        assert!(refreshes.max_wait(MS).build().is_ok());
        assert_eq!(field(builder().max_refreshes(4)), "max_refreshes");
        let none = builder().stale_while_revalidate(MS).max_refreshes(0);
        assert_eq!(field(none), "max_refreshes");
    }

    #[test]
    fn an_age_bound_below_the_ttl_is_rejected() {
        let bound = |bound| CacheConfig::builder(10 * MS).stale_on_failure(bound);
        let rejected = bound(9 * MS).build().unwrap_err();
        assert_eq!(
            rejected.to_string(),
            "`stale_on_failure` is 9ms, accepted is at least `ttl`, 10ms",
        );
        assert_eq!(
            bound(Duration::ZERO).build().unwrap_err().field(),
            "stale_on_failure"
        );
        assert!(bound(10 * MS).build().is_ok());
        let refreshed = bound(12 * MS).stale_while_revalidate(3 * MS);
        assert_eq!(refreshed.build().unwrap_err().field(), "stale_on_failure");
        assert!(
            CacheConfig::builder(Duration::MAX)
                .stale_on_failure(Duration::MAX)
                .build()
                .is_ok()
        );
    }

    #[test]
    fn an_entry_has_a_share_where_weight_is_limited() {
        let config = CacheConfig::builder(MS)
            .max_entries(10)
            .max_weight(1_000)
            .build()
            .unwrap();
        assert_eq!(config.share(), NonZeroU64::new(100));
        let config = CacheConfig::builder(MS).max_entries(10).build().unwrap();
        assert_eq!((config.share(), config.capacity()), (None, 10));
    }
}

//! The layer: owner of the limits of all keys.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64};

use seawall_core::striped::{Shared, Stripes};
use seawall_core::{Clock, DefaultMeta, EventSource, InstanceName, InvalidConfig, PartitionKey};
use tower_layer::Layer;

use super::{Keyed, KeyedRateLimit, KeyedRateLimitHandle, Keys};
use crate::feedback::{FeedbackLayer, Source};
use crate::meter::WallClock;
use crate::observe::{Common, Stripe};
use crate::{MetaCost, RateLimitConfig, RateLimitLayer};

/// Limits how many calls of each key depart per time: endpoint, account, symbol, caller.
///
/// The key is that of [`RequestMeta`](seawall_core::RequestMeta), so [`describe`](Self::describe) says what calls
/// are limited by; without it all have the same. Keys that were never named get the settings of the
/// layer; [`with_key`](Self::with_key) names those that have their own.
///
/// A key is kept for as long as something of it is used: one that has rested until its limits are
/// whole again is forgotten as new ones come, and nobody can tell. With a single
/// [bucket](crate::Limit::bucket) per key, a key that nobody waits for takes 24 bytes and its share
/// of the empty places of a hash table, 28 to 56 bytes in all.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{PartitionKey, RequestMeta, Replay};
/// use seawall_ratelimit::{KeyedRateLimitLayer, RateLimitConfig};
///
/// let second = Duration::from_secs(1);
/// let usual = RateLimitConfig::builder().rate(10, second).burst(5).build()?;
/// let quotes = RateLimitConfig::builder().rate(100, second).burst(50).build()?;
/// let layer = KeyedRateLimitLayer::new("endpoints", usual)?
///     .with_key(PartitionKey::of("quotes"), quotes)?
///     .describe(|endpoint: &&str| RequestMeta::new(Replay::Safe).with_key(PartitionKey::of(endpoint)));
///
/// let handle = layer.handle();
/// assert_eq!(handle.tokens(PartitionKey::of("quotes")), 50.0);
/// assert_eq!(handle.tokens(PartitionKey::of("news")), 5.0);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
///
/// # Two limits at once
///
/// Where a provider limits each endpoint and the account as a whole, the layer of the endpoints is
/// made [within](Self::within) that of the account: a call departs when both grant it, and takes
/// from neither otherwise. It waits in the line of its key, and the first of each key waits in the
/// line of the account.
#[derive(Clone)]
pub struct KeyedRateLimitLayer<D = DefaultMeta, P = MetaCost> {
    shared: Shared<Keyed, Stripe>,
    describe: D,
    price: P,
}

impl KeyedRateLimitLayer {
    /// A layer whose keys have limits of these settings each. `name` is what rejections and metrics
    /// call it.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when a limit is [kept in a file](crate::Limit::persist_in), which cannot hold
    /// the quotas of many keys.
    pub fn new(
        name: impl Into<InstanceName>,
        config: RateLimitConfig,
    ) -> Result<Self, InvalidConfig> {
        Self::make(name.into(), config, None)
    }

    /// As [`new`](Self::new), within the limits of `all`, which every key shares: a call takes from
    /// both or from none.
    ///
    /// Services of `all` itself may go on beside it. What calls of keys take there is seen in its
    /// tokens, but they are counted here alone.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_ratelimit::{KeyedRateLimitLayer, RateLimitConfig, RateLimitLayer};
    ///
    /// let second = Duration::from_secs(1);
    /// let account = RateLimitConfig::builder().rate(30, second).burst(10).build()?;
    /// let endpoint = RateLimitConfig::builder().rate(10, second).burst(5).build()?;
    /// let account = RateLimitLayer::new("account", account);
    /// let endpoints = KeyedRateLimitLayer::within("endpoints", endpoint, &account)?;
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    pub fn within<D, P>(
        name: impl Into<InstanceName>,
        config: RateLimitConfig,
        all: &RateLimitLayer<D, P>,
    ) -> Result<Self, InvalidConfig> {
        Self::make(name.into(), config, Some(all.shared()))
    }

    fn make(
        name: InstanceName,
        config: RateLimitConfig,
        within: Option<Shared<Common, Stripe>>,
    ) -> Result<Self, InvalidConfig> {
        // One clock for both: a reading of one is compared with those of the other.
        let clock = match &within {
            Some(all) => all.common().clock,
            None => Clock::start(),
        };
        let limits = config.limits();
        let keyed = Keyed {
            first_unit: limits[0].unit(),
            alike: AtomicBool::new(limits.len() == 1 && within.is_none()),
            hushed_until: AtomicU64::new(0),
            keys: Keys::new(config, within.is_some(), WallClock::now(clock.now()))?,
            within,
            clock,
            observer: EventSource::new("ratelimit_per_key", name),
        };
        Ok(Self {
            shared: Shared::new(keyed, Stripes::auto(), Stripe::default),
            describe: DefaultMeta,
            price: MetaCost,
        })
    }
}

impl<D, P> KeyedRateLimitLayer<D, P> {
    /// Gives a key settings of its own. They last, also when the key is forgotten for a while.
    ///
    /// # Errors
    ///
    /// As [`KeyedRateLimitHandle::configure_key`].
    pub fn with_key(
        self,
        key: PartitionKey,
        config: RateLimitConfig,
    ) -> Result<Self, InvalidConfig> {
        self.handle().configure_key(key, config)?;
        Ok(self)
    }

    /// Says what a request is: its key, its cost, its tokens, its priority, its deadline. Asked
    /// once per call.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> KeyedRateLimitLayer<D2, P> {
        KeyedRateLimitLayer {
            shared: self.shared,
            describe,
            price: self.price,
        }
    }

    /// Says what a request costs of each limit, where that is not what `describe` says. Asked once
    /// per call and limit.
    #[must_use]
    pub fn price<P2>(self, price: P2) -> KeyedRateLimitLayer<D, P2> {
        KeyedRateLimitLayer {
            shared: self.shared,
            describe: self.describe,
            price,
        }
    }

    /// A layer to be put below this one, next to the client, that reads with `feedback` what the
    /// answers say, and corrects the limit of the key by it.
    pub fn feedback<F>(&self, feedback: F) -> FeedbackLayer<F, D, P>
    where
        D: Clone,
        P: Clone,
    {
        let (describe, price) = (self.describe.clone(), self.price.clone());
        let source = Source::Keyed(self.shared.clone());
        FeedbackLayer::new(source, feedback, describe, price)
    }

    /// A handle to read and to control the limits from outside.
    pub fn handle(&self) -> KeyedRateLimitHandle {
        KeyedRateLimitHandle::new(self.shared.clone())
    }
}

impl<S, D: Clone, P: Clone> Layer<S> for KeyedRateLimitLayer<D, P> {
    type Service = KeyedRateLimit<S, D, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let (describe, price) = (self.describe.clone(), self.price.clone());
        KeyedRateLimit::new(inner, self.shared.anchor(), describe, price)
    }
}

impl<D, P> fmt::Debug for KeyedRateLimitLayer<D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKeyLimitLayer")
            .field("name", &self.shared.common().observer.name())
            .finish_non_exhaustive()
    }
}

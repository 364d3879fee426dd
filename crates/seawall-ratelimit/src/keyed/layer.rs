//! The layer with limits per key.

use seawall_core::{InstanceName, Policy};

use super::{KeyedRateLimit, KeyedRateLimitConfig, KeyedRateLimitHandle};
use crate::costs::MetaCost;
use crate::handle::RateLimitHandle;
use crate::layer_methods::layer_methods;
use crate::state::{SharedState, State};

/// Limits how many calls of each key depart per period: endpoint, account, symbol, caller.
///
/// The key is that of [`RequestMeta`](seawall_core::RequestMeta), so the describer decides what calls
/// are limited by; without one all calls have the same key.
///
/// A key is kept while some of its limit is used. Once its limits are fully replenished it is
/// evicted as new keys come, which is not observable. With the quota of a day that is a day after its
/// last call, and nothing bounds the number of keys: let no caller choose them at will. With a single [bucket](crate::Limit::bucket)
/// per key, a key that no call waits for takes 28 to 56 bytes. A key that a call waits for, or that has
/// had a [`Reservation`](crate::Reservation), a command or a report of the upstream, has a limiter of its
/// own, about 1 KiB, until room is made for new keys or
/// [`evict_idle`](crate::KeyedRateLimitHandle::evict_idle) is called. With other limits, several, or an
/// account, every key has one: 1.2 KiB, and a strict limit's log as it is used. See
/// [`bytes`](crate::KeyedRateLimitHandle::bytes).
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{PartitionKey, Replay, RequestMeta};
/// use seawall_ratelimit::{KeyedRateLimitConfig, KeyedRateLimitLayer, RateLimitConfig};
///
/// let second = Duration::from_secs(1);
/// let endpoint = RateLimitConfig::builder().rate(10, second).burst(5).build()?;
/// let quotes = RateLimitConfig::builder().rate(100, second).burst(50).build()?;
/// let config = KeyedRateLimitConfig::builder(endpoint)
///     .key(PartitionKey::of("quotes"), quotes)
///     .build()?;
/// let layer = KeyedRateLimitLayer::new("endpoints", config).describe(|endpoint: &&str| {
///     RequestMeta::new(Replay::Safe).with_key(PartitionKey::of(endpoint))
/// });
///
/// let handle = layer.handle();
/// assert_eq!(handle.tokens(PartitionKey::of("quotes")), 50.0);
/// assert_eq!(handle.tokens(PartitionKey::of("news")), 5.0);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct KeyedRateLimitLayer<X = Policy, M = MetaCost> {
    state: SharedState,
    policy: X,
    cost: M,
}

impl KeyedRateLimitLayer {
    /// A layer of which nothing is used. `name` is in its rejections, events and metrics.
    pub fn new(name: impl Into<InstanceName>, config: KeyedRateLimitConfig) -> Self {
        Self {
            state: State::with_keys(name, config, None),
            policy: Policy::new(),
            cost: MetaCost,
        }
    }

    /// As [`new`](Self::new), within the limits of `account`, for a provider that limits each
    /// endpoint and the account: a call departs when both grant it, and takes from neither
    /// otherwise. It waits in the queue of its key, as long as its key lets it, and once its key has
    /// the tokens for it, in the queue of the account as well.
    ///
    /// Any number of layers share an account, and services of its own layer beside them. It is an
    /// instance of its own: calls of keys take its tokens, but they are counted, and their events
    /// emitted, by the layer that they pass. Register both handles. The account's settings, pauses
    /// and shadow mode are those of its own handle, and hold for all who share it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_ratelimit::{
    ///     KeyedRateLimitConfig, KeyedRateLimitLayer, RateLimitConfig, RateLimitLayer,
    /// };
    ///
    /// let rate = |n| RateLimitConfig::builder().rate(n, Duration::from_secs(1));
    /// let account = RateLimitLayer::new("account", rate(30).build()?).handle();
    /// let quotes = KeyedRateLimitConfig::new(rate(10))?;
    /// let quotes = KeyedRateLimitLayer::within_account("quotes", quotes, &account);
    /// let orders = KeyedRateLimitConfig::new(rate(5))?;
    /// let orders = KeyedRateLimitLayer::within_account("orders", orders, &account);
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    pub fn within_account(
        name: impl Into<InstanceName>,
        config: KeyedRateLimitConfig,
        account: &RateLimitHandle,
    ) -> Self {
        Self {
            state: State::with_keys(name, config, Some(account.shared_state())),
            policy: Policy::new(),
            cost: MetaCost,
        }
    }
}

layer_methods!(KeyedRateLimitLayer => KeyedRateLimit, KeyedRateLimitHandle);

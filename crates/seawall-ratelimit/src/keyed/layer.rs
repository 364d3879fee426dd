//! The layer with limits per key.

use seawall_core::{InstanceName, Policy, policy_setters};
use tower_layer::Layer;

use super::{KeyedRateLimit, KeyedRateLimitConfig, KeyedRateLimitHandle};
use crate::costs::MetaCost;
use crate::feedback::FeedbackLayer;
use crate::state::{SharedState, State};

/// Limits how many calls of each key depart per period: endpoint, account, symbol, caller.
///
/// The key is that of [`RequestMeta`](seawall_core::RequestMeta), so the describer decides what calls
/// are limited by; without one all calls have the same key.
///
/// A key is kept while some of its limit is used. Once its limits are fully replenished it is
/// evicted as new keys come, which is not observable. With a single [bucket](crate::Limit::bucket)
/// per key, a key that no call waits for takes 28 to 56 bytes.
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
            state: State::with_keys(name, config),
            policy: Policy::new(),
            cost: MetaCost,
        }
    }
}

impl<X, M> KeyedRateLimitLayer<X, M> {
    fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> KeyedRateLimitLayer<Y, M> {
        KeyedRateLimitLayer {
            state: self.state,
            policy: change(self.policy),
            cost: self.cost,
        }
    }

    /// Computes costs with `cost`, a [`CostFn`](crate::CostFn). Default: [`MetaCost`].
    #[must_use]
    pub fn cost<M2>(self, cost: M2) -> KeyedRateLimitLayer<X, M2> {
        KeyedRateLimitLayer {
            state: self.state,
            policy: self.policy,
            cost,
        }
    }

    /// A layer to put below this one, next to the client. It reads signals from results with
    /// `reader`, and corrects the limits of the key by them.
    pub fn feedback<F>(&self, reader: F) -> FeedbackLayer<X, F, M>
    where
        X: Clone,
        M: Clone,
    {
        let state = self.state.clone();
        FeedbackLayer::new(state, reader, self.policy.clone(), self.cost.clone())
    }

    /// A handle to read and to control the limits from outside.
    pub fn handle(&self) -> KeyedRateLimitHandle {
        KeyedRateLimitHandle::new(self.state.clone())
    }
}

policy_setters!(KeyedRateLimitLayer[M]: describe);

impl<S, X: Clone, M: Clone> Layer<S> for KeyedRateLimitLayer<X, M> {
    type Service = KeyedRateLimit<S, X, M>;

    fn layer(&self, inner: S) -> Self::Service {
        let (policy, cost) = (self.policy.clone(), self.cost.clone());
        KeyedRateLimit::new(inner, self.state.anchor(), policy, cost)
    }
}

seawall_core::impl_debug!(KeyedRateLimitLayer<X, M>: |this|
    name = this.state.common().events.name(),
);

//! The layer.

use seawall_core::{InstanceName, Policy, policy_setters};
use tower_layer::Layer;

use crate::config::RateLimitConfig;
use crate::costs::MetaCost;
use crate::feedback::FeedbackLayer;
use crate::handle::RateLimitHandle;
use crate::service::RateLimit;
use crate::state::{SharedState, State};

/// Limits how many calls depart per period; see the [crate](crate).
///
/// Its clones and every service that they make share the limits. Without a describer every request
/// costs 1. Without a [cost function](Self::cost) a request costs what its describer returns.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{Replay, RequestMeta};
/// use seawall_ratelimit::{RateLimitConfig, RateLimitLayer};
///
/// let config = RateLimitConfig::builder().rate(10, Duration::from_secs(1)).burst(5).build()?;
/// let layer = RateLimitLayer::new("quotes", config).describe(|symbols: &Vec<String>| {
///     RequestMeta::new(Replay::Safe).with_cost(symbols.len().try_into().unwrap_or(u32::MAX))
/// });
/// assert_eq!(layer.handle().tokens(), 5.0);
/// # Ok::<(), seawall_core::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct RateLimitLayer<X = Policy, M = MetaCost> {
    state: SharedState,
    policy: X,
    cost: M,
}

impl RateLimitLayer {
    /// A layer of which nothing is used. `name` is in its rejections, events and metrics.
    pub fn new(name: impl Into<InstanceName>, config: RateLimitConfig) -> Self {
        Self {
            state: State::new(name, config),
            policy: Policy::new(),
            cost: MetaCost,
        }
    }
}

impl<X, M> RateLimitLayer<X, M> {
    fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> RateLimitLayer<Y, M> {
        RateLimitLayer {
            state: self.state,
            policy: change(self.policy),
            cost: self.cost,
        }
    }

    /// Computes costs with `cost`, a [`CostFn`](crate::CostFn). Default: [`MetaCost`].
    #[must_use]
    pub fn cost<M2>(self, cost: M2) -> RateLimitLayer<X, M2> {
        RateLimitLayer {
            state: self.state,
            policy: self.policy,
            cost,
        }
    }

    /// A layer to put below this one, next to the client. It reads signals from results with
    /// `reader`, and corrects the limits by them.
    pub fn feedback<F>(&self, reader: F) -> FeedbackLayer<X, F, M>
    where
        X: Clone,
        M: Clone,
    {
        let state = self.state.clone();
        FeedbackLayer::new(state, reader, self.policy.clone(), self.cost.clone())
    }

    /// A handle to read and to control the limits from outside.
    pub fn handle(&self) -> RateLimitHandle {
        RateLimitHandle::new(self.state.clone())
    }
}

policy_setters!(RateLimitLayer[M]: describe);

impl<S, X: Clone, M: Clone> Layer<S> for RateLimitLayer<X, M> {
    type Service = RateLimit<S, X, M>;

    fn layer(&self, inner: S) -> Self::Service {
        let (policy, cost) = (self.policy.clone(), self.cost.clone());
        RateLimit::new(inner, self.state.anchor(), policy, cost)
    }
}

seawall_core::impl_debug!(RateLimitLayer<X, M>: |this|
    name = this.state.common().events.name(),
    config = this.state.common().limiter.config(),
);

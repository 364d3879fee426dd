//! The layer.

use seawall_core::{InstanceName, Policy};

use crate::config::RateLimitConfig;
use crate::costs::MetaCost;
use crate::handle::RateLimitHandle;
use crate::layer_methods::layer_methods;
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

layer_methods!(RateLimitLayer => RateLimit, RateLimitHandle);

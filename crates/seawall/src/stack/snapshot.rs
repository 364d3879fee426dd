//! A whole stack at one moment.

use seawall_adaptive::AdaptiveSnapshot;
use seawall_breaker::{BreakerRegistrySnapshot, CircuitSnapshot};
use seawall_bulkhead::BulkheadSnapshot;
use seawall_core::InstanceName;
use seawall_health::HealthSnapshot;
use seawall_hedge::HedgeSnapshot;
use seawall_ratelimit::{KeyedRateLimitSnapshot, RateLimitSnapshot};
use seawall_retry::RetrySnapshot;
use seawall_throttle::AdaptiveThrottleSnapshot;
use seawall_timeout::{AttemptTimeoutSnapshot, DeadlineSnapshot};

/// Everything that the layers of a stack know at one moment, outermost first: from
/// [`StackHandles::snapshot`](crate::StackHandles::snapshot). `None` is a layer that the stack does
/// not have.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StackSnapshot {
    /// The name of the stack.
    pub name: InstanceName,
    /// The overall deadline.
    pub deadline: DeadlineSnapshot,
    /// Attempts and budget.
    pub retry: RetrySnapshot,
    /// Hedged attempts.
    pub hedge: Option<HedgeSnapshot>,
    /// Adaptive throttling.
    pub throttle: Option<AdaptiveThrottleSnapshot>,
    /// Permits and queue.
    pub bulkhead: BulkheadSnapshot,
    /// What is learned about the number of permits.
    pub adaptive: Option<AdaptiveSnapshot>,
    /// Tokens and their queue, of all keys together.
    pub rate_limit: RateLimitSnapshot,
    /// The limits per key.
    pub rate_limit_per_key: Option<KeyedRateLimitSnapshot>,
    /// The circuit; `None` where there is one per key.
    pub breaker: Option<CircuitSnapshot>,
    /// The circuits per key.
    pub breaker_per_key: Option<BreakerRegistrySnapshot>,
    /// What was observed of the upstream's health.
    pub health: Option<HealthSnapshot>,
    /// The attempt timeout.
    pub attempt_timeout: AttemptTimeoutSnapshot,
    /// What is particular to HTTP.
    #[cfg(feature = "http")]
    pub http: Option<crate::HttpSnapshot>,
}

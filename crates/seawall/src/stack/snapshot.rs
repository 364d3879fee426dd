//! A whole stack at one moment.

use seawall_adaptive::AdaptiveSnapshot;
use seawall_breaker::{BreakerRegistrySnapshot, CircuitSnapshot};
use seawall_bulkhead::BulkheadSnapshot;
use seawall_core::InstanceName;
use seawall_health::HealthSnapshot;
use seawall_hedge::HedgeSnapshot;
#[cfg(feature = "http")]
use seawall_http::{body_timeout::BodyTimeoutSnapshot, quota::HttpFeedbackSnapshot};
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
    pub http: Option<HttpSnapshot>,
}

/// What is particular to HTTP in a stack at one moment.
#[cfg(feature = "http")]
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HttpSnapshot {
    /// Bodies that took too long.
    pub body_timeout: BodyTimeoutSnapshot,
    /// What headers reported, and what of them could not be read.
    pub feedback: HttpFeedbackSnapshot,
}

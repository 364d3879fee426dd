//! A whole stack at one moment.

use seawall_adaptive::AdaptiveSnapshot;
use seawall_breaker::{BreakerRegistrySnapshot, CircuitCounts, CircuitSnapshot};
use seawall_bulkhead::{BulkheadCounts, BulkheadSnapshot};
use seawall_cache::{CacheCounts, CacheSnapshot, CoalesceCounts, CoalesceSnapshot};
#[cfg(feature = "chaos")]
use seawall_chaos::{ChaosCounts, ChaosSnapshot};
use seawall_core::InstanceName;
use seawall_fallback::{FallbackCounts, FallbackSnapshot};
use seawall_health::{HealthCounts, HealthSnapshot};
use seawall_hedge::{HedgeCounts, HedgeSnapshot};
#[cfg(feature = "http")]
use seawall_http::{
    body_timeout::{BodyTimeoutCounts, BodyTimeoutSnapshot},
    quota::{HttpFeedbackCounts, HttpFeedbackSnapshot},
};
use seawall_ratelimit::{KeyedRateLimitSnapshot, RateLimitCounts, RateLimitSnapshot};
use seawall_retry::{RetryCounts, RetrySnapshot};
use seawall_telemetry::{TelemetryCounts, TelemetrySnapshot};
use seawall_throttle::{AdaptiveThrottleCounts, AdaptiveThrottleSnapshot};
use seawall_timeout::{
    AttemptTimeoutCounts, AttemptTimeoutSnapshot, DeadlineCounts, DeadlineSnapshot,
};

/// Everything that the layers of a stack know at one moment, outermost first: from
/// [`StackHandles::snapshot`](crate::StackHandles::snapshot). `None` is a layer that the stack does
/// not have.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StackSnapshot {
    /// The name of the stack.
    pub name: InstanceName,
    /// What was measured of calls and attempts.
    pub telemetry: TelemetrySnapshot,
    /// The overall deadline.
    pub deadline: DeadlineSnapshot,
    /// Answers in place of failures.
    pub fallback: Option<FallbackSnapshot>,
    /// Answers that are kept.
    pub cache: Option<CacheSnapshot>,
    /// Calls of one key that share an answer.
    pub coalesce: Option<CoalesceSnapshot>,
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
    /// Failures on purpose.
    #[cfg(feature = "chaos")]
    pub chaos: Option<ChaosSnapshot>,
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

/// What became of the calls of a stack in each of its layers, outermost first: from
/// [`StackHandles::counts`](crate::StackHandles::counts). `None` is a layer that the stack does not
/// have.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StackCounts {
    /// Calls and attempts.
    pub telemetry: TelemetryCounts,
    /// The overall deadline.
    pub deadline: DeadlineCounts,
    /// Answers in place of failures.
    pub fallback: Option<FallbackCounts>,
    /// Answers that are kept.
    pub cache: Option<CacheCounts>,
    /// Calls of one key that share an answer.
    pub coalesce: Option<CoalesceCounts>,
    /// Attempts and budget.
    pub retry: RetryCounts,
    /// Hedged attempts.
    pub hedge: Option<HedgeCounts>,
    /// Adaptive throttling.
    pub throttle: Option<AdaptiveThrottleCounts>,
    /// Permits and queue.
    pub bulkhead: BulkheadCounts,
    /// Tokens and their queue, of all keys together.
    pub rate_limit: RateLimitCounts,
    /// The circuit, or the circuits of all keys together.
    pub breaker: CircuitCounts,
    /// What was observed of the upstream's health.
    pub health: Option<HealthCounts>,
    /// The attempt timeout.
    pub attempt_timeout: AttemptTimeoutCounts,
    /// Failures on purpose.
    #[cfg(feature = "chaos")]
    pub chaos: Option<ChaosCounts>,
    /// What is particular to HTTP.
    #[cfg(feature = "http")]
    pub http: Option<HttpCounts>,
}

impl From<StackSnapshot> for StackCounts {
    fn from(stack: StackSnapshot) -> Self {
        let keyed = stack.rate_limit_per_key.map(|limit| limit.counts);
        let circuits = stack.breaker_per_key.map(|breaker| breaker.counts);
        let circuit = stack.breaker.map(|breaker| breaker.counts);
        Self {
            telemetry: stack.telemetry.counts,
            deadline: stack.deadline.counts,
            fallback: stack.fallback.map(|fallback| fallback.counts),
            cache: stack.cache.map(|cache| cache.counts),
            coalesce: stack.coalesce.map(|coalesce| coalesce.counts),
            retry: stack.retry.counts,
            hedge: stack.hedge.map(|hedge| hedge.counts),
            throttle: stack.throttle.map(|throttle| throttle.counts),
            bulkhead: stack.bulkhead.counts,
            rate_limit: keyed.unwrap_or(stack.rate_limit.counts),
            breaker: circuit.or(circuits).unwrap_or_default(),
            health: stack.health.map(|health| health.counts),
            attempt_timeout: stack.attempt_timeout.counts,
            #[cfg(feature = "chaos")]
            chaos: stack.chaos.map(|chaos| chaos.counts),
            #[cfg(feature = "http")]
            http: stack.http.map(|http| http.counts()),
        }
    }
}

/// What is particular to HTTP in a stack, in counters.
#[cfg(feature = "http")]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HttpCounts {
    /// Bodies that took too long.
    pub body_timeout: BodyTimeoutCounts,
    /// What headers reported, and what of them could not be read.
    pub feedback: HttpFeedbackCounts,
}

#[cfg(feature = "http")]
impl HttpSnapshot {
    /// The counters alone.
    pub const fn counts(&self) -> HttpCounts {
        HttpCounts {
            body_timeout: self.body_timeout.counts,
            feedback: self.feedback.counts,
        }
    }
}

//! Every handle has the same methods, of the same shape: checked when this compiles.

use seawall::adaptive::AdaptiveSnapshot;
use seawall::breaker::{BreakerRegistry, BreakerRegistrySnapshot, CircuitCounts};
use seawall::bulkhead::connections::ConnectionLimitConfig;
use seawall::bulkhead::isolated::{BlockingConfig, IsolatedConfig};
use seawall::bulkhead::partitions::{PartitionConfig, PartitionHandle, PartitionSnapshot};
use seawall::bulkhead::scaling::{ScalingConfig, ScalingHandle, ScalingSnapshot};
use seawall::bulkhead::{BulkheadCounts, BulkheadSnapshot, PoolHandle, PoolSnapshot};
use seawall::health::{HealthCounts, HealthSnapshot};
use seawall::hedge::{HedgeCounts, HedgeSnapshot};
use seawall::http_client::body_timeout::{
    BodyTimeoutConfig, BodyTimeoutCounts, BodyTimeoutHandle, BodyTimeoutSnapshot,
};
use seawall::http_client::deadline::{
    ReadDeadlineConfig, ReadDeadlineCounts, ReadDeadlineHandle, ReadDeadlineSnapshot,
};
use seawall::http_client::quota::{
    HttpFeedbackCounts, HttpFeedbackHandle, HttpFeedbackSnapshot, RateLimitHeaders,
};
use seawall::ratelimit::{KeyedRateLimitSnapshot, RateLimitCounts, RateLimitSnapshot};
use seawall::retry::{RetryCounts, RetrySnapshot};
use seawall::throttle::{AdaptiveThrottleCounts, AdaptiveThrottleSnapshot};
use seawall::timeout::{
    AttemptTimeoutCounts, AttemptTimeoutSnapshot, DeadlineCounts, DeadlineSnapshot, Fixed, Learned,
};
use seawall::{
    AdaptiveBulkheadHandle, AdaptiveConfig, AdaptiveThrottleConfig, AdaptiveThrottleHandle,
    AttemptTimeoutConfig, AttemptTimeoutHandle, BreakerConfig, BreakerHandle, BulkheadConfig,
    BulkheadHandle, CircuitSnapshot, DeadlineConfig, DeadlineHandle, HealthConfig, HealthHandle,
    HedgeConfig, HedgeHandle, InstanceHandle, InstanceName, InvalidConfig, KeyedRateLimitConfig,
    KeyedRateLimitHandle, RateLimitConfig, RateLimitHandle, RetryConfig, RetryHandle, Settings,
    StackHandles, StackSnapshot,
};

/// What every handle and every snapshot is.
fn is_handle<H: InstanceHandle + Clone + std::fmt::Debug + 'static>() {}
fn is_snapshot<S: Clone + std::fmt::Debug + PartialEq + serde::Serialize>() {}

macro_rules! handles {
    ($($Handle:ty: $Config:ty, $Snapshot:ty, $Counts:ty;)+) => {
        #[test]
        fn every_handle_has_the_same_methods() {$(
            is_handle::<$Handle>();
            is_snapshot::<$Snapshot>();
            let _: fn(&$Handle) -> InstanceName = <$Handle>::name;
            let _: fn(&$Handle) -> $Config = <$Handle>::config;
            let _: fn(&$Handle, $Config) -> Result<(), InvalidConfig> = <$Handle>::configure;
            let _: fn(&$Handle) -> $Snapshot = <$Handle>::snapshot;
            let _: fn(&$Handle) -> $Counts = <$Handle>::counts;
            let _: fn(&$Handle) = <$Handle>::reset;
        )+}
    };
}

handles! {
    AdaptiveBulkheadHandle: AdaptiveConfig, AdaptiveSnapshot, BulkheadCounts;
    AdaptiveThrottleHandle: AdaptiveThrottleConfig, AdaptiveThrottleSnapshot, AdaptiveThrottleCounts;
    AttemptTimeoutHandle<Fixed>: AttemptTimeoutConfig<Fixed>, AttemptTimeoutSnapshot, AttemptTimeoutCounts;
    AttemptTimeoutHandle<Learned>: AttemptTimeoutConfig<Learned>, AttemptTimeoutSnapshot, AttemptTimeoutCounts;
    BodyTimeoutHandle: BodyTimeoutConfig, BodyTimeoutSnapshot, BodyTimeoutCounts;
    BreakerHandle: BreakerConfig, CircuitSnapshot, CircuitCounts;
    BreakerRegistry: BreakerConfig, BreakerRegistrySnapshot, CircuitCounts;
    BulkheadHandle: BulkheadConfig, BulkheadSnapshot, BulkheadCounts;
    DeadlineHandle: DeadlineConfig, DeadlineSnapshot, DeadlineCounts;
    HealthHandle: HealthConfig, HealthSnapshot, HealthCounts;
    HedgeHandle: HedgeConfig, HedgeSnapshot, HedgeCounts;
    HttpFeedbackHandle: RateLimitHeaders, HttpFeedbackSnapshot, HttpFeedbackCounts;
    KeyedRateLimitHandle: KeyedRateLimitConfig, KeyedRateLimitSnapshot, RateLimitCounts;
    RateLimitHandle: RateLimitConfig, RateLimitSnapshot, RateLimitCounts;
    ReadDeadlineHandle: ReadDeadlineConfig, ReadDeadlineSnapshot, ReadDeadlineCounts;
    RetryHandle: RetryConfig, RetrySnapshot, RetryCounts;
    PartitionHandle: PartitionConfig, PartitionSnapshot, BulkheadCounts;
    PoolHandle<BlockingConfig>: BlockingConfig, PoolSnapshot, BulkheadCounts;
    PoolHandle<IsolatedConfig>: IsolatedConfig, PoolSnapshot, BulkheadCounts;
    PoolHandle<ConnectionLimitConfig>: ConnectionLimitConfig, PoolSnapshot, BulkheadCounts;
    ScalingHandle: ScalingConfig, ScalingSnapshot, BulkheadCounts;
}

#[test]
fn a_stack_has_them_too() {
    is_snapshot::<StackSnapshot>();
    let _: fn(&StackHandles) -> InstanceName = StackHandles::name;
    let _: fn(&StackHandles) -> Settings = StackHandles::settings;
    let _: fn(&StackHandles, &Settings) -> Result<(), InvalidConfig> = StackHandles::configure;
    let _: fn(&StackHandles) -> StackSnapshot = StackHandles::snapshot;
    let _: fn(&StackHandles) = StackHandles::reset;
}

//! Every handle has the same methods, of the same shape: checked when this compiles.

use seawall::adaptive::AdaptiveSnapshot;
use seawall::ai::route::{RouterConfig, RouterCounts, RouterHandle, RouterSnapshot};
use seawall::breaker::{
    BreakerRegistry, BreakerRegistrySnapshot, CircuitCounts, CircuitHandle, Keyed,
};
use seawall::bulkhead::connections::ConnectionLimitConfig;
use seawall::bulkhead::isolated::{BlockingConfig, IsolatedConfig};
use seawall::bulkhead::partitions::{PartitionConfig, PartitionHandle, PartitionSnapshot};
use seawall::bulkhead::scaling::{ScalingConfig, ScalingHandle, ScalingSnapshot};
use seawall::bulkhead::{BulkheadCounts, BulkheadSnapshot, DrainFuture, PoolHandle, PoolSnapshot};
use seawall::chaos::{ChaosConfig, ChaosCounts, ChaosHandle, ChaosSnapshot};
use seawall::fallback::{FallbackConfig, FallbackCounts, FallbackHandle, FallbackSnapshot};
use seawall::health::{CheckConfig, CheckCounts, HealthCounts, HealthReport, HealthSnapshot};
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
use seawall::orders::dead_man::{DeadManHandle, DeadManSnapshot};
use seawall::orders::{OrderConfig, OrderCounts, OrderHandle, OrdersSnapshot};
use seawall::ratelimit::{KeyedRateLimitSnapshot, RateLimitCounts, RateLimitSnapshot};
use seawall::retry::{RetryCounts, RetrySnapshot};
use seawall::telemetry::{TelemetryCounts, TelemetrySnapshot};
use seawall::throttle::{AdaptiveThrottleCounts, AdaptiveThrottleSnapshot};
use seawall::timeout::{
    AttemptTimeoutCounts, AttemptTimeoutSnapshot, DeadlineCounts, DeadlineSnapshot, Fixed, Learned,
};
use seawall::{
    AdaptiveBulkheadHandle, AdaptiveConfig, AdaptiveThrottleConfig, AdaptiveThrottleHandle,
    AttemptTimeoutConfig, AttemptTimeoutHandle, BreakerConfig, BreakerHandle, BulkheadConfig,
    BulkheadHandle, CircuitSnapshot, DeadlineConfig, DeadlineHandle, HealthConfig, HealthHandle,
    HealthMonitor, HedgeConfig, HedgeHandle, HttpCounts, HttpHandles, HttpSnapshot, InstanceHandle,
    InstanceName, InvalidConfig, KeyedRateLimitConfig, KeyedRateLimitHandle, RateLimitConfig,
    RateLimitHandle, RetryConfig, RetryHandle, Settings, Slots, StackCounts, StackHandles,
    StackSnapshot, TelemetryConfig, TelemetryHandle,
};
use seawall_ai::estimate::{EstimateConfig, EstimateCounts, EstimateHandle, EstimateSnapshot};
use seawall_ai::spend::{SpendConfig, SpendCounts, SpendHandle, SpendSnapshot};
use seawall_ai::stream::{StreamConfig, StreamCounts, StreamHandle, StreamSnapshot};
use seawall_cache::{
    CacheConfig, CacheCounts, CacheHandle, CacheSnapshot, CoalesceConfig, CoalesceCounts,
    CoalesceHandle, CoalesceSnapshot,
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
    CacheHandle<String, u64>: CacheConfig, CacheSnapshot, CacheCounts;
    CoalesceHandle<String, u64, ()>: CoalesceConfig, CoalesceSnapshot, CoalesceCounts;
    AdaptiveBulkheadHandle: AdaptiveConfig, AdaptiveSnapshot, BulkheadCounts;
    AdaptiveThrottleHandle: AdaptiveThrottleConfig, AdaptiveThrottleSnapshot, AdaptiveThrottleCounts;
    EstimateHandle: EstimateConfig, EstimateSnapshot, EstimateCounts;
    SpendHandle: SpendConfig, SpendSnapshot, SpendCounts;
    AttemptTimeoutHandle<Fixed>: AttemptTimeoutConfig<Fixed>, AttemptTimeoutSnapshot, AttemptTimeoutCounts;
    AttemptTimeoutHandle<Learned>: AttemptTimeoutConfig<Learned>, AttemptTimeoutSnapshot, AttemptTimeoutCounts;
    BodyTimeoutHandle: BodyTimeoutConfig, BodyTimeoutSnapshot, BodyTimeoutCounts;
    BreakerHandle: BreakerConfig, CircuitSnapshot, CircuitCounts;
    BreakerRegistry: BreakerConfig, BreakerRegistrySnapshot, CircuitCounts;
    BulkheadHandle: BulkheadConfig, BulkheadSnapshot, BulkheadCounts;
    DeadlineHandle: DeadlineConfig, DeadlineSnapshot, DeadlineCounts;
    FallbackHandle: FallbackConfig, FallbackSnapshot, FallbackCounts;
    HealthHandle: HealthConfig, HealthSnapshot, HealthCounts;
    HedgeHandle: HedgeConfig, HedgeSnapshot, HedgeCounts;
    HttpFeedbackHandle: RateLimitHeaders, HttpFeedbackSnapshot, HttpFeedbackCounts;
    KeyedRateLimitHandle: KeyedRateLimitConfig, KeyedRateLimitSnapshot, RateLimitCounts;
    RateLimitHandle: RateLimitConfig, RateLimitSnapshot, RateLimitCounts;
    ReadDeadlineHandle: ReadDeadlineConfig, ReadDeadlineSnapshot, ReadDeadlineCounts;
    RetryHandle: RetryConfig, RetrySnapshot, RetryCounts;
    TelemetryHandle: TelemetryConfig, TelemetrySnapshot, TelemetryCounts;
    OrderHandle: OrderConfig, OrdersSnapshot, OrderCounts;
    PartitionHandle: PartitionConfig, PartitionSnapshot, BulkheadCounts;
    PoolHandle<BlockingConfig>: BlockingConfig, PoolSnapshot, BulkheadCounts;
    PoolHandle<IsolatedConfig>: IsolatedConfig, PoolSnapshot, BulkheadCounts;
    PoolHandle<ConnectionLimitConfig>: ConnectionLimitConfig, PoolSnapshot, BulkheadCounts;
    RouterHandle: RouterConfig, RouterSnapshot, RouterCounts;
    ScalingHandle: ScalingConfig, ScalingSnapshot, BulkheadCounts;
    StreamHandle: StreamConfig, StreamSnapshot, StreamCounts;
}

macro_rules! without_settings {
    ($($Handle:ty: $Snapshot:ty, $Counts:ty;)+) => {
        #[test]
        fn what_has_no_settings_of_its_own_has_all_else() {$(
            is_snapshot::<$Snapshot>();
            let _: fn(&$Handle) -> InstanceName = <$Handle>::name;
            let _: fn(&$Handle) -> $Snapshot = <$Handle>::snapshot;
            let _: fn(&$Handle) -> $Counts = <$Handle>::counts;
            let _: fn(&$Handle) = <$Handle>::reset;
        )+}
    };
}

without_settings! {
    // Those of all keys: `BreakerRegistry`.
    CircuitHandle<Keyed<str>>: CircuitSnapshot, CircuitCounts;
    // They do not change: what it does is what is started.
    ChaosHandle: ChaosSnapshot, ChaosCounts;
    // Those of each check: `configure_check`.
    HealthMonitor: HealthReport, CheckCounts;
    // `Settings`, by reference.
    StackHandles: StackSnapshot, StackCounts;
    StackHandles<Slots, HttpHandles>: StackSnapshot, StackCounts;
}

#[test]
fn their_settings_have_methods_too() {
    is_handle::<HealthMonitor>();
    let _: fn(&HealthMonitor, &str) -> Option<CheckConfig> = HealthMonitor::check_config;
    let _: fn(&HealthMonitor, &str, CheckConfig) -> Result<(), InvalidConfig> =
        HealthMonitor::configure_check;
    let _: fn(&ChaosHandle) -> ChaosConfig = ChaosHandle::config;
    let _: fn(&CircuitHandle<Keyed<str>>) -> BreakerConfig = CircuitHandle::config;
    let _: fn(&StackHandles) -> Settings = StackHandles::settings;
    let _: fn(&StackHandles, &Settings) -> Result<(), InvalidConfig> = StackHandles::configure;
    // It ends with its one command, and counts in its snapshot.
    is_snapshot::<DeadManSnapshot>();
    let _: fn(&DeadManHandle) -> InstanceName = DeadManHandle::name;
    let _: fn(&DeadManHandle) -> DeadManSnapshot = DeadManHandle::snapshot;
    // Two handles in one, with name and settings each for itself.
    is_snapshot::<HttpSnapshot>();
    let _: fn(&HttpHandles) -> HttpSnapshot = HttpHandles::snapshot;
    let _: fn(&HttpHandles) -> HttpCounts = HttpHandles::counts;
    let _: fn(&HttpHandles) = HttpHandles::reset;
}

macro_rules! gates {
    ($($Handle:ty;)+) => {
        #[test]
        fn every_kind_of_bulkhead_has_the_same_commands() {$(
            let _: fn(&$Handle) = <$Handle>::pause;
            let _: fn(&$Handle) = <$Handle>::resume;
            let _: fn(&$Handle) = <$Handle>::drain;
            let _: fn(&$Handle) -> DrainFuture = <$Handle>::drained;
            let _: fn(&$Handle, bool) = <$Handle>::set_shadow;
        )+}
    };
}

gates! {
    BulkheadHandle;
    PartitionHandle;
    PoolHandle<BlockingConfig>;
    PoolHandle<IsolatedConfig>;
    PoolHandle<ConnectionLimitConfig>;
}

//! What a registry shows of every layer's settings is for people: words and figures.

use std::borrow::Cow;

use seawall::breaker::KeyedBreakerLayer;
use seawall::bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
use seawall::bulkhead::partitions::{PartitionConfig, PartitionedBulkheadLayer};
use seawall::bulkhead::scaling::{ScalingBulkheadLayer, ScalingConfig};
use seawall::health::HealthMonitor;
use seawall::{
    AdaptiveBulkheadLayer, AdaptiveConfig, AdaptiveThrottleConfig, AttemptTimeoutConfig,
    AttemptTimeoutLayer, BreakerConfig, BulkheadConfig, HealthConfig, HedgeConfig,
    KeyedRateLimitConfig, LearnedConfig, RateLimitConfig, Registry,
};
use seawall_ai::stream::{StreamConfig, StreamLayer};

#[test]
fn settings_of_every_layer_are_words_and_figures() {
    let registry = Registry::new("all");
    let stack = seawall::ai_api("stack")
        .build()
        .expect("valid")
        .hedge(HedgeConfig::default())
        .throttle(AdaptiveThrottleConfig::default())
        .health(HealthConfig::default())
        .rate_limit_per_key(KeyedRateLimitConfig::new(RateLimitConfig::default()).expect("valid"));
    stack.register(&registry).expect("all of one name");

    let bulkhead = BulkheadConfig::default();
    let adaptive = AdaptiveBulkheadLayer::new("adaptive", bulkhead, AdaptiveConfig::default());
    let scaling = ScalingBulkheadLayer::new("scaling", bulkhead, ScalingConfig::default());
    let shares = PartitionConfig::builder().build().expect("valid");
    let keyed = PartitionedBulkheadLayer::new("keyed", shares);
    let connections = ConnectionLimitConfig::default();
    let connections = ConnectionLimitLayer::new("connections", connections);
    let learned = AttemptTimeoutConfig::learned(LearnedConfig::default());
    let learned = AttemptTimeoutLayer::new("learned", learned);
    let circuits = KeyedBreakerLayer::new("circuits", BreakerConfig::default(), |key: &u64| {
        Cow::Borrowed(key)
    });
    registry.register(adaptive.handle()).expect("new");
    registry.register(scaling.handle()).expect("new");
    registry.register(keyed.handle()).expect("new");
    registry.register(connections.handle()).expect("new");
    registry.register(learned.handle()).expect("new");
    registry.register(circuits.handle()).expect("new");
    let streams = StreamLayer::new("streams", StreamConfig::default());
    registry.register(streams.handle()).expect("new");
    registry
        .register(HealthMonitor::new("checks"))
        .expect("new");

    let all = registry.snapshot();
    let mut patterns: Vec<_> = all
        .iter()
        .filter(|instance| instance.name.as_str().starts_with("stack"))
        .map(|instance| instance.pattern)
        .collect();
    patterns.sort_unstable();
    // Each layer of the stack, optional ones and those of HTTP included.
    assert_eq!(
        patterns,
        [
            "attempt_timeout",
            "body_timeout",
            "breaker",
            "bulkhead",
            "deadline",
            "health",
            "hedge",
            "http_feedback",
            "ratelimit",
            "ratelimit_per_key",
            "retry",
            "telemetry",
            "throttle"
        ]
    );
    for instance in all {
        for (name, value) in &instance.settings {
            let (pattern, of) = (instance.pattern, instance.name);
            let at = format!("{pattern} {of}: {name} is {value:?}");
            assert!(!value.is_empty(), "{at}");
            // No struct, option or list as the compiler shows them, and no stand-in for "none".
            for internal in ["{", "Some(", "None", "[", &u32::MAX.to_string(), "e19"] {
                assert!(!value.contains(internal), "{at}");
            }
        }
    }
}

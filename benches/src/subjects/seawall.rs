//! Ours, each over a lifted leaf, as a user would stack it.

use std::borrow::Cow;
use std::future::ready;
use std::hint::black_box;
use std::time::Duration;

use seawall_adaptive::{AdaptiveBulkheadLayer, AdaptiveConfig};
use seawall_breaker::{
    BreakerConfig, BreakerConfigBuilder, BreakerLayer, CircuitState, KeyedBreakerLayer,
};
use seawall_bulkhead::partitions::{PartitionConfig, PartitionedBulkheadLayer};
use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_chaos::{ChaosConfig, ChaosLayer};
use seawall_core::{
    ConstMeta, Error, ErrorIsFailure, PartitionKey, Policy, Rejectable, Replay, RequestMeta,
    WrapError,
};
use seawall_hedge::{HedgeConfig, HedgeConfigBuilder, HedgeLayer};
use seawall_ratelimit::{
    KeyedRateLimitConfig, KeyedRateLimitLayer, Limit, RateLimitConfig, RateLimitLayer,
};
use seawall_retry::{RetryConfig, RetryLayer};
use seawall_telemetry::{ClientProbeLayer, TelemetryConfig, TelemetryLayer};
use seawall_throttle::{AdaptiveThrottleConfig, AdaptiveThrottleLayer};
use seawall_timeout::{AttemptTimeoutConfig, AttemptTimeoutLayer};
use tower_layer::Layer;
use tower_service::Service;

use super::{HOUR, LONG, MANY, Subject};
use crate::leaf::{FAIL, Late, Leaf, LeafError, Stuck, call_once, respond};

const LEAF: WrapError<Leaf> = WrapError::new(Leaf);
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn subjects() -> Vec<Subject> {
    let mut subjects = breakers();
    subjects.extend(limits());
    subjects.extend(others());
    subjects
}

fn breakers() -> Vec<Subject> {
    vec![
        Subject::service("seawall/breaker/closed-count", || breaker().layer(LEAF)),
        Subject::service_cloned("seawall/breaker/closed-count-cloned", || {
            breaker().layer(LEAF)
        }),
        Subject::service("seawall/breaker/closed-time", || {
            breaker_of(over_time(builder())).layer(LEAF)
        }),
        Subject::service("seawall/breaker/closed-slow", || {
            breaker_of(slow(over_time(builder()))).layer(LEAF)
        }),
        // What a window costs shows at failures. One of 100 calls fails, and the window is full.
        Subject::function("seawall/breaker/failing-count-100", || {
            failing(|b| of_calls(b, 100))
        }),
        Subject::function("seawall/breaker/failing-count-1m", || {
            failing(|b| of_calls(b, 1_000_000))
        }),
        Subject::function("seawall/breaker/failing-time-100", || {
            failing_after(over_time, 100)
        }),
        Subject::function("seawall/breaker/failing-time-1m", || {
            failing_after(over_time, 1_000_000)
        }),
        Subject::service("seawall/breaker/refused", || open_breaker().layer(LEAF)).rejecting(),
        Subject::service("seawall/breaker/with-gate", || {
            let breaker = breaker();
            breaker.gate().layer(breaker.layer(LEAF))
        }),
        Subject::service("seawall/breaker/per-key-one", || per_key(1)),
        Subject::service("seawall/breaker/per-key-10k", || per_key(10_000)),
        Subject::service("seawall/breaker/per-key-1m", || per_key(1_000_000)),
        Subject::async_function("seawall/breaker/closed-count-future", || {
            let breaker = breaker().handle();
            async move |i| black_box(&breaker.call(ready(respond(i))).await).is_ok()
        }),
        Subject::service("seawall/gate/closed", || breaker().gate().layer(LEAF)),
        Subject::service("seawall/gate/refused", || open_breaker().gate().layer(LEAF)).rejecting(),
    ]
}

fn limits() -> Vec<Subject> {
    vec![
        Subject::service("seawall/ratelimit/granted", || rate_limit().layer(LEAF)),
        Subject::service("seawall/ratelimit/refused", || {
            let mut service = RateLimitLayer::new("bench", rate(1, HOUR, 1)).layer(LEAF);
            call_once(&mut service, 0).expect("the only token of this hour");
            service
        })
        .rejecting(),
        Subject::service("seawall/ratelimit/per-key-one", || limit_per_key(1)),
        Subject::service("seawall/ratelimit/per-key-10k", || limit_per_key(10_000)),
        Subject::service("seawall/ratelimit/per-key-1m", || limit_per_key(1_000_000)),
        // Each decided under one lock, and all of them or none.
        Subject::service("seawall/ratelimit/strict", || strict(1).layer(LEAF)),
        Subject::service("seawall/ratelimit/three-strict", || strict(3).layer(LEAF)),
        Subject::service("seawall/throttle/passing", || throttle().layer(LEAF)),
        Subject::service("seawall/bulkhead/adaptive", || {
            let adaptive = AdaptiveConfig::builder().min(10).initial(100);
            let adaptive = adaptive.build().expect("a valid limit");
            AdaptiveBulkheadLayer::wrap(bulkhead(MANY), adaptive).layer(LEAF)
        }),
        Subject::service("seawall/bulkhead/partition", || {
            partition_layer().layer(LEAF)
        }),
        // A key without calls takes no memory, so the number of keys is that of the requests.
        Subject::service("seawall/bulkhead/partition-10k", || partitions(10_000)),
        Subject::service("seawall/bulkhead/partition-1m", || partitions(1_000_000)),
        Subject::service("seawall/bulkhead/free", || bulkhead(MANY).layer(LEAF)),
        Subject::service("seawall/bulkhead/full", || {
            let mut service = bulkhead(1).layer(WrapError::new(Stuck));
            // The only permit is held until the program ends.
            Box::leak(Box::new(service.call(0)));
            service
        })
        .rejecting(),
    ]
}

fn others() -> Vec<Subject> {
    vec![
        // No fault is on: it could be started at any time.
        Subject::service("seawall/chaos/off", || {
            let layer = ChaosLayer::new("bench", ChaosConfig::default());
            layer.errors(|_| Error::Inner(LeafError)).layer(LEAF)
        }),
        Subject::service("seawall/timeout/ready", || timeout().layer(LEAF)),
        Subject::service("seawall/timeout/pending", || {
            timeout().layer(WrapError::new(Late))
        }),
        Subject::service("seawall/retry/plain", || {
            retry().without_budget().layer(LEAF)
        }),
        Subject::service("seawall/retry/budget", || retry().layer(LEAF)),
        Subject::service("seawall/hedge/not-fired", || {
            hedge(HedgeConfig::builder().delay(LONG)).layer(LEAF)
        }),
        Subject::service("seawall/hedge/not-fired-learned", || {
            let mut service = hedge(HedgeConfig::builder()).layer(LEAF);
            for request in 0..1_000 {
                call_once(&mut service, request).expect("the leaf responds");
            }
            service
        }),
        // Calls, and calls with their attempts as the stacks of the facade measure them.
        Subject::service("seawall/telemetry/calls", || telemetry().layer(LEAF)),
        Subject::service("seawall/telemetry/attempts-too", || {
            let telemetry = telemetry();
            let client = ClientProbeLayer::new().layer(LEAF);
            telemetry.layer(telemetry.attempts().layer(client))
        }),
        Subject::service("seawall/telemetry/pending", || {
            telemetry().layer(WrapError::new(Late))
        }),
        Subject::service("seawall/telemetry/off", || {
            let telemetry = telemetry();
            let off = TelemetryConfig::builder().enabled(false).build();
            let off = off.expect("valid settings");
            telemetry.handle().configure(off).expect("never fails");
            let client = ClientProbeLayer::new().layer(LEAF);
            telemetry.layer(telemetry.attempts().layer(client))
        }),
        Subject::service("seawall/lift/ready", || LEAF),
        Subject::service("seawall/stack/five", five),
        Subject::service_cloned("seawall/stack/five-cloned", five),
        Subject::service("seawall/stack/five-slow", || {
            let inner = rate_limit().layer(timeout().layer(LEAF));
            let breaker = breaker_of(slow(over_time(builder())));
            retry().layer(breaker.layer(bulkhead(MANY).layer(inner)))
        }),
        // The facade's, with all layers that it has by default.
        Subject::service("seawall/stack/generic", generic),
        Subject::service("seawall/stack/six", || {
            let breaker = breaker();
            let inner = breaker.layer(timeout().layer(LEAF));
            let inner = bulkhead(MANY).layer(rate_limit().layer(inner));
            retry().layer(breaker.gate().layer(inner))
        }),
    ]
}

fn five() -> impl Service<u64, Future: Send> + Clone + Send {
    let inner = rate_limit().layer(timeout().layer(LEAF));
    retry().layer(breaker().layer(bulkhead(MANY).layer(inner)))
}

fn generic() -> impl Service<u64, Future: Send> + Clone + Send {
    let bulkhead = BulkheadConfig::builder().max_concurrent(MANY);
    let stack = ::seawall::broker("bench")
        .rate_limit(rate(1_000_000_000, SECOND, 1_000_000_000))
        .bulkhead(bulkhead.build().expect("a valid bulkhead"))
        .build_generic(Policy::new().describe(ConstMeta(RequestMeta::idempotent())));
    stack.expect("valid settings").layer(LEAF)
}

fn telemetry() -> TelemetryLayer {
    let telemetry = TelemetryLayer::new("bench", TelemetryConfig::default());
    // Without a handle nothing is counted.
    Box::leak(Box::new(telemetry.handle()));
    telemetry
}

pub(super) fn breaker() -> BreakerLayer {
    breaker_of(of_calls(builder(), 100))
}

fn builder() -> BreakerConfigBuilder {
    BreakerConfig::builder().min_calls(100).open_for(HOUR)
}

fn of_calls(builder: BreakerConfigBuilder, calls: u32) -> BreakerConfigBuilder {
    builder.failure_rate(0.5, calls)
}

fn over_time(builder: BreakerConfigBuilder) -> BreakerConfigBuilder {
    builder.failure_rate_over(0.5, HOUR)
}

fn slow(builder: BreakerConfigBuilder) -> BreakerConfigBuilder {
    builder.slow_after(LONG).slow_rate_over(0.5, HOUR)
}

fn breaker_of(builder: BreakerConfigBuilder) -> BreakerLayer {
    BreakerLayer::new("bench", builder.build().expect("a valid breaker"))
}

/// A breaker over an upstream that fails one of 100 calls, with a window of calls that is full.
fn failing(
    rule: fn(BreakerConfigBuilder) -> BreakerConfigBuilder,
) -> impl FnMut(u64) -> bool + Clone + Send {
    failing_after(rule, 1_000_000)
}

fn failing_after(
    rule: fn(BreakerConfigBuilder) -> BreakerConfigBuilder,
    calls: u64,
) -> impl FnMut(u64) -> bool + Clone + Send {
    let mut service = breaker_of(rule(builder())).layer(LEAF);
    let mut call = move |i: u64| {
        let request = if i % 100 == 99 { FAIL } else { i };
        match call_once(&mut service, request) {
            Ok(response) => black_box(response) != FAIL,
            Err(error) => error.rejection().is_none(),
        }
    };
    for i in 0..calls {
        assert!(call(i), "the circuit stays closed");
    }
    call
}

/// The requests go round over so many keys, all of which are known already.
fn per_key(keys: u64) -> impl Service<u64, Future: Send> + Clone + Send {
    let config = of_calls(builder(), 100).build().expect("a valid breaker");
    let layer = KeyedBreakerLayer::new("bench", config, move |request: &u64| {
        Cow::<u64>::Owned(request % keys)
    });
    let mut service = layer.max_keys(2 * keys as usize).layer(LEAF);
    for request in 0..keys {
        call_once(&mut service, request).expect("the leaf responds");
    }
    service
}

/// A million per nanosecond-long window, so that nothing is ever used up and little is remembered.
fn strict(limits: u32) -> RateLimitLayer {
    let each = |count| Limit::strict(count, Duration::from_nanos(u64::from(count)));
    let config = (1..=limits).fold(RateLimitConfig::builder(), |config, n| {
        config.limit(each(1_000_000 * n))
    });
    RateLimitLayer::new("bench", config.build().expect("valid limits"))
}

fn throttle() -> AdaptiveThrottleLayer {
    AdaptiveThrottleLayer::new("bench", AdaptiveThrottleConfig::default())
}

fn keyed_limit(config: RateLimitConfig) -> KeyedRateLimitLayer {
    let config = KeyedRateLimitConfig::new(config).expect("no file");
    KeyedRateLimitLayer::new("bench", config)
}

fn limit_per_key(keys: u64) -> impl Service<u64, Future: Send> + Clone + Send {
    // No key is ever full, so that none is evicted: governor keeps them all.
    let config = rate(1_000, SECOND, 1_000_000_000);
    let mut service = keyed_limit(config)
        .describe(move |request: &u64| {
            RequestMeta::new(Replay::Safe).with_key(PartitionKey(request % keys))
        })
        .layer(LEAF);
    for request in 0..keys {
        call_once(&mut service, request).expect("the leaf responds");
    }
    service
}

/// What a rate limit per key holds after a call of each of so many keys, none of which may go.
pub(super) fn limited_keys_bytes(keys: u64) -> f64 {
    // A token takes longer to come back than the keys to come.
    let mut service = keyed_limit(rate(1, SECOND, 10))
        .describe(|request: &u64| RequestMeta::new(Replay::Safe).with_key(PartitionKey(*request)))
        .layer(LEAF);
    let counted = allocation_counter::measure(|| {
        for request in 0..keys {
            call_once(&mut service, request).expect("the leaf responds");
        }
    });
    counted.bytes_current as f64
}

/// What a breaker per key holds after a call of each of so many keys.
pub(super) fn keyed_bytes(keys: u64) -> f64 {
    let config = of_calls(builder(), 100).build().expect("a valid breaker");
    let layer =
        KeyedBreakerLayer::new("bench", config, |request: &u64| Cow::<u64>::Owned(*request));
    let mut service = layer.max_keys(2 * keys as usize).layer(LEAF);
    let counted = allocation_counter::measure(|| {
        for request in 0..keys {
            call_once(&mut service, request).expect("the leaf responds");
        }
    });
    counted.bytes_current as f64
}

/// Opened by failures, as in life: it knows when it will let a probe pass.
pub(super) fn open_breaker() -> BreakerLayer {
    let breaker = breaker();
    let mut service = breaker.layer(LEAF);
    while breaker.handle().state() != CircuitState::Open {
        call_once(&mut service, FAIL).expect_err("the leaf fails");
    }
    breaker
}

fn rate_limit() -> RateLimitLayer {
    RateLimitLayer::new("bench", rate(1_000_000_000, SECOND, 1_000_000_000))
}

fn rate(rate: u32, per: Duration, burst: u32) -> RateLimitConfig {
    RateLimitConfig::builder()
        .rate(rate, per)
        .burst(burst)
        .build()
        .expect("a valid rate")
}

fn bulkhead(permits: u32) -> BulkheadLayer {
    let config = BulkheadConfig::builder()
        .max_concurrent(permits)
        .build()
        .expect("a valid bulkhead");
    BulkheadLayer::new("bench", config)
}

fn partition_layer() -> PartitionedBulkheadLayer {
    let config = PartitionConfig::builder().max_concurrent(MANY).build();
    PartitionedBulkheadLayer::new("bench", config.expect("valid shares"))
}

fn partitions(keys: u64) -> impl Service<u64, Future: Send> + Clone + Send {
    let layer = partition_layer().key_by(move |request: &u64| PartitionKey(request % keys));
    layer.layer(LEAF)
}

fn timeout() -> AttemptTimeoutLayer {
    let config = AttemptTimeoutConfig::fixed(LONG).expect("a valid timeout");
    AttemptTimeoutLayer::new("bench", config)
}

fn hedge(builder: HedgeConfigBuilder) -> HedgeLayer<Policy<ErrorIsFailure, ConstMeta>> {
    let config = builder.build().expect("a valid hedge");
    HedgeLayer::new("bench", config).assume_idempotent()
}

fn retry() -> RetryLayer<Policy<ErrorIsFailure, ConstMeta>> {
    RetryLayer::new("bench", RetryConfig::default()).assume_idempotent()
}

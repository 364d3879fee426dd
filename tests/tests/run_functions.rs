//! An async function without Tower runs through each pattern's layer alone and through whole stacks, its
//! own error or a rejection comes back, and `anyhow` is an error type as any other.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use seawall::breaker::KeyedBreakerLayer;
use seawall::bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
use seawall::bulkhead::isolated::{IsolatedConfig, IsolatedLayer};
use seawall::bulkhead::partitions::{PartitionConfig, PartitionedBulkheadLayer};
use seawall::bulkhead::scaling::{ScalingBulkheadLayer, ScalingConfig};
use seawall::{
    AdaptiveBulkheadLayer, AdaptiveConfig, AdaptiveThrottleConfig, AdaptiveThrottleLayer,
    AttemptTimeoutConfig, AttemptTimeoutLayer, BreakerConfig, BreakerLayer, BulkheadConfig,
    BulkheadLayer, Command, ConstMeta, DeadlineConfig, DeadlineLayer, Error, HealthConfig,
    HealthLayer, HedgeConfig, HedgeLayer, InstanceHandle, KeyedRateLimitConfig,
    KeyedRateLimitLayer, LayerExt, LearnedConfig, Policy, RateLimitConfig, RateLimitLayer, Reason,
    Rejectable, Rejection, RequestMeta, RetryConfig, RetryLayer,
};

const NAME: &str = "function";
const SECOND: Duration = Duration::from_secs(1);

fn one_key((): &()) -> Cow<'_, str> {
    Cow::Borrowed("all")
}

fn reads() -> Policy<seawall::ErrorIsFailure, ConstMeta> {
    Policy::new().describe(ConstMeta(RequestMeta::idempotent()))
}

fn rate() -> RateLimitConfig {
    let config = RateLimitConfig::builder().rate(100, SECOND);
    config.build().expect("valid")
}

/// Runs functions through each layer: one that succeeds, one that fails, one that borrows; and one
/// that is rejected, where the layer can be blocked.
macro_rules! runs {
    ($($layer:expr $(, $block:ident)?;)+) => {$({
        let layer = $layer;
        let what = stringify!($layer);
        let calls = AtomicU32::new(0);
        let fetch = || async {
            calls.fetch_add(1, Ordering::SeqCst);
            Ok::<_, String>(7)
        };
        assert_eq!(layer.run(fetch).await, Ok(7), "{what}");
        assert_eq!(layer.run(fetch).await, Ok(7), "{what}");
        assert_eq!(calls.load(Ordering::SeqCst), 2, "{what}");
        let fails = || async { Err::<u32, _>("down".to_owned()) };
        assert_eq!(layer.run(fails).await, Err(Error::Inner("down".to_owned())), "{what}");
        drop(layer.run(fetch));
        assert_eq!(calls.load(Ordering::SeqCst), 2, "nothing is called before the first poll");
        $(
            layer.handle().control(Command::$block).expect("it rejects");
            let rejected = layer.run(fetch).await.expect_err("it is blocked");
            assert!(rejected.rejection().is_some() && rejected.inner().is_none(), "{what}");
            assert_eq!(calls.load(Ordering::SeqCst), 2, "{what}");
        )?
    })+};
}

#[tokio::test(start_paused = true)]
async fn through_each_layer_alone() {
    let breaker = BreakerConfig::default;
    let shares = PartitionConfig::builder().build().expect("valid");
    let keyed = KeyedRateLimitConfig::new(rate()).expect("valid");
    let fixed = AttemptTimeoutConfig::fixed(SECOND).expect("valid");
    let learned = AttemptTimeoutConfig::learned(LearnedConfig::default());
    let deadline = DeadlineConfig::new(SECOND).expect("valid");
    let throttle = AdaptiveThrottleConfig::default();
    let permits = BulkheadConfig::default();
    runs! {
        BreakerLayer::new(NAME, breaker()), Block;
        KeyedBreakerLayer::new(NAME, breaker(), one_key), Block;
        RetryLayer::new(NAME, RetryConfig::default());
        HedgeLayer::new(NAME, HedgeConfig::default());
        RateLimitLayer::new(NAME, rate()), Block;
        KeyedRateLimitLayer::new(NAME, keyed), Block;
        AdaptiveThrottleLayer::new(NAME, throttle);
        BulkheadLayer::new(NAME, permits), Block;
        PartitionedBulkheadLayer::new(NAME, shares), Block;
        ScalingBulkheadLayer::new(NAME, permits, ScalingConfig::default()), Block;
        AdaptiveBulkheadLayer::new(NAME, permits, AdaptiveConfig::default()), Block;
        AttemptTimeoutLayer::new(NAME, fixed);
        AttemptTimeoutLayer::new(NAME, learned);
        DeadlineLayer::new(NAME, deadline);
        HealthLayer::new(NAME, HealthConfig::default());
    }
    // Of two layers, the outer one comes first.
    let both = (
        BreakerLayer::new(NAME, breaker()),
        BulkheadLayer::new(NAME, permits),
    );
    assert_eq!(both.run(|| async { Ok::<_, String>(7) }).await, Ok(7));
    assert_eq!(both.1.handle().counts().success, 1);
}

/// What these make of a function's result is not that result itself, or not on this thread.
#[tokio::test]
async fn through_a_connection_limit_and_a_pool_of_threads() {
    let layer = ConnectionLimitLayer::new(NAME, ConnectionLimitConfig::default());
    let connection = layer
        .run(|| async { Ok::<_, String>(7) })
        .await
        .expect("made");
    assert_eq!((*connection.get_ref(), layer.handle().in_flight()), (7, 1));
    drop(connection);
    assert_eq!(layer.handle().in_flight(), 0);
    let failed = layer.run(|| async { Err::<u32, _>("refused") }).await;
    assert_eq!(failed.expect_err("it fails"), Error::Inner("refused"));

    let layer = IsolatedLayer::new(NAME, IsolatedConfig::default()).expect("threads");
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let here = std::thread::current().id();
    let function = move || {
        let counted = Arc::clone(&counted);
        async move {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok::<_, String>(std::thread::current().id())
        }
    };
    assert_ne!(layer.run(function).await.expect("it works"), here);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let failed = layer.run(|| async { Err::<u32, _>("down") }).await;
    assert_eq!(failed, Err(Error::Inner("down")));
}

#[tokio::test(start_paused = true)]
async fn through_stacks_of_every_kind() {
    let attempts = AtomicU32::new(0);
    let flaky = || async {
        let attempt = attempts.fetch_add(1, Ordering::SeqCst);
        if attempt.is_multiple_of(2) {
            Err("down")
        } else {
            Ok(attempt)
        }
    };
    macro_rules! retries {
        ($($stack:expr;)+) => {$({
            let stack = $stack;
            attempts.store(0, Ordering::SeqCst);
            assert_eq!(stack.run(flaky).await, Ok(1), "{}", stringify!($stack));
            let counts = stack.handles().counts();
            assert_eq!((counts.retry.retries, counts.bulkhead.success), (1, 1));
            stack.handles().bulkhead.control(Command::Block).expect("a pause");
            let rejected = stack.run(flaky).await.expect_err("it is paused");
            assert_eq!(rejected.rejection().map(Rejection::reason), Some(Reason::Paused));
        })+};
    }
    let built = |name: &'static str| {
        let stack = seawall::market_data(name).build_generic(reads());
        stack.expect("valid")
    };
    let each = KeyedRateLimitConfig::new(rate()).expect("valid");
    let learned = LearnedConfig::builder().max(10 * SECOND).build();
    let learned = learned.expect("valid");
    retries! {
        seawall::broker("broker").build_generic(reads()).expect("valid");
        seawall::order_execution("orders").retry(RetryConfig::default()).build_generic(reads()).expect("valid");
        seawall::ai_api("model").build_generic(reads()).expect("valid");
        built("plain");
        built("hedged").hedge(HedgeConfig::default());
        built("throttled").throttle(AdaptiveThrottleConfig::default());
        built("health").health(HealthConfig::default());
        built("adaptive").adaptive_concurrency(AdaptiveConfig::default());
        built("learned").learned_attempt_timeout(learned).expect("valid");
        built("keys").rate_limit_per_key(each);
        built("circuits").breaker_per_key(one_key);
    }
}

mod anyhow_is_an_error_type {
    use anyhow::{Context, bail, ensure};

    use super::*;

    async fn quote(symbol: &str) -> anyhow::Result<u32> {
        ensure!(!symbol.is_empty(), "no symbol");
        if symbol == "DOWN" {
            bail!("no answer from the exchange");
        }
        Ok(230)
    }

    /// As an application writes it: `?` and `context` alone.
    async fn price(stack: &seawall::ClientStack<Reads>, symbol: &str) -> anyhow::Result<u32> {
        let quoted = stack.run(|| quote(symbol)).await;
        let quoted = quoted.map_err(Error::into_error::<anyhow::Error>);
        quoted.with_context(|| format!("the price of `{symbol}`"))
    }

    type Reads = Policy<seawall::ErrorIsFailure, ConstMeta>;

    #[tokio::test(start_paused = true)]
    async fn through_a_stack() {
        let opens = BreakerConfig::builder().consecutive_failures(3);
        let stack = seawall::market_data("anyhow").breaker(opens.build().expect("valid"));
        let stack = stack.build_generic(reads()).expect("valid");
        assert_eq!(price(&stack, "AAPL").await.expect("a price"), 230);
        // Its own error, with its context; each attempt was a failure of the upstream.
        let down = price(&stack, "DOWN").await.expect_err("down");
        assert_eq!(
            format!("{down:#}"),
            "the price of `DOWN`: no answer from the exchange"
        );
        assert_eq!(stack.handles().counts().breaker.opened, 1);
        // A rejection is found in it, and says what to do.
        let rejected = price(&stack, "AAPL")
            .await
            .expect_err("the circuit is open");
        let rejection = rejected.downcast_ref::<Rejection>().expect("a rejection");
        assert_eq!(rejection.reason(), Reason::CircuitOpen);
        assert!(rejection.retry_after().is_some());
        assert_eq!(rejected.to_string(), "the price of `AAPL`");
    }

    #[tokio::test(start_paused = true)]
    async fn through_a_layer_alone() {
        let layer = BulkheadLayer::new(NAME, BulkheadConfig::default());
        let ok: anyhow::Result<u32> = layer.run(|| quote("AAPL")).await.map_err(Error::into_error);
        assert_eq!(ok.expect("a price"), 230);
        layer.handle().pause();
        let paused: anyhow::Error = layer
            .run(|| quote("AAPL"))
            .await
            .expect_err("paused")
            .into_error();
        let reason = paused.downcast_ref().map(Rejection::reason);
        assert_eq!(reason, Some(Reason::Paused));
    }
}

//! Every command of every handle has its inverse, whatever was commanded before: it leaves no trace,
//! and a reset ends all.

#![allow(
    clippy::redundant_closure_for_method_calls,
    reason = "the rows of a table look alike"
)]

use std::time::Duration;

use seawall::ai::route::{Deployment, Model, Router, RouterHandle};
use seawall::breaker::{BreakerRegistry, CircuitHandle};
use seawall::bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
use seawall::bulkhead::isolated::{BlockingConfig, BlockingLayer, IsolatedConfig, IsolatedLayer};
use seawall::bulkhead::partitions::{PartitionConfig, PartitionedBulkheadLayer};
use seawall::bulkhead::scaling::{ScalingBulkheadLayer, ScalingConfig};
use seawall::chaos::{ChaosConfig, ChaosLayer};
use seawall::fallback::{FallbackConfig, FallbackHandle, FallbackLayer, Step};
use seawall::http_client::body_timeout::BodyTimeoutLayer;
use seawall::http_client::deadline::{ReadDeadlineConfig, ReadDeadlineLayer};
use seawall::http_client::quota::{HttpFeedback, RateLimitHeaders, ResetFormat};
use seawall::orders::protocol::TradingMode;
use seawall::orders::{OrderHandle, OrderLayer};
use seawall::timeout::LearnedConfig;
use seawall::{
    AdaptiveBulkheadLayer, AdaptiveConfig, AdaptiveThrottleConfig, AdaptiveThrottleLayer,
    AttemptTimeoutConfig, AttemptTimeoutLayer, BreakerConfig, BreakerLayer, BulkheadConfig,
    BulkheadLayer, Command, DeadlineConfig, DeadlineLayer, HedgeConfig, HedgeLayer, InstanceHandle,
    KeyedRateLimitConfig, KeyedRateLimitLayer, PartitionKey, RateLimitConfig, RateLimitLayer,
    RequestMeta, RetryConfig, RetryLayer, TelemetryConfig, TelemetryLayer,
};
use seawall_ai::spend::{Money, SpendBudget, SpendConfig, SpendHandle, SpendPeriod};
use seawall_ai::stream::{StreamConfig, StreamLayer};
use seawall_cache::{
    CacheConfig, CacheHandle, CacheLayer, CoalesceConfig, CoalesceHandle, CoalesceLayer,
};

const NAME: &str = "desk";
const SECOND: Duration = Duration::from_secs(1);
const KEY: PartitionKey = PartitionKey(7);

/// What begins something, and what ends it.
struct Pair<H>(&'static str, fn(&H), fn(&H));

/// State and shadow mode, of a snapshot as a user serializes it.
fn shown(snapshot: &impl serde::Serialize) -> String {
    let snapshot = serde_json::to_value(snapshot).expect("a value");
    format!("{}, shadow {}", snapshot["state"], snapshot["shadow"])
}

/// After any two commands, each begin is undone by its end, and everything by `reset`.
fn check<H: InstanceHandle>(make: impl Fn() -> H, see: impl Fn(&H) -> String, pairs: &[Pair<H>]) {
    check_with(make, |h| control(h, Command::Reset), see, pairs);
}

/// As [`check`], of a handle that no registry has.
fn check_with<H>(
    make: impl Fn() -> H,
    reset: fn(&H),
    see: impl Fn(&H) -> String,
    pairs: &[Pair<H>],
) {
    let untouched = see(&make());
    for Pair(first, begin_first, _) in pairs {
        for Pair(second, begin_second, _) in pairs {
            let before = || {
                let handle = make();
                begin_first(&handle);
                begin_second(&handle);
                handle
            };
            let handle = before();
            assert_ne!(see(&handle), untouched, "{first}, {second}");
            reset(&handle);
            assert_eq!(see(&handle), untouched, "{first}, {second}, reset");
            for Pair(last, begin, end) in pairs {
                let (undone, never) = (before(), before());
                begin(&undone);
                end(&undone);
                end(&never);
                assert_eq!(see(&undone), see(&never), "{first}, {second}, {last}");
            }
        }
    }
}

fn control<H: InstanceHandle>(handle: &H, command: Command) {
    handle.control(command).expect("it has this command");
}

/// Those of every kind of bulkhead, and of a rate limit.
macro_rules! gate {
    ($($more:expr),*) => {&[
        Pair("pause", |h| h.pause(), |h| h.resume()),
        Pair("drain", |h| h.drain(), |h| h.resume()),
        Pair("shadow", |h| h.set_shadow(true), |h| h.set_shadow(false)),
        Pair("block", |h| control(h, Command::Block), |h| h.resume()),
        Pair("bypass", |h| control(h, Command::Bypass), |h| h.resume()),
        $($more),*
    ]};
}

/// Of a layer that can only be taken out.
fn bypass<H: InstanceHandle>() -> [Pair<H>; 1] {
    let reset = |h: &H| control(h, Command::Reset);
    [Pair("bypass", |h| control(h, Command::Bypass), reset)]
}

#[tokio::test(start_paused = true)]
async fn routers() {
    let router = || {
        let key = |name: &str| Deployment::<_, ()>::new(name, "provider", ());
        let model = Model::new("model")
            .deployment(key("one"))
            .deployment(key("two"));
        let router = Router::builder(NAME, model).build();
        router.expect("valid").handle()
    };
    let see = |h: &RouterHandle| {
        let snapshot = h.snapshot();
        let deployments = snapshot.deployments.iter();
        let states: Vec<_> = deployments.map(|d| d.state.as_str()).collect();
        format!("{}, {states:?}", snapshot.state.as_str())
    };
    let pairs: &[Pair<RouterHandle>] = &[
        Pair("pause_all", |h| h.pause_all(), |h| h.resume_all()),
        Pair(
            "block",
            |h| assert!(h.block("one")),
            |h| assert!(h.resume("one")),
        ),
        Pair(
            "registry's block",
            |h| control(h, Command::Block),
            |h| h.resume_all(),
        ),
    ];
    check(router, see, pairs);
}

#[tokio::test(start_paused = true)]
async fn bulkheads() {
    let plain = || BulkheadLayer::new(NAME, BulkheadConfig::default()).handle();
    check(plain, |h| shown(&h.snapshot()), gate!());
    let config = || PartitionConfig::builder().build().expect("valid");
    let shares = || PartitionedBulkheadLayer::new(NAME, config()).handle();
    check(shares, |h| shown(&h.snapshot()), gate!());
    let config = ConnectionLimitConfig::default;
    let connections = || ConnectionLimitLayer::new(NAME, config()).handle();
    check(connections, |h| shown(&h.snapshot()), gate!());
    // Threads end in the background: one pool is enough for a handle, which is reset before it is used.
    let isolated = IsolatedLayer::new(NAME, IsolatedConfig::default()).expect("threads");
    let isolated = || {
        isolated.handle().reset();
        isolated.handle()
    };
    one_by_one(isolated, |h| shown(&h.snapshot()), gate!());
    let blocking = BlockingLayer::new(NAME, BlockingConfig::default()).expect("threads");
    let blocking = || {
        blocking.handle().reset();
        blocking.handle()
    };
    one_by_one(blocking, |h| shown(&h.snapshot()), gate!());
    let scaling = || {
        let config = BulkheadConfig::default();
        ScalingBulkheadLayer::new(NAME, config, ScalingConfig::default()).handle()
    };
    check(scaling, |h| shown(&h.bulkhead().snapshot()), &bypass());
    let adaptive = || {
        let config = BulkheadConfig::default();
        AdaptiveBulkheadLayer::new(NAME, config, AdaptiveConfig::default()).handle()
    };
    check(adaptive, |h| shown(&h.bulkhead().snapshot()), &bypass());
}

/// Of handles that share one state: they are made one after the other.
fn one_by_one<H>(make: impl Fn() -> H, see: impl Fn(&H) -> String, pairs: &[Pair<H>]) {
    for Pair(before, begin_before, _) in pairs {
        for Pair(last, begin, end) in pairs {
            let after = |with: bool| {
                let handle = make();
                begin_before(&handle);
                if with {
                    begin(&handle);
                }
                end(&handle);
                see(&handle)
            };
            assert_eq!(after(true), after(false), "{before}, {last}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rate_limits() {
    let config = || {
        let limit = RateLimitConfig::builder().rate(10, SECOND);
        limit.build().expect("valid")
    };
    let one = || RateLimitLayer::new(NAME, config()).handle();
    let pause_for = Pair(
        "pause_for",
        |h: &seawall::RateLimitHandle| h.pause_for(SECOND),
        |h| {
            h.resume();
        },
    );
    let see =
        |h: &seawall::RateLimitHandle| format!("{} {}", shown(&h.snapshot()), h.config().shadow());
    check(one, see, gate!(pause_for));
    let keyed = || {
        let config = KeyedRateLimitConfig::new(config()).expect("valid");
        KeyedRateLimitLayer::new(NAME, config).handle()
    };
    let of_key = RequestMeta::default().with_key(KEY);
    check(
        keyed,
        |h| {
            // It costs more than the limit can grant, and takes nothing where it passes.
            let passes = h.try_reserve(&of_key.with_cost(u32::MAX)).is_ok();
            format!("{} {:?} {passes}", h.state(), h.time_to_next(&of_key))
        },
        &[
            Pair("pause", |h| h.pause(KEY), |h| h.resume(KEY)),
            Pair("pause_for", |h| h.pause_for(KEY, SECOND), |h| h.resume(KEY)),
            Pair("pause_all", |h| h.pause_all(), |h| h.resume_all()),
            Pair(
                "pause_all_for",
                |h| h.pause_all_for(SECOND),
                |h| {
                    h.resume_all();
                },
            ),
            Pair("drain_all", |h| h.drain_all(), |h| h.resume_all()),
            Pair("block", |h| control(h, Command::Block), |h| h.resume_all()),
            Pair(
                "bypass",
                |h| control(h, Command::Bypass),
                |h| h.resume_all(),
            ),
        ],
    );
}

/// A circuit that was forced open probes when it returns to its rules: whether it is forced counts.
fn forced(state: &str, shadow: bool) -> String {
    let forced = if state.starts_with("forced") {
        state
    } else {
        "by its rules"
    };
    format!("{forced}, shadow {shadow}")
}

macro_rules! forces {
    ($($more:expr),*) => {&[
        Pair("force_open", |h| h.force_open(), |h| h.automatic()),
        Pair("force_closed", |h| h.force_closed(), |h| h.automatic()),
        $($more),*
    ]};
}

#[tokio::test(start_paused = true)]
async fn breakers() {
    let config = BreakerConfig::default();
    let one = || BreakerLayer::new(NAME, config.clone()).handle();
    check(
        one,
        |h| forced(h.state().as_str(), h.snapshot().shadow),
        forces!(
            Pair("block", |h| control(h, Command::Block), |h| h.automatic()),
            Pair("bypass", |h| control(h, Command::Bypass), |h| h.automatic()),
            Pair("shadow", |h| h.set_shadow(true), |h| h.set_shadow(false))
        ),
    );
    let registry = || {
        let registry: BreakerRegistry = BreakerRegistry::new(NAME, config.clone());
        registry.circuit("AAPL");
        registry
    };
    let of_key = |h: &BreakerRegistry| forced(h.circuit("AAPL").state().as_str(), false);
    check(registry, of_key, forces!());
    let circuit = || registry().circuit("AAPL");
    check_with(
        circuit,
        CircuitHandle::reset,
        |h| forced(h.state().as_str(), false),
        forces!(),
    );
}

#[tokio::test(start_paused = true)]
async fn layers_that_only_observe_or_repeat() {
    let config = AdaptiveThrottleConfig::default();
    let throttle = || AdaptiveThrottleLayer::new(NAME, config.clone()).handle();
    check(
        throttle,
        |h| shown(&h.snapshot()),
        &[
            Pair("shadow", |h| h.set_shadow(true), |h| h.set_shadow(false)),
            Pair("bypass", |h| control(h, Command::Bypass), |h| h.reset()),
        ],
    );
    let retry = || RetryLayer::new(NAME, RetryConfig::default()).handle();
    check(retry, |h| shown(&h.snapshot()), &bypass());
    let telemetry = || TelemetryLayer::new(NAME, TelemetryConfig::default()).handle();
    check(telemetry, |h| shown(&h.snapshot()), &bypass());
    let hedge = || HedgeLayer::new(NAME, HedgeConfig::default()).handle();
    check(hedge, |h| shown(&h.snapshot()), &bypass());
    let config = AttemptTimeoutConfig::fixed(SECOND).expect("valid");
    let fixed = || AttemptTimeoutLayer::new(NAME, config).handle();
    check(fixed, |h| shown(&h.snapshot()), &bypass());
    let config = AttemptTimeoutConfig::learned(LearnedConfig::default());
    let learned = || AttemptTimeoutLayer::new(NAME, config).handle();
    check(learned, |h| shown(&h.snapshot()), &bypass());
    let config = DeadlineConfig::new(SECOND).expect("valid");
    let deadline = || DeadlineLayer::new(NAME, config).handle();
    check(deadline, |h| shown(&h.snapshot()), &bypass());
    let body = || BodyTimeoutLayer::new(NAME, Default::default()).handle();
    check(body, |h| shown(&h.snapshot()), &bypass());
    let stream = || StreamLayer::new(NAME, StreamConfig::default()).handle();
    check(stream, |h| shown(&h.snapshot()), &bypass());
    let day = SpendConfig::builder().per_day(Money::whole(1)).build();
    let day = day.expect("valid");
    let budget = || SpendBudget::new(NAME, day.clone()).handle();
    let see = |h: &SpendHandle| format!("{}, shadow {}", h.state(), h.snapshot().shadow);
    let pairs: &[Pair<SpendHandle>] = &[
        Pair("shadow", |h| h.set_shadow(true), |h| h.set_shadow(false)),
        Pair(
            "bypass",
            |h| control(h, Command::Bypass),
            |h| h.set_shadow(false),
        ),
    ];
    check(budget, see, pairs);
    let read = || ReadDeadlineLayer::new(NAME, ReadDeadlineConfig::default()).handle();
    check(read, |h| shown(&h.snapshot()), &bypass());
    let feedback =
        || HttpFeedback::new(NAME, RateLimitHeaders::x_ratelimit(ResetFormat::Auto)).handle();
    check(feedback, |h| shown(&h.snapshot()), &bypass());
}

#[tokio::test(start_paused = true)]
async fn layers_that_answer_without_the_upstream() {
    let fallback = || {
        let hold: Step<String, &'static str> = Step::value("hold", "HOLD");
        let layer = FallbackLayer::new(NAME, FallbackConfig::default(), [hold]);
        layer.expect("valid").handle()
    };
    // Both are shown, and each ends for itself.
    let pairs: &[Pair<FallbackHandle>] = &[
        Pair("bypass", |h| h.bypass(), |h| h.resume()),
        Pair(
            "read_only",
            |h| h.set_read_only(true),
            |h| h.set_read_only(false),
        ),
        Pair(
            "registry's bypass",
            |h| control(h, Command::Bypass),
            |h| h.resume(),
        ),
    ];
    check(fallback, |h| shown(&h.snapshot()), pairs);

    let config = CacheConfig::new(SECOND).expect("valid");
    let cache = || -> CacheHandle<String, u64> { CacheLayer::new(NAME, config.clone()).handle() };
    check(
        cache,
        |h| shown(&h.snapshot()),
        &[Pair("bypass", |h| h.bypass(), |h| h.resume())],
    );
    check(cache, |h| shown(&h.snapshot()), &bypass());
    let coalesce = || -> CoalesceHandle<String, u64, ()> {
        CoalesceLayer::new(NAME, CoalesceConfig::default()).handle()
    };
    check(
        coalesce,
        |h| shown(&h.snapshot()),
        &[Pair("bypass", |h| h.bypass(), |h| h.resume())],
    );
    check(coalesce, |h| shown(&h.snapshot()), &bypass());
    // The emergency stop; the faults that it has ended stay ended.
    let chaos = || ChaosLayer::new(NAME, ChaosConfig::default()).handle();
    check(chaos, |h| shown(&h.snapshot()), &bypass());
}

#[tokio::test(start_paused = true)]
async fn orders() {
    let handle = || {
        let broker = seawall::provider("alpaca").expect("known").broker_table();
        let broker = broker.expect("it takes orders");
        OrderLayer::<Vec<u8>>::builder(NAME, broker)
            .build()
            .expect("valid")
            .handle()
    };
    // The mode that it goes to: clean queries have to come first, unless it is reset.
    let see = |h: &OrderHandle| format!("{:?}", h.control().snapshot(Duration::ZERO).target);
    let halt = |h: &OrderHandle| control(h, Command::Block);
    let pairs: &[Pair<OrderHandle>] = &[
        Pair(
            "set_mode",
            |h| h.set_mode(Some(TradingMode::CancelOnly)),
            |h| h.set_mode(None),
        ),
        Pair("block", halt, |h| h.set_mode(None)),
    ];
    check(handle, see, pairs);

    let handle = handle();
    let untouched = handle.snapshot().mode;
    control(&handle, Command::Block);
    handle.set_mode(None);
    assert_ne!(handle.snapshot().mode, untouched);
    handle.reset();
    assert_eq!(handle.snapshot().mode, untouched);
}

/// What was spent elsewhere, and a clock that was set, end with a reset.
#[test]
fn a_reset_ends_the_clock_of_a_budget() {
    let day = SpendConfig::builder().per_day(Money::whole(1)).build();
    let budget = SpendBudget::new(NAME, day.expect("valid")).handle();
    let renews = || budget.snapshot().periods[0].renews_in.as_secs();
    let by_the_machine = renews();
    let noon = std::time::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + 43_200);
    budget.set_wall_clock(noon);
    budget.already_spent(SpendPeriod::Day, Money::whole(1));
    assert_eq!(budget.state(), "exhausted");
    budget.reset();
    assert_eq!(budget.state(), "ok");
    // Midnight may have come meanwhile.
    let difference = renews().abs_diff(by_the_machine);
    assert!(!(60..=86_340).contains(&difference), "{difference}");
}

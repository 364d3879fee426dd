//! Every command of every handle is emitted once, by one word, with the instance that it was for.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seawall::ai::route::{Deployment, Model, Router, RouterHandle};
use seawall::breaker::BreakerRegistry;
use seawall::bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
use seawall::bulkhead::isolated::{BlockingConfig, BlockingLayer, IsolatedConfig, IsolatedLayer};
use seawall::bulkhead::partitions::{PartitionConfig, PartitionShare, PartitionedBulkheadLayer};
use seawall::bulkhead::scaling::{ScalingBulkheadLayer, ScalingConfig};
use seawall::chaos::{ChaosConfig, ChaosLayer, Fault};
use seawall::fallback::{FallbackConfig, FallbackHandle, FallbackLayer, Step};
use seawall::health::{HealthScore, Recovery, RecoveryConfig};
use seawall::http_client::body_timeout::BodyTimeoutLayer;
use seawall::http_client::deadline::{ReadDeadlineConfig, ReadDeadlineLayer};
use seawall::http_client::quota::{HttpFeedback, RateLimitHeaders, ResetFormat};
use seawall::orders::client::RequestSender;
use seawall::orders::dead_man::{DeadManConfig, DeadManSwitch, KrakenTimer};
use seawall::orders::journal::{Intent, Journal as _, MemoryJournal, SavedRequest};
use seawall::orders::protocol::{TradingMode, Verdict};
use seawall::orders::{Operation, OrderConfig, OrderError, OrderHandle, OrderLayer};
use seawall::{
    AdaptiveBulkheadLayer, AdaptiveConfig, AdaptiveThrottleConfig, AdaptiveThrottleLayer,
    AttemptTimeoutConfig, AttemptTimeoutLayer, BreakerConfig, BreakerLayer, BulkheadConfig,
    BulkheadLayer, CheckConfig, Command, DeadlineConfig, DeadlineLayer, Error, EventKind, Events,
    HealthConfig, HealthLayer, HealthMonitor, HedgeConfig, HedgeLayer, InstanceHandle,
    InstanceName, KeyedRateLimitConfig, KeyedRateLimitLayer, Limit, PartitionKey, QuotaSignal,
    RateLimitConfig, RateLimitLayer, Registry, RetryConfig, RetryLayer, TelemetryConfig,
    TelemetryLayer, Unit,
};
use seawall_ai::estimate::{EstimateConfig, TokenEstimator};
use seawall_ai::spend::{Money, SpendBudget, SpendConfig, SpendPeriod};
use seawall_ai::stream::{StreamConfig, StreamLayer};
use seawall_cache::{
    CacheConfig, CacheHandle, CacheLayer, CoalesceConfig, CoalesceHandle, CoalesceLayer,
};
use seawall_core::{Samples, metric};
use seawall_monitor::{Monitor, SilenceMatcher};

const NAME: &str = "desk";
const SECOND: Duration = Duration::from_secs(1);
const KEY: PartitionKey = PartitionKey(7);
const USED: QuotaSignal = QuotaSignal::Used {
    unit: Unit::Cost,
    amount: 1,
};

/// A command by the word that is to be emitted; none for one that is rejected.
type Commands<'a, H> = &'a [(Option<&'static str>, fn(&H))];

/// A pattern, the name of an instance, and what was commanded of it.
type Commanded = (&'static str, InstanceName, &'static str);

/// What was commanded.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Commanded>>>);

impl Heard {
    fn listen(&self, events: &Events) {
        let heard = self.clone();
        let listener = events.listen(move |event| {
            if let EventKind::Commanded { command } = event.kind {
                let mut all = heard.0.lock().expect("no panic");
                all.push((event.pattern, event.name, command));
            }
        });
        listener.detach();
    }

    /// Since the last time, there was that command alone.
    fn assert(&self, pattern: &'static str, command: Option<&'static str>, at: &str) {
        let all = std::mem::take(&mut *self.0.lock().expect("no panic"));
        let one = command.map(|command| (pattern, InstanceName::new(NAME), command));
        assert_eq!(all, Vec::from_iter(one), "{pattern}, {at}");
    }
}

fn check<H>(pattern: &'static str, handle: &H, heard: &Heard, commands: Commands<'_, H>) {
    for (at, (command, give)) in commands.iter().enumerate() {
        give(handle);
        heard.assert(pattern, *command, &format!("command {at}"));
    }
}

/// Every sample is as the table of metrics has it.
fn assert_in_table(handle: &dyn InstanceHandle) {
    handle.samples(&mut Samples::new(&mut |sample| {
        let metric = metric(sample.metric);
        let is_described = metric.is_some_and(|metric| metric.describes(&sample));
        assert!(is_described, "{sample:?} is not as in {metric:?}");
    }));
}

/// `registry` has the words for what a registry commands: block, bypass, reset; none where the
/// handle does not have it.
fn check_all<H: InstanceHandle>(
    pattern: &'static str,
    handle: &H,
    registry: [Option<&'static str>; 3],
    commands: Commands<'_, H>,
) {
    let (events, heard) = (Events::default(), Heard::default());
    heard.listen(&events);
    handle.attach(&events);
    check(pattern, handle, &heard, commands);
    assert_in_table(handle);
    let all = [Command::Block, Command::Bypass, Command::Reset];
    for (command, word) in all.into_iter().zip(registry) {
        assert_eq!(handle.control(command).is_ok(), word.is_some(), "{pattern}");
        heard.assert(pattern, word, &format!("{command:?}"));
    }
}

const PAUSE: [Option<&str>; 3] = [Some("pause"), Some("bypass"), Some("reset")];
const FORCE: [Option<&str>; 3] = [Some("force_open"), Some("force_closed"), Some("reset")];
const BYPASS: [Option<&str>; 3] = [None, Some("bypass"), Some("reset")];
const RESET: [Option<&str>; 3] = [None, None, Some("reset")];

#[tokio::test(start_paused = true)]
async fn bulkheads_emit_every_command() {
    check_all(
        "bulkhead",
        &BulkheadLayer::new(NAME, BulkheadConfig::default()).handle(),
        PAUSE,
        &[
            (Some("pause"), |h| h.pause()),
            (Some("resume"), |h| h.resume()),
            (Some("drain"), |h| h.drain()),
            (Some("reset"), |h| h.reset()),
            (Some("shadow_on"), |h| h.set_shadow(true)),
            (Some("shadow_off"), |h| h.set_shadow(false)),
            (Some("set_limit"), |h| h.set_limit(3).unwrap()),
            (None, |h| assert!(h.set_limit(0).is_err())),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (Some("reset_peak"), |h| h.reset_peak()),
        ],
    );
    let config = PartitionConfig::builder()
        .max_concurrent(4)
        .build()
        .unwrap();
    check_all(
        "bulkhead",
        &PartitionedBulkheadLayer::new(NAME, config).handle(),
        PAUSE,
        &[
            (Some("pause"), |h| h.pause()),
            (Some("resume"), |h| h.resume()),
            (Some("drain"), |h| h.drain()),
            (Some("resume"), |h| h.resume()),
            (Some("shadow_on"), |h| h.set_shadow(true)),
            (Some("shadow_off"), |h| h.set_shadow(false)),
            (Some("set_limit"), |h| h.set_limit(5).unwrap()),
            (None, |h| assert!(h.set_limit(0).is_err())),
            (Some("set_share"), |h| {
                h.set_share(KEY, PartitionShare::new().guaranteed(2))
                    .unwrap();
            }),
            (None, |h| {
                assert!(
                    h.set_share(KEY, PartitionShare::new().guaranteed(9))
                        .is_err()
                );
            }),
            (None, |h| assert!(h.set_limit(1).is_err())),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (Some("reset"), |h| h.reset()),
        ],
    );
    let config = ConnectionLimitConfig::default();
    check_all(
        "connections",
        &ConnectionLimitLayer::new(NAME, config).handle(),
        PAUSE,
        &[
            (Some("pause"), |h| h.pause()),
            (Some("resume"), |h| h.resume()),
            (Some("drain"), |h| h.drain()),
            (Some("resume"), |h| h.resume()),
            (Some("shadow_on"), |h| h.set_shadow(true)),
            (Some("shadow_off"), |h| h.set_shadow(false)),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (Some("reset"), |h| h.reset()),
        ],
    );
    let layer = IsolatedLayer::new(NAME, IsolatedConfig::builder().threads(1).build().unwrap());
    check_all(
        "isolated",
        &layer.unwrap().handle(),
        PAUSE,
        &[
            (Some("pause"), |h| h.pause()),
            (Some("resume"), |h| h.resume()),
            (Some("drain"), |h| h.drain()),
            (Some("resume"), |h| h.resume()),
            (Some("shadow_on"), |h| h.set_shadow(true)),
            (Some("shadow_off"), |h| h.set_shadow(false)),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (None, |h| {
                let two = IsolatedConfig::builder().threads(2).build().unwrap();
                assert!(h.configure(two).is_err());
            }),
            (Some("reset"), |h| h.reset()),
        ],
    );
    let layer = BlockingLayer::new(NAME, BlockingConfig::builder().threads(1).build().unwrap());
    check_all(
        "blocking",
        &layer.unwrap().handle(),
        PAUSE,
        &[
            (Some("pause"), |h| h.pause()),
            (Some("resume"), |h| h.resume()),
            (Some("drain"), |h| h.drain()),
            (Some("resume"), |h| h.resume()),
            (Some("shadow_on"), |h| h.set_shadow(true)),
            (Some("shadow_off"), |h| h.set_shadow(false)),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (Some("reset"), |h| h.reset()),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn limits_that_move_emit_every_command() {
    let bulkhead = BulkheadConfig::default();
    let layer = ScalingBulkheadLayer::new(NAME, bulkhead, ScalingConfig::default());
    check_all(
        "bulkhead",
        &layer.handle(),
        PAUSE,
        &[
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (Some("configure"), |h| {
                // The limit moves as well, which nobody has commanded.
                let limit = h.snapshot().limit;
                h.configure(ScalingConfig::builder().max(limit - 1).build().unwrap())
                    .unwrap();
                assert_eq!(h.snapshot().limit, limit - 1);
            }),
            (Some("reset"), |h| h.reset()),
            (Some("drain"), |h| h.bulkhead().drain()),
            (Some("resume"), |h| h.bulkhead().resume()),
        ],
    );
    let layer = AdaptiveBulkheadLayer::new(NAME, bulkhead, AdaptiveConfig::default());
    check_all(
        "bulkhead",
        &layer.handle(),
        PAUSE,
        &[
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (Some("configure"), |h| {
                h.configure(AdaptiveConfig::builder().max(15).build().unwrap())
                    .unwrap();
                assert_eq!(h.snapshot().limit, 15);
            }),
            (Some("reset"), |h| h.reset()),
            (Some("pause"), |h| h.bulkhead().pause()),
            (Some("resume"), |h| h.bulkhead().resume()),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn rate_limits_emit_every_command() {
    let config = || RateLimitConfig::builder().rate(10, SECOND).build().unwrap();
    check_all(
        "ratelimit",
        &RateLimitLayer::new(NAME, config()).handle(),
        PAUSE,
        &[
            (Some("pause"), |h| h.pause()),
            (Some("pause_for"), |h| h.pause_for(SECOND)),
            (None, |h| h.pause_for(Duration::ZERO)),
            (Some("resume"), |h| h.resume()),
            (Some("drain"), |h| h.drain()),
            (Some("refill"), |h| h.refill()),
            (Some("reset"), |h| h.reset()),
            (Some("shadow_on"), |h| h.set_shadow(true)),
            (Some("shadow_off"), |h| h.set_shadow(false)),
            (Some("set_wall_clock"), |h| h.set_wall_clock(UNIX_EPOCH)),
            (Some("apply_signal"), |h| h.apply_signal(USED)),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (None, |h| {
                let strict = RateLimitConfig::builder().limit(Limit::strict(1, SECOND));
                assert!(h.configure(strict.build().unwrap()).is_err());
            }),
        ],
    );
    let keys = KeyedRateLimitConfig::new(config()).unwrap();
    check_all(
        "ratelimit_per_key",
        &KeyedRateLimitLayer::new(NAME, keys).handle(),
        [Some("pause_all"), Some("bypass"), Some("reset")],
        &[
            (Some("pause"), |h| h.pause(KEY)),
            (Some("pause_for"), |h| h.pause_for(KEY, SECOND)),
            (None, |h| h.pause_for(KEY, Duration::ZERO)),
            (Some("resume"), |h| h.resume(KEY)),
            (Some("refill"), |h| h.refill(KEY)),
            (Some("pause_all"), |h| h.pause_all()),
            (Some("pause_all_for"), |h| h.pause_all_for(SECOND)),
            (None, |h| h.pause_all_for(Duration::ZERO)),
            (Some("resume_all"), |h| h.resume_all()),
            (Some("drain_all"), |h| h.drain_all()),
            (Some("reset"), |h| h.reset()),
            (Some("set_wall_clock"), |h| h.set_wall_clock(UNIX_EPOCH)),
            (Some("apply_signal"), |h| {
                h.apply_signal(KEY, USED);
            }),
            (Some("evict_idle"), |h| h.evict_idle()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (Some("configure_key"), |h| {
                let two = RateLimitConfig::builder().rate(2, SECOND);
                h.configure_key(KEY, two.build().unwrap()).unwrap();
            }),
        ],
    );
}

fn router() -> RouterHandle {
    let deployment = Deployment::<_, ()>::new(NAME, "provider", ());
    let model = Model::new("model").deployment(deployment);
    let router = Router::builder(NAME, model).build();
    router.expect("valid").handle()
}

#[tokio::test(start_paused = true)]
async fn routers_emit_every_command() {
    check_all(
        "router",
        &router(),
        [Some("pause_all"), None, Some("reset")],
        &[
            (Some("pause_all"), |h| h.pause_all()),
            (Some("resume_all"), |h| h.resume_all()),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (None, |h| assert!(!h.block("other") && !h.resume("other"))),
        ],
    );
    // Of a deployment: with its name, which is the same here, and a pattern of its own.
    let (events, heard) = (Events::default(), Heard::default());
    heard.listen(&events);
    let handle = router();
    handle.attach(&events);
    check(
        "deployment",
        &handle,
        &heard,
        &[
            (Some("block"), |h| assert!(h.block(NAME))),
            (Some("resume"), |h| assert!(h.resume(NAME))),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn breakers_emit_every_command() {
    let config = BreakerConfig::default();
    check_all(
        "breaker",
        &BreakerLayer::new(NAME, config.clone()).handle(),
        FORCE,
        &[
            (Some("force_open"), |h| h.force_open()),
            (Some("automatic"), |h| h.automatic()),
            (Some("force_open_for"), |h| h.force_open_for(SECOND)),
            (Some("force_closed"), |h| h.force_closed()),
            (Some("reset"), |h| h.reset()),
            (Some("shadow_on"), |h| h.set_shadow(true)),
            (Some("shadow_on"), |h| h.set_shadow(true)),
            (Some("shadow_off"), |h| h.set_shadow(false)),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
    let registry: BreakerRegistry = BreakerRegistry::new(NAME, config.clone());
    registry.circuit("AAPL");
    check_all(
        "breaker",
        &registry,
        FORCE,
        &[
            (Some("force_open"), |h| h.force_open()),
            (Some("automatic"), |h| h.automatic()),
            (Some("force_closed"), |h| h.force_closed()),
            (Some("reset"), |h| h.reset()),
            (Some("set_max_keys"), |h| h.set_max_keys(5)),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
    // Of one key: emitted with the name of all.
    let registry: BreakerRegistry = BreakerRegistry::new(NAME, config);
    let (events, heard) = (Events::default(), Heard::default());
    heard.listen(&events);
    registry.attach(&events);
    check(
        "breaker",
        &registry.circuit("AAPL"),
        &heard,
        &[
            (Some("force_open"), |h| h.force_open()),
            (Some("automatic"), |h| h.automatic()),
            (Some("force_open_for"), |h| h.force_open_for(SECOND)),
            (Some("force_closed"), |h| h.force_closed()),
            (Some("reset"), |h| h.reset()),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn layers_that_only_observe_or_repeat_emit_every_command() {
    check_all(
        "throttle",
        &AdaptiveThrottleLayer::new(NAME, AdaptiveThrottleConfig::default()).handle(),
        BYPASS,
        &[
            (Some("shadow_on"), |h| h.set_shadow(true)),
            (Some("shadow_off"), |h| h.set_shadow(false)),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (Some("reset"), |h| h.reset()),
        ],
    );
    check_all(
        "retry",
        &RetryLayer::new(NAME, RetryConfig::default()).handle(),
        BYPASS,
        &[
            (Some("bypass"), |h| h.bypass()),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
    check_all(
        "telemetry",
        &TelemetryLayer::new(NAME, TelemetryConfig::default()).handle(),
        BYPASS,
        &[
            (Some("bypass"), |h| h.bypass()),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
    check_all(
        "hedge",
        &HedgeLayer::new(NAME, HedgeConfig::default()).handle(),
        BYPASS,
        &[
            (Some("bypass"), |h| h.bypass()),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
    check_all(
        "health",
        &HealthLayer::new(NAME, HealthConfig::default()).handle(),
        RESET,
        &[
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (Some("reset"), |h| h.reset()),
        ],
    );
    let monitor = HealthMonitor::new(NAME);
    let healthy = || async { Ok::<(), String>(()) };
    monitor
        .register("broker", CheckConfig::default(), healthy)
        .unwrap();
    check_all(
        "health_monitor",
        &monitor,
        RESET,
        &[
            (Some("configure_check"), |h| {
                h.configure_check("broker", CheckConfig::default()).unwrap();
            }),
            (None, |h| {
                assert!(h.configure_check("none", CheckConfig::default()).is_err());
            }),
            (Some("set_dependencies"), |h| {
                h.set_dependencies("broker", &[]).unwrap();
            }),
            (None, |h| {
                assert!(h.set_dependencies("broker", &["none"]).is_err());
            }),
            (Some("set_recovery"), |h| {
                let config = RecoveryConfig::default();
                h.set_recovery("broker", config, Recovery::new()).unwrap();
            }),
            (Some("recover_now"), |h| assert!(h.recover_now("broker"))),
            (Some("set_auto_recovery"), |h| h.set_auto_recovery(true)),
            (Some("remove_recovery"), |h| {
                assert!(h.remove_recovery("broker"));
            }),
            (None, |h| {
                assert!(!h.remove_recovery("broker") && !h.recover_now("broker"));
            }),
            (Some("set_score"), |h| h.set_score(HealthScore::default())),
            (Some("remove"), |h| assert!(h.remove("broker"))),
            (None, |h| assert!(!h.remove("broker"))),
            (Some("reset"), |h| h.reset()),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn monitors_emit_every_command() {
    let registry = Registry::new("desk");
    let breaker = BreakerLayer::new(NAME, BreakerConfig::default()).handle();
    registry.register(breaker.clone()).unwrap();
    breaker.force_open();
    let monitor = Monitor::builder(NAME).registry(registry).build().unwrap();
    // An alert, and then a silence: they are numbered together.
    monitor.sample();
    check_all(
        "monitor",
        &monitor,
        [None; 3],
        &[
            (Some("acknowledge"), |h| {
                h.acknowledge(1, "ann", "known", SECOND).unwrap();
            }),
            (Some("unacknowledge"), |h| h.unacknowledge(1).unwrap()),
            (None, |h| assert!(h.unacknowledge(99).is_err())),
            (Some("silence"), |h| {
                let all = SilenceMatcher::all();
                assert_eq!(h.silence(all, "ann", "known", SECOND), Ok(2));
            }),
            (Some("unsilence"), |h| h.unsilence(2).unwrap()),
            (None, |h| assert!(h.unsilence(2).is_err())),
            (Some("configure"), |h| h.configure(h.rules())),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn timeouts_and_what_is_read_of_http_emit_every_command() {
    let config = AttemptTimeoutConfig::fixed(SECOND).unwrap();
    check_all(
        "attempt_timeout",
        &AttemptTimeoutLayer::new(NAME, config).handle(),
        BYPASS,
        &[
            (Some("bypass"), |h| h.bypass()),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
    let config = DeadlineConfig::new(SECOND).unwrap();
    check_all(
        "deadline",
        &DeadlineLayer::new(NAME, config).handle(),
        BYPASS,
        &[
            (Some("bypass"), |h| h.bypass()),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
    let layer = BodyTimeoutLayer::new(NAME, Default::default());
    check_all(
        "body_timeout",
        &layer.handle(),
        BYPASS,
        &[
            (Some("bypass"), |h| h.bypass()),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
    let layer = StreamLayer::new(NAME, StreamConfig::default());
    check_all(
        "stream",
        &layer.handle(),
        BYPASS,
        &[
            (Some("bypass"), |h| h.bypass()),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
    let layer = ReadDeadlineLayer::new(NAME, ReadDeadlineConfig::default());
    check_all(
        "read_deadline",
        &layer.handle(),
        BYPASS,
        &[
            (Some("bypass"), |h| h.bypass()),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
    let feedback = HttpFeedback::new(NAME, RateLimitHeaders::x_ratelimit(ResetFormat::Auto));
    check_all(
        "http_feedback",
        &feedback.handle(),
        BYPASS,
        &[
            (Some("bypass"), |h| h.bypass()),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn what_counts_tokens_and_money_emits_every_command() {
    check_all(
        "estimate",
        &TokenEstimator::new(NAME, EstimateConfig::default()).handle(),
        RESET,
        &[
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (Some("reset"), |h| h.reset()),
        ],
    );
    let config = SpendConfig::builder().per_day(Money::whole(1));
    check_all(
        "spend",
        &SpendBudget::new(NAME, config.build().unwrap()).handle(),
        BYPASS,
        &[
            (Some("shadow_on"), |h| h.set_shadow(true)),
            (Some("shadow_off"), |h| h.set_shadow(false)),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (Some("already_spent"), |h| {
                h.already_spent(SpendPeriod::Day, Money::ZERO);
            }),
            (Some("set_wall_clock"), |h| h.set_wall_clock(UNIX_EPOCH)),
            (Some("reset"), |h| h.reset()),
        ],
    );
}

/// A layer around a broker that is down, with an order of an earlier process: it stays in doubt.
async fn in_doubt(id: &str) -> OrderHandle {
    type Body = http_body_util::Full<bytes::Bytes>;
    let broker = seawall::provider("alpaca").expect("known").broker_table();
    let request = SavedRequest::new("POST", "/v2/orders");
    let intent = Intent::new(id, Operation::Create, SystemTime::now()).account("desk");
    let journal = MemoryJournal::default();
    let written = journal.append_sent(intent.request(request)).await;
    written.expect("the id is new");
    let layer = OrderLayer::<Body>::builder(NAME, broker.expect("it takes orders"))
        .journal(journal)
        .account("desk")
        .build()
        .expect("settings");
    let down = tower::service_fn(|_: http::Request<Body>| async {
        Err::<http::Response<Body>, _>(Error::Inner("down"))
    });
    let _ = tower::Layer::layer(&layer, down);
    layer.handle()
}

#[tokio::test(start_paused = true)]
async fn orders_emit_every_command() {
    check_all(
        "orders",
        &in_doubt("one").await,
        [Some("set_mode"), None, Some("reset")],
        &[
            (Some("set_mode"), |h| {
                h.set_mode(Some(TradingMode::CancelOnly));
            }),
            (Some("set_mode"), |h| h.set_mode(None)),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
            (None, |h| {
                let more = OrderConfig::builder().look_ups_at_once(9).build().unwrap();
                assert!(h.configure(more).is_err());
            }),
        ],
    );

    // Those about an order.
    let handle = in_doubt("one").await;
    let (events, heard) = (Events::default(), Heard::default());
    heard.listen(&events);
    handle.attach(&events);
    let timed_out = handle.cancel("one", SECOND).await;
    assert!(matches!(timed_out, Err(OrderError::TimedOut)));
    heard.assert("orders", Some("cancel"), "of an order in doubt");
    handle.look_up_again("one").await.unwrap();
    heard.assert("orders", Some("look_up_again"), "of an order in doubt");
    handle.resolve("one", Verdict::NotExecuted).await.unwrap();
    heard.assert("orders", Some("resolve"), "of an order in doubt");
    handle.look_up_again("one").await.unwrap_err();
    handle.resolve("one", Verdict::Abandon).await.unwrap_err();
    heard.assert("orders", None, "of a settled order");
    handle.cancel("two", SECOND).await.unwrap_err();
    handle.look_up_again("two").await.unwrap_err();
    handle.resolve("two", Verdict::Abandon).await.unwrap_err();
    heard.assert("orders", None, "of an unknown order");
}

#[tokio::test(start_paused = true)]
async fn switches_emit_that_they_are_stopped() {
    let config = DeadManConfig::builder(60 * SECOND).build().unwrap();
    let silent = tower::service_fn(|_: http::Request<bytes::Bytes>| async {
        std::future::pending::<Result<http::Response<http_body_util::Full<_>>, String>>().await
    });
    let sender = RequestSender::new(silent);
    let switch = DeadManSwitch::new(NAME, config, KrakenTimer, sender, || true);
    let switch = switch.unwrap();
    let handle = switch.handle();
    let (events, heard) = (Events::default(), Heard::default());
    heard.listen(&events);
    handle.attach(&events);
    tokio::spawn(switch.run());
    handle.stop().await.unwrap_err();
    heard.assert("dead_man", Some("stop"), "of a silent venue");
}

fn fallback() -> FallbackHandle {
    let hold: Step<String, &'static str> = Step::value("hold", "HOLD");
    let layer = FallbackLayer::new(NAME, FallbackConfig::default(), [hold]);
    layer.expect("valid").handle()
}

#[tokio::test(start_paused = true)]
async fn fallbacks_emit_every_command() {
    check_all(
        "fallback",
        &fallback(),
        BYPASS,
        &[
            (Some("read_only_on"), |h| h.set_read_only(true)),
            (Some("read_only_off"), |h| h.set_read_only(false)),
            (Some("bypass"), |h| h.bypass()),
            (Some("resume"), |h| h.resume()),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
}

/// What starts and ends faults is emitted as that, and is no command.
#[tokio::test(start_paused = true)]
async fn chaos_emits_every_command() {
    check_all(
        "chaos",
        &ChaosLayer::new(NAME, ChaosConfig::default()).handle(),
        BYPASS,
        &[
            (None, |h| {
                let hang = Fault::hang().with_intensity(0.5).unwrap();
                drop(h.start(hang).unwrap());
            }),
            (Some("bypass"), |h| h.bypass()),
            (None, |h| {
                let hang = Fault::hang();
                assert!(h.start(hang).is_err());
            }),
            (Some("reset"), |h| h.reset()),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn caches_emit_every_command() {
    let layer = CacheLayer::new(NAME, CacheConfig::new(SECOND).unwrap());
    let handle: CacheHandle<String, u64> = layer.handle();
    check_all(
        "cache",
        &handle,
        BYPASS,
        &[
            (Some("bypass"), |h| h.bypass()),
            (Some("resume"), |h| h.resume()),
            (Some("invalidate"), |h| h.invalidate(&"SPY".to_owned())),
            (Some("invalidate"), |h| h.invalidate_prefix("S")),
            (Some("clear"), |h| h.clear()),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
    let layer = CoalesceLayer::new(NAME, CoalesceConfig::default());
    let handle: CoalesceHandle<String, u64, Error<std::io::Error>> = layer.handle();
    check_all(
        "coalesce",
        &handle,
        BYPASS,
        &[
            (Some("bypass"), |h| h.bypass()),
            (Some("resume"), |h| h.resume()),
            (Some("reset"), |h| h.reset()),
            (Some("configure"), |h| h.configure(h.config()).unwrap()),
        ],
    );
}

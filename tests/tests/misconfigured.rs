//! What is missing is found without `tracing`, too: it is emitted, and the handle knows it.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::ready;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use seawall::breaker::{BreakerRegistry, KeyedBreakerLayer};
use seawall::bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
use seawall::bulkhead::isolated::{BlockingConfig, BlockingLayer, IsolatedConfig, IsolatedLayer};
use seawall::bulkhead::partitions::{PartitionConfig, PartitionedBulkheadLayer};
use seawall::bulkhead::scaling::{ScalingBulkheadLayer, ScalingConfig};
use seawall::http_client::HttpClassifier;
use seawall::http_client::body_timeout::BodyTimeoutLayer;
use seawall::http_client::deadline::{ReadDeadlineConfig, ReadDeadlineLayer};
use seawall::http_client::quota::{HttpFeedback, RateLimitHeaders, ResetFormat};
use seawall::timeout::LearnedConfig;
use seawall::{
    AdaptiveBulkheadLayer, AdaptiveConfig, AdaptiveThrottleConfig, AdaptiveThrottleLayer,
    AttemptTimeoutConfig, AttemptTimeoutLayer, BreakerConfig, BreakerLayer, BulkheadConfig,
    BulkheadLayer, CheckConfig, DeadlineConfig, DeadlineLayer, EventKind, Events, HealthConfig,
    HealthLayer, HealthMonitor, HedgeConfig, HedgeLayer, InstanceHandle, KeyedRateLimitConfig,
    KeyedRateLimitLayer, Misconfiguration, Policy, RateLimitConfig, RateLimitLayer, Registry,
    RetryConfig, RetryLayer, WrapErrorLayer,
};
use seawall_ai::stream::{StreamConfig, StreamLayer};
use seawall_tests::provider;
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// A client with its response in its type, as `hyper-util`'s client shows it.
#[derive(Clone)]
struct Responds<Res>(PhantomData<fn() -> Res>);

type HttpClient = Responds<Response<String>>;

const CLIENT: HttpClient = Responds(PhantomData);

fn by_path(request: &Request<String>) -> Cow<'_, str> {
    Cow::Borrowed(request.uri().path())
}

/// What was emitted of misconfigured layers.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(&'static str, Misconfiguration)>>>);

impl Heard {
    fn listen(events: &Events) -> Self {
        let heard = Self::default();
        let all = Arc::clone(&heard.0);
        let listener = events.listen(move |event| {
            if let EventKind::Misconfigured(what) = event.kind {
                all.lock().expect("no panic").push((event.pattern, what));
            }
        });
        listener.detach();
        heard
    }

    fn take(&self) -> Vec<(&'static str, Misconfiguration)> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

fn default_classifier(handle: &impl InstanceHandle) -> bool {
    let settings = handle.settings();
    settings
        .iter()
        .any(|(field, value)| *field == "classifier" && value.starts_with("none"))
}

/// A layer of each kind that acts on what a result means: `$layer` around an HTTP client without a
/// classifier, and around one with it.
macro_rules! judges {
    ($($layer:expr;)+) => {$({
        let events = Events::default();
        let heard = Heard::listen(&events);
        // Found before it is attached.
        let layer = $layer;
        let handle = layer.handle();
        assert_eq!(handle.misconfigured(), [], "{}", handle.pattern());
        for _ in 0..2 {
            let _ = layer.layer(CLIENT);
        }
        let found = (handle.pattern(), Misconfiguration::Unclassified);
        assert_eq!(handle.misconfigured(), [found.1], "{}", handle.pattern());
        assert!(default_classifier(&handle), "{}", handle.pattern());
        assert_eq!(heard.take(), []);
        handle.attach(&events);
        assert_eq!(heard.take(), [found]);
        let _ = layer.layer(CLIENT);
        assert_eq!(heard.take(), []);
        // Found after it was attached.
        let layer = $layer;
        let handle = layer.handle();
        handle.attach(&events);
        let _ = layer.layer(CLIENT);
        assert_eq!(heard.take(), [found]);
        // With a classifier there is nothing to find.
        let layer = $layer.classify(HttpClassifier::new());
        let _ = layer.layer(CLIENT);
        assert_eq!(layer.handle().misconfigured(), [], "{}", handle.pattern());
        assert!(!default_classifier(&layer.handle()), "{}", handle.pattern());
        // What a type of the user's own means cannot be known, but that there is no classifier.
        let layer = $layer;
        let _ = layer.layer(Responds::<Result<u32, String>>(PhantomData));
        assert_eq!(layer.handle().misconfigured(), [], "{}", handle.pattern());
        assert!(default_classifier(&layer.handle()), "{}", handle.pattern());
    })+};
}

#[tokio::test]
async fn every_layer_that_acts_on_results_says_that_it_has_no_classifier() {
    judges! {
        BreakerLayer::new("judge", BreakerConfig::default());
        KeyedBreakerLayer::new("judge", BreakerConfig::default(), by_path);
        RetryLayer::new("judge", RetryConfig::default());
        HedgeLayer::new("judge", HedgeConfig::default());
        AdaptiveThrottleLayer::new("judge", AdaptiveThrottleConfig::default());
        HealthLayer::new("judge", HealthConfig::default());
        AdaptiveBulkheadLayer::new("judge", BulkheadConfig::default(), AdaptiveConfig::default());
        AttemptTimeoutLayer::new("judge", AttemptTimeoutConfig::learned(LearnedConfig::default()));
    }
}

#[tokio::test]
async fn a_layer_that_only_counts_results_says_nothing() {
    let bulkhead = BulkheadLayer::new("counts", BulkheadConfig::default());
    let _ = bulkhead.layer(CLIENT);
    assert_eq!(bulkhead.handle().misconfigured(), []);
    let config = BulkheadConfig::default();
    let scaling = ScalingBulkheadLayer::new("counts", config, ScalingConfig::default());
    let _ = scaling.layer(CLIENT);
    assert_eq!(scaling.handle().misconfigured(), []);
    let fixed = AttemptTimeoutConfig::fixed(SECOND).expect("valid");
    let fixed = AttemptTimeoutLayer::new("counts", fixed);
    let _ = fixed.layer(CLIENT);
    assert_eq!(fixed.handle().misconfigured(), []);
    // It has one of HTTP.
    let feedback = HttpFeedback::new("counts", RateLimitHeaders::x_ratelimit(ResetFormat::Auto));
    assert_eq!(feedback.handle().misconfigured(), []);
}

#[tokio::test(start_paused = true)]
async fn a_retry_and_a_hedge_without_a_describer_are_found_when_they_would_have_acted() {
    let registry = Registry::new("desk");
    let heard = Heard::listen(registry.events());
    let retry = RetryLayer::new("undescribed", RetryConfig::default());
    registry.register(retry.handle()).expect("a new name");
    let works = |request: u32| {
        ready(if request == 0 {
            Err("down")
        } else {
            Ok(request)
        })
    };
    let client = retry.layer(WrapErrorLayer.layer(service_fn(works)));
    assert_eq!(client.clone().oneshot(1).await, Ok(1));
    assert_eq!(heard.take(), [], "nothing would have been retried");
    for _ in 0..3 {
        assert!(client.clone().oneshot(0).await.is_err());
    }
    let found = Misconfiguration::Undescribed;
    assert_eq!(heard.take(), [("retry", found)]);
    assert_eq!(registry.snapshot()[0].misconfigured, [found]);
    assert_eq!(retry.handle().counts().give_ups.not_described, 3);

    let hedge = HedgeLayer::new("undescribed", HedgeConfig::default());
    registry.register(hedge.handle()).expect("a new pattern");
    let client = hedge.layer(WrapErrorLayer.layer(service_fn(works)));
    for _ in 0..3 {
        assert_eq!(client.clone().oneshot(1).await, Ok(1));
    }
    assert_eq!(heard.take(), [("hedge", found)]);
    assert_eq!(hedge.handle().misconfigured(), [found]);
}

#[tokio::test]
async fn a_whole_stack_says_it_once() {
    let stack = seawall::broker("typed")
        .build_generic(Policy::new())
        .expect("valid");
    let registry = Registry::new("desk");
    let heard = Heard::listen(registry.events());
    stack.register(&registry).expect("a new name");
    let respond = |_: Request<String>| ready(Ok::<_, Infallible>(Response::new(String::new())));
    // By its type alone it cannot be known.
    let _ = stack.layer(WrapErrorLayer.layer(service_fn(respond)));
    assert_eq!(heard.take(), []);
    assert!(default_classifier(&stack.handles().retry));
    let _ = stack.layer(WrapErrorLayer.layer(CLIENT));
    assert_eq!(heard.take(), [("retry", Misconfiguration::Unclassified)]);
    // An HTTP stack has one of HTTP.
    let stack = seawall::broker("http").build().expect("valid");
    stack.register(&registry).expect("a new name");
    let _ = stack.layer(service_fn(respond));
    assert_eq!(heard.take(), []);
    assert!(!default_classifier(&stack.handles().retry));
}

/// Every layer without a name, by its handle.
fn unnamed() -> Vec<Box<dyn InstanceHandle>> {
    let rate = RateLimitConfig::builder()
        .rate(10, SECOND)
        .build()
        .expect("valid");
    let keyed = KeyedRateLimitConfig::new(rate.clone()).expect("valid");
    let shares = PartitionConfig::builder().build().expect("valid");
    let connections = ConnectionLimitConfig::default();
    let isolated = IsolatedLayer::new("", IsolatedConfig::default()).expect("threads");
    let blocking = BlockingLayer::new("", BlockingConfig::default()).expect("threads");
    let permits = BulkheadConfig::default();
    let fixed = AttemptTimeoutConfig::fixed(SECOND).expect("valid");
    let learned = AttemptTimeoutConfig::learned(LearnedConfig::default());
    let deadline = DeadlineConfig::new(SECOND).expect("valid");
    let breaker = BreakerConfig::default;
    let registry: BreakerRegistry = BreakerRegistry::new("\t", breaker());
    let throttle = AdaptiveThrottleConfig::default();
    vec![
        Box::new(BreakerLayer::new("", breaker()).handle()),
        Box::new(KeyedBreakerLayer::new("", breaker(), by_path).handle()),
        Box::new(registry),
        Box::new(RetryLayer::new("", RetryConfig::default()).handle()),
        Box::new(HedgeLayer::new("", HedgeConfig::default()).handle()),
        Box::new(RateLimitLayer::new(" ", rate).handle()),
        Box::new(KeyedRateLimitLayer::new("", keyed).handle()),
        Box::new(AdaptiveThrottleLayer::new("", throttle).handle()),
        Box::new(BulkheadLayer::new("", permits).handle()),
        Box::new(PartitionedBulkheadLayer::new("", shares).handle()),
        Box::new(ConnectionLimitLayer::new("", connections).handle()),
        Box::new(isolated.handle()),
        Box::new(blocking.handle()),
        Box::new(ScalingBulkheadLayer::new("", permits, ScalingConfig::default()).handle()),
        Box::new(AdaptiveBulkheadLayer::new("", permits, AdaptiveConfig::default()).handle()),
        Box::new(AttemptTimeoutLayer::new("", fixed).handle()),
        Box::new(AttemptTimeoutLayer::new("", learned).handle()),
        Box::new(DeadlineLayer::new("", deadline).handle()),
        Box::new(HealthLayer::new("", HealthConfig::default()).handle()),
        Box::new(HealthMonitor::new("")),
        Box::new(BodyTimeoutLayer::new("", Default::default()).handle()),
        Box::new(StreamLayer::new("", StreamConfig::default()).handle()),
        Box::new(ReadDeadlineLayer::new("", ReadDeadlineConfig::default()).handle()),
        Box::new(HttpFeedback::new("", RateLimitHeaders::x_ratelimit(ResetFormat::Auto)).handle()),
    ]
}

#[tokio::test]
async fn every_layer_without_a_name_says_so() {
    for handle in unnamed() {
        let pattern = handle.pattern();
        assert_eq!(handle.name().as_str(), "unnamed", "{pattern}");
        assert_eq!(
            handle.misconfigured(),
            [Misconfiguration::Unnamed],
            "{pattern}"
        );
        let events = Events::default();
        let heard = Heard::listen(&events);
        handle.attach(&events);
        handle.attach(&events);
        assert_eq!(heard.take(), [(pattern, Misconfiguration::Unnamed)]);
    }
}

#[tokio::test]
async fn a_check_without_a_name_is_noted_by_its_monitor() {
    let monitor = HealthMonitor::new("desk");
    let check = || ready(Ok::<(), String>(()));
    monitor
        .register("named", CheckConfig::default(), check)
        .expect("a new name");
    assert_eq!(monitor.misconfigured(), []);
    monitor
        .register("", CheckConfig::default(), check)
        .expect("a new name");
    assert_eq!(monitor.misconfigured(), [Misconfiguration::Unnamed]);
}

#[test]
fn a_stack_without_a_name_is_an_error_for_every_preset_and_builder() {
    let rejected = |rejected: Result<(), seawall::InvalidConfig>| {
        let rejected = rejected.expect_err("no name");
        assert_eq!(
            rejected.to_string(),
            "`name` is unnamed, accepted is a name for rejections, events and metrics to show",
        );
    };
    for empty in ["", " ", "\t\n"] {
        rejected(seawall::broker(empty).build().map(drop));
        rejected(seawall::market_data(empty).build().map(drop));
        rejected(seawall::order_execution(empty).build().map(drop));
        rejected(seawall::ai_api(empty).build().map(drop));
        rejected(provider("alpaca", empty).build().map(drop));
        rejected(
            seawall::broker(empty)
                .build_generic(Policy::new())
                .map(drop),
        );
    }
}

//! Each optional layer of a stack takes effect, and none of them costs anything when it is absent.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use seawall::health::HealthConfig;
use seawall::retry::{Attempt, CompletedAttempt, RetryDecision, Stopped};
use seawall::{
    AdaptiveRate, AdaptiveThrottleConfig, AttemptTimeoutLayer, Backoff, BreakerConfig,
    BreakerLayer, BulkheadConfig, BulkheadLayer, CircuitState, ClientStack, Command, DeadlineLayer,
    Error, FailureKind, HedgeConfig, HttpStack, KeyedRateLimitConfig, LearnedConfig, NoLayer,
    Outcome, PartitionKey, Policy, RateLimitConfig, RateLimitLayer, Reason, Registry, Rejectable,
    RequestMeta, RetryConfig, RetryLayer, StackBuilder, Status, TelemetryLayer,
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A request to an endpoint; the second field is what it costs to serve, in milliseconds.
type Call = (&'static str, u64);
type Failure = Error<&'static str>;

fn classify(result: Result<&u16, &Failure>) -> Outcome {
    match result {
        Ok(503) => Outcome::Failure(FailureKind::Overloaded),
        Ok(_) => Outcome::Success,
        Err(Error::Rejected(rejection)) => rejection.outcome(),
        Err(Error::Inner(_)) => Outcome::Failure(FailureKind::Server),
    }
}

fn describe(call: &Call) -> RequestMeta {
    RequestMeta::idempotent().with_key(PartitionKey::of(call.0))
}

type Known = Policy<fn(Result<&u16, &Failure>) -> Outcome, fn(&Call) -> RequestMeta>;

fn known() -> Known {
    Policy::new()
        .classify(classify as fn(Result<&u16, &Failure>) -> Outcome)
        .describe(describe as fn(&Call) -> RequestMeta)
}

fn open_settings(name: &'static str) -> StackBuilder {
    let rate = RateLimitConfig::builder()
        .rate(100_000, SECOND)
        .burst(10_000);
    let retry = RetryConfig::builder().attempts(1).backoff(Backoff::NONE);
    let breaker = BreakerConfig::builder().consecutive_failures(1_000);
    seawall::broker(name)
        .rate_limit(rate.build().expect("valid"))
        .retry(retry.build().expect("valid"))
        .breaker(breaker.build().expect("valid"))
}

fn stack(name: &'static str) -> ClientStack<Known> {
    open_settings(name).build_generic(known()).expect("valid")
}

/// Responds to "bad" with an error, to "busy" with 503, and to all others with 200, after so many
/// milliseconds.
#[derive(Clone)]
struct Upstream {
    calls: Arc<AtomicU32>,
}

impl Upstream {
    fn new() -> Self {
        Self {
            calls: Arc::default(),
        }
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    fn service(
        &self,
    ) -> impl Service<Call, Response = u16, Error = Failure, Future: Send> + Clone + use<> {
        let calls = Arc::clone(&self.calls);
        service_fn(move |(endpoint, ms): Call| {
            calls.fetch_add(1, Ordering::SeqCst);
            async move {
                if ms > 0 {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                }
                match endpoint {
                    "bad" => Err(Error::Inner("bad")),
                    "busy" => Ok(503),
                    _ => Ok(200),
                }
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_sends_a_second_attempt_when_the_first_is_late() {
    let config = HedgeConfig::builder()
        .delay(50 * MS)
        .build()
        .expect("valid");
    let stack = stack("hedged").hedge(config);
    let handles = stack.handles();
    let upstream = Upstream::new();
    let client = stack.layer(upstream.service());
    assert_eq!(client.clone().oneshot(("a", 10)).await, Ok(200));
    assert_eq!(
        (upstream.calls(), handles.hedge.counts().extra.begun),
        (1, 0)
    );
    assert_eq!(client.oneshot(("a", 200)).await, Ok(200));
    assert_eq!(
        (upstream.calls(), handles.hedge.counts().extra.begun),
        (2 + 1, 1)
    );
    assert!(handles.snapshot().hedge.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_hedge_is_paid_from_the_budget_of_the_retry() {
    let budget = seawall::Budget::new(seawall::BudgetConfig::new(0.1, 0.0, 1).expect("valid"));
    let config = HedgeConfig::builder()
        .delay(50 * MS)
        .build()
        .expect("valid");
    let stack = open_settings("hedge-budget")
        .budget(budget.clone())
        .build_generic(known())
        .expect("valid")
        .hedge(config);
    let client = stack.layer(Upstream::new().service());
    let before = budget.balance();
    assert_eq!(client.oneshot(("a", 200)).await, Ok(200));
    assert!(
        budget.balance() < before,
        "{} of {before}",
        budget.balance()
    );
}

#[tokio::test(start_paused = true)]
async fn a_throttle_rejects_what_an_overloaded_upstream_would_reject() {
    let config = AdaptiveThrottleConfig::builder()
        .seed(1)
        .build()
        .expect("valid");
    let stack = stack("throttled").throttle(config);
    let handles = stack.handles();
    let upstream = Upstream::new();
    let client = stack.layer(upstream.service());
    let mut throttled = 0;
    for _ in 0..200 {
        if let Err(error) = client.clone().oneshot(("busy", 0)).await {
            let reason = error.rejection().map(seawall::Rejection::reason);
            assert_eq!(reason, Some(Reason::ClientThrottled));
            throttled += 1;
        }
    }
    assert!(throttled > 100, "{throttled}");
    assert_eq!(upstream.calls(), 200 - throttled);
    assert!(handles.throttle.rejection_probability() > 0.5);
    handles.reset();
    assert!(handles.throttle.rejection_probability() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn health_is_observed_of_what_is_sent() {
    let config = HealthConfig::builder().min_calls(5).build().expect("valid");
    let stack = stack("observed").health(config);
    let health = stack.handles().health;
    let client = stack.layer(Upstream::new().service());
    for _ in 0..10 {
        assert!(client.clone().oneshot(("a", 0)).await.is_ok());
    }
    assert_eq!(health.status(), Status::Healthy);
    for _ in 0..20 {
        let _ = client.clone().oneshot(("busy", 0)).await;
    }
    assert_eq!(health.status(), Status::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn limits_per_key_hold_within_the_limit_of_all() {
    let rate = |n: u32| {
        let config = RateLimitConfig::builder().rate(n, 60 * SECOND).burst(n);
        config.build().expect("valid")
    };
    let stack = open_settings("keyed")
        .rate_limit(rate(5))
        .build_generic(known())
        .expect("valid")
        .rate_limit_per_key(KeyedRateLimitConfig::new(rate(3)).expect("valid"));
    let handles = stack.handles();
    let upstream = Upstream::new();
    let client = stack.layer(upstream.service());
    let mut granted = [0, 0];
    for _ in 0..4 {
        for (key, granted) in ["quotes", "news"].into_iter().zip(&mut granted) {
            *granted += u32::from(client.clone().oneshot((key, 0)).await.is_ok());
        }
    }
    assert_eq!(granted.iter().sum::<u32>(), 5, "of all");
    assert!(granted.iter().all(|n| *n <= 3), "{granted:?} of each");
    // The pauses are those of the stack that was begun with.
    let five = rate(5).with_pauses_of(&open_settings("base").settings().unwrap().rate_limit);
    assert_eq!(handles.settings().rate_limit, five);

    // The limit of all is the stack's setting, and live.
    let mut settings = handles.settings();
    settings.rate_limit = rate(50);
    handles.configure(&settings).expect("of the same kind");
    assert_eq!(handles.settings().rate_limit, rate(50));
    let snapshot = handles.snapshot();
    assert!(snapshot.rate_limit_per_key.is_some());
    assert_eq!(
        snapshot.rate_limit.name,
        handles.rate_limit.account().unwrap().name()
    );
    let registry = Registry::new("desk");
    stack
        .register(&registry)
        .expect("each limit has a name of its own");
    let account = registry.get("ratelimit", "keyed/account");
    let account = account.expect("registered with the stack");
    account.control(Command::Block).expect("it can be paused");
    assert_eq!(account.state(), "paused");
    handles.reset();
    assert_eq!(account.state(), "ok");
}

#[tokio::test(start_paused = true)]
async fn a_circuit_per_key_opens_for_its_key_alone() {
    let one = BreakerConfig::builder().consecutive_failures(1).build();
    let stack = open_settings("per-key")
        .breaker(one.expect("valid"))
        .build_generic(known())
        .expect("valid")
        .breaker_per_key::<str, Call, _>(|call: &Call| Cow::Borrowed(call.0));
    let handles = stack.handles();
    let upstream = Upstream::new();
    let client = stack.layer(upstream.service());
    assert!(client.clone().oneshot(("bad", 0)).await.is_err());
    assert_eq!(client.clone().oneshot(("good", 0)).await, Ok(200));
    let rejected = client.clone().oneshot(("bad", 0)).await.expect_err("open");
    let reason = rejected.rejection().map(seawall::Rejection::reason);
    assert_eq!(reason, Some(Reason::CircuitOpen));
    assert_eq!(upstream.calls(), 2);
    let open = handles.breaker.open_keys();
    assert_eq!(open, [("bad".to_owned(), CircuitState::Open)]);
    assert!(handles.snapshot().breaker.is_none());

    let registry = Registry::new("desk");
    stack.register(&registry).expect("once");
    handles.reset();
    assert!(
        client
            .oneshot(("bad", 0))
            .await
            .is_err_and(|e| e.rejection().is_none())
    );
}

#[tokio::test(start_paused = true)]
async fn retry_asks_its_hooks() {
    fn until_200(attempt: CompletedAttempt<'_, Call, u16, Failure>) -> RetryDecision {
        match attempt.result {
            Ok(503) => RetryDecision::Stop,
            Err(_) => RetryDecision::Retry,
            Ok(_) => RetryDecision::Default,
        }
    }
    let prepared = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&prepared);
    let retry = RetryConfig::builder().attempts(3).backoff(Backoff::NONE);
    let stack = open_settings("hooked")
        .retry(retry.build().expect("valid"))
        .build_generic(known())
        .expect("valid")
        .retry_if(until_200)
        .prepare(move |_: &mut Call, _: Attempt| -> Result<(), Failure> {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
        .annotate_give_up(|result: &mut Result<u16, Failure>, _: Stopped| {
            *result = Err(Error::Inner("given up"));
        });
    let upstream = Upstream::new();
    let client = stack.layer(upstream.service());
    let failed = client.clone().oneshot(("bad", 0)).await;
    assert_eq!(failed, Err(Error::Inner("given up")));
    assert_eq!((upstream.calls(), prepared.load(Ordering::SeqCst)), (3, 3));
    let _ = client.oneshot(("busy", 0)).await;
    assert_eq!(upstream.calls(), 4, "the predicate stops");
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_rate_learns_from_throttles() {
    let rate = AdaptiveRate::new();
    let stack = open_settings("adaptive-rate")
        .adaptive_rate(rate.clone())
        .build()
        .expect("valid");
    let client = stack.layer(service_fn(|_: Request<Full<Bytes>>| {
        let throttle = Response::builder()
            .status(429)
            .body(Full::<Bytes>::default());
        std::future::ready(Ok::<_, Infallible>(throttle.expect("valid")))
    }));
    assert!(!rate.is_enabled());
    let request = Request::get("/").body(Full::default()).expect("valid");
    assert!(client.oneshot(request).await.is_ok());
    assert!(rate.is_enabled(), "by the first throttle");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_timeout_is_learned() {
    let learned = LearnedConfig::builder()
        .warm_up(50)
        .initial(2 * SECOND)
        .max(5 * SECOND)
        .build()
        .expect("valid");
    let stack = stack("learned")
        .learned_attempt_timeout(learned)
        .expect("shorter");
    let handles = stack.handles();
    let client = stack.layer(Upstream::new().service());
    for _ in 0..60 {
        assert_eq!(client.clone().oneshot(("a", 20)).await, Ok(200));
    }
    assert!(handles.attempt_timeout.timeout().unwrap() < SECOND / 2);
    // What is learned is configured by its own handle.
    let mut settings = handles.settings();
    assert_eq!(
        settings.attempt_timeout.timeout(),
        5 * SECOND,
        "the longest"
    );
    settings.attempt_timeout = seawall::AttemptTimeoutConfig::fixed(SECOND).expect("valid");
    let rejected = handles.configure(&settings).expect_err("it is learned");
    assert_eq!(rejected.field(), "attempt_timeout");
}

#[tokio::test(start_paused = true)]
async fn an_overload_is_no_fast_response_to_a_learned_timeout() {
    let learned = LearnedConfig::builder()
        .warm_up(10)
        .initial(2 * SECOND)
        .max(5 * SECOND)
        .build()
        .expect("valid");
    let stack = stack("learned-busy")
        .learned_attempt_timeout(learned)
        .expect("shorter");
    let handles = stack.handles();
    let client = stack.layer(Upstream::new().service());
    for _ in 0..50 {
        let _ = client.clone().oneshot(("busy", 1)).await;
    }
    assert_eq!(
        handles.attempt_timeout.timeout().unwrap(),
        2 * SECOND,
        "nothing was learned"
    );
}

#[tokio::test]
async fn a_learned_timeout_must_be_shorter_than_the_deadline() {
    let learned = LearnedConfig::builder()
        .max(60 * SECOND)
        .build()
        .expect("valid");
    let rejected = stack("too-long").learned_attempt_timeout(learned);
    assert_eq!(rejected.expect_err("too long").field(), "attempt_timeout");
}

#[test]
fn layers_that_a_stack_does_not_have_cost_nothing() {
    assert_eq!(size_of::<NoLayer>(), 0);
    fn size<S, L: Layer<S>>(_: &L) -> usize {
        size_of::<L::Service>()
    }
    // No more than the layers by themselves.
    let builder = open_settings("plain");
    let settings = builder.settings().expect("valid").clone();
    let stack = builder.build_generic(Policy::new()).expect("valid");
    let breaker = BreakerLayer::new("own", settings.breaker);
    let telemetry = TelemetryLayer::new("own", settings.telemetry);
    let own = ServiceBuilder::new()
        .layer(telemetry.clone())
        .layer(DeadlineLayer::new("own", settings.deadline))
        .layer(RetryLayer::new("own", settings.retry))
        .layer(breaker.gate())
        .layer(BulkheadLayer::new("own", settings.bulkhead))
        .layer(RateLimitLayer::new("own", settings.rate_limit))
        .layer(breaker)
        .layer(telemetry.attempts())
        .layer(AttemptTimeoutLayer::new("own", settings.attempt_timeout))
        .service(());
    assert!(size::<(), _>(&stack) <= size_of_val(&own));
    // A policy grows a service by what describes and what classifies, once each.
    let known = open_settings("known")
        .build_generic(known())
        .expect("valid");
    let pointer = size_of::<fn()>();
    assert_eq!(size::<(), _>(&known), size::<(), _>(&stack) + 2 * pointer);
}

/// Options are methods of both stacks.
#[tokio::test(start_paused = true)]
async fn an_http_stack_has_the_same_options() {
    let stack: HttpStack = open_settings("http").build().expect("valid");
    let bulkhead = BulkheadConfig::builder()
        .max_concurrent(3)
        .build()
        .expect("valid");
    let stack = stack
        .hedge(
            HedgeConfig::builder()
                .delay(50 * MS)
                .build()
                .expect("valid"),
        )
        .throttle(AdaptiveThrottleConfig::default())
        .health(HealthConfig::default());
    let handles = stack.handles();
    let mut settings = handles.settings();
    settings.bulkhead = bulkhead;
    handles.configure(&settings).expect("valid");
    let start = Instant::now();
    let client = stack.layer(service_fn(|_: Request<Full<Bytes>>| async {
        tokio::time::sleep(SECOND).await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let request = Request::get("/").body(Full::default()).expect("valid");
    assert!(client.oneshot(request).await.is_ok());
    assert_eq!(handles.hedge.counts().extra.begun, 1);
    assert_eq!(Instant::now() - start, SECOND);
    let snapshot = handles.snapshot();
    assert!(snapshot.hedge.is_some() && snapshot.throttle.is_some() && snapshot.health.is_some());
}

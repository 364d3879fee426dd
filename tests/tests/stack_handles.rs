//! A whole stack is read, changed and reset from outside while calls run.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use seawall::http_client::body_timeout::BodyTimeoutConfig;
use seawall::{
    AdaptiveThrottleConfig, AttemptTimeoutConfig, Backoff, BreakerConfig, BulkheadConfig,
    CircuitState, Command, DeadlineConfig, HealthConfig, HedgeConfig, HttpStack, LayerExt, Limit,
    Policy, RateLimitConfig, Registry, RetryConfig, WrapErrorLayer,
};
use seawall_tests::provider;
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn stack(name: &'static str) -> HttpStack {
    provider("alpaca", name)
        .breaker(
            BreakerConfig::builder()
                .consecutive_failures(1)
                .build()
                .expect("valid"),
        )
        .build()
        .expect("valid")
}

fn read() -> Request<Full<Bytes>> {
    Request::get("/v2/positions")
        .body(Full::default())
        .expect("valid")
}

#[tokio::test(start_paused = true)]
async fn settings_of_every_layer_change_while_calls_run_and_state_stays() {
    let stack = stack("live");
    let handles = stack.handles();
    let (sender, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let client = stack.layer(service_fn(move |_: Request<Full<Bytes>>| {
        let _ = sender.send(());
        async {
            tokio::time::sleep(5 * SECOND).await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    }));
    let running = tokio::spawn(client.clone().oneshot(read()));
    arrivals.recv().await.expect("sent");
    let before = handles.snapshot();
    assert_eq!(before.bulkhead.in_flight, 1);

    let mut settings = handles.settings();
    settings.deadline = DeadlineConfig::new(20 * SECOND).expect("valid");
    settings.retry = RetryConfig::builder()
        .attempts(2)
        .backoff(Backoff::NONE)
        .build()
        .expect("valid");
    settings.bulkhead = BulkheadConfig::builder()
        .max_concurrent(1)
        .build()
        .expect("valid");
    settings.rate_limit = RateLimitConfig::builder()
        .rate(1_000, SECOND)
        .burst(100)
        .build()
        .expect("valid");
    settings.breaker = BreakerConfig::builder()
        .consecutive_failures(7)
        .build()
        .expect("valid");
    settings.attempt_timeout = AttemptTimeoutConfig::fixed(8 * SECOND).expect("valid");
    settings.body_timeout = BodyTimeoutConfig::builder()
        .idle(3 * SECOND)
        .build()
        .expect("valid");
    handles.configure(&settings).expect("valid");
    assert_eq!(handles.settings(), settings);

    // By the new settings: one at once, and nobody waits.
    assert_eq!(handles.bulkhead.in_flight(), 1, "state stays");
    let rejected = client.clone().oneshot(read()).await;
    assert!(rejected.is_err());
    assert!(
        running.await.expect("no panic").is_ok(),
        "the call under way goes on"
    );
}

#[tokio::test]
async fn settings_that_are_not_accepted_change_nothing() {
    let stack = stack("rejected");
    let handles = stack.handles();
    let before = handles.settings();

    let mut settings = handles.settings();
    settings.bulkhead = BulkheadConfig::builder()
        .max_concurrent(99)
        .build()
        .expect("valid");
    settings.deadline = DeadlineConfig::new(SECOND).expect("valid");
    let rejected = handles
        .configure(&settings)
        .expect_err("too short for an attempt");
    assert_eq!(rejected.field(), "attempt_timeout");
    assert_eq!(handles.settings(), before);

    let mut settings = handles.settings();
    settings.bulkhead = BulkheadConfig::builder()
        .max_concurrent(99)
        .build()
        .expect("valid");
    settings.rate_limit = RateLimitConfig::builder()
        .rate(10, SECOND)
        .limit(Limit::strict(100, 60 * SECOND))
        .build()
        .expect("valid");
    let rejected = handles
        .configure(&settings)
        .expect_err("limits of another kind");
    assert_eq!(rejected.field(), "limits");
    assert_eq!(handles.settings(), before);

    let mut settings = handles.settings();
    settings.retry = RetryConfig::builder()
        .overall_timeout(60 * SECOND)
        .build()
        .expect("valid");
    let rejected = handles
        .configure(&settings)
        .expect_err("longer than the deadline");
    assert_eq!(rejected.field(), "overall_timeout");
}

#[tokio::test(start_paused = true)]
async fn a_reset_closes_the_circuit_and_ends_pauses_and_commands() {
    let stack = stack("reset");
    let handles = stack.handles();
    let client = stack.layer(service_fn(|request: Request<Full<Bytes>>| {
        let status = if request.uri().path() == "/fail" {
            500
        } else {
            200
        };
        let response = Response::builder()
            .status(status)
            .body(Full::<Bytes>::default());
        std::future::ready(Ok::<_, Infallible>(response.expect("valid")))
    }));
    let failing = Request::post("/fail").body(Full::default()).expect("valid");
    let _ = client.clone().oneshot(failing).await;
    assert_eq!(handles.breaker.state(), CircuitState::Open);
    handles.rate_limit.pause();
    handles.retry.bypass();
    handles.protocol.feedback.bypass();
    handles.reset();
    assert_eq!(handles.breaker.state(), CircuitState::Closed);
    assert!(client.oneshot(read()).await.is_ok());
    let snapshot = handles.snapshot();
    assert_eq!(snapshot.retry.state.as_str(), "ok");
    assert_eq!(
        snapshot.breaker.expect("one").counts.failure,
        1,
        "counters stay"
    );
}

/// What each layer is, by its pattern.
fn states(registry: &Registry) -> Vec<(&'static str, String)> {
    let layers = registry.snapshot();
    let mut states: Vec<_> = layers
        .iter()
        .map(|layer| (layer.pattern, layer.state.to_owned()))
        .collect();
    states.sort_unstable();
    states
}

#[tokio::test(start_paused = true)]
async fn a_reset_reaches_every_layer() {
    let stack = stack("whole")
        .hedge(HedgeConfig::default())
        .throttle(AdaptiveThrottleConfig::default())
        .health(HealthConfig::default());
    let registry = Registry::new("desk");
    stack.register(&registry).expect("once");
    let untouched = states(&registry);
    let client = stack.layer(service_fn(|_: Request<Full<Bytes>>| {
        let response = Response::builder()
            .status(500)
            .body(Full::<Bytes>::default());
        std::future::ready(Ok::<_, Infallible>(response.expect("valid")))
    }));
    let handles = stack.handles();
    for _ in 0..100 {
        let order = Request::post("/fail").body(Full::default()).expect("valid");
        let _ = client.clone().oneshot(order).await;
        handles.breaker.reset();
    }
    // What passes in spite of a bypass is not seen in the state of these two.
    let block = ["bulkhead", "ratelimit"];
    for layer in registry.snapshot() {
        let handle = registry.get(layer.pattern, "whole").expect("registered");
        let command = if block.contains(&layer.pattern) {
            Command::Block
        } else {
            Command::Bypass
        };
        // Health has neither.
        assert_eq!(handle.control(command).is_ok(), layer.pattern != "health");
    }
    for (before, now) in untouched.iter().zip(states(&registry)) {
        // Its bypass is a shadow mode.
        assert_eq!(before == &now, before.0 == "throttle", "{now:?}");
    }
    assert!(handles.throttle.snapshot().shadow);
    handles.reset();
    assert!(!handles.throttle.snapshot().shadow);
    // What was used stays used.
    handles.rate_limit.refill();
    assert_eq!(states(&registry), untouched);
}

#[tokio::test]
async fn every_layer_is_registered() {
    let stack = stack("registered");
    let registry = Registry::new("desk");
    stack.register(&registry).expect("once");
    let mut patterns: Vec<_> = registry.snapshot().iter().map(|s| s.pattern).collect();
    patterns.sort_unstable();
    assert_eq!(
        patterns,
        [
            "attempt_timeout",
            "body_timeout",
            "breaker",
            "bulkhead",
            "deadline",
            "http_feedback",
            "ratelimit",
            "retry",
            "telemetry",
        ]
    );
    assert!(stack.register(&registry).is_err(), "the name is taken");
}

#[tokio::test]
async fn a_header_that_cannot_be_read_is_counted_for_its_stack() {
    let (stack, other) = (stack("unreadable"), stack("another"));
    let client = stack.layer(service_fn(|_: Request<Full<Bytes>>| {
        let response = Response::builder()
            .header("x-ratelimit-remaining", "many")
            .body(Full::<Bytes>::default());
        std::future::ready(Ok::<_, Infallible>(response.expect("valid")))
    }));
    assert!(client.oneshot(read()).await.is_ok());
    let unreadable = |stack: &HttpStack| {
        let snapshot = stack.handles().snapshot().http.expect("of HTTP");
        snapshot.feedback.counts.unreadable_rate_limit
    };
    assert_eq!((unreadable(&stack), unreadable(&other)), (1, 0));
}

#[tokio::test]
async fn a_snapshot_is_one_value_of_all_layers() {
    let snapshot = stack("snapshot").handles().snapshot();
    let json = serde_json::to_value(&snapshot).expect("a value");
    assert_eq!(json["name"], "snapshot");
    assert_eq!(json["breaker"]["state"], "closed");
    assert_eq!(json["retry"]["state"], "ok");
    assert_eq!(json["bulkhead"]["in_flight"], 0);
    assert_eq!(json["hedge"], serde_json::Value::Null);
    assert_eq!(json["http"]["body_timeout"]["counts"]["idle"], 0);
}

#[tokio::test]
async fn counts_are_one_value_of_all_layers() {
    let stack = stack("counts");
    let client = stack.layer(service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    drop(client.oneshot(read()).await.expect("an answer"));
    let handles = stack.handles();
    let counts = handles.counts();
    assert_eq!((counts.breaker.success, counts.bulkhead.success), (1, 1));
    assert_eq!(counts.rate_limit, handles.rate_limit.counts());
    assert_eq!(counts.retry, handles.retry.counts());
    assert_eq!((counts.hedge, counts.health), (None, None));
    assert_eq!(counts.http, Some(handles.protocol.counts()));
    handles.reset();
    let after = handles.counts();
    assert_eq!(after.retry, counts.retry, "counters stay");
    assert_eq!(after.breaker.success, 1, "counters stay");
    let json = serde_json::to_value(&counts).expect("a value");
    assert_eq!(json["bulkhead"]["success"], 1);
    // Of the circuits of all keys.
    fn parity(request: &u32) -> Cow<'_, u32> {
        Cow::Owned(request % 2)
    }
    let keyed = seawall::broker("counts-per-key").build_generic(Policy::new());
    let keyed = keyed.expect("valid").breaker_per_key(parity);
    let echo = service_fn(|n: u32| async move { Ok::<_, std::io::Error>(n) });
    let client = keyed.layer(WrapErrorLayer.layer(echo));
    for request in 0..3 {
        let answer = client.clone().oneshot(request).await;
        assert_eq!(answer.expect("an answer"), request);
    }
    assert_eq!(keyed.handles().counts().breaker.success, 3);
}

#[tokio::test]
async fn a_body_timeout_without_bodies_is_an_error() {
    let config = BodyTimeoutConfig::default();
    let rejected = seawall::broker("bodies")
        .body_timeout(config)
        .build_generic(Policy::new());
    assert_eq!(rejected.expect_err("no bodies").field(), "body_timeout");
}

#[tokio::test(start_paused = true)]
async fn an_async_function_runs_through_a_whole_stack() {
    let reads = Policy::new().describe(seawall::ConstMeta(seawall::RequestMeta::idempotent()));
    let retry = RetryConfig::builder().attempts(3).backoff(Backoff::NONE);
    let stack = seawall::market_data("function")
        .retry(retry.build().expect("valid"))
        .breaker(
            BreakerConfig::builder()
                .consecutive_failures(10)
                .build()
                .expect("valid"),
        )
        .build_generic(reads)
        .expect("valid");
    let attempts = std::cell::Cell::new(0);
    let flaky = || async {
        attempts.set(attempts.get() + 1);
        if attempts.get() < 3 {
            Err("down")
        } else {
            Ok(attempts.get())
        }
    };
    assert_eq!(stack.run(flaky).await, Ok(3));
}

#[test]
fn a_stack_without_a_name_is_an_error() {
    let rejected = seawall::market_data("").build().expect_err("no name");
    assert_eq!(rejected.field(), "name");
}

//! Warnings of what is missing. Alone in its process, as `tracing_events.rs`.

#[path = "support/log.rs"]
mod log;

use std::borrow::Cow;
use std::marker::PhantomData;

use log::Log;
use seawall::breaker::KeyedBreakerLayer;
use seawall::http_client::HttpClassifier;
use seawall::{
    AdaptiveBulkheadLayer, AdaptiveThrottleConfig, AdaptiveThrottleLayer, AttemptTimeoutConfig,
    AttemptTimeoutLayer, BreakerConfig, BreakerLayer, HealthConfig, HealthLayer, HedgeConfig,
    HedgeLayer, LearnedConfig, RetryConfig, RetryLayer,
};
use tower::Layer;

/// A client with its response in its type, as `hyper-util`'s client shows it.
#[derive(Clone)]
struct Responds<Res>(PhantomData<fn() -> Res>);

fn by_path(request: &http::Request<String>) -> Cow<'_, str> {
    Cow::Borrowed(request.uri().path())
}

#[tokio::test]
async fn a_client_that_fails_inside_of_ok_without_a_classifier_is_a_warning_once() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let client = Responds::<http::Response<String>>(PhantomData);
    let breaker = BreakerLayer::new("one", BreakerConfig::default());
    let keyed = KeyedBreakerLayer::new("keyed", BreakerConfig::default(), by_path);
    let retry = RetryLayer::new("retry", RetryConfig::default());
    let hedge = HedgeLayer::new("hedge", HedgeConfig::default());
    let throttle = AdaptiveThrottleLayer::new("throttle", AdaptiveThrottleConfig::default());
    let health = HealthLayer::new("health", HealthConfig::default());
    let adaptive = AdaptiveBulkheadLayer::new("adaptive", Default::default(), Default::default());
    let learned = AttemptTimeoutConfig::learned(LearnedConfig::default());
    let learned = AttemptTimeoutLayer::new("learned", learned);
    for _ in 0..2 {
        let _ = breaker.layer(client.clone());
        let _ = keyed.layer(client.clone());
        let _ = retry.layer(client.clone());
        let _ = hedge.layer(client.clone());
        let _ = throttle.layer(client.clone());
        let _ = health.layer(client.clone());
        let _ = adaptive.layer(client.clone());
        let _ = learned.layer(client.clone());
    }
    // What reports failures as errors, and what is classified, need no warning.
    let config = BreakerConfig::default;
    let _ = BreakerLayer::new("numbers", config()).layer(Responds::<u32>(PhantomData));
    let classified = BreakerLayer::new("classified", config()).classify(HttpClassifier::new());
    let _ = classified.layer(client);
    let lines = log.0.lock().expect("not poisoned").clone();
    let names = [
        "one", "keyed", "retry", "hedge", "throttle", "health", "adaptive", "learned",
    ];
    for (line, name) in lines.iter().zip(names) {
        let is_named = line.contains(&format!("\"{name}\""));
        assert!(
            line.starts_with("WARN") && line.contains("no classifier") && is_named,
            "{line}"
        );
    }
    assert_eq!(lines.len(), names.len(), "{lines:?}");
}

#[tokio::test]
async fn a_layer_without_a_name_is_a_warning_once() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    // A breaker has a gate, which is no instance of its own.
    let layer = BreakerLayer::new("", BreakerConfig::default());
    let _ = layer.gate();
    let lines = log.0.lock().expect("not poisoned").clone();
    let [line] = &lines[..] else {
        panic!("{lines:?}")
    };
    assert!(
        line.starts_with("WARN") && line.contains("the name is empty") && line.contains("breaker"),
        "{line}"
    );
}

#[test]
fn a_client_that_accepts_any_certificate_is_a_warning() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let builder = || {
        let stack = seawall::broker("broker").build().expect("valid");
        seawall::Client::builder(stack).base_url("https://localhost:5000")
    };
    builder().build().expect("valid");
    assert!(log.0.lock().expect("not poisoned").is_empty());
    let any = builder().dangerously_accept_any_certificate().build();
    any.expect("valid");
    let lines = log.0.lock().expect("not poisoned").clone();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("WARN") && lines[0].contains("localhost:5000"));
    assert!(lines[0].contains("certificates are not verified"));
}

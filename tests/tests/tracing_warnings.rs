//! Warnings of what is missing. Alone in its process, as `tracing_events.rs`.

#[path = "support/log.rs"]
mod log;

use log::Log;
use seawall::http_client::HttpClassifier;
use seawall::{BreakerConfig, BreakerLayer, RetryConfig, RetryLayer};
use tower::Layer;

/// A client whose failures are responses: by its type, as `hyper-util`'s client shows it.
type Client = Responds<http::Response<String>>;

#[derive(Clone)]
struct Responds<Res>(std::marker::PhantomData<fn() -> Res>);

#[test]
fn a_client_that_fails_inside_of_ok_without_a_classifier_is_a_warning_once() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let client: Client = Responds(std::marker::PhantomData);
    let breaker = BreakerLayer::new("unclassified", BreakerConfig::default());
    let retry = RetryLayer::new("unclassified", RetryConfig::default());
    for _ in 0..2 {
        let _ = breaker.layer(client.clone());
        let _ = retry.layer(client.clone());
    }
    // What reports failures as errors, and what is classified, need no warning.
    let _ = BreakerLayer::new("numbers", BreakerConfig::default())
        .layer(Responds::<u32>(std::marker::PhantomData));
    let classified = BreakerLayer::new("classified", BreakerConfig::default());
    let _ = classified.classify(HttpClassifier::new()).layer(client);
    let lines = log.0.lock().expect("not poisoned").clone();
    let patterns: Vec<_> = lines
        .iter()
        .map(|line| (line.contains("no classifier"), line.contains("\"breaker\"")))
        .collect();
    assert_eq!(patterns, [(true, true), (true, false)], "{lines:?}");
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("WARN") && line.contains("unclassified"))
    );
}

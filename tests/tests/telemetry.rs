//! The view of an operator: metrics by name, and commands.

#[path = "support/orders.rs"]
mod orders;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use orders::{send, stack, trip};
use seawall::{Command, Registry};

/// Every metric as `name{label=value,..} = value`, sorted.
fn published(recorder: &DebuggingRecorder, registry: &Registry) -> Vec<String> {
    metrics::with_local_recorder(recorder, || registry.publish());
    let mut lines: Vec<String> = recorder
        .snapshotter()
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let (_, key) = key.into_parts();
            let mut labels: Vec<_> = key
                .labels()
                .map(|l| format!("{}={}", l.key(), l.value()))
                .collect();
            labels.sort();
            let value = match value {
                DebugValue::Counter(total) => total.to_string(),
                DebugValue::Gauge(value) => value.to_string(),
                DebugValue::Histogram(_) => "histogram".to_owned(),
            };
            format!("{}{{{}}} = {value}", key.name(), labels.join(","))
        })
        .collect();
    lines.sort();
    lines
}

#[tokio::test(start_paused = true)]
async fn the_registry_publishes_what_the_layers_counted_before_there_was_a_recorder() {
    let registry = Registry::new("alpaca");
    let (mut service, mock) = stack(&registry);
    assert!(send(&mut service).await);
    trip(&mut service, &mock).await;
    assert!(!send(&mut service).await);

    let recorder = DebuggingRecorder::new();
    let lines = published(&recorder, &registry);
    for expected in [
        "seawall_breaker_state{name=orders,service=alpaca} = 2",
        "seawall_breaker_transitions_total{from=closed,name=orders,service=alpaca,to=open} = 1",
        "seawall_calls_total{layer=breaker,name=orders,outcome=failure,service=alpaca} = 5",
        "seawall_calls_total{layer=breaker,name=orders,outcome=success,service=alpaca} = 1",
        "seawall_rejections_total{layer=gate,name=orders,reason=circuit_open,service=alpaca} = 1",
        "seawall_bulkhead_in_flight{name=orders,service=alpaca} = 0",
        "seawall_bulkhead_queue_depth{name=orders,service=alpaca} = 0",
    ] {
        assert!(
            lines.iter().any(|l| l == expected),
            "{expected}\n{}",
            lines.join("\n")
        );
    }
    for metric in [
        "seawall_ratelimit_tokens_available{",
        "seawall_retry_attempts_total{",
        "seawall_retry_budget_balance{",
        "seawall_rejections_total{layer=attempt_timeout",
        "seawall_rejections_total{layer=deadline",
    ] {
        assert!(
            lines.iter().any(|l| l.starts_with(metric)),
            "{metric}\n{}",
            lines.join("\n")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn commands_go_to_the_layer_that_knows_them() {
    let registry = Registry::new("alpaca");
    let (mut service, mock) = stack(&registry);
    trip(&mut service, &mock).await;
    let rejected: Vec<_> = registry
        .all()
        .iter()
        .filter(|component| component.control(Command::Reset).is_err())
        .map(|component| component.pattern())
        .collect();
    assert!(!rejected.contains(&"breaker"));
    assert!(send(&mut service).await);
    let states: Vec<_> = registry
        .snapshot()
        .iter()
        .map(|s| (s.pattern, s.state))
        .collect();
    assert!(states.contains(&("breaker", "closed")), "{states:?}");
    assert_eq!(states.len(), 7);
    assert!(registry.snapshot().iter().all(|s| !s.settings.is_empty()));
}

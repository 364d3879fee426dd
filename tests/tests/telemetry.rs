//! What an operator sees: metrics by their names, transitions as `tracing` events, commands.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use seawall::{Command, Registry, TypedStack};
use seawall_testkit::contract::{MockError, MockHandle, mock};
use tower::{Layer, Service};

type Subject = <TypedStack as Layer<seawall_testkit::contract::Mock>>::Service;

fn stack(registry: &Registry) -> (Subject, MockHandle) {
    let stack = seawall::broker("orders").typed().expect("valid");
    stack.register(registry).expect("a name of its own");
    let (inner, mock) = mock();
    mock.answer_at_once();
    (stack.layer(inner), mock)
}

async fn send(service: &mut Subject) -> bool {
    let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
    ready.is_ok() && service.call(1).await.is_ok()
}

async fn trip(service: &mut Subject, mock: &MockHandle) {
    mock.script((0..5).map(|_| Err(MockError::Failed(1))));
    for _ in 0..5 {
        assert!(!send(service).await);
    }
}

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
async fn the_registry_publishes_what_the_layers_counted_before_a_recorder_came() {
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
    let refused: Vec<_> = registry
        .all()
        .iter()
        .filter(|component| component.control(Command::Reset).is_err())
        .map(|component| component.pattern())
        .collect();
    assert!(!refused.contains(&"breaker"));
    assert!(send(&mut service).await);
    let states: Vec<_> = registry
        .snapshot()
        .iter()
        .map(|s| (s.pattern, s.state))
        .collect();
    assert!(states.contains(&("breaker", "closed")), "{states:?}");
    assert_eq!(states.len(), 6);
    assert!(registry.snapshot().iter().all(|s| !s.settings.is_empty()));
}

/// Keeps what it is told, one line per event.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl tracing::field::Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "seawall"
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().expect("not poisoned").push(line.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn transitions_are_told_at_debug_and_refusals_at_trace() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let registry = Registry::new("alpaca");
    let (mut service, mock) = stack(&registry);
    trip(&mut service, &mock).await;
    assert!(!send(&mut service).await);
    let lines = log.0.lock().expect("not poisoned").clone();
    let transition = lines
        .iter()
        .find(|l| l.contains("transition"))
        .expect("told");
    assert!(transition.starts_with("DEBUG"), "{transition}");
    for part in [
        "\"orders\"",
        "\"closed\"",
        "\"open\"",
        "consecutive_failures",
    ] {
        assert!(transition.contains(part), "{transition}");
    }
    let refused = lines.iter().find(|l| l.contains("refused")).expect("told");
    assert!(
        refused.starts_with("TRACE") && refused.contains("circuit_open"),
        "{refused}"
    );
    assert!(
        lines
            .iter()
            .all(|l| l.starts_with("DEBUG") || l.starts_with("TRACE"))
    );
}

//! Transitions and rejections as `tracing` events. Alone in its process: tracing caches for all threads whether
//! there is a subscriber.

#[path = "support/orders.rs"]
mod orders;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use orders::{send, stack, trip};
use seawall::{Command, Registry};

/// Keeps one line per event.
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
async fn an_opening_is_a_warning_with_its_figures_and_a_closing_an_info() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let registry = Registry::new("alpaca");
    let (mut service, mock) = stack(&registry);
    trip(&mut service, &mock).await;
    assert!(!send(&mut service).await);
    let breaker = registry.get("breaker", "orders").expect("registered");
    breaker.control(Command::Reset).expect("known");
    let lines = log.0.lock().expect("not poisoned").clone();
    let transition = lines
        .iter()
        .find(|l| l.contains("transition"))
        .expect("logged");
    assert!(transition.starts_with("WARN"), "{transition}");
    for part in [
        "\"orders\"",
        "\"closed\"",
        "\"open\"",
        "consecutive_failures",
        "calls in a row failed, limit",
    ] {
        assert!(transition.contains(part), "{transition}");
    }
    let closing = lines.iter().find(|l| l.contains("to=\"closed\""));
    assert!(closing.expect("logged").starts_with("INFO"), "{closing:?}");
    let rejected = lines
        .iter()
        .find(|l| l.contains("rejected"))
        .expect("logged");
    assert!(
        rejected.starts_with("TRACE") && rejected.contains("circuit_open"),
        "{rejected}"
    );
    let loud = |line: &&String| line.starts_with("WARN") || line.starts_with("INFO");
    assert_eq!(lines.iter().filter(loud).count(), 2, "{lines:?}");
}

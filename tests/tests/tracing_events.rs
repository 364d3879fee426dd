//! Transitions and rejections as `tracing` events. Alone in its process: tracing caches for all threads whether
//! there is a subscriber.

#[path = "support/orders.rs"]
mod orders;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use orders::{send, stack, trip};
use seawall::Registry;

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
async fn transitions_are_logged_at_debug_and_rejections_at_trace() {
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
        .expect("logged");
    assert!(transition.starts_with("DEBUG"), "{transition}");
    for part in [
        "\"orders\"",
        "\"closed\"",
        "\"open\"",
        "consecutive_failures",
    ] {
        assert!(transition.contains(part), "{transition}");
    }
    let rejected = lines
        .iter()
        .find(|l| l.contains("rejected"))
        .expect("logged");
    assert!(
        rejected.starts_with("TRACE") && rejected.contains("circuit_open"),
        "{rejected}"
    );
    assert!(
        lines
            .iter()
            .all(|l| l.starts_with("DEBUG") || l.starts_with("TRACE"))
    );
}

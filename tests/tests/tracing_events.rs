//! Transitions and rejections as `tracing` events. Alone in its process: tracing caches for all threads whether
//! there is a subscriber.

#[path = "support/log.rs"]
mod log;
#[path = "support/orders.rs"]
mod orders;

use log::Log;
use orders::{send, stack, trip};
use seawall::{Command, Registry};

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
    let command = lines.iter().find(|l| l.contains("message=command"));
    assert!(command.expect("logged").starts_with("INFO"), "{command:?}");
    let loud = |line: &&String| line.starts_with("WARN") || line.starts_with("INFO");
    assert_eq!(lines.iter().filter(loud).count(), 3, "{lines:?}");
}

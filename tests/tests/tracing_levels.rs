//! What is logged at which level. Alone in its process: the level of all subscribers is one value.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall::{
    Backoff, BreakerConfig, BreakerLayer, Command, ConstMeta, RateLimitConfig, RateLimitLayer,
    Registry, RequestMeta, RetryConfig, RetryLayer,
};
use seawall_core::{QuotaSignal, Scope, WrapErrorLayer};
use tower::{Layer, Service, ServiceExt};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};

/// Keeps level and message of each event that is not above its level, and how often it was asked.
#[derive(Clone)]
struct Lines {
    level: Level,
    lines: Arc<Mutex<Vec<(Level, String)>>>,
}

impl Lines {
    fn new(level: Level) -> Self {
        Self {
            level,
            lines: Arc::default(),
        }
    }

    fn take(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.lines.lock().expect("not poisoned"))
    }
}

struct Message(String);

impl tracing::field::Visit for Message {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "seawall" && *metadata.level() <= self.level
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.into())
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let line = (*event.metadata().level(), message.0);
        self.lines.lock().expect("not poisoned").push(line);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Calls that are tried again, calls that are rejected, a throttle, a circuit that opens and one that
/// closes, a command.
async fn incident() {
    let registry = Registry::new("desk");
    let retry = RetryConfig::builder().attempts(3);
    let retry = retry.backoff(Backoff::constant(Duration::from_millis(1)).expect("valid"));
    let retry = RetryLayer::new("logged", retry.build().expect("valid"));
    let limit = RateLimitConfig::builder().rate(1, Duration::from_secs(3_600));
    let limit = RateLimitLayer::new("logged", limit.burst(100).build().expect("valid"));
    let breaker = BreakerConfig::builder().consecutive_failures(6);
    let breaker = BreakerLayer::new("logged", breaker.build().expect("valid"));
    registry.register(retry.handle()).expect("valid");
    registry.register(limit.handle()).expect("valid");
    registry.register(breaker.handle()).expect("valid");
    let failing = tower::service_fn(async |_: u64| Err::<u64, _>("fails"));
    let service = limit.layer(breaker.layer(WrapErrorLayer.layer(failing)));
    let mut service = retry
        .describe(ConstMeta(RequestMeta::idempotent()))
        .layer(service);
    // Six attempts open the circuit, and the other calls are rejected.
    for call in 0..50 {
        let called = service.ready().await.expect("valid").call(call).await;
        assert!(called.is_err());
    }
    limit.handle().apply_signal(QuotaSignal::Pause {
        lasts: Some(Duration::from_secs(5)),
        scope: Scope::Upstream,
    });
    breaker.handle().reset();
    let component = registry.get("ratelimit", "logged").expect("valid");
    component.control(Command::Reset).expect("valid");
}

#[tokio::test(start_paused = true)]
async fn calls_are_below_info_and_rejections_below_debug() {
    let at = async |level| {
        let lines = Lines::new(level);
        let guard = tracing::subscriber::set_default(lines.clone());
        incident().await;
        drop(guard);
        lines.take()
    };
    let warnings = at(Level::WARN).await;
    assert_eq!(warnings.len(), 1, "the circuit opens once: {warnings:?}");
    assert_eq!(warnings[0], (Level::WARN, "transition".to_owned()));

    let info = at(Level::INFO).await;
    let count = |lines: &[(Level, String)], message: &str| {
        lines.iter().filter(|(_, found)| found == message).count()
    };
    assert_eq!(count(&info, "transition"), 2, "opens and closes: {info:?}");
    // `apply_signal` by hand is a command, too.
    assert_eq!(count(&info, "command"), 3, "{info:?}");
    assert_eq!(info.len(), 5, "no line per call: {info:?}");

    let debug = at(Level::DEBUG).await;
    assert!(count(&debug, "retry") >= 4, "{debug:?}");
    assert_eq!(count(&debug, "throttled"), 1, "{debug:?}");
    assert_eq!(count(&debug, "rejected"), 0, "{debug:?}");

    let trace = at(Level::TRACE).await;
    assert!(count(&trace, "rejected") >= 40, "{trace:?}");
    let rejected = trace.iter().filter(|(_, found)| found == "rejected");
    assert!(rejected.clone().all(|(level, _)| *level == Level::TRACE));
}

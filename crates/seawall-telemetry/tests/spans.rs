//! The spans of calls and attempts, as a subscriber sees them. In a process of their own: tracing caches for
//! all threads whether there is a subscriber.
#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seawall_core::{Complete, TrackCompletion};
use seawall_telemetry::{
    ConstMeta, Error, FailureKind, Operation, Outcome, Reason, Rejection, RequestMeta,
    TelemetryConfig, TelemetryConfigBuilder, TelemetryLayer,
};
use tokio::time::{sleep, timeout};
use tower::{Layer as _, Service as _, ServiceExt, service_fn};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

type Failure = Error<&'static str>;

/// A span, or an event within one.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: &'static str,
    parent: Option<&'static str>,
    fields: BTreeMap<&'static str, String>,
    is_closed: bool,
    entered: usize,
}

impl Seen {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let value = format!("{value:?}");
        self.fields
            .insert(field.name(), value.trim_matches('"').to_owned());
    }
}

#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<(u64, Seen)>>>);

impl Collected {
    /// Collects what happens on this thread.
    fn start() -> (Self, DefaultGuard) {
        let all = Self::default();
        let subscriber = Registry::default().with(all.clone());
        (all, tracing::subscriber::set_default(subscriber))
    }

    fn change(&self, id: &Id, change: impl FnOnce(&mut Seen)) {
        let mut all = self.0.lock().unwrap();
        // Ids are used again.
        let found = all.iter_mut().rev().find(|(it, _)| *it == id.into_u64());
        change(&mut found.unwrap().1);
    }

    fn spans(&self) -> Vec<Seen> {
        let all = self.0.lock().unwrap();
        all.iter()
            .filter(|(id, _)| *id != 0)
            .map(|(_, seen)| seen.clone())
            .collect()
    }

    fn events(&self) -> Vec<Seen> {
        let all = self.0.lock().unwrap();
        all.iter()
            .filter(|(id, _)| *id == 0)
            .map(|(_, seen)| seen.clone())
            .collect()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collected {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        let mut seen = Seen {
            name: span.name(),
            parent: span.parent().map(|parent| parent.name()),
            ..Seen::default()
        };
        attributes.record(&mut seen);
        self.0.lock().unwrap().push((id.into_u64(), seen));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.change(id, |seen| values.record(seen));
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        self.change(id, |seen| seen.entered += 1);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.change(&id, |seen| seen.is_closed = true);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut seen = Seen {
            parent: context.event_span(event).map(|span| span.name()),
            ..Seen::default()
        };
        event.record(&mut seen);
        self.0.lock().unwrap().push((0, seen));
    }
}

fn config() -> TelemetryConfigBuilder {
    TelemetryConfig::builder().spans(true)
}

fn telemetry() -> TelemetryLayer {
    TelemetryLayer::new("desk", config().build().unwrap())
}

const PLACE: &str = "orders.place";

/// Two attempts of which the first one fails, with a line of the log between them.
async fn call_that_retries(layer: TelemetryLayer) -> Result<u16, Failure> {
    let meta = RequestMeta::idempotent().with_operation(Operation::new(PLACE));
    let by_result = |result: Result<&u16, &Failure>| match result {
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Failure(FailureKind::Server),
    };
    let attempts = layer.attempts().classify(by_result);
    let attempts = attempts.describe(ConstMeta(meta));
    let attempts = attempts.layer(service_fn(|answer: Result<u16, Failure>| async move {
        sleep(Duration::from_millis(5)).await;
        answer
    }));
    let calls = layer.describe(ConstMeta(meta)).layer(service_fn(move |()| {
        let attempts = attempts.clone();
        async move {
            let lost = Err(Error::Inner("lost"));
            assert!(attempts.clone().oneshot(lost).await.is_err());
            tracing::debug!(target: "seawall", "retry");
            attempts.oneshot(Ok(200)).await
        }
    }));
    calls.oneshot(()).await
}

#[tokio::test(start_paused = true)]
async fn a_call_has_a_span_and_each_attempt_one_within_it() {
    let (collected, _guard) = Collected::start();
    assert_eq!(call_that_retries(telemetry()).await, Ok(200));
    let spans = collected.spans();
    let [call, first, second] = &spans[..] else {
        panic!("a call and two attempts: {spans:?}");
    };
    assert_eq!((call.name, call.parent), ("call", None));
    assert_eq!(call.field("name"), Some("desk"));
    assert_eq!(call.field("operation"), Some(PLACE));
    assert_eq!(call.field("outcome"), Some("success"));
    assert_eq!(call.field("error.type"), None);
    for attempt in [first, second] {
        assert_eq!((attempt.name, attempt.parent), ("attempt", Some("call")));
        assert_eq!(attempt.field("otel.kind"), Some("client"));
        assert_eq!(attempt.field("operation"), Some(PLACE));
    }
    assert_eq!(first.field("http.request.resend_count"), None);
    assert_eq!(first.field("outcome"), Some("failure"));
    assert_eq!(first.field("error.type"), Some("server"));
    assert_eq!(first.field("otel.status_code"), Some("ERROR"));
    assert_eq!(second.field("http.request.resend_count"), Some("1"));
    assert_eq!(second.field("outcome"), Some("success"));
    assert_eq!(second.field("otel.status_code"), None);
    assert!(spans.iter().all(|span| span.is_closed));
    // Entered while its parts run, and left between them.
    assert!(call.entered >= 3, "{call:?}");
    let events = collected.events();
    let retry = events
        .iter()
        .find(|event| event.field("message") == Some("retry"));
    assert_eq!(retry.unwrap().parent, Some("call"));
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_there_are_none_and_it_can_be_changed_while_calls_run() {
    let (collected, _guard) = Collected::start();
    let layer = TelemetryLayer::new("desk", TelemetryConfig::default());
    let handle = layer.handle();
    // Another instance has spans.
    let _other = telemetry();
    let mut service = layer.layer(service_fn(|()| async { Ok::<_, Failure>(()) }));
    let early = service.ready().await.unwrap().call(());
    assert!(collected.spans().is_empty());
    handle.configure(config().build().unwrap()).unwrap();
    early.await.unwrap();
    assert!(collected.spans().is_empty(), "that call had begun");
    service.clone().oneshot(()).await.unwrap();
    assert_eq!(collected.spans().len(), 1);
    handle
        .configure(config().enabled(false).build().unwrap())
        .unwrap();
    service.clone().oneshot(()).await.unwrap();
    assert_eq!(collected.spans().len(), 1, "what is not measured has none");
    handle.configure(TelemetryConfig::default()).unwrap();
    service.oneshot(()).await.unwrap();
    assert_eq!(collected.spans().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_span_of_a_dropped_call_ends_as_abandoned() {
    let (collected, _guard) = Collected::start();
    let layer = telemetry();
    let attempts = layer.attempts().layer(service_fn(|()| async {
        std::future::pending::<Result<(), Failure>>().await
    }));
    let mut service = layer.layer(attempts);
    // Never polled.
    drop(service.ready().await.unwrap().call(()));
    // Polled, and then dropped.
    let call = service.ready().await.unwrap().call(());
    assert!(timeout(Duration::from_secs(1), call).await.is_err());
    // Polled no more: it is open as long as its future is.
    let mut call = Box::pin(service.ready().await.unwrap().call(()));
    assert!(timeout(Duration::from_secs(1), &mut call).await.is_err());
    let spans = collected.spans();
    assert_eq!(spans.iter().filter(|span| span.is_closed).count(), 4);
    assert_eq!(spans[4].field("outcome"), None);
    drop(call);
    let spans = collected.spans();
    assert_eq!(spans.len(), 6);
    for span in &spans {
        assert!(span.is_closed, "{span:?}");
        assert_eq!(span.field("outcome"), Some("abandoned"), "{span:?}");
        assert_eq!(span.field("otel.status_code"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejected_call_has_the_reason_as_type_of_error() {
    let (collected, _guard) = Collected::start();
    let rejected = Rejection::new(Reason::CircuitOpen, "desk").with_pattern("breaker");
    let layer = telemetry();
    let service = layer.layer(service_fn(move |()| async move {
        Err::<(), Failure>(Error::Rejected(rejected))
    }));
    assert!(service.oneshot(()).await.is_err());
    let [call] = &collected.spans()[..] else {
        panic!("one span");
    };
    assert_eq!(call.field("outcome"), Some("rejected"));
    assert_eq!(call.field("error.type"), Some("circuit_open"));
    assert_eq!(call.field("otel.status_code"), Some("ERROR"));
}

#[tokio::test(start_paused = true)]
async fn calls_on_one_thread_do_not_lie_in_each_other() {
    let (collected, _guard) = Collected::start();
    let layer = telemetry();
    let both = tokio::join!(call_that_retries(layer.clone()), call_that_retries(layer));
    assert_eq!(both, (Ok(200), Ok(200)));
    let spans = collected.spans();
    let parents = |name| spans.iter().filter(move |span| span.parent == name).count();
    assert_eq!(
        (spans.len(), parents(None), parents(Some("call"))),
        (6, 2, 4)
    );
    let count = "http.request.resend_count";
    let resent: Vec<_> = spans.iter().filter_map(|span| span.field(count)).collect();
    assert_eq!(resent, ["1", "1"]);
    assert!(tracing::Span::current().is_none(), "all were left");
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_client_ends_the_span_and_leaves_it() {
    let (collected, _guard) = Collected::start();
    let layer = telemetry();
    let mut service = layer.layer(service_fn(|()| {
        if true {
            panic!("in `call`");
        }
        async { Ok::<_, Failure>(()) }
    }));
    let call = std::panic::AssertUnwindSafe(|| drop(service.call(())));
    assert!(std::panic::catch_unwind(call).is_err());
    let [call] = &collected.spans()[..] else {
        panic!("one span");
    };
    assert!(call.is_closed && call.field("outcome") == Some("abandoned"));
    assert!(tracing::Span::current().is_none());
}

#[test]
fn a_subscriber_of_warnings_is_asked_for_none() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().unwrap();
    let collected = Collected::default();
    let only = tracing_subscriber::filter::LevelFilter::WARN;
    let subscriber = Registry::default().with(collected.clone().with_filter(only));
    tracing::subscriber::with_default(subscriber, || {
        assert_eq!(runtime.block_on(call_that_retries(telemetry())), Ok(200));
    });
    assert!(collected.spans().is_empty());
}

/// A call is over with its body: this is the body.
#[derive(Clone)]
struct WithBody;

impl<G> TrackCompletion<G, u16> for WithBody {
    type Response = (u16, G);

    fn track_completion(&self, guard: G, _: Outcome, response: u16) -> Self::Response {
        (response, guard)
    }
}

#[tokio::test(start_paused = true)]
async fn a_span_ends_with_the_body() {
    let (collected, _guard) = Collected::start();
    let layer = telemetry().track_completion(WithBody);
    let service = layer.layer(service_fn(|()| async { Ok::<_, Failure>(200) }));
    let call = async || service.clone().oneshot(()).await.unwrap();
    let (response, read) = call().await;
    let (_, dropped) = call().await;
    assert_eq!(response, 200);
    assert!(collected.spans().iter().all(|span| !span.is_closed));
    assert!(tracing::Span::current().is_none());
    // In any order, and on any thread.
    drop(dropped);
    std::thread::scope(|scope| {
        scope.spawn(|| read.complete(Outcome::Failure(FailureKind::Body)));
    });
    let spans = collected.spans();
    let ends: Vec<_> = spans
        .iter()
        .map(|span| {
            (
                span.is_closed,
                span.field("outcome"),
                span.field("error.type"),
            )
        })
        .collect();
    let expected = [
        (true, Some("failure"), Some("body")),
        (true, Some("abandoned"), None),
    ];
    assert_eq!(ends, expected);
}

#[test]
fn each_thread_has_its_own() {
    let collected = Collected::default();
    let subscriber = Registry::default().with(collected.clone());
    let dispatch = tracing::Dispatch::new(subscriber);
    let layer = telemetry();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = { runtime }
                    .enable_time()
                    .start_paused(true)
                    .build()
                    .unwrap();
                tracing::dispatcher::with_default(&dispatch, || {
                    for _ in 0..100 {
                        let call = call_that_retries(layer.clone());
                        assert_eq!(runtime.block_on(call), Ok(200));
                    }
                });
            });
        }
    });
    let spans = collected.spans();
    let parents = |name| spans.iter().filter(move |span| span.parent == name).count();
    assert_eq!((parents(None), parents(Some("call"))), (400, 800));
    assert!(spans.iter().all(|span| span.is_closed));
    let resent = spans
        .iter()
        .filter_map(|span| span.field("http.request.resend_count"));
    assert_eq!(resent.filter(|count| *count == "1").count(), 400);
}

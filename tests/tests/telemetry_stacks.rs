//! What the stacks of the facade measure of their calls.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use seawall::config::Config;
use seawall::http_client::Routes;
use seawall::telemetry::TelemetryState;
use seawall::{
    Backoff, Operation, Reason, Registry, RequestMeta, RetryConfig, StackBuilder, TelemetryConfig,
};
use tokio::time::Sleep;
use tower::{Layer, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);

/// One byte after some time, and then an error or the end.
struct Late {
    comes: Pin<Box<Sleep>>,
    broken: bool,
    is_done: bool,
}

impl Body for Late {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.is_done {
            return Poll::Ready(None);
        }
        std::task::ready!(self.comes.as_mut().poll(cx));
        self.is_done = true;
        let broken = std::io::Error::other("reset");
        Poll::Ready(Some(match self.broken {
            true => Err(broken),
            false => Ok(Frame::data(Bytes::from_static(b"x"))),
        }))
    }
}

fn builder() -> StackBuilder {
    let once_more = RetryConfig::builder().attempts(2).backoff(Backoff::NONE);
    seawall::broker("desk").retry(once_more.build().expect("valid"))
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).body(Full::default()).expect("valid")
}

/// The first attempt finds the upstream overloaded; heads take 20 ms and bodies 30.
fn client(
    broken: bool,
) -> impl tower::Service<
    Request<Full<Bytes>>,
    Response = Response<Late>,
    Error = Infallible,
    Future: Send,
> + Clone {
    let calls = Arc::new(AtomicU32::new(0));
    service_fn(move |_| {
        let first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            tokio::time::sleep(20 * MS).await;
            let body = Late {
                comes: Box::pin(tokio::time::sleep(30 * MS)),
                broken,
                is_done: false,
            };
            let status = if first { 503 } else { 200 };
            Ok(Response::builder()
                .status(status)
                .body(body)
                .expect("valid"))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_call_lasts_until_its_body_has_ended_and_an_attempt_until_its_head() {
    for broken in [false, true] {
        let orders = RequestMeta::idempotent().with_operation(Operation::new("orders"));
        let routes = Routes::new().route(Method::GET, "/orders", orders);
        let stack = builder().build().expect("valid");
        let stack = stack.describe(routes.expect("valid"));
        let handle = stack.handles().telemetry;
        let response = stack.layer(client(broken)).oneshot(get("/orders")).await;
        assert_eq!(handle.counts().attempts.total(), 2);
        assert_eq!(handle.counts().calls.total(), 0, "its body has not ended");
        let body = response
            .expect("it was tried again")
            .into_body()
            .collect()
            .await;
        assert_eq!(body.is_err(), broken);

        let counts = handle.counts();
        assert_eq!(
            (counts.calls.failure, counts.calls.success),
            (u64::from(broken), u64::from(!broken))
        );
        assert_eq!((counts.attempts.failure, counts.attempts.success), (1, 1));
        let snapshot = handle.snapshot();
        let [of] = &snapshot.operations[..] else {
            panic!("one operation: {snapshot:?}");
        };
        assert_eq!(of.operation, "orders");
        assert_eq!(
            of.errors.iter().map(|of| of.0).collect::<Vec<_>>(),
            ["body"][..usize::from(broken)]
        );
        // What was kept of the first response was read to its end, which took 30 ms.
        let took = of.calls[0].latency.max();
        assert!((70 * MS..=101 * MS).contains(&took), "{took:?}");
        assert_eq!(of.attempts[0].latency.max(), 20 * MS);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_rejection_says_which_layer_it_was() {
    let stack = builder().build().expect("valid");
    let handles = stack.handles();
    let service = stack.layer(client(false));
    handles.breaker.force_open();
    service.oneshot(get("/")).await.map(drop).expect_err("open");
    let last = handles.telemetry.last_rejection().expect("there was one");
    assert_eq!(last.rejection.reason(), Reason::CircuitOpen);
    assert_eq!(last.rejection.pattern(), Some("gate"));
    let snapshot = handles.snapshot();
    assert_eq!(
        snapshot.telemetry.last_rejection.map(|of| of.rejection),
        Some(last.rejection)
    );
    assert_eq!(handles.counts().telemetry.calls.rejected, 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_or_a_handle_turns_it_off_and_the_overhead_is_measured_while_it_is_on() {
    let off =
        "[resilience.desk]\nkind = \"broker\"\n[resilience.desk.telemetry]\nenabled = false\n";
    let config = Config::loader()
        .text("desk.toml", off)
        .load()
        .expect("valid");
    let handles = config
        .service("desk")
        .expect("there")
        .build()
        .expect("valid")
        .handles();
    assert_eq!(handles.telemetry.snapshot().state, TelemetryState::Off);

    let all = TelemetryConfig::builder()
        .overhead_every(1)
        .build()
        .expect("valid");
    let stack = builder().telemetry(all).build().expect("valid");
    let handles = stack.handles();
    let service = stack.layer(client(false));
    let call = async || {
        let response = service
            .clone()
            .oneshot(get("/"))
            .await
            .expect("tried again");
        response.into_body().collect().await.expect("whole");
    };
    call().await;
    let overhead = handles.telemetry.snapshot().overhead;
    // Time is paused: whatever waits or computes takes none of it.
    assert_eq!((overhead.samples, overhead.sum), (1, Duration::ZERO));
    let mut settings = handles.settings();
    settings.telemetry = TelemetryConfig::builder()
        .enabled(false)
        .build()
        .expect("valid");
    handles.configure(&settings).expect("valid");
    call().await;
    assert_eq!(handles.counts().telemetry.calls.success, 1);
}

#[tokio::test(start_paused = true)]
async fn a_recorder_receives_the_latency_of_each_call_once() {
    let registry = Registry::new("svc");
    let stack = builder().build().expect("valid");
    stack.register(&registry).expect("once");
    let service = stack.layer(client(false));
    let response = service.oneshot(get("/")).await.expect("tried again");
    response.into_body().collect().await.expect("whole");
    let recorder = DebuggingRecorder::new();
    for expected in [vec![("success", 1)], vec![("success", 0)]] {
        metrics::with_local_recorder(&recorder, || registry.publish());
        let all = recorder.snapshotter().snapshot().into_vec();
        let calls = all.into_iter().filter_map(|(key, _, _, value)| {
            let (_, key) = key.into_parts();
            let DebugValue::Histogram(values) = value else {
                return None;
            };
            let outcome = key
                .labels()
                .find(|label| label.key() == "outcome")?
                .value()
                .to_owned();
            (key.name() == "seawall_call_duration_seconds").then_some((outcome, values.len()))
        });
        let calls: Vec<_> = calls.collect();
        let calls: Vec<_> = calls
            .iter()
            .map(|(outcome, n)| (outcome.as_str(), *n))
            .collect();
        assert_eq!(calls, expected);
    }
}

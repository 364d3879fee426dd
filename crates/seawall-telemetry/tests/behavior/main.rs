//! What is measured of calls, as a user sees it.

mod ends;
mod overhead;
mod time;

use std::time::Duration;

use seawall_telemetry::{
    Error, HistogramSnapshot, Operation, Outcome, RequestMeta, TelemetryConfig, TelemetryHandle,
    TelemetryLayer,
};

type Failure = Error<&'static str>;
type Answer = Result<u16, Failure>;

fn layer() -> TelemetryLayer {
    TelemetryLayer::new("desk", TelemetryConfig::default())
}

fn by_status(result: Result<&u16, &Failure>) -> Outcome {
    use seawall_telemetry::FailureKind::{Other, Server};
    match result {
        Ok(400..500) => Outcome::Ignored,
        Ok(500..) => Outcome::Failure(Server),
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Failure(Other),
    }
}

/// Requests say how long they take, what comes of them, and what they do.
#[derive(Clone, Copy)]
struct Request {
    takes: Duration,
    answer: Answer,
    operation: &'static str,
}

const fn request(answer: Answer) -> Request {
    Request {
        takes: Duration::from_millis(20),
        answer,
        operation: "",
    }
}

fn describe(request: &Request) -> RequestMeta {
    RequestMeta::idempotent().with_operation(Operation::new(request.operation))
}

async fn serve(request: Request) -> Answer {
    tokio::time::sleep(request.takes).await;
    request.answer
}

/// The latencies of an operation and an outcome.
fn latency(handle: &TelemetryHandle, operation: &str, outcome: &str) -> HistogramSnapshot {
    let snapshot = handle.snapshot();
    let of = snapshot
        .operations
        .iter()
        .find(|of| of.operation == operation);
    let of = of.and_then(|of| of.calls.iter().find(|calls| calls.outcome == outcome));
    of.map(|calls| calls.latency.clone()).unwrap_or_default()
}

#[cfg(not(feature = "tracing"))]
#[test]
fn spans_are_not_accepted_without_their_feature() {
    let rejected = TelemetryConfig::builder().spans(true).build().unwrap_err();
    let words = "`spans` is true, accepted is false: the feature `tracing` is off";
    assert_eq!(rejected.to_string(), words);
}

//! Telemetry of calls and attempts, as Tower layers: how long they took and how they ended.
//!
//! [`TelemetryLayer`] stands outermost and measures each call with all its waits and attempts;
//! [`AttemptTelemetryLayer`] stands around the client and measures each attempt. They share one state, which
//! a [`TelemetryHandle`] reads:
//!
//! * latency [histograms](seawall_core::Histogram) by operation and outcome, of calls and of attempts;
//! * counts by operation and type of error, and slow calls;
//! * the last rejection, and how long ago it was;
//! * the overhead: what the layers of the stack take of the processor for themselves, measured of one call in some.
//!
//! They reject nothing, wait for nothing and allocate nothing once a thread has counted an outcome. The stacks of
//! the crate `seawall` have them.
//!
//! ```
//! use seawall_telemetry::{ConstMeta, Operation, RequestMeta, TelemetryConfig, TelemetryLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), tower::BoxError> {
//! let quotes = RequestMeta::idempotent().with_operation(Operation::new("quotes"));
//! let layer = TelemetryLayer::new("feed", TelemetryConfig::default()).describe(ConstMeta(quotes));
//! let handle = layer.handle();
//! let client = ServiceBuilder::new().layer(layer).service(service_fn(|_: ()| async {
//!     tokio::time::sleep(std::time::Duration::from_millis(20)).await;
//!     Ok::<_, tower::BoxError>("last: 101.5")
//! }));
//! client.oneshot(()).await?;
//!
//! let snapshot = handle.snapshot();
//! let calls = &snapshot.operations[0].calls[0];
//! assert_eq!((snapshot.operations[0].operation, calls.outcome), ("quotes", "success"));
//! let p99 = calls.latency.quantile(0.99).unwrap();
//! assert!((20..=22).contains(&p99.as_millis()));
//! # Ok(()) }
//! ```
//!
//! # What counts as rejected
//!
//! A call that a layer rejected, of which it is certain that nothing was sent. Where the rejection says that the
//! request may have been sent (an attempt got no answer, and the next one found the circuit open; or the deadline
//! passed), the call has failed: its outcome is `unknown`, as that of an attempt that timed out, and the type of its
//! error is still the reason of the rejection.
//!
//! # When time runs
//!
//! Where the layers above share a reading of the clock (the HTTP stacks of `seawall`), from the arrival of the call.
//! Elsewhere from when its future was first pending: a call whose response is there when it is first polled
//! took no time, which spares two readings of the clock, that cost more than all the rest.
//!
//! # Spans
//!
//! With [`spans(true)`](TelemetryConfigBuilder::spans) each call has a `tracing` span `call` and each attempt a span
//! `attempt` within it, of target `seawall` and level `info`; `tracing-opentelemetry` exports them (example `opentelemetry`). What layers
//! log within a call (retries, throttles) lies in its span. A span is entered while a part of the call runs, and
//! closed when the call is over, where it ends with its body, with that. Without spans a call pays one branch.
//!
//! | field | value |
//! |---|---|
//! | `name`, `operation` | the instance, and what the request does |
//! | `outcome` | as in metrics: `success`, `failure`, `rejected`, ...; `abandoned` where the future was dropped |
//! | `error.type` | the kind of the failure, another outcome, or the reason of the rejection |
//! | `http.request.resend_count` | of an attempt after the first one: how many there were before |
//! | `otel.kind`, `otel.status_code` | `client` of an attempt; `ERROR` where it failed |
//!
//! The last three rows are OpenTelemetry's names, of the conventions for HTTP and of `tracing-opentelemetry`. An
//! attempt on another task than its call (a layer may spawn it) is no child of it and has no count.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `fast-clock` (default) | the processor's counter as clock, where it runs at one rate; tokio's clock without it |
//! | `test-util` | tokio's clock in optimized builds, too, for tests that pause time later than a layer is made |
//! | `serde` | `Serialize` for snapshots and counts |
//! | `tracing` | decisions as `tracing` events, and spans |
//! | `metrics` | publishing through the `metrics` facade |

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod config;
mod counts;
mod future;
mod handle;
mod layer;
mod measure;
mod open;
mod probe;
mod service;
mod snapshot;
mod span;
mod state;
mod stripe;

pub use config::{TelemetryConfig, TelemetryConfigBuilder};
pub use counts::TelemetryCounts;
pub use future::ResponseFuture;
pub use handle::TelemetryHandle;
pub use layer::{AttemptTelemetryLayer, TelemetryLayer};
pub use open::OpenCall;
pub use probe::{ClientProbe, ClientProbeFuture, ClientProbeLayer};
pub use service::Telemetry;
pub use snapshot::{Latencies, OperationSnapshot, Overhead, TelemetrySnapshot, TelemetryState};

/// What users of this crate need of `seawall-core`.
#[doc(no_inline)]
pub use seawall_core::{
    Classify, ConstMeta, Describe, Error, FailureKind, HISTOGRAM_BOUNDS, HistogramSnapshot,
    InstanceName, InvalidConfig, LastRejection, LayerExt, Operation, Outcome, Policies, Policy,
    Reason, Registry, Rejectable, Rejection, RequestMeta, WrapErrorLayer, assert_service,
};

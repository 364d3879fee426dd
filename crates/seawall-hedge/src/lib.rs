//! Hedged requests as a Tower layer: a second copy of a slow request, only of what is safe to send
//! twice, paid from a budget, and the first *good* result wins.
//!
//! One response in a hundred comes late, for reasons that have nothing to do with the request: a
//! full queue, a collection of garbage, a lost packet. A second copy of the request, sent when the
//! first is slow, mostly completes in time. Three things make it dangerous. What was executed
//! twice is an order placed twice. When an upstream is slow because it is loaded, a second copy of
//! everything is what breaks it. And the first *result* may be the failure that a broken instance
//! gives at once, while the response is on its way. This layer prevents all three.
//!
//! ```
//! use std::time::Duration;
//! use seawall_hedge::{HedgeConfig, HedgeLayer, RequestMeta, WrapErrorLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! fn describe(request: &&str) -> RequestMeta {
//!     if request.starts_with("GET") { RequestMeta::idempotent() } else { RequestMeta::non_idempotent() }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // After the 95th percentile of the last minute; until that is known, after 100 ms.
//! let config = HedgeConfig::builder().initial_delay(Duration::from_millis(100)).build()?;
//! let hedge = HedgeLayer::new("alpaca", config).describe(describe);
//! let handle = hedge.handle();
//! let mut client = ServiceBuilder::new()
//!     .layer(hedge)
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|_: &'static str| async {
//!         tokio::time::sleep(Duration::from_secs(1)).await;
//!         Ok::<u16, std::io::Error>(200)
//!     }));
//!
//! client.ready().await?.call("GET /v2/quotes").await?;
//! client.ready().await?.call("POST /v2/orders").await?;
//! let counts = handle.counts();
//! assert_eq!((counts.extra.begun, counts.skipped.not_replay_safe), (1, 1));
//! # Ok(()) }
//! ```
//!
//! # What it must know
//!
//! * **What a request is.** Without [`describe`](HedgeLayer::describe) nothing is known to be
//!   idempotent, and nothing is hedged: that is [noted](seawall_core::Misconfiguration) once, and
//!   counted in `handle.counts().skipped.not_described`.
//!   [`assume_idempotent`](HedgeLayer::assume_idempotent) is short for "all of it is".
//! * **What a result means.** Errors inside `Ok` (an HTTP 503, an error object of a model) need a
//!   classifier, or they win: [`classify`](HedgeLayer::classify).
//!
//! # When to use it, and where
//!
//! Against stragglers, over several instances or connections. Not against overload, and not over
//! one connection that serves its requests in order. In a stack: inside of the retry and the
//! deadline, outside of the breaker, the limits and the attempt timeout. With a retry around it,
//! give both one budget: [`HedgeLayer::shared_budget`].
//!
//! # Where to look
//!
//! * [`HedgeConfig`]: fixed or learned delay, extra attempts. [`Budget`]: what pays for them.
//! * [`HedgeHandle`]: counts, the learned delay, snapshot, live settings.
//! * [`guide`]: when an attempt is begun, which result wins, how the delay is learned, cost,
//!   readiness, cancellation, and what differs from `tower::hedge`.
//!
//! # Features
//!
//! `fast-clock` (default) and `test-util`: which clock is read, see [`seawall_core::Clock`];
//! `tracing`, `metrics`, `serde`.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

mod call;
mod config;
mod counts;
mod extra;
mod future;
mod handle;
mod hedging;
mod judgement;
mod layer;
mod service;
mod state;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use config::{HedgeConfig, HedgeConfigBuilder};
pub use counts::{ExtraAttemptCounts, HedgeCounts, SkipCounts};
pub use future::ResponseFuture;
pub use handle::{HedgeHandle, HedgeSnapshot, HedgeState};
pub use layer::HedgeLayer;
pub use service::Hedge;

pub use seawall_core::{
    Budget, BudgetConfig, Classify, CloneRequest, ConstMeta, CopyRequest, DefaultMeta, Describe,
    DropResponse, Error, ErrorIsFailure, FailureKind, InvalidConfig, KeepResponse, KeepWhole,
    LayerExt, Outcome, Policies, Policy, Quantile, QuantileConfig, Reason, Registry, Rejectable,
    Rejection, Replay, RequestMeta, Sent, WrapErrorLayer, assert_service, rejectable,
};

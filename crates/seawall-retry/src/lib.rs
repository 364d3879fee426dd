//! Retries as a Tower layer: only what is safe to send again, paid from a budget, spread by
//! jitter, and never earlier than the upstream asked.
//!
//! A failed call is worth another attempt when the failure was an accident. Three things make
//! attempts dangerous. A request that was executed although its response got lost is executed
//! *twice*: an order is placed two times. Attempts that all clients make at once keep an upstream
//! down. And an attempt before the time that the upstream named is wasted, and may get the client
//! banned. This layer prevents all three.
//!
//! **By default nothing is known to be safe to send twice, every `Err` is a failure and every `Ok` a
//! success.** So it retries hardly anything without [`describe`](RetryLayer::describe), and no error
//! inside of `Ok` (an HTTP status, an error object of a model, a variant of an enum of your own) without
//! [`classify`](RetryLayer::classify).
//!
//! ```
//! use seawall_retry::{Error, RequestMeta, RetryConfig, RetryLayer, WrapErrorLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! fn describe(request: &&str) -> RequestMeta {
//!     if request.starts_with("GET") { RequestMeta::idempotent() } else { RequestMeta::non_idempotent() }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Error<&'static str>> {
//! let retry = RetryLayer::new("alpaca", RetryConfig::default())
//!     .describe(describe);
//! let handle = retry.handle();
//! let mut client = ServiceBuilder::new()
//!     .layer(retry)
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|_: &'static str| async { Err::<u16, _>("reset") }));
//!
//! // The client's own error comes back: after one attempt, and after three.
//! assert!(client.ready().await?.call("POST /v2/orders").await.is_err());
//! assert_eq!(handle.counts().attempts.total(), 1);
//! assert!(client.ready().await?.call("GET /v2/orders").await.is_err());
//! assert_eq!(handle.counts().attempts.total(), 4);
//! # Ok(()) }
//! ```
//!
//! # What it must know
//!
//! * **What a request is.** [`assume_idempotent`](RetryLayer::assume_idempotent) is short for "all of
//!   it may be sent twice". The first attempt that is not made for lack of a describer is
//!   [noted](seawall_core::Misconfiguration): logged, emitted and in what the handle knows; all are in
//!   `handle.counts().give_ups.not_described`.
//! * **What a result means.** `seawall-http` and `seawall-grpc` have classifiers. Around their clients a
//!   missing one is noted as well; of a type of your own that cannot be known, and `settings` of the
//!   handle show `classifier: none`.
//!
//! # When to use it, and where
//!
//! For calls that fail now and then; a failing upstream needs a breaker as well. In a stack: outside
//! of the breaker and the limits, inside of the overall deadline, and only once, since two retries
//! multiply their attempts.
//!
//! # Where to look
//!
//! * [`RetryConfig`]: attempts, backoff, timeouts. [`Budget`]: what pays for retries.
//! * [`RetryLayer::retry_if`], [`prepare`](RetryLayer::prepare),
//!   [`annotate_give_up`](RetryLayer::annotate_give_up): a predicate of your own, requests that
//!   differ per attempt, and why there was no further one ([`StopReason`]).
//! * [`AdaptiveRate`]: a sending rate that is learned from throttles.
//! * [`RetryHandle`]: counts, snapshot, live settings.
//! * [`guide`]: the table of what is retried, waits, corrected results, readiness, cancellation,
//!   and what differs from `tower::retry`.
//!
//! # Features
//!
//! `fast-clock` (default) and `test-util`: which clock is read, see [`seawall_core::Clock`];
//! `tower` (its policies, budgets and backoffs here, and ours there), `tracing`, `metrics`, `serde`.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

mod adaptive;
mod call;
mod carried;
mod config;
mod counts;
mod decide;
mod effects;
mod future;
mod handle;
mod hooks;
mod layer;
mod predicate;
mod prepare;
mod progress;
mod rate_token;
mod reason;
mod rules;
mod service;
mod setters;
mod state;
#[cfg(feature = "tower")]
mod tower_compat;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use adaptive::AdaptiveRate;
pub use config::{RetryConfig, RetryConfigBuilder};
pub use counts::RetryCounts;
pub use future::ResponseFuture;
pub use handle::{RetryHandle, RetrySnapshot, RetryState};
#[doc(hidden)]
pub use hooks::{Hook, Hooks};
pub use layer::RetryLayer;
pub use predicate::{
    CompletedAttempt, CompletedAttemptMut, DefaultDecision, RetryDecision, RetryPredicate,
};
pub use prepare::{AnnotateGiveUp, Attempt, NoAnnotation, NoPrepare, PrepareAttempt};
pub use reason::{GiveUpCounts, StopReason, Stopped};
pub use service::Retry;
#[cfg(feature = "tower")]
pub use tower_compat::{PolicyDelay, RetryPolicy, TowerBackoff, TowerPolicy, TowerPolicyState};

pub use seawall_core::{
    Backoff, Budget, BudgetConfig, Classify, CloneRequest, ConstMeta, CopyRequest, CostClass,
    DefaultMeta, Describe, DropResponse, Error, ErrorIsFailure, FailureKind, InvalidConfig, Jitter,
    KeepResponse, KeepWhole, LayerExt, Outcome, Policies, Policy, Reason, Registry, Rejectable,
    Rejection, Replay, RequestMeta, Sent, WrapErrorLayer, assert_service, rejectable,
};

//! A limit of how many calls run at once, with a bounded queue in front of it.
//!
//! An upstream that slows down keeps every caller longer, so that more and more calls are in
//! flight, until the connections, the memory or the tasks of the process belong to the one upstream
//! that is unhealthy. A bulkhead gives it a number of permits. A call that finds none is rejected
//! at once, or waits in a queue of bounded length, for a bounded time, by priority and in order of
//! arrival.
//!
//! ```
//! use seawall_bulkhead::{BulkheadConfig, BulkheadLayer, Reason, Rejectable, WrapErrorLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = BulkheadConfig::builder().max_concurrent(1).build()?;
//! let layer = BulkheadLayer::new("orders", config);
//! let mut orders = ServiceBuilder::new()
//!     .layer(&layer)
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|id: u32| async move { Ok::<_, std::io::Error>(id) }));
//!
//! let first = orders.ready().await?.call(1);
//! let rejected = orders.ready().await?.call(2).await.unwrap_err();
//! assert_eq!(rejected.rejection().map(|r| r.reason()), Some(Reason::BulkheadFull));
//! assert_eq!(first.await?, 1);
//! assert_eq!(layer.handle().in_flight(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! # When to use it
//!
//! Around each upstream whose slowness must not become that of the process. It bounds how many
//! calls run, not how many are sent per second: that is `seawall-ratelimit`. You need none in front
//! of a client whose connection pool has a bound and a queue that you are content with.
//!
//! # Which bulkhead
//!
//! | against | use |
//! |---|---|
//! | one upstream that keeps all callers | [`BulkheadLayer`] |
//! | callers that must be held back before they have a request | [`BulkheadLayer::reserving`] |
//! | one symbol or tenant that takes all permits | [`partitions`] |
//! | more tasks and connections at hand than the load needs | [`scaling`] |
//! | an upstream whose capacity changes | the crate `seawall-adaptive` |
//! | a provider that bounds connections | [`connections`] |
//! | a service that blocks its thread | `isolated`, with the feature of that name |
//!
//! # Where to look
//!
//! * [`BulkheadConfig`]: permits, queue, priorities, deadlines, shadow mode.
//! * [`BulkheadLayer::describe`], [`classify`](BulkheadLayer::classify),
//!   [`track_completion`](BulkheadLayer::track_completion): what a request is, what a result means,
//!   and when a call is over (with HTTP: with its body).
//! * [`BulkheadHandle`]: counts, snapshot, live settings, pause, drain.
//! * [`LimitAlgorithm`]: a limit that moves by a rule of your own.
//! * [`guide`]: the steps of a call, readiness, cancellation, the order of layers, and what differs
//!   from tower's `ConcurrencyLimit`.
//!
//! # Features
//!
//! `fast-clock` (default) and `test-util`: which clock is read, see [`seawall_core::Clock`];
//! `isolated`, `tracing`, `metrics`, `serde`.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

pub mod connections;
#[cfg(feature = "isolated")]
pub mod isolated;
pub mod partitions;
pub mod scaling;

mod call;
mod commands;
mod config;
mod counts;
mod drain;
mod future;
mod handle;
mod keyed;
mod layer;
mod limit_algorithm;
mod mode;
mod permit;
mod pool;
mod reserving;
mod semaphore;
mod service;
mod snapshot;
mod state;
mod waiter;

pub use config::{BulkheadConfig, BulkheadConfigBuilder};
pub use counts::BulkheadCounts;
pub use drain::DrainFuture;
pub use future::ResponseFuture;
pub use handle::BulkheadHandle;
pub use layer::BulkheadLayer;
pub use limit_algorithm::{CallSample, LimitAlgorithm};
pub use permit::Permit;
pub use pool::{PoolHandle, PoolSnapshot};
pub use reserving::{ReservingBulkhead, ReservingBulkheadLayer};
pub use seawall_core::{
    Classify, Complete, CompleteOnResponse, ConstMeta, Describe, Error, FailureKind, InvalidConfig,
    LayerExt, Outcome, PartitionKey, Policies, Policy, Priority, Reason, Registry, Rejectable,
    Rejection, Replay, RequestMeta, TrackCompletion, WrapErrorLayer, assert_service, rejectable,
};
pub use service::Bulkhead;
pub use snapshot::{BulkheadSnapshot, BulkheadState};

//! A bulkhead whose limit finds out by itself how many calls the upstream can serve.
//!
//! A fixed limit is right until the upstream changes. This one starts from a number and looks: it
//! grows while it is used and the latency stays, and when the latency rises, it lowers the limit
//! and looks whether the latency falls with it. If it does, calls were queueing in the upstream,
//! and it goes on; if not, the upstream itself has become slower, and the limit comes back. Calls
//! that the upstream drops (throttled, overloaded, timed out) lower it as well, one burst once.
//!
//! ```
//! use seawall_adaptive::{AdaptiveBulkheadLayer, AdaptiveConfig, BulkheadConfig, WrapErrorLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let queue = BulkheadConfig::builder().max_waiting(50).build()?;
//! let adaptive = AdaptiveConfig::builder().initial(10).max(100).build()?;
//! let layer = AdaptiveBulkheadLayer::new("orders", queue, adaptive);
//! let mut orders = ServiceBuilder::new()
//!     .layer(&layer)
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|id: u32| async move { Ok::<_, std::io::Error>(id) }));
//!
//! assert_eq!(orders.ready().await?.call(7).await?, 7);
//! assert_eq!(layer.handle().snapshot().limit, 10);
//! # Ok(())
//! # }
//! ```
//!
//! # When to use it
//!
//! In front of an upstream whose capacity changes, with some ten calls in flight or more: below
//! that there are too few to learn from, and a fixed [`BulkheadLayer`](seawall_bulkhead) does
//! better. Calls must be alike: a rise of the latency that comes from other requests looks like
//! load. It costs each call two readings of the clock.
//!
//! # What it must know
//!
//! What a result means: errors inside `Ok` (an HTTP 503) need a
//! [`classify`](AdaptiveBulkheadLayer::classify), or drops are taken for successes. For HTTP
//! bodies, see [`track_completion`](AdaptiveBulkheadLayer::track_completion).
//!
//! # Where to look
//!
//! * [`AdaptiveConfig`]: start, bounds, windows, and the [`Algorithm`].
//! * [`Knee`] (the default), [`Aimd`], [`Vegas`], [`Gradient`]: the algorithms and their sources.
//! * [`AdaptiveBulkheadHandle`]: the limit and what was learned, live settings, reset.
//! * [`AdaptiveLimit`]: the limit alone, for a bulkhead of your own.
//! * `seawall_bulkhead`: queue, priorities, deadlines, readiness, cancellation and the order of
//!   layers are those of its bulkhead.
//!
//! # Features
//!
//! `fast-clock` (default) and `test-util`: which clock is read, see [`seawall_core::Clock`];
//! `tracing`, `metrics`, `serde`.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod aimd;
mod checks;
mod config;
mod gradient;
mod handle;
mod knee;
mod layer;
mod lowest;
mod rules;
mod state;
mod vegas;
mod window;

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

pub use aimd::Aimd;
pub use config::{AdaptiveConfig, AdaptiveConfigBuilder, Algorithm};
pub use gradient::Gradient;
pub use handle::{AdaptiveBulkheadHandle, AdaptiveSnapshot};
pub use knee::Knee;
pub use layer::AdaptiveBulkheadLayer;
pub use rules::Estimates;
pub use seawall_bulkhead::{
    Bulkhead, BulkheadConfig, BulkheadCounts, BulkheadHandle, BulkheadState,
};
pub use seawall_core::{
    Classify, CompleteOnResponse, ConstMeta, Describe, Error, FailureKind, InvalidConfig, LayerExt,
    Outcome, Policies, Policy, Priority, Reason, Registry, Rejectable, Rejection, Replay,
    RequestMeta, TrackCompletion, WrapErrorLayer, assert_service, rejectable,
};
pub use state::AdaptiveLimit;
pub use vegas::Vegas;
pub use window::SampleKind;

//! Degraded answers as a Tower layer: what a caller gets when its call fails, marked as what it is.
//!
//! An upstream is down, its circuit is open, a limit is used up. Some callers still need an answer, and have a
//! use for one that is not the best: the last prices, another vendor's, a model's opinion that says HOLD. An
//! answer like that is dangerous where nobody knows it for what it is, where it is given to somebody who
//! asked for something to be *done*, and where what makes it is as slow as what it stands in for. This layer
//! marks every answer, answers only what is safe to answer from elsewhere, and bounds its steps.
//!
//! ```
//! use std::time::Duration;
//! use seawall_fallback::{
//!     Degraded, FallbackConfig, FallbackLayer, LastGood, LastGoodConfig, MarkInValue, Step, WrapErrorLayer,
//! };
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Another vendor, with a stack of its own; here it answers after 20 ms.
//! let vendor2 = service_fn(|_symbol: &'static str| async {
//!     tokio::time::sleep(Duration::from_millis(20)).await;
//!     Ok::<_, std::io::Error>(Degraded::fresh(101.4))
//! });
//! let kept = LastGoodConfig::builder().max_age(Duration::from_secs(30)).build()?;
//! let kept = LastGood::new(kept, |symbol: &&'static str| Some(*symbol));
//!
//! let steps = [
//!     Step::last_good(kept),
//!     Step::backup("vendor2", vendor2).timeout(Duration::from_millis(200)),
//! ];
//! let fallback = FallbackLayer::new("prices", FallbackConfig::default(), steps)?
//!     .assume_idempotent() // it only reads
//!     .mark(MarkInValue);
//! let handle = fallback.handle();
//! let mut prices = ServiceBuilder::new()
//!     .layer(fallback)
//!     .map_response(Degraded::fresh)
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|_symbol: &'static str| async {
//!         Err::<f64, _>(std::io::Error::other("connection refused"))
//!     }));
//!
//! let price = prices.ready().await?.call("SPY").await?;
//! assert_eq!(price.value(), &101.4);
//! let mark = price.degradation().expect("it is marked");
//! assert_eq!(mark.to_string(), "failure;source=vendor2");
//! assert_eq!(handle.counts().answered, 1);
//! # Ok(()) }
//! ```
//!
//! # What it must know
//!
//! * **What a request is.** Only those that are [`Replay::Safe`] are answered, and of the operations that a step
//!   is [made for](Step::also_for). Without [`describe`](FallbackLayer::describe) none is:
//!   that is [noted](seawall_core::Misconfiguration) once.
//! * **What a result means.** Failures inside of `Ok` need a classifier: [`classify`](FallbackLayer::classify).
//! * **How an answer is marked.** [`MarkInValue`] for a [`Degraded`], `HttpMark` of `seawall-http`, or a hook of
//!   your own: [`mark`](FallbackLayer::mark).
//!
//! # Where to look
//!
//! * [`Step`]: values, functions, backups, the last good answer; [`Covers`]: the failures that it answers for.
//! * [`NeverOlder`]: answers stay in the order of their data.
//! * [`FallbackHandle`]: counts, the read-only mode, live settings.
//! * [`guide`]: which calls are answered and by what, what is held meanwhile, recovery, loops, HTTP, cost.
//!
//! # Features
//!
//! `fast-clock` (default) and `test-util`: which clock is read, see [`seawall_core::Clock`];
//! `tracing`, `metrics`, `serde`.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

mod answer;
mod answering;
mod config;
mod counts;
mod covers;
mod depth;
mod envelope;
mod future;
mod handle;
mod last_good;
mod layer;
mod order;
mod rules;
mod service;
mod state;
mod step;
mod step_info;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use answer::{Answer, FailedCall};
pub use config::{FallbackConfig, FallbackConfigBuilder};
pub use counts::{FallbackCounts, StepCounts};
pub use covers::Covers;
pub use envelope::{Envelope, InCarry, Plain};
pub use future::FallbackFuture;
pub use handle::{FallbackHandle, FallbackSnapshot, FallbackState, StepSnapshot};
pub use last_good::{LastGood, LastGoodConfig, LastGoodConfigBuilder};
pub use layer::FallbackLayer;
pub use order::NeverOlder;
pub use service::Fallback;
pub use step::Step;

pub use seawall_core::{
    AnyAge, Classify, ClassifyMarked, CloneRequest, ConstMeta, CopyRequest, DefaultMeta,
    Degradation, Degraded, Describe, DropResponse, Error, ErrorIsFailure, FailureKind,
    InvalidConfig, KeepResponse, KeepWhole, LayerExt, MarkDegraded, MarkInValue, NoMark, Operation,
    Outcome, ParsedDegradation, Policies, Policy, Reason, Registry, Rejectable, Rejection, Replay,
    RequestMeta, Sent, WantsFresh, WrapErrorLayer, assert_service, rejectable,
};

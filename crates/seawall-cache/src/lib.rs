//! A cache and request coalescing as Tower layers: stale answers through an outage, and one call for many
//! callers.
//!
//! Most reads of a trading program are asked for again within the second: quotes, symbols, settings. A cache
//! spares the upstream those calls, and the program the quota that they cost. It is also what still has an
//! answer when the upstream has none. Three things make it dangerous. A degraded answer or a throttle in hiding
//! that is kept as a good one outlives the outage. An answer that was invalidated, or is older than one that was
//! given already, turns time back. And when what many ask for expires, all of them call at once. These layers
//! prevent all three.
//!
//! ```
//! use std::time::Duration;
//! use seawall_cache::{CacheConfig, CacheLayer, Degraded, MarkInValue, WrapErrorLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! # use std::sync::atomic::{AtomicBool, Ordering};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Fresh for a second, and for an hour where the upstream fails.
//! let config = CacheConfig::builder(Duration::from_secs(1))
//!     .stale_on_failure(Duration::from_secs(3600))
//!     .build()?;
//! let cache = CacheLayer::new("quotes", config)
//!     .assume_idempotent()
//!     .key(|symbol: &&'static str| Some(*symbol))
//!     .mark(MarkInValue);
//! # static DOWN: AtomicBool = AtomicBool::new(false);
//! let client = ServiceBuilder::new().layer(cache).layer(WrapErrorLayer).service(service_fn(
//!     |_: &'static str| async {
//!         # if DOWN.load(Ordering::Relaxed) { return Err(std::io::Error::other("down")); }
//!         Ok::<_, std::io::Error>(Degraded::fresh(101.25))
//!     },
//! ));
//! assert!(!client.clone().oneshot("SPY").await?.is_degraded());
//!
//! // A minute later the upstream is down.
//! # DOWN.store(true, Ordering::Relaxed);
//! tokio::time::advance(Duration::from_secs(60)).await;
//! let price = client.oneshot("SPY").await?;
//! assert_eq!(*price.value(), 101.25);
//! let age = price.degradation().and_then(|degraded| degraded.age);
//! assert_eq!(age, Some(Duration::from_secs(60)));
//! # Ok(()) }
//! ```
//!
//! # What they must know
//!
//! * **Under which key an answer is kept**: [`key`](CacheLayer::key), or [`rules`](CacheLayer::rules).
//! * **What a result means**: [`classify`](CacheLayer::classify). Errors inside `Ok` need a classifier, or are kept.
//! * **What a request is**: [`describe`](CacheLayer::describe). What is no read (`Replay::Safe`) is not cached nor
//!   shared, and without a describer nothing is; that is [noted](seawall_core::Misconfiguration) once.
//! * **How a degraded answer is marked**: [`mark`](CacheLayer::mark).
//!
//! # Where to look
//!
//! * [`CacheConfig`]: lifetimes, capacity. [`CacheHandle`]: counts, invalidation, files.
//! * [`CoalesceConfig`], [`CoalesceHandle`]: callers that share calls without a cache.
//! * [`guide`]: what is kept, what is given, what happens to waiters, cost.
//!
//! # Features
//!
//! `fast-clock` (default) and `test-util`: which clock is read, see [`seawall_core::Clock`];
//! `tracing`, `metrics`, `serde` (with `JsonCodec`).
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc = include_str!("../docs/guide.md")]
pub mod guide {}

mod calls;
mod coalesce;
mod config;
mod counts;
mod fetch;
mod file;
mod fill;
mod future;
mod handle;
mod kept;
mod layer;
mod refresh;
mod rules;
mod send;
mod service;
mod state;
mod sync;
mod wait;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use coalesce::{
    CloneError, Coalesce, CoalesceFuture, CoalesceHandle, CoalesceLayer, CoalesceSnapshot,
    CoalesceState, CopyError, NoErrorCopies,
};
pub use config::{CacheConfig, CacheConfigBuilder, CoalesceConfig, CoalesceConfigBuilder};
pub use counts::{CacheCounts, CoalesceCounts, LookUpCounts, RefreshCounts, StoreCounts};
#[cfg(feature = "serde")]
pub use file::JsonCodec;
pub use file::{Loaded, Saved, SnapshotCodec, SnapshotError, SnapshotFile};
pub use future::ResponseFuture;
pub use handle::{CacheHandle, CacheSnapshot, CacheState};
pub use layer::CacheLayer;
pub use refresh::{InBackground, InPlace, Refresh, RefreshBy};
pub use rules::{
    Ask, CacheHooks, CacheRules, CarriedHooks, Demand, Hooks, Keyed, Lifetime, NoRules, PrefixKey,
};
pub use seawall_core::carry::StoredOutcome;
pub use service::Cache;

pub use seawall_core::{
    AnyAge, Classify, CloneRequest, ConstMeta, CopyRequest, DefaultMeta, Degradation, Degraded,
    Describe, Error, ErrorIsFailure, FailureKind, InvalidConfig, LayerExt, MarkDegraded,
    MarkInValue, NoMark, Outcome, Policies, Policy, Reason, Registry, Rejectable, Rejection,
    Replay, RequestMeta, StoreClone, StoreResponse, StoreSink, WantsFresh, WrapErrorLayer,
    assert_service, rejectable,
};

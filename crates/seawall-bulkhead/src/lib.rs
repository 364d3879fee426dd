//! A bound on how many calls run at once, with a bounded line for those who wait.
//!
//! An upstream that slows down keeps every caller longer, so that more and more calls are in
//! flight, until the connections, the memory or the tasks of the whole process belong to the one
//! upstream that is ill. A bulkhead gives it a number of places. Who finds none is rejected at once,
//! or waits in a line of bounded length, for a bounded time, by priority and first come, first
//! served.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
//! use seawall_core::{WrapErrorLayer, Reason, Rejectable};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = BulkheadConfig::builder().max_concurrent(1).build()?;
//! let layer = BulkheadLayer::new("orders", config);
//! let mut orders = ServiceBuilder::new()
//!     .layer(&layer)
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|id: u32| async move {
//!         tokio::time::sleep(Duration::from_millis(20)).await;
//!         Ok::<_, std::io::Error>(id)
//!     }));
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
//! # How it works
//!
//! ```text
//!           free, nobody in line                        answered, failed, dropped
//!   call ---------------------------> runs, holds a place -----------------------> place is free
//!     |                                ^                                                |
//!     |  none free                     | readiness first, the place last        calls the first
//!     +--------------> in line --------+ <---------------------------------------- in line
//!     |                   | max_wait, deadline
//!     |  line full        v
//!     +-------------> rejected
//! ```
//!
//! Free places and the state of the line share one atomic word. While nobody waits, a place is
//! taken by one compare-exchange and given back by one addition; the lock of the line is for those
//! who wait, and for commands.
//! A waiting call has a clone of the inner service. When its turn comes, it polls that clone
//! ready, *then* takes the place, and calls in the same poll: no place is held by a call that
//! cannot go. One whose clone is not ready stands aside and keeps its rank, and the next one may
//! go. At the end of its `max_wait`, a call takes a place that is free, whatever its rank,
//! or is rejected.
//!
//! Services made from one layer, its clones and theirs share the places. To give two upstreams
//! places of their own, make two layers. To share the places of one fairly between symbols or
//! tenants, so that none can take all, use a [`PartitionedBulkheadLayer`].
//!
//! # The line
//!
//! A request says by its [`RequestMeta`](seawall_core::RequestMeta) (see [`BulkheadLayer::describe`]) how much it
//! matters and until when its answer is of use.
//!
//! * A higher priority goes first, and within one, the first to come. Waiting makes up for
//!   priority: 64 steps of it are worth the [`priority_aging`](BulkheadConfigBuilder::priority_aging), so nobody
//!   starves.
//! * While more wait than [`lifo_threshold`](BulkheadConfigBuilder::lifo_threshold), the newest goes first:
//!   in a line that is too long for everybody, some are served in time.
//! * Patience is the smaller of the `max_wait` and the deadline. Who has none left is rejected
//!   with [`QueueTimeout`](seawall_core::Reason::QueueTimeout) in the first case and with
//!   [`DeadlineExceeded`](seawall_core::Reason::DeadlineExceeded) in the second; so is, at once, a
//!   call that comes after its deadline, and takes no place even if there is one.
//! * A call whose deadline will pass before its turn is rejected at once. The forecast is its position
//!   times the mean time between two places that were given back while the line stood; until each
//!   place was given back once in that time, there is none, and the call waits. See
//!   [`reject_doomed`](BulkheadConfigBuilder::reject_doomed).
//!
//! # Live
//!
//! A [`BulkheadHandle`] changes the number of places and the other settings while calls run:
//! growing calls those in line, shrinking waits for nobody and stops nobody. It pauses (lets nobody
//! in), drains (rejects who comes, serves who waits, [tells](BulkheadHandle::drained) when it is
//! empty), and makes the layer one that only [watches](BulkheadConfigBuilder::shadow). A
//! [`Scaling`] follows the use of the places between two bounds, and an [`Adaptive`] limit the
//! latency and the drops of the upstream; a [`LimitAlgorithm`] of your own does what you want. These measure
//! every call, at two clock readings each; nothing else does.
//!
//! # Which bulkhead
//!
//! | against | take |
//! |---|---|
//! | one upstream that holds everybody | [`BulkheadLayer`] |
//! | one symbol or tenant that takes all places | [`PartitionedBulkheadLayer`] |
//! | an upstream whose capacity changes | [`BulkheadLayer::adaptive`], [`BulkheadLayer::scaling`] |
//! | callers that must be held back before they have a request | [`BulkheadLayer::reserving`] |
//! | a service that blocks its thread | `isolated`, with the feature of that name |
//! | a provider that bounds connections | [`connections`] |
//!
//! # Two ways to wait
//!
//! [`BulkheadLayer`] lets the *future of a call* wait, with its request in hand: instances hold
//! nothing, requests have a rank, and whoever waits too long is told. For callers that are to be
//! held back *before* they have a request, [`BulkheadLayer::reserving`] makes a layer over the same
//! places that waits and reserves in `poll_ready`, as Tower's does; see [`ReservingBulkheadLayer`]
//! for what that costs.
//!
//! With HTTP, an answer whose body is still to come uses the upstream no less than before. The
//! [`Permit`] goes to the layer's [`TrackCompletion`](seawall_core::TrackCompletion) with the response; the hold of
//! `seawall-http` moves it into the body.
//!
//! # Readiness
//!
//! `poll_ready` asks the inner service and takes no place, so that idle clones hold none.
//! Rejections are errors of `call`'s future, never of `poll_ready`. A call that is rejected or has to
//! wait gives up what its instance had reserved below; the clone of one that waits is polled ready
//! when its turn comes, and again from the start if the place was taken by then.
//!
//! # Cancellation
//!
//! A future that is dropped gives back its place or its place in the line, whether it was polled
//! or not, and counts as abandoned; the next in line is called. A call joins the line at the
//! first poll of its future, and its `max_wait` starts then: a future that nobody polls
//! holds nobody up. One that is polled, then kept and polled no more, keeps its place in the line
//! until it is dropped, and those behind it get a free place only when their own
//! `max_wait` ends: drive it or drop it. A future that has answered holds nothing.
//!
//! # Ordering
//!
//! Inside retry, so that no place is held during a back-off; outside the rate limit, if both have
//! the same scope; outside the attempt timeout, which then measures the call and not the line.
//!
//! A bulkhead inside of a rate limit must not queue: calls that the limit has granted one by one
//! would be saved up in its line, and depart at once, above the rate, when places become free.
//!
//! # Differences from tower's `ConcurrencyLimit`
//!
//! Tower's takes its permit in `poll_ready`: an idle ready clone keeps it, a clone that was shed
//! keeps its place in the line, a permit is kept while the inner service is not ready, and a
//! finished future keeps it until it is dropped. Its line is unbounded and its wait too.
//!
//! # Modules
//!
//! `layer` owns the places, `service` takes one, `future` and `wait` are the steps of a call;
//! `places`, `word`, `line` and `pace` are the pure core, `permit` is what a call holds, `reserve`
//! takes places in `poll_ready`, `partitions` shares them by key, `tune` and `scaling` change their
//! number; `config`, `handle` and `observe` are what their names say.

pub mod connections;
#[cfg(feature = "isolated")]
pub mod isolated;

mod adaptive;
mod config;
mod future;
mod handle;
mod layer;
mod line;
mod observe;
mod pace;
mod partitions;
mod permit;
mod places;
mod reserve;
mod scaling;
mod service;
mod sync;
mod tune;
mod wait;
mod word;

pub use adaptive::{
    Adaptive, AdaptiveBuilder, AdaptiveLimit, Aimd, Algorithm, Gradient, Knee, SampleKind, Vegas,
};
pub use config::{BulkheadConfig, BulkheadConfigBuilder};
pub use future::ResponseFuture;
pub use handle::{BulkheadHandle, BulkheadSnapshot, DrainFuture};
pub use layer::BulkheadLayer;
pub use observe::BulkheadCounts;
pub use partitions::{
    KeyFn, KeySnapshot, PartitionConfig, PartitionConfigBuilder, PartitionHandle, PartitionPermit,
    PartitionShare, PartitionSnapshot, PartitionedBulkhead, PartitionedBulkheadLayer,
    PartitionedFuture,
};
pub use permit::Permit;
pub use reserve::{ReservingBulkhead, ReservingBulkheadLayer};
pub use scaling::{Scaling, ScalingBuilder};
pub use service::Bulkhead;
pub use tune::{CallSample, LimitAlgorithm};

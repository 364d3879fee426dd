//! A bound on how many calls run at once, with a bounded line for those who wait.
//!
//! An upstream that slows down keeps every caller longer, so that more and more calls are in
//! flight, until the connections, the memory or the tasks of the whole process belong to the one
//! upstream that is ill. A bulkhead gives it a fixed number of places. Who finds none is refused
//! at once, or waits in a line of fixed length, for a bounded time, first come, first served.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
//! use seawall_core::{LiftLayer, Reason, Refusable};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = BulkheadConfig::builder().max_concurrent(1).build()?;
//! let layer = BulkheadLayer::new("orders", config);
//! let mut orders = ServiceBuilder::new()
//!     .layer(&layer)
//!     .layer(LiftLayer)
//!     .service(service_fn(|id: u32| async move {
//!         tokio::time::sleep(Duration::from_millis(20)).await;
//!         Ok::<_, std::io::Error>(id)
//!     }));
//!
//! let first = orders.ready().await?.call(1);
//! let refused = orders.ready().await?.call(2).await.unwrap_err();
//! assert_eq!(refused.rejection().map(|r| r.reason()), Some(Reason::BulkheadFull));
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
//!     |                   | acquire_timeout
//!     |  line full        v
//!     +-------------> refused
//! ```
//!
//! Free places and waiters share one atomic word. While nobody waits, a place is taken by one
//! compare-exchange and given back by one addition; the lock of the line is for those who wait.
//! A waiting call has a clone of the inner service. When its turn comes, it polls that clone
//! ready, *then* takes the place, and calls in the same poll: no place is held by a call that
//! cannot go. One whose clone is not ready stands aside and keeps its rank, and the next one may
//! go. At the end of its `acquire_timeout`, a call takes a place that is free, whatever its rank,
//! or is refused.
//!
//! Services made from one layer, its clones and theirs share the places. To give two upstreams
//! places of their own, make two layers.
//!
//! With HTTP, an answer whose body is still to come uses the upstream no less than before. The
//! [`Permit`] goes to the layer's [`Hold`](seawall_core::Hold) with the response; the hold of
//! `seawall-http` moves it into the body.
//!
//! # Readiness
//!
//! `poll_ready` asks the inner service and takes no place, so that idle clones hold none.
//! Refusals are errors of `call`'s future, never of `poll_ready`. A call that is refused or has to
//! wait gives up what its instance had reserved below; the clone of one that waits is polled ready
//! when its turn comes, and again from the start if the place was taken by then.
//!
//! # Cancellation
//!
//! A future that is dropped gives back its place or its place in the line, whether it was polled
//! or not, and counts as abandoned; the next in line is called. A call joins the line at the
//! first poll of its future, and its `acquire_timeout` starts then: a future that nobody polls
//! holds nobody up. One that is polled, then kept and polled no more, keeps its place in the line
//! until it is dropped, and those behind it get a free place only when their own
//! `acquire_timeout` ends: drive it or drop it. A future that has answered holds nothing.
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
//! `layer` owns the places, `service` takes one, `future` waits and gives back; `places` is the
//! pure core, `permit` what a call holds, `config`, `handle` and `observe` what their names say.

mod config;
mod future;
mod handle;
mod layer;
mod observe;
mod permit;
mod places;
mod service;
mod sync;

pub use config::{BulkheadConfig, BulkheadConfigBuilder};
pub use future::ResponseFuture;
pub use handle::BulkheadHandle;
pub use layer::BulkheadLayer;
pub use observe::BulkheadCounts;
pub use permit::Permit;
pub use service::Bulkhead;

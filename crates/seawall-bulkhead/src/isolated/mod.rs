//! A bound on what a dependency takes of the machine: threads of its own.
//!
//! A limit of calls does not help against an upstream's client that blocks its thread or burns
//! it: a handful of such calls stops every other task of the runtime, timeouts included. Here the
//! calls run on a small pool of threads of their own, a bounded number at once. When the pool is
//! stuck, its callers are rejected or give up, and all others go on.
//!
//! * [`IsolatedLayer`] polls the calls of a `Service` on threads of its own.
//! * [`BlockingLayer`] makes a service of a blocking closure, on a bounded set of threads.
//!
//! # Example
//!
//! ```
//! use seawall_bulkhead::isolated::{IsolatedConfig, IsolatedLayer};
//! use seawall_bulkhead::{Reason, Rejectable, WrapErrorLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = IsolatedConfig::builder().threads(2).max_concurrent(10).build()?;
//! let layer = IsolatedLayer::new("pricing", config)?;
//! let mut pricing = ServiceBuilder::new()
//!     .layer(&layer)
//!     .layer(WrapErrorLayer)
//!     .service(service_fn(|trades: u64| async move {
//!         assert!(trades > 0, "nothing to price");
//!         // Long, and without an await.
//!         Ok::<_, std::io::Error>((1..=trades).fold(0_u64, |sum, n| sum ^ n.pow(3)))
//!     }));
//!
//! assert_eq!(pricing.ready().await?.call(2).await?, 9);
//! // A panic reaches the one caller whose call it was, as a rejection.
//! let panicked = pricing.ready().await?.call(0).await.unwrap_err();
//! assert_eq!(panicked.rejection().map(|r| r.reason()), Some(Reason::Panicked));
//! assert_eq!(layer.handle().counts().success, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! A call acquires a permit at `call`, or joins the queue at the first poll of its future, first in,
//! first out. With a permit, its first poll starts one task on the pool, which owns a clone of the
//! service, the request and the permit. A task per call cannot be avoided, and nor can its two
//! allocations: this is for work beside which ten microseconds are nothing.
//!
//! The task releases the permit when it has dropped the service and its future, and then the
//! caller is woken with the result. A panic, which the process' panic hook reports as usual, ends
//! the one task: its caller is rejected with [`Reason::Panicked`](seawall_core::Reason::Panicked),
//! with [`Sent::Maybe`](seawall_core::Sent::Maybe) unless the service panicked before it was
//! called. The pool goes on.
//!
//! The pool has a clock, timers and I/O of its own. What was made on another runtime, such as an
//! open socket, still depends on that one. With the feature `tracing` the work runs in the span of
//! its caller.
//!
//! # What isolates
//!
//! No call runs on the thread that drives the pool's timers and sockets: it is one more than
//! `threads`, and belongs to a small Tokio runtime. A call that can go on, since its timer has
//! fired, its socket is ready or another call has woken it, is polled by whichever thread is free,
//! in the order in which calls could go on. So while calls block or burn all threads but one, the
//! rest goes on with that one; while they block all of them, calls wait until the first thread is
//! free. No poll is tied to a thread that is blocked.
//!
//! For a call, that runtime is the current one. What an inner service spawns with `tokio::spawn`
//! runs on the driver's thread, and goes on while all others are blocked: a client's connection
//! tasks, for example. Such a task must not block itself, or it stalls the pool; let it block within
//! [`spawn_blocking`](tokio::task::spawn_blocking) or
//! [`block_in_place`](tokio::task::block_in_place). What is spawned ends with the pool.
//!
//! # Readiness
//!
//! `poll_ready` is always ready: the inner service is asked on the pool, the very clone that is
//! called, with the permit acquired already. A service that is not ready holds a permit meanwhile,
//! so what it waits for should be short. Rejections are errors of `call`'s future.
//!
//! # Cancellation
//!
//! Work begins at the first poll of its future. A future that is dropped before releases its
//! permit at once, and nothing has run. One that is dropped later aborts the work: the inner future
//! is dropped at its next await, by a thread of the pool. Work that does not await cannot be
//! stopped. It runs to its end, its result is dropped, and until then its permit stays held: there
//! is never more at work than the bound allows.
//!
//! With closures, those that have not begun never begin, and those that have run to their end.
//!
//! When the last layer, service and unfinished future are gone, the threads end in the background.
//! Nothing waits for them: it is safe in async code, and work that does not end keeps its thread
//! until it does. A handle does not keep the threads.
//!
//! # Ordering
//!
//! Innermost, around the client that blocks; timeouts and breakers outside of it keep working when
//! the pool is stuck. An attempt timeout around it measures the wait for a permit too: give
//! `max_wait` less.

mod blocking;
mod config;
mod executor;
mod layer;
mod service;
mod span;
mod task;
mod threads;

pub use blocking::{Blocking, BlockingFuture, BlockingLayer};
pub use config::{BlockingConfig, BlockingConfigBuilder, IsolatedConfig, IsolatedConfigBuilder};
pub use layer::IsolatedLayer;
pub use service::{Isolated, IsolatedFuture};

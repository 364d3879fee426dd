//! A bound on how many connections are open, for connectors.
//!
//! A limit of calls does not bound connections: a pool opens one for each call that finds none
//! idle, keeps them after the calls have ended, and opens more when an upstream is slow, up to
//! the file handles of the process or to what the provider allows per account. Here a connect
//! acquires a permit before it begins, and the connection holds it until that is closed.
//!
//! # Example
//!
//! ```
//! use seawall_bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
//! use seawall_bulkhead::{Reason, Rejectable, WrapErrorLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ConnectionLimitConfig::builder().max_connections(1).max_waiting(0).build()?;
//! let layer = ConnectionLimitLayer::new("broker", config);
//! let mut connector = ServiceBuilder::new()
//!     .layer(&layer)
//!     .layer(WrapErrorLayer)
//!     // Anything that makes connections: a TCP connector, a `MakeService`.
//!     .service(service_fn(|_host: &str| async { Ok::<_, std::io::Error>(tokio::io::empty()) }));
//!
//! let connection = connector.ready().await?.call("broker.example").await?;
//! let rejected = connector.ready().await?.call("broker.example").await.unwrap_err();
//! assert_eq!(rejected.rejection().map(|r| r.reason()), Some(Reason::BulkheadFull));
//!
//! drop(connection);
//! assert_eq!(layer.handle().in_flight(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! The connector of hyper-util's pooling client is limited the same way, with `LimitConnections` of
//! `seawall-http` around the layer.
//!
//! # How it works
//!
//! A connect acquires a permit at `call`, or joins the queue at the first poll of its future: first
//! in, first out, among those whose key has room. When its turn has come, it polls its own clone of
//! the connector ready, acquires the permit and connects in the same poll. The response is the
//! connection in a [`Limited`], which holds the permit until the last clone of it is dropped. A
//! connect that fails or is dropped releases its permit.
//!
//! A pool's idle connections hold permits too. Where one pool serves several hosts, bound them per
//! key as well, and let the pool close idle connections before `max_wait` ends, or the idle
//! ones of one host keep the others out. A pooling client that finds no idle connection waits both
//! for one and for a new one (see below for what hyper-util's leaves behind); reject at once (`max_waiting(0)`) only where an error is better
//! than waiting for another call's connection.
//!
//! One short lock decides; a connection allocates once for its permit. Keys are remembered while
//! they have connections or waiters.
//!
//! # Readiness
//!
//! `poll_ready` asks the connector and acquires no permit, so that idle clones hold none.
//! Rejections are errors of `call`'s future.
//!
//! # Cancellation
//!
//! A future that is dropped leaves the queue or drops its connect, releases its permit, and counts
//! as abandoned.
//!
//! hyper-util's pooling client does not drop a connect that has begun when an idle connection serves
//! its request: it spawns it as a task, also while it is still queued here. Nobody waits for that
//! connect any more. Give the client the `BackgroundExecutor` of `seawall-http`: in it such a connect
//! leaves the queue at once, and counts as abandoned, while one that is under way goes on for the
//! pool. In another executor it stays queued until it gets a permit or its `max_wait` ends. With
//! more calls at once than connections each call leaves one behind then, so that in steady load the
//! queue fills with them, however quickly connections become idle; **when `max_waiting` is reached,
//! calls fail at once with [`BulkheadFull`](crate::Reason::BulkheadFull)**. Where the executor cannot be
//! chosen, bound the calls by a bulkhead around the client of at most `max_connections` permits.
//!
//! Bound the idle connections with the client's own `pool_max_idle_per_host` and `pool_idle_timeout`,
//! so that several hosts together stay below the limit.
//!
//! # Ordering
//!
//! Around what makes the transport, inside of TLS or around it: around it, a permit is held through
//! the handshake too, which is what a provider's limit counts. Outside of a connect timeout, which
//! then measures the connect and not the wait. A layer that wraps the connection afterwards must
//! keep the [`Limited`] in it.

mod config;
mod future;
mod layer;
mod limited;
mod service;

pub use config::{ConnectionLimitConfig, ConnectionLimitConfigBuilder};
pub use future::ConnectFuture;
pub use layer::ConnectionLimitLayer;
pub use limited::Limited;
pub use service::ConnectionLimit;

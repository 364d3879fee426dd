//! Named health checks with thresholds, and a layer that observes the calls that pass.
//!
//! One failed ping does not make a broker unhealthy, and a ping that succeeds proves nothing when
//! every tenth order fails. So health needs two eyes: *checks*, run at an interval or on demand,
//! that count results in a row before they change their mind; and *observation* of the calls that
//! are made anyway, which costs no request and sees what users see. A [`HealthMonitor`] has both
//! and says how well the whole is.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use seawall_health::{CheckConfig, Depth, HealthConfig, HealthLayer, HealthMonitor, Status};
//! use tower::{Layer, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower::BoxError> {
//! // Passive: around the client of the broker.
//! let layer = HealthLayer::new("orders", HealthConfig::default());
//! let client = layer.layer(service_fn(|_: ()| async { Ok::<_, tower::BoxError>(()) }));
//!
//! // Active: a shallow check, and a deep one that only degrades the whole.
//! let monitor = HealthMonitor::new("desk");
//! monitor.register_layer(layer.handle(), CheckConfig::default())?;
//! monitor.register("broker", CheckConfig::default(), || async { true })?;
//! let deep = CheckConfig::builder()
//!     .depth(Depth::Deep)
//!     .interval(Duration::from_secs(300))
//!     .critical(false)
//!     .build()?;
//! monitor.register("archive", deep, || async { Err::<(), _>("disk full") })?;
//!
//! assert_eq!(monitor.run(Depth::Shallow).await.status, Status::Healthy);
//! for _ in 0..3 {
//!     monitor.run(Depth::Deep).await;
//! }
//! let report = monitor.report();
//! assert_eq!(report.status, Status::Degraded);
//! assert_eq!(report.check("archive").unwrap().message.as_deref(), Some("disk full"));
//!
//! let monitoring = monitor.start(); // one task per check, until it is dropped
//! # drop((monitoring, client)); Ok(()) }
//! ```
//!
//! # How it works
//!
//! A check goes from unknown to healthy with its first success, to unhealthy with a number of
//! failures in a row (3), and back with a number of successes in a row (2). A success that took
//! too long (5 s) makes it degraded. The whole is as bad as the worst of its critical checks;
//! the others can only degrade it, and a passive one that has seen no calls yet says nothing. See
//! [`aggregate`].
//!
//! A run may also find nothing to go by, as a watched layer does that has seen too few calls: it
//! is recorded and changes nothing. A silence after an outage is no recovery.
//!
//! The layer counts calls, failures and slow calls into a window of ten buckets, on a stripe of
//! the running thread: one compare-exchange per successful call, no lock, no allocation. By the
//! classifier's word, local rejections, throttles and bad requests are not counted, nor are calls
//! that were dropped.
//!
//! # Readiness
//!
//! The inner service's. The layer reserves nothing and rejects nothing.
//!
//! # Cancellation
//!
//! A dropped call counts as abandoned and not as a failure. A dropped [`HealthMonitor::run`]
//! records what has ended. A dropped [`MonitorGuard`] stops its checks, in the middle of a run too.
//! A run that is under way when its check is reset or removed is not recorded. A check that
//! panics, in its future or when that is dropped, has failed and goes on being run.
//!
//! # Ordering
//!
//! Right outside of the attempt timeout, beside the breaker: inside retry, so that each attempt
//! counts, and inside limits, so that waiting for a permit is not taken for slowness of the
//! upstream.
//!
//! # Tasks
//!
//! [`HealthMonitor::start`] spawns one tokio task per check; nothing else here spawns.
//!
//! # Features
//!
//! * `tracing`: changes of status at `debug`.
//! * `metrics`: the registry publishes the counters through the `metrics` facade.

mod check;
mod config;
mod finding;
mod future;
mod handle;
mod layer;
mod monitor;
mod observe;
mod report;
mod service;
mod sync;
mod threshold;
mod ticket;
mod window;

pub use config::{CheckConfig, CheckConfigBuilder, Depth, HealthConfig, HealthConfigBuilder};
pub use finding::CheckResult;
pub use future::ResponseFuture;
pub use handle::{HealthHandle, PassiveStats};
pub use layer::HealthLayer;
pub use monitor::{HealthMonitor, MonitorGuard};
pub use report::{CheckReport, HealthReport};
pub use service::Health;
pub use threshold::{Status, aggregate};
pub use ticket::Observation;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;

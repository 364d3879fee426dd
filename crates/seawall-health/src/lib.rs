//! Health checks, recovery and a score, and a Tower layer that observes the calls that pass.
//!
//! One failed ping does not make a broker unhealthy, and a ping that succeeds proves nothing when
//! every tenth order fails. So health needs two sources: *checks*, run at an interval or on demand,
//! which change their status after several results in a row; and *observation* of the calls that
//! are made anyway, which costs no request and sees what users see. A [`HealthMonitor`] has both
//! and their aggregate status, to be shown at `/health` or acted on: a [`Recovery`] brings back what is
//! down, and a [`HealthScore`] sums it up in one number with what to do.
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
//! // Active: a shallow check, and a deep one that only degrades the aggregate status.
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
//! let guard = monitor.start(); // one task per check, until it is dropped
//! # drop((guard, client)); Ok(()) }
//! ```
//!
//! # How it works
//!
//! A check is healthy with its first success, unhealthy after a number of failures in a row (3),
//! and healthy again after a number of successes in a row (2). A success that took too long (5 s)
//! is degraded. The aggregate status is that of the worst critical check; the others can only
//! degrade it. See [`aggregate`].
//!
//! The layer counts calls, failures and slow calls in a sliding window: one compare-exchange per
//! successful call, no lock, no allocation. The policy's classifier classifies the results; local
//! rejections, throttles and bad requests are not counted.
//!
//! # Read on
//!
//! * [`docs::checks`]: results, silence after an outage, tasks, settings that change
//! * [`docs::recovery`]: what is done about an unhealthy upstream
//! * [`docs::score`]: one number, its parts, and what to do
//! * [`docs::observation`]: readiness, cancellation, and where in a stack the layer stands

/// Longer matters, one page each.
pub mod docs {
    #[doc = include_str!("../docs/checks.md")]
    pub mod checks {}

    #[doc = include_str!("../docs/observation.md")]
    pub mod observation {}

    #[doc = include_str!("../docs/recovery.md")]
    pub mod recovery {}

    #[doc = include_str!("../docs/score.md")]
    pub mod score {}
}

#[cfg(feature = "serde")]
mod ago;
pub mod builtin;
mod check;
mod check_config;
mod checks;
mod config;
#[cfg(feature = "connect")]
mod connect;
mod counts;
mod future;
mod graph;
mod handle;
mod history;
mod layer;
mod monitor;
mod observation;
mod periods;
mod recovery;
mod report;
mod result;
mod run;
mod schedule;
mod score;
mod service;
mod snapshot;
mod state;
mod status;
mod sync;
mod synthetic;
#[cfg(feature = "system")]
mod system;
mod threshold;
mod window;

pub use check_config::{CheckConfig, CheckConfigBuilder, Depth};
pub use config::{HealthConfig, HealthConfigBuilder};
#[cfg(feature = "connect")]
pub use connect::Connectivity;
pub use counts::{CheckCounts, HealthCounts};
pub use future::ResponseFuture;
pub use handle::HealthHandle;
pub use history::{CheckTrend, Trend};
pub use layer::HealthLayer;
pub use monitor::HealthMonitor;
pub use observation::Observation;
pub use recovery::{
    Recovery, RecoveryConfig, RecoveryConfigBuilder, RecoveryReport, RecoveryState,
};
pub use report::{CheckReport, ComprehensiveReport, HealthReport};
pub use result::CheckResult;
pub use schedule::MonitorGuard;
pub use score::{
    HealthScore, Part, PartScore, Recommendation, ScoreConfig, ScoreConfigBuilder, ScoreReport,
    ServiceFigures, ServiceScore, TradingFigures,
};
pub use seawall_core::{
    AlreadyRegistered, Backoff, Classify, Command, Complete, ConstMeta, Error, ErrorIsFailure,
    Events, FailureKind, InstanceHandle, InstanceName, InvalidConfig, LayerExt, Outcome, Policies,
    Policy, Ratio, Reason, Registry, Rejectable, Rejection, Replay, RequestMeta, TrackCompletion,
    WrapError, WrapErrorLayer, assert_service, rejectable,
};
pub use service::Health;
pub use snapshot::{HealthSnapshot, PassiveStats};
pub use status::{Status, aggregate};
pub use synthetic::Synthetic;
#[cfg(feature = "system")]
pub use system::{DiskUsage, SystemProbe, SystemReport, Usage};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

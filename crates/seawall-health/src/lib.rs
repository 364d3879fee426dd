//! Named health checks with thresholds, and a layer that observes the calls that pass.
mod check;
mod check_config;
mod checks;
mod config;
mod counts;
mod future;
mod handle;
mod layer;
mod monitor;
mod observation;
mod periods;
mod report;
mod result;
mod run;
mod schedule;
mod service;
mod snapshot;
mod state;
mod status;
mod sync;
mod threshold;
mod window;

pub use check_config::{CheckConfig, CheckConfigBuilder, Depth};
pub use config::{HealthConfig, HealthConfigBuilder};
pub use counts::{CheckCounts, HealthCounts};
pub use future::ResponseFuture;
pub use handle::HealthHandle;
pub use layer::HealthLayer;
pub use monitor::HealthMonitor;
pub use observation::Observation;
pub use report::{CheckReport, HealthReport};
pub use result::CheckResult;
pub use schedule::MonitorGuard;
pub use seawall_core::{
    AlreadyRegistered, Classify, Command, Complete, Error, ErrorIsFailure, Events, InstanceHandle,
    InstanceName, InvalidConfig, Outcome, Policies, Policy, Ratio, Registry, Rejectable,
    TrackCompletion, WrapError, WrapErrorLayer,
};
pub use service::Health;
pub use snapshot::{HealthSnapshot, PassiveStats};
pub use status::{Status, aggregate};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

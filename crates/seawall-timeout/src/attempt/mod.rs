//! A limit on how long one attempt may take.

mod config;
mod counts;
mod future;
mod handle;
mod layer;
mod learned_config;
mod learner;
mod measurement;
mod mode;
mod per_request;
mod service;
mod snapshot;
mod state;

pub use config::{AttemptTimeoutConfig, Fixed, Learned};
#[cfg(test)]
pub(crate) use counts::AttemptTimeoutCounters;
pub use counts::AttemptTimeoutCounts;
pub use future::AttemptTimeoutFuture;
pub use handle::AttemptTimeoutHandle;
pub use layer::AttemptTimeoutLayer;
pub use learned_config::{LearnedConfig, LearnedConfigBuilder};
pub use per_request::{NoOverride, PerRequestTimeout};
pub use service::AttemptTimeout;
pub use snapshot::{AttemptTimeoutSnapshot, AttemptTimeoutState};

//! lib
pub mod connections;
#[cfg(feature = "isolated")]
pub mod isolated;
pub mod partitions;
pub mod scaling;

mod call;
mod config;
mod counts;
mod future;
mod handle;
mod layer;
mod limit_algorithm;
mod mode;
mod permit;
mod pool;
mod reserving;
mod semaphore;
mod service;
mod snapshot;
mod state;
mod waiter;

pub use config::{BulkheadConfig, BulkheadConfigBuilder};
pub use counts::BulkheadCounts;
pub use future::ResponseFuture;
pub use handle::{BulkheadHandle, DrainFuture};
pub use layer::BulkheadLayer;
pub use limit_algorithm::{CallSample, LimitAlgorithm};
pub use permit::Permit;
pub use reserving::{ReservingBulkhead, ReservingBulkheadLayer};
pub use seawall_core::{
    Classify, Complete, CompleteOnResponse, Describe, Error, FailureKind, InvalidConfig, Outcome,
    PartitionKey, Policies, Policy, Priority, Reason, Rejectable, Rejection, Replay, RequestMeta,
    TrackCompletion, WrapErrorLayer,
};
pub use service::Bulkhead;
pub use snapshot::{BulkheadSnapshot, BulkheadState};

//! One pool of places, shared fairly by those who use it.
//!
//! `config` has the shares, `pool` decides who gets a place (the pure core), `permit` is what a call
//! holds and what waits, `layer`, `service` and `handle` are what their names say.

mod config;
mod handle;
mod layer;
mod permit;
mod pool;
mod service;

pub use config::{PartitionConfig, PartitionConfigBuilder, PartitionShare};
pub use handle::{KeySnapshot, PartitionHandle, PartitionSnapshot};
pub use layer::{KeyFn, PartitionedBulkheadLayer};
pub use permit::PartitionPermit;
pub use service::{PartitionedBulkhead, PartitionedFuture};

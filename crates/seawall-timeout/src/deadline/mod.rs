//! One limit on a whole call: the wait for readiness, and everything below.

mod carried;
mod config;
mod counts;
mod future;
mod handle;
mod layer;
mod propagate;
mod service;
mod snapshot;
mod state;
mod wait;

pub use config::DeadlineConfig;
pub use counts::DeadlineCounts;
pub use future::DeadlineFuture;
pub use handle::DeadlineHandle;
pub use layer::DeadlineLayer;
pub use propagate::{NoPropagation, PropagateDeadline};
pub use service::Deadline;
pub use snapshot::{DeadlineSnapshot, DeadlineState};

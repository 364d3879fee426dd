//! One limit on a whole call: the wait for readiness, and everything below.

mod future;
mod handle;
mod layer;
mod service;
mod stamp;
mod wait;

pub use future::ResponseFuture;
pub use handle::DeadlineHandle;
pub use layer::DeadlineLayer;
pub use service::Deadline;
pub use stamp::{NoPropagation, PropagateDeadline, Stamped};

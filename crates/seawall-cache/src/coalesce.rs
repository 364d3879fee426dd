//! Callers of one key share one call.

mod errors;
mod future;
mod handle;
mod layer;
mod service;
mod share;
mod state;

pub use errors::{CloneError, CopyError, NoErrorCopies};
pub use future::CoalesceFuture;
pub use handle::{CoalesceHandle, CoalesceSnapshot, CoalesceState};
pub use layer::CoalesceLayer;
pub use service::Coalesce;

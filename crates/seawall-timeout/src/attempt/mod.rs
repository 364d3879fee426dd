//! A limit on how long one attempt may take.

mod future;
mod handle;
mod layer;
mod service;

pub use future::ResponseFuture;
pub use handle::AttemptTimeoutHandle;
pub use layer::AttemptTimeoutLayer;
pub use service::AttemptTimeout;

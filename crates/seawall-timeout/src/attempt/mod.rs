//! A limit on how long one attempt may take.

mod config;
mod future;
mod handle;
mod layer;
pub(crate) mod learner;
mod mode;
mod own;
mod service;

pub use config::{LearnedConfig, LearnedConfigBuilder};
pub use future::ResponseFuture;
pub use handle::AttemptTimeoutHandle;
pub use layer::AttemptTimeoutLayer;
pub use mode::{Fixed, Learned, Learning, Lesson, Mode};
pub use own::{NoOverride, RequestTimeout};
pub use service::AttemptTimeout;

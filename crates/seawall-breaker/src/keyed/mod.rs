//! One circuit per key.

mod circuit;
mod evict;
mod key;
mod layer;
mod map;
mod registry;
mod service;
mod state;
mod wait;

pub use circuit::Keyed;
pub use key::ExtractKey;
pub use layer::KeyedBreakerLayer;
pub use registry::{BreakerRegistry, BreakerRegistrySnapshot};
pub use service::KeyedBreaker;
pub use wait::KeyedWait;

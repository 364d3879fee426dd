//! A rate limit of its own for each key: endpoint, account, symbol, caller.

pub(crate) mod all_keys;
mod config;
mod configure;
mod handle;
pub(crate) mod keys;
mod layer;
mod service;
mod snapshot;
mod table;
mod usage;

pub use config::{KeyedRateLimitConfig, KeyedRateLimitConfigBuilder};
pub use handle::KeyedRateLimitHandle;
pub use layer::KeyedRateLimitLayer;
pub use service::KeyedRateLimit;
pub use snapshot::KeyedRateLimitSnapshot;

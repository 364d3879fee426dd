//! Permits that are shared fairly between symbols, tenants or other keys.
//!
//! In a plain [bulkhead](crate::BulkheadLayer), whichever caller calls most has most of the permits
//! and of the queue: one symbol that is all over the news, or one tenant with a runaway job, is
//! served, and all others wait behind it. Here, each key
//! ([`RequestMeta::key`](crate::RequestMeta)) has a [`PartitionShare`]: permits that it is
//! guaranteed, a bound, and a weight; and it has a queue of its own.
//!
//! What no key is guaranteed is lent. When a permit becomes available, a key that has less than it
//! is guaranteed comes first, then the key that has borrowed least for its weight, that is (permits
//! it has - guaranteed) / weight; within a key, the first in is the first out. A key that comes
//! alone has all permits but those that are kept for guarantees; when others come, it keeps what
//! it has until those calls end, and gets no more.
//!
//! Keys need not be known before; a key without calls takes no memory. A permit is acquired and
//! released under one short lock, without allocating where the key is known or as many were known
//! before. Readiness, cancellation and order of layers are those of the [bulkhead](crate).
//!
//! ```
//! use seawall_bulkhead::PartitionKey;
//! use seawall_bulkhead::partitions::{PartitionConfig, PartitionShare, PartitionedBulkheadLayer};
//!
//! let config = PartitionConfig::builder()
//!     .max_concurrent(40)
//!     .default_share(PartitionShare::new().max_waiting(20))
//!     .share(PartitionKey::of("closing"), PartitionShare::new().guaranteed(5).weight(4))
//!     .build()?;
//! let layer = PartitionedBulkheadLayer::new("orders", config)
//!     .key_by(|order: &(&str, u32)| PartitionKey::of(order.0));
//! assert_eq!(layer.handle().snapshot().limit, 40);
//! # Ok::<(), seawall_bulkhead::InvalidConfig>(())
//! ```

mod config;
mod control;
mod debt;
mod future;
mod handle;
mod hash;
mod layer;
mod partition;
mod permit;
mod permits;
mod queued;
mod service;
mod state;

pub use config::{PartitionConfig, PartitionConfigBuilder, PartitionShare};
pub use future::PartitionedFuture;
pub use handle::{KeySnapshot, PartitionHandle, PartitionSnapshot};
pub use layer::{KeyFn, PartitionedBulkheadLayer};
pub use permit::PartitionPermit;
pub use service::PartitionedBulkhead;

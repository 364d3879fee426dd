//! A limit that follows how many of its permits are held.
//!
//! What is measured is what calls find when they end: the mean over a window of time of the
//! permits that were held, each with the time since the end before it, as a share of the limit. At
//! `up_at` of it or more, the limit grows by a `step`; at `down_at` or less it shrinks by a step,
//! unless that would have filled the rest up to `up_at`. Between the two nothing changes, so that a
//! steady load has a steady limit.
//!
//! It knows nothing about latency: for an upstream that gets slower under load, it grows the load;
//! `seawall-adaptive` is for that. Use it to keep no more tasks and connections at hand than
//! needed. Windows are looked at when a call ends: there is no task behind it, and while no call
//! ends, nothing changes.
//!
//! ```
//! use std::time::Duration;
//! use seawall_bulkhead::BulkheadConfig;
//! use seawall_bulkhead::scaling::{ScalingBulkheadLayer, ScalingConfig};
//!
//! let config = ScalingConfig::builder().min(10).max(40).step(5).window(Duration::from_secs(10)).build()?;
//! // It starts with the 50 of the bulkhead's configuration, as far as the bounds allow.
//! let layer = ScalingBulkheadLayer::new("orders", BulkheadConfig::default(), config);
//! assert_eq!(layer.handle().bulkhead().limit(), 40);
//!
//! layer.handle().configure(ScalingConfig::builder().min(10).max(20).build()?)?;
//! assert_eq!(layer.handle().bulkhead().limit(), 20);
//! # Ok::<(), seawall_bulkhead::InvalidConfig>(())
//! ```

mod algorithm;
mod config;
mod handle;
mod layer;

pub use config::{ScalingConfig, ScalingConfigBuilder};
pub use handle::{ScalingHandle, ScalingSnapshot};
pub use layer::ScalingBulkheadLayer;

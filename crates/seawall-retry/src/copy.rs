//! How a request is copied for another attempt: the core's copiers, which the hedge takes too.

pub use seawall_core::{CloneRequest, CopyRequest};

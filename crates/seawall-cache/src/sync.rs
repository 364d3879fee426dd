//! The lock and the reference count of calls: std's, or loom's where its model checker runs.

#[cfg(seawall_loom)]
pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
#[cfg(not(seawall_loom))]
pub(crate) use std::sync::{Arc, Mutex, MutexGuard};

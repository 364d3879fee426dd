//! The lock of calls: std's, or loom's where its model checker runs.

#[cfg(seawall_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(seawall_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

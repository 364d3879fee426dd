//! Atomics: the standard library's, or loom's where the window is model-checked.

#[cfg(not(seawall_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(seawall_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

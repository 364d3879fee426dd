//! Atomics and locks: the standard library's, or loom's where the window is model-checked.

#[cfg(not(seawall_loom))]
pub(crate) use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering, fence},
};

#[cfg(seawall_loom)]
pub(crate) use loom::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering, fence},
};

//! The lock and the atomics. The model checker's tests have a module of this name with its own.

pub(super) use std::hint::spin_loop;
pub(super) use std::sync::Mutex;
pub(super) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

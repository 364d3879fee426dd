//! The atomics. The model checker's tests have a module of this name with its own.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};

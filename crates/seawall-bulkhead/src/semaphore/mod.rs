//! The permits of a bulkhead and the queue in front of them, without clock and executor.
//!
//! What a call needs to know while nothing is queued is in one [word](packed). While one of its
//! flags closes the fast path, a permit is acquired under the lock of the queue only, so that no
//! call passes a waiter.
//!
//! No wake-up is lost: the flag `QUEUED` is set before the queue looks for a permit for a waiter,
//! and shares one word with the available permits. A release either sees it there and [hands](handed)
//! the permit to the waiter, or came before it was set, and then the queue sees the permit.

mod control;
mod handed;
mod hold_time;
pub(crate) mod idle;
pub(crate) mod packed;
mod permits;
mod priority_counts;
pub(crate) mod queue;
mod sync;
mod waiting;

#[allow(
    unused_imports,
    reason = "the loom model uses less of it than the layer"
)]
pub(crate) use control::Usage;
pub(crate) use permits::{Admission, Semaphore};

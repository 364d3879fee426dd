//! The packed state of a semaphore: `available:56 | flags:8`.
//!
//! `available` may be changed by any thread, and is below zero while more permits are held than
//! there are (the limit was lowered, or shadow mode is on). Flags are changed only under the lock
//! of the queue.

/// An active waiter is queued. Skipped, lapsed and expired ones hold nothing up.
pub(crate) const QUEUED: u64 = 1;
/// No call may join the queue.
pub(crate) const QUEUE_FULL: u64 = 1 << 1;
/// No permit is handed out, new calls are rejected.
pub(crate) const PAUSED: u64 = 1 << 2;
/// New calls are rejected.
pub(crate) const DRAINING: u64 = 1 << 3;
/// Every call gets a permit, unless it is paused or drained.
pub(crate) const SHADOW: u64 = 1 << 4;
/// Somebody waits for all permits to be available.
pub(crate) const IDLE_AWAITED: u64 = 1 << 5;
/// Waiters are queued that count, active or not.
pub(crate) const HELD: u64 = 1 << 6;
/// An operator lets every call pass, whatever the settings are.
pub(crate) const BYPASS: u64 = 1 << 7;
/// What closes the fast path of acquiring.
pub(crate) const SLOW_ACQUIRE: u64 = QUEUED | PAUSED | DRAINING | SHADOW | BYPASS | IDLE_AWAITED;
/// What makes a release more than an addition.
pub(crate) const SLOW_RELEASE: u64 = QUEUED | IDLE_AWAITED;

const AVAILABLE_BIT: u32 = 8;
pub(crate) const ONE_PERMIT: u64 = 1 << AVAILABLE_BIT;

pub(crate) const fn available(word: u64) -> i64 {
    word as i64 >> AVAILABLE_BIT
}

/// A number of permits as an addition to the word. Carries out of the top are those of negative
/// numbers.
pub(crate) const fn permits(by: i64) -> u64 {
    (by << AVAILABLE_BIT) as u64
}

/// Whether a waiter may have a permit. An operator's pause holds in shadow mode, too.
pub(crate) const fn grants(word: u64) -> bool {
    let granted = available(word) > 0 || word & (SHADOW | BYPASS) != 0;
    granted && word & PAUSED == 0
}

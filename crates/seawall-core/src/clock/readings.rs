//! How often clocks are read.

use std::cell::Cell;

thread_local! {
    static READINGS: Cell<u64> = const { Cell::new(0) };
}

/// How many times this thread has read any [`Clock`](super::Clock), for tests of what a call costs.
pub fn readings() -> u64 {
    READINGS.get()
}

pub(super) fn count() {
    READINGS.set(READINGS.get().wrapping_add(1));
}

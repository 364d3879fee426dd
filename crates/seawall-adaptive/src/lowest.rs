//! The lowest recent latency, and how far a baseline may rise above it.

use std::time::Duration;

/// Remembers the lowest latency of the last `memory` to twice that. One window is one latency, so
/// that a single lucky response does not count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lowest {
    drift: f64,
    memory: Duration,
    age: Duration,
    now: f64,
    before: f64,
}

impl Lowest {
    pub(crate) const fn new(drift: f64, memory: Duration) -> Self {
        Self {
            drift,
            memory,
            age: Duration::ZERO,
            now: f64::INFINITY,
            before: f64::INFINITY,
        }
    }

    /// Takes the latency of a window that was open for `length`.
    pub(crate) fn observe(&mut self, latency: f64, length: Duration) {
        self.age = self.age.saturating_add(length);
        if self.age >= self.memory {
            self.age = Duration::ZERO;
            self.before = self.now;
            self.now = f64::INFINITY;
        }
        self.now = self.now.min(latency);
    }

    /// The highest baseline that is believed.
    pub(crate) fn ceiling(&self) -> f64 {
        self.now.min(self.before) * self.drift
    }
}

//! How many waiters of each priority are queued.

use seawall_core::Priority;

/// In groups of 16, since a forecast counts the waiters that go before.
#[derive(Debug)]
pub(crate) struct PriorityCounts {
    groups: [u32; 16],
    each: [[u32; 16]; 16],
}

const fn index(priority: Priority) -> (usize, usize) {
    (priority.0 as usize / 16, priority.0 as usize % 16)
}

impl PriorityCounts {
    pub(crate) const fn new() -> Self {
        Self {
            groups: [0; 16],
            each: [[0; 16]; 16],
        }
    }

    pub(crate) const fn add(&mut self, priority: Priority) {
        let (group, at) = index(priority);
        self.groups[group] += 1;
        self.each[group][at] += 1;
    }

    pub(crate) const fn remove(&mut self, priority: Priority) {
        let (group, at) = index(priority);
        self.groups[group] -= 1;
        self.each[group][at] -= 1;
    }

    /// How many are of this priority or a higher one.
    pub(crate) fn at_least(&self, priority: Priority) -> u32 {
        let (group, at) = index(priority);
        let higher = self.groups[group + 1..].iter().sum::<u32>();
        higher + self.each[group][at..].iter().sum::<u32>()
    }
}

//! How many waiters of each priority are queued.

use seawall_core::Priority;

/// Most are of the normal priority, which is counted apart. The others are counted in groups of 16, since
/// a forecast counts the waiters that go before.
#[derive(Debug)]
pub(crate) struct PriorityCounts {
    of_normal: u32,
    /// Of all other priorities; `None` before there was one.
    others: Option<Box<Others>>,
}

#[derive(Debug, Default)]
struct Others {
    groups: [u32; 16],
    each: [[u32; 16]; 16],
}

const fn index(priority: Priority) -> (usize, usize) {
    (priority.0 as usize / 16, priority.0 as usize % 16)
}

impl PriorityCounts {
    pub(crate) const fn new() -> Self {
        Self {
            of_normal: 0,
            others: None,
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, priority: Priority) {
        if priority != Priority::NORMAL {
            return self.others.get_or_insert_default().add(priority);
        }
        self.of_normal += 1;
    }

    #[inline]
    pub(crate) fn remove(&mut self, priority: Priority) {
        if priority == Priority::NORMAL {
            self.of_normal -= 1;
        } else if let Some(others) = &mut self.others {
            others.remove(priority);
        }
    }

    /// How many are of this priority or a higher one.
    pub(crate) fn at_least(&self, priority: Priority) -> u32 {
        let of_normal = if Priority::NORMAL >= priority {
            self.of_normal
        } else {
            0
        };
        of_normal + self.others.as_ref().map_or(0, |all| all.at_least(priority))
    }
}

impl Others {
    #[inline(never)]
    fn add(&mut self, priority: Priority) {
        let (group, at) = index(priority);
        self.groups[group] += 1;
        self.each[group][at] += 1;
    }

    #[inline(never)]
    fn remove(&mut self, priority: Priority) {
        let (group, at) = index(priority);
        self.groups[group] -= 1;
        self.each[group][at] -= 1;
    }

    fn at_least(&self, priority: Priority) -> u32 {
        let (group, at) = index(priority);
        let higher = self.groups[group + 1..].iter().sum::<u32>();
        higher + self.each[group][at..].iter().sum::<u32>()
    }
}

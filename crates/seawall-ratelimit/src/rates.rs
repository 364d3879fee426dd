//! The rates that buckets had before: what has flowed in since a departure depends on all of them.

use crate::bucket::Rate;

/// So many changes are kept. What was taken before an older one is not given back.
const KEPT: usize = 16;

/// The earlier rates of the buckets of a limiter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EarlierRates {
    /// What was taken before does not count any more.
    since: u64,
    changes: Vec<Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    limit: usize,
    until: u64,
    rate: Rate,
}

impl EarlierRates {
    /// Of buckets that are full now, whatever was taken before.
    pub(crate) const fn since(now: u64) -> Self {
        Self {
            since: now,
            changes: Vec::new(),
        }
    }

    /// Nothing that was taken before counts any more.
    pub(crate) fn forget(&mut self, now: u64) {
        *self = Self::since(now);
    }

    /// This was the rate of a limit until now.
    pub(crate) fn add(&mut self, now: u64, limit: usize, rate: Rate) {
        if self.changes.len() >= KEPT {
            self.since = self.changes.remove(0).until;
        }
        self.changes.push(Change {
            limit,
            until: now,
            rate,
        });
    }

    /// The time in which as much flows in at this rate as has flowed in since `taken_at`, in units of
    /// [`Rate`]; all of it where that is not known any more.
    pub(crate) fn flowed(&self, limit: usize, rate: Rate, now: u64, taken_at: u64) -> u64 {
        if taken_at < self.since {
            return u64::MAX;
        }
        let (mut from, mut flowed) = (taken_at, 0_u64);
        for earlier in self.changes.iter().filter(|change| change.limit == limit) {
            let time = earlier.until.saturating_sub(from);
            flowed = flowed.saturating_add(rate.time_to_flow(earlier.rate, time));
            from = from.max(earlier.until);
        }
        flowed.saturating_add(rate.time_to_flow(rate, now.saturating_sub(from)))
    }

    /// The memory that it has allocated, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.changes.capacity() * size_of::<Change>()
    }
}

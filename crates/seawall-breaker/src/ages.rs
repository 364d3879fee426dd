//! How many of the last calls are young enough to count, where an age is the longest.
//!
//! The age is cut into eight slices. A call counts for at least seven eighths of it, and at most for
//! all of it. As with the buckets of a time window, neither traffic nor idle time matter to the cost.

use std::time::Duration;

use seawall_core::ns;

/// Slices of the longest age; a power of two.
const SLICES: u32 = 8;

/// How the clock is divided into slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Aging {
    /// In nanoseconds; 0 where calls count at any age.
    width: u64,
}

impl Aging {
    /// Calls count at any age: everything happens in slice 0.
    pub(crate) const OFF: Self = Self { width: 0 };

    pub(crate) fn of(max_age: Option<Duration>) -> Self {
        max_age.map_or(Self::OFF, |age| Self {
            width: (ns(age) / u64::from(SLICES)).max(1),
        })
    }

    /// The slice of a time. 32 bits last for 17 years with the shortest age that is accepted.
    pub(crate) fn slice(self, now: u64) -> u32 {
        let slice = now.checked_div(self.width).unwrap_or(0);
        u32::try_from(slice).unwrap_or(u32::MAX)
    }

    /// Whether `slice` is over, without a division; never where calls count at any age.
    pub(crate) fn is_over(self, slice: u32, now: u64) -> bool {
        let end = (u64::from(slice) + 1).saturating_mul(self.width);
        self.width != 0 && now >= end
    }
}

/// Calls by the slice in which they were counted.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    counts: [u32; SLICES as usize],
    newest: u32,
}

impl Ages {
    /// Forgets the calls that are too old in `slice`. A clock that stepped back changes nothing.
    pub(crate) fn expire(&mut self, slice: u32) {
        let steps = slice.saturating_sub(self.newest).min(SLICES);
        for old in 1..=steps {
            self.counts[(slice.wrapping_sub(steps - old) % SLICES) as usize] = 0;
        }
        self.newest = self.newest.max(slice);
    }

    /// The slice of now.
    pub(crate) fn newest(&self) -> u32 {
        self.newest
    }

    /// Counts calls of now.
    pub(crate) fn add(&mut self, calls: u64) {
        let count = &mut self.counts[(self.newest % SLICES) as usize];
        *count = count.saturating_add(u32::try_from(calls).unwrap_or(u32::MAX));
    }

    /// The calls that are young enough; more than a ring holds, perhaps.
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    pub(crate) fn clear(&mut self) {
        self.counts = [0; SLICES as usize];
    }

    /// The same calls with another longest age: each as old as the beginning of its slice, or of now
    /// where ages did not count.
    pub(crate) fn configure(&mut self, old: Aging, new: Aging, now: u64) {
        if old == new {
            return;
        }
        let mut next = Self::default();
        next.expire(new.slice(now));
        for age in 0..SLICES.min(self.newest.saturating_add(1)) {
            let slice = self.newest - age;
            let calls = self.counts[(slice % SLICES) as usize];
            let at = match old.width {
                0 => now,
                width => u64::from(slice).saturating_mul(width).min(now),
            };
            let slice = new.slice(at);
            if next.newest - slice < SLICES {
                let count = &mut next.counts[(slice % SLICES) as usize];
                *count = count.saturating_add(calls);
            }
        }
        *self = next;
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Add(u64),
        Pass(u64),
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (1_u64..5).prop_map(Step::Add),
            4 => (0_u64..600).prop_map(Step::Pass),
            1 => (600_u64..5_000).prop_map(Step::Pass),
            1 => Just(Step::Clear),
        ];
        proptest::collection::vec(step, 0..100)
    }

    proptest! {
        /// An age of 800, in slices of 100.
        #[test]
        fn a_call_counts_for_seven_eighths_of_the_age_and_never_longer(steps in steps()) {
            let aging = Aging::of(Some(Duration::from_nanos(800)));
            let (mut ages, mut model, mut now) = (Ages::default(), Vec::new(), 0_u64);
            for step in steps {
                match step {
                    Step::Pass(time) => now += time,
                    Step::Add(calls) => {
                        ages.expire(aging.slice(now));
                        ages.add(calls);
                        model.push((now, calls));
                    }
                    Step::Clear => {
                        ages.clear();
                        model.clear();
                    }
                }
                ages.expire(aging.slice(now));
                let within = |age: u64| -> u64 {
                    model.iter().filter(|(at, _)| now - at <= age).map(|(_, calls)| calls).sum()
                };
                prop_assert!(ages.total() >= within(700));
                prop_assert!(ages.total() <= within(800));
            }
        }
    }

    proptest! {
        #[test]
        fn a_slice_is_over_when_the_clock_is_in_a_later_one(
            age in 1_u64.., slice in 0..u32::MAX, now in any::<u64>(),
        ) {
            let aging = Aging::of(Some(Duration::from_nanos(age)));
            for slice in [slice, aging.slice(now), aging.slice(now).saturating_sub(1)] {
                prop_assert!(slice == u32::MAX || aging.is_over(slice, now) == (aging.slice(now) > slice));
            }
            prop_assert!(!Aging::OFF.is_over(0, now));
        }
    }

    #[test]
    fn another_age_keeps_what_is_young_enough_for_it() {
        let (short, long) = (Duration::from_secs(8), Duration::from_secs(80));
        let second = 1_000_000_000;
        let mut ages = Ages::default();
        let old = Aging::of(Some(long));
        for at in [0, 50, 79] {
            ages.expire(old.slice(at * second));
            ages.add(1);
        }
        ages.configure(old, Aging::of(Some(short)), 79 * second);
        assert_eq!(ages.total(), 0, "the slice of the last call began at 70 s");
        ages.add(1);
        ages.configure(Aging::of(Some(short)), Aging::OFF, 80 * second);
        assert_eq!(ages.total(), 1);
        ages.configure(Aging::OFF, old, 1_000 * second);
        assert_eq!(ages.total(), 1, "its age is not known, so it begins now");
        ages.expire(old.slice(1_080 * second));
        assert_eq!(ages.total(), 0);
    }
}

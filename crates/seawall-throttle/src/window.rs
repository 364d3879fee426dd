//! How much was counted recently, from totals that only grow: pure.
//!
//! Calls add to totals without a time. The window keeps the totals at the beginning of each of its
//! slices, so a call writes one word, and a slice costs something only when it begins.

use seawall_core::ns;
use std::time::Duration;

use crate::formula::{CLASSES, Tally};

/// How many slices a window has: the current one and those before it.
pub(crate) const SLICES: u64 = 16;

/// Sums over all stripes since the layer was made, by class.
pub(crate) type Totals = [Tally; CLASSES];

/// The totals at the beginning of each slice.
#[derive(Debug)]
pub(crate) struct Window {
    /// The width of a slice, in nanoseconds.
    width: u64,
    /// The number of the current slice, counted from the clock's start.
    current: u64,
    starts: [Totals; SLICES as usize],
}

impl Window {
    pub(crate) fn new(length: Duration, now: u64) -> Self {
        let width = (ns(length) / SLICES).max(1);
        Self {
            width,
            current: now / width,
            starts: Default::default(),
        }
    }

    /// Begins every slice up to that of `now`. What was counted since the last call belongs to
    /// the slice that was the current one until now.
    pub(crate) fn advance(&mut self, now: u64, totals: &Totals) {
        let slice = now / self.width;
        let begun = slice.saturating_sub(self.current).min(SLICES);
        for back in 0..begun {
            *self.start(slice - back) = *totals;
        }
        self.current = self.current.max(slice);
    }

    /// What was counted in the current slice and the fifteen before it.
    pub(crate) fn counted(&self, totals: &Totals) -> Totals {
        // In the ring, the slot after the current one is the oldest.
        let oldest = &self.starts[(self.current.wrapping_add(1) % SLICES) as usize];
        std::array::from_fn(|class| totals[class].since(oldest[class]))
    }

    /// Forgets what was counted.
    pub(crate) fn clear(&mut self, totals: &Totals) {
        self.starts = [*totals; SLICES as usize];
    }

    /// When the current slice ends.
    pub(crate) const fn next_slice(&self) -> u64 {
        self.current.saturating_add(1).saturating_mul(self.width)
    }

    /// The same window with slices of another width. Counts keep their age, to within one slice of
    /// the old width. `self` must be advanced to `now`.
    pub(crate) fn resized(&self, length: Duration, now: u64) -> Self {
        let mut resized = Self::new(length, now);
        for slice in resized.oldest()..=resized.current {
            let begins = slice.saturating_mul(resized.width);
            let former = (begins / self.width).clamp(self.oldest(), self.current);
            *resized.start(slice) = self.starts[(former % SLICES) as usize];
        }
        // A clock younger than the window: the slots of slices before its start.
        if resized.current < SLICES - 1 {
            let first = self.starts[(self.oldest() % SLICES) as usize];
            for slice in resized.current + 1..SLICES {
                *resized.start(slice) = first;
            }
        }
        resized
    }

    const fn oldest(&self) -> u64 {
        self.current.saturating_sub(SLICES - 1)
    }

    fn start(&mut self, slice: u64) -> &mut Totals {
        &mut self.starts[(slice % SLICES) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LENGTH: Duration = Duration::from_nanos(16 * 10);

    fn totals(requests: u64, accepts: u64) -> Totals {
        [Tally { requests, accepts }; CLASSES]
    }

    #[test]
    fn what_is_older_than_sixteen_slices_is_forgotten() {
        let mut window = Window::new(LENGTH, 0);
        let all = totals(7, 3);
        window.advance(159, &all);
        assert_eq!(window.counted(&all), all);
        window.advance(160, &all);
        assert_eq!(window.counted(&all), totals(0, 0));
        assert_eq!(window.counted(&totals(8, 3)), totals(1, 0));
    }

    #[test]
    fn gaps_of_any_length_forget_everything() {
        for gap in [160, 1_600, 1 << 33, u64::MAX] {
            let mut window = Window::new(LENGTH, 0);
            window.advance(gap, &totals(5, 5));
            assert_eq!(window.counted(&totals(5, 5)), totals(0, 0), "{gap}");
            assert_eq!(window.counted(&totals(6, 5)), totals(1, 0), "{gap}");
        }
        let mut shortest = Window::new(Duration::from_nanos(1), u64::MAX);
        shortest.advance(u64::MAX, &totals(1, 1));
        assert!(shortest.next_slice() > 0);
    }

    #[test]
    fn what_was_counted_keeps_its_age_when_the_window_changes() {
        let mut window = Window::new(LENGTH, 0);
        window.advance(100, &totals(4, 0));
        let now = totals(10, 0);
        window.advance(155, &now);
        // Four of them were counted before 100, six between 100 and 155.
        let shorter = window.resized(LENGTH / 2, 155);
        assert_eq!(shorter.counted(&now), totals(6, 0));
        let longer = window.resized(LENGTH * 100, 155);
        assert_eq!(longer.counted(&now), totals(10, 0));
        let mut back = longer.resized(LENGTH, 155);
        back.advance(155 + 160, &now);
        assert_eq!(back.counted(&now), totals(0, 0));
    }

    proptest! {
        /// The model: every result with the slice in which it was counted.
        #[test]
        fn it_agrees_with_a_list_of_results(
            steps in proptest::collection::vec((0_u64..80, any::<bool>()), 0..100),
        ) {
            let mut window = Window::new(LENGTH, 0);
            let mut list = Vec::new();
            let (mut now, mut all) = (0, Tally::default());
            for (gap, accepted) in steps {
                now += gap;
                window.advance(now, &[all; CLASSES]);
                all.requests += 1;
                all.accepts += u64::from(accepted);
                list.push((now / 10, accepted));
                let live = || list.iter().filter(|(slice, _)| slice + SLICES > now / 10);
                let expected = totals(
                    live().count() as u64,
                    live().filter(|(_, accepted)| *accepted).count() as u64,
                );
                prop_assert_eq!(window.counted(&[all; CLASSES]), expected);
            }
        }

        #[test]
        fn another_length_loses_nothing_that_is_within_both(
            steps in proptest::collection::vec(0_u64..40, 0..60),
            length in 1_u64..2_000,
        ) {
            let mut window = Window::new(LENGTH, 0);
            let (mut now, mut all, mut list) = (0, Tally::default(), Vec::new());
            for gap in steps {
                now += gap;
                window.advance(now, &[all; CLASSES]);
                all.requests += 1;
                list.push(now);
            }
            window.advance(now, &[all; CLASSES]);
            let length = Duration::from_nanos(length * SLICES);
            let resized = window.resized(length, now);
            let counted = resized.counted(&[all; CLASSES])[0].requests;
            let age = (ns(LENGTH).min(ns(length)) / SLICES) * (SLICES - 1);
            let young = list.iter().filter(|at| now - **at < age).count() as u64;
            prop_assert!(counted >= young, "{} of {}", counted, young);
            prop_assert!(counted <= window.counted(&[all; CLASSES])[0].requests);
        }
    }
}

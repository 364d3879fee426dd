//! A sorted set for keys that mostly come in ascending order.

use std::collections::{BTreeSet, VecDeque};

/// So many keys that are gone are kept at least, before the others are moved together.
const FEWEST_GONE: usize = 32;

/// The memory for so many is kept while there are none.
pub(super) const KEPT: usize = 256;

/// A sorted set. Waiters mostly come in the order in which they go, so a key above all others is
/// appended to a *run*, and one at either end of that is removed, in constant time. A key that is
/// removed in its middle leaves a gap, until half of the run are gaps. Keys that come out of order are
/// in a tree. No operation takes longer than in a tree alone, but for closing the gaps, of which each
/// removal pays a constant share.
///
/// It allocates nothing before the first key comes: most queues never have a waiter.
#[derive(Debug)]
pub(super) struct Ordered<K> {
    /// Copies of both ends of the run. Where threads contend, the run was written by another one, and is
    /// only written here.
    first: Option<K>,
    last: Option<K>,
    /// Ascending, each with whether it is there. Neither end is a gap.
    run: VecDeque<(K, bool)>,
    gaps: usize,
    tree: BTreeSet<K>,
}

impl<K: Copy + Ord> Ordered<K> {
    pub(super) const fn new() -> Self {
        Self {
            first: None,
            last: None,
            run: VecDeque::new(),
            gaps: 0,
            tree: BTreeSet::new(),
        }
    }

    /// Inserts a key that is not there.
    #[inline]
    pub(super) fn insert(&mut self, key: K) {
        if self.last.is_some_and(|last| last > key) {
            self.tree.insert(key);
            return;
        }
        self.run.push_back((key, true));
        self.last = Some(key);
        self.first.get_or_insert(key);
    }

    #[inline]
    pub(super) fn first(&self) -> Option<K> {
        if self.tree.is_empty() {
            return self.first;
        }
        let tree = self.tree.first().copied();
        self.first.into_iter().chain(tree).min()
    }

    /// Whether it was there.
    #[inline]
    pub(super) fn remove(&mut self, key: K) -> bool {
        // Without gaps and at an end: nearly always.
        if self.first == Some(key) {
            self.run.pop_front();
            self.first = self.run.front().map(|(key, _)| *key);
            self.last = self.last.filter(|_| self.first.is_some());
        } else if self.last == Some(key) {
            self.run.pop_back();
            self.last = self.run.back().map(|(key, _)| *key);
        } else {
            return self.remove_elsewhere(key);
        }
        if self.gaps > 0 || (self.run.is_empty() && self.run.capacity() > KEPT) {
            self.close_gaps();
        }
        true
    }

    /// Removes the first one, which the caller has looked at.
    #[inline]
    pub(super) fn pop_first(&mut self) -> Option<K> {
        let key = self.first()?;
        self.remove(key);
        Some(key)
    }

    /// Those from one key on, up to but without another one, in no order.
    pub(super) fn range(&self, from: K, to: K) -> impl Iterator<Item = K> {
        let run = &self.run;
        let within =
            run.partition_point(|(key, _)| *key < from)..run.partition_point(|(key, _)| *key < to);
        let run = run.range(within).filter(|(_, there)| *there);
        run.map(|(key, _)| *key)
            .chain(self.tree.range(from..to).copied())
    }

    #[inline(never)]
    fn remove_elsewhere(&mut self, key: K) -> bool {
        if let Ok(at) = self.run.binary_search_by_key(&key, |(key, _)| *key)
            && std::mem::take(&mut self.run[at].1)
        {
            self.gaps += 1;
            self.close_gaps();
            return true;
        }
        self.tree.remove(&key)
    }

    #[inline(never)]
    fn close_gaps(&mut self) {
        while let Some((_, false)) = self.run.front() {
            self.run.pop_front();
            self.gaps -= 1;
        }
        while let Some((_, false)) = self.run.back() {
            self.run.pop_back();
            self.gaps -= 1;
        }
        // After a rush.
        if self.run.is_empty() && self.run.capacity() > KEPT {
            self.run = VecDeque::new();
        }
        if self.gaps > FEWEST_GONE && 2 * self.gaps > self.run.len() {
            self.run.retain(|(_, there)| *there);
            self.gaps = 0;
        }
        self.first = self.run.front().map(|(key, _)| *key);
        self.last = self.run.back().map(|(key, _)| *key);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a tree, whatever comes and goes.
        #[test]
        fn it_is_a_sorted_set(
            ops in proptest::collection::vec((0..6_u8, 0..400_u32), 1..1_500),
            ascending in any::<bool>(),
        ) {
            let (mut ordered, mut tree) = (Ordered::new(), BTreeSet::new());
            for (n, (op, which)) in ops.into_iter().enumerate() {
                let key = if ascending && op < 3 { n as u32 / 3 } else { which };
                match op {
                    0..=2 => {
                        if tree.insert(key) {
                            ordered.insert(key);
                        }
                    }
                    3 | 4 => prop_assert_eq!(ordered.remove(key), tree.remove(&key)),
                    _ => prop_assert_eq!(ordered.pop_first(), tree.pop_first()),
                }
                prop_assert_eq!(ordered.first(), tree.first().copied());
                let mut within: Vec<_> = ordered.range(which / 2, which).collect();
                within.sort_unstable();
                let all: Vec<_> = tree.range(which / 2..which).copied().collect();
                prop_assert_eq!(within, all);
            }
        }
    }

    #[test]
    fn gaps_take_no_more_than_what_is_there() {
        let mut ordered = Ordered::new();
        (0..10_000).for_each(|key| ordered.insert(key));
        for key in 1..9_999 {
            assert!(ordered.remove(key));
        }
        let all: Vec<_> = ordered.range(0, 10_000).collect();
        assert_eq!(all, [0, 9_999]);
        let run = ordered.run.len();
        assert!(run <= 2 * FEWEST_GONE, "{run}");
        while ordered.pop_first().is_some() {}
        let kept = ordered.run.capacity();
        assert!(kept <= KEPT, "{kept}");
    }
}

//! A sorted map for keys that mostly come in ascending order.

use std::collections::{BTreeMap, VecDeque};

/// So many keys that are gone are kept at least, before the others are moved together.
const FEWEST_GONE: usize = 32;

/// The memory for so many is kept while there are none.
const KEPT: usize = 256;

/// A sorted map. Waiters mostly come in the order in which they go, so a key above all others is
/// appended to a *run*, and one at either end of that is removed, in constant time. A key that is
/// removed in its middle leaves a gap, until half of the run are gaps. Keys that come out of order are
/// in a tree. No operation takes longer than in a tree alone, but for closing the gaps, of which each
/// removal pays a constant share.
///
/// It takes one word before the first key comes: most queues never have a waiter.
#[derive(Debug)]
pub(super) struct Ordered<K, V>(Option<Box<Parts<K, V>>>);

#[derive(Debug)]
struct Parts<K, V> {
    /// Ascending. `None` is a gap; neither end is one.
    run: VecDeque<(K, Option<V>)>,
    gaps: usize,
    tree: BTreeMap<K, V>,
}

impl<K: Copy + Ord, V> Ordered<K, V> {
    pub(super) const fn new() -> Self {
        Self(None)
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        let parts = self.0.as_ref();
        parts.map_or(0, |p| p.run.len() - p.gaps + p.tree.len())
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        let parts = self.0.as_ref();
        parts.is_none_or(|p| p.run.is_empty() && p.tree.is_empty())
    }

    /// Inserts a key that is not there.
    #[inline]
    pub(super) fn insert(&mut self, key: K, value: V) {
        let parts = self.0.get_or_insert_with(Parts::boxed);
        match parts.run.back() {
            Some((last, _)) if *last > key => {
                parts.tree.insert(key, value);
            }
            _ => parts.run.push_back((key, Some(value))),
        }
    }

    #[inline]
    pub(super) fn get(&self, key: K) -> Option<&V> {
        let parts = self.0.as_ref()?;
        match parts.find(key).and_then(|at| parts.run[at].1.as_ref()) {
            None if !parts.tree.is_empty() => parts.tree.get(&key),
            found => found,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let parts = self.0.as_mut()?;
        match parts.find(key) {
            Some(at) if parts.run[at].1.is_some() => parts.run[at].1.as_mut(),
            _ if parts.tree.is_empty() => None,
            _ => parts.tree.get_mut(&key),
        }
    }

    #[inline]
    pub(super) fn contains(&self, key: K) -> bool {
        self.get(key).is_some()
    }

    #[inline]
    pub(super) fn first(&self) -> Option<(K, &V)> {
        let parts = self.0.as_ref()?;
        if parts.run_is_first() {
            let (key, value) = parts.run.front()?;
            return value.as_ref().map(|value| (*key, value));
        }
        let first = parts.tree.first_key_value();
        first.map(|(key, value)| (*key, value))
    }

    #[inline]
    pub(super) fn first_mut(&mut self) -> Option<(K, &mut V)> {
        let parts = self.0.as_mut()?;
        if parts.run_is_first() {
            let (key, value) = parts.run.front_mut()?;
            return value.as_mut().map(|value| (*key, value));
        }
        let first = parts.tree.first_entry()?;
        Some((*first.key(), first.into_mut()))
    }

    #[inline]
    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        let parts = self.0.as_mut()?;
        // Without gaps and at an end: nearly always.
        let end = match (parts.run.front(), parts.run.back()) {
            (Some((first, _)), _) if *first == key => parts.run.pop_front(),
            (_, Some((last, _))) if *last == key => parts.run.pop_back(),
            _ => return parts.remove_elsewhere(key),
        };
        if parts.gaps > 0 || parts.run.is_empty() {
            parts.close_gaps();
        }
        end.and_then(|(_, value)| value)
    }

    pub(super) fn pop_first(&mut self) -> Option<(K, V)> {
        let key = self.first()?.0;
        self.remove(key).map(|value| (key, value))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().flat_map(|parts| {
            let run = parts.run.iter_mut();
            let run = run.filter_map(|(_, value)| value.as_mut());
            run.chain(parts.tree.values_mut())
        })
    }
}

impl<K: Copy + Ord, V> Parts<K, V> {
    #[cold]
    fn boxed() -> Box<Self> {
        Box::new(Self {
            run: VecDeque::new(),
            gaps: 0,
            tree: BTreeMap::new(),
        })
    }

    /// Where a key of the run is: at one of its ends, mostly.
    #[inline]
    fn find(&self, key: K) -> Option<usize> {
        let (first, last) = (self.run.front()?.0, self.run.back()?.0);
        if key == first {
            return Some(0);
        }
        if key == last {
            return Some(self.run.len() - 1);
        }
        if key < first || key > last {
            return None;
        }
        self.search(key)
    }

    #[inline(never)]
    fn search(&self, key: K) -> Option<usize> {
        self.run.binary_search_by_key(&key, |(key, _)| *key).ok()
    }

    /// Whether the first one is in the run.
    #[inline]
    fn run_is_first(&self) -> bool {
        if self.tree.is_empty() {
            return true;
        }
        match (self.run.front(), self.tree.first_key_value()) {
            (Some((run, _)), Some((tree, _))) => run < tree,
            (run, _) => run.is_some(),
        }
    }

    #[inline(never)]
    fn remove_elsewhere(&mut self, key: K) -> Option<V> {
        if let Some(at) = self.find(key)
            && let Some(value) = self.run[at].1.take()
        {
            self.gaps += 1;
            self.close_gaps();
            return Some(value);
        }
        self.tree.remove(&key)
    }

    #[inline(never)]
    fn close_gaps(&mut self) {
        while let Some((_, None)) = self.run.front() {
            self.run.pop_front();
            self.gaps -= 1;
        }
        while let Some((_, None)) = self.run.back() {
            self.run.pop_back();
            self.gaps -= 1;
        }
        // After a rush.
        if self.run.is_empty() && self.run.capacity() > KEPT {
            self.run = VecDeque::new();
        }
        if self.gaps > FEWEST_GONE && 2 * self.gaps > self.run.len() {
            self.run.retain(|(_, value)| value.is_some());
            self.gaps = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a tree, whatever comes and goes.
        #[test]
        fn it_is_a_sorted_map(
            ops in proptest::collection::vec((0..6_u8, 0..400_u32), 1..1_500),
            ascending in any::<bool>(),
        ) {
            let (mut ordered, mut tree) = (Ordered::new(), BTreeMap::new());
            for (n, (op, which)) in ops.into_iter().enumerate() {
                let key = if ascending && op < 3 { n as u32 / 3 } else { which };
                match op {
                    0..=2 if !tree.contains_key(&key) => {
                        ordered.insert(key, n);
                        tree.insert(key, n);
                    }
                    0..=2 => {
                        *ordered.get_mut(key).expect("it is there") = n;
                        tree.insert(key, n);
                    }
                    3 | 4 => prop_assert_eq!(ordered.remove(key), tree.remove(&key)),
                    _ => prop_assert_eq!(ordered.pop_first(), tree.pop_first()),
                }
                prop_assert_eq!(ordered.len(), tree.len());
                prop_assert_eq!(ordered.is_empty(), tree.is_empty());
                let first = tree.first_key_value().map(|(key, value)| (*key, *value));
                prop_assert_eq!(ordered.first().map(|(key, value)| (key, *value)), first);
                prop_assert_eq!(ordered.first_mut().map(|(key, value)| (key, *value)), first);
                prop_assert_eq!(ordered.get(which), tree.get(&which));
                prop_assert_eq!(ordered.contains(which), tree.contains_key(&which));
            }
            let mut values: Vec<_> = ordered.values_mut().map(|value| *value).collect();
            let mut all: Vec<_> = tree.into_values().collect();
            values.sort_unstable();
            all.sort_unstable();
            prop_assert_eq!(values, all);
        }
    }

    #[test]
    fn gaps_take_no_more_than_what_is_there() {
        let mut ordered = Ordered::new();
        (0..10_000).for_each(|key| ordered.insert(key, ()));
        for key in 1..9_999 {
            assert_eq!(ordered.remove(key), Some(()));
        }
        assert_eq!(ordered.len(), 2);
        let run = ordered.0.as_ref().map(|parts| parts.run.len());
        assert!(run <= Some(2 * FEWEST_GONE), "{run:?}");
        while ordered.pop_first().is_some() {}
        let kept = ordered.0.as_ref().map(|parts| parts.run.capacity());
        assert!(kept <= Some(KEPT), "{kept:?}");
    }
}

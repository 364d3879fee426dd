//! The entries of the waiters, each where its id says.

use super::WaiterId;
use super::entry::{Entry, Stand};
use super::ordered::KEPT;
use super::rank::Arrival;

/// Entries that stay where they are until they are removed. It allocates nothing before the first.
#[derive(Debug)]
pub(super) struct Slots<T> {
    // A free one keeps the entry that it had, without wakers: the next one is written over it.
    all: Vec<Entry<T>>,
    /// Those that are free. Apart from the entries: what was written by another thread last is only written
    /// when it is used again.
    free: Vec<u32>,
    taken: u32,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self {
            all: Vec::new(),
            free: Vec::new(),
            taken: 0,
        }
    }

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.taken as usize
    }

    /// Where the next entry goes.
    #[inline]
    pub(super) fn next(&self) -> u32 {
        self.free.last().copied().unwrap_or(self.all.len() as u32)
    }

    /// Inserts the entry of a waiter that waits, whose id has the [next](Self::next) place.
    #[inline]
    pub(super) fn insert(&mut self, id: WaiterId, item: T, deadline_ns: u64) {
        self.taken += 1;
        self.free.pop();
        // Field by field: an entry that is moved as a whole is written twice.
        let Some(entry) = self.all.get_mut(id.place() as usize) else {
            return self.push(Entry::new(id, item, deadline_ns));
        };
        entry.id = id;
        entry.item = item;
        entry.stand = Stand::Waiting;
        entry.untimed = false;
        entry.deadline_ns = deadline_ns;
        entry.due_ns = u64::MAX;
        entry.notification = u64::MAX;
    }

    #[cold]
    fn push(&mut self, entry: Entry<T>) {
        self.all.push(entry);
    }

    #[inline]
    pub(super) fn get(&self, id: WaiterId) -> Option<&Entry<T>> {
        self.at(id.arrival()).filter(|entry| entry.id == id)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: WaiterId) -> Option<&mut Entry<T>> {
        let entry = self.all.get_mut(id.place() as usize)?;
        Some(entry).filter(|entry| entry.id == id)
    }

    /// The entry of a waiter that is there.
    #[inline]
    pub(super) fn at(&self, arrival: Arrival) -> Option<&Entry<T>> {
        self.all.get(arrival.place() as usize)
    }

    /// The entry of a waiter that is there.
    pub(super) fn at_mut(&mut self, arrival: Arrival) -> Option<&mut Entry<T>> {
        self.all.get_mut(arrival.place() as usize)
    }

    /// Removes the entry, after a last look at it, which takes its wakers out.
    #[inline]
    pub(super) fn remove<R>(
        &mut self,
        id: WaiterId,
        last: impl FnOnce(&mut Entry<T>) -> R,
    ) -> Option<R> {
        let entry = self.get_mut(id)?;
        let out = last(entry);
        entry.id = WaiterId::NONE;
        self.free.push(id.place());
        self.taken -= 1;
        if self.taken == 0 && self.all.capacity() > KEPT {
            // After a rush.
            *self = Self::new();
        }
        Some(out)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<T>> {
        let all = self.all.iter_mut();
        all.filter(|entry| entry.id != WaiterId::NONE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each entry is found by its id as long as it is there, and by no other; places are used again.
        #[test]
        fn an_id_finds_its_own_entry(ops in proptest::collection::vec((any::<bool>(), 0..40_usize), 1..300)) {
            let (mut slots, mut there, mut gone) = (Slots::new(), Vec::new(), Vec::new());
            let mut most = 0;
            for (n, (insert, which)) in ops.into_iter().enumerate() {
                if insert || there.is_empty() {
                    let id = WaiterId::new(0, Arrival::new(n as u64, slots.next()));
                    slots.insert(id, n, 0);
                    there.push((id, n));
                } else {
                    let (id, item) = there.swap_remove(which % there.len());
                    prop_assert_eq!(slots.remove(id, |entry| entry.item), Some(item));
                    gone.push(id);
                }
                most = most.max(there.len());
                prop_assert_eq!(slots.len(), there.len());
                prop_assert_eq!(slots.iter_mut().count(), there.len());
                for (id, item) in &there {
                    prop_assert_eq!(slots.get(*id).map(|entry| entry.item), Some(*item));
                }
                for id in &gone {
                    prop_assert!(slots.get(*id).is_none() && slots.get_mut(*id).is_none());
                    prop_assert!(slots.remove(*id, |_| ()).is_none());
                }
            }
            prop_assert_eq!(slots.all.len(), most);
        }
    }

    #[test]
    fn the_memory_of_a_rush_is_given_back() {
        let mut slots = Slots::new();
        let ids: Vec<_> = (0..10 * KEPT as u64)
            .map(|n| {
                let id = WaiterId::new(0, Arrival::new(n, slots.next()));
                slots.insert(id, 0, 0);
                id
            })
            .collect();
        for id in ids {
            assert!(slots.remove(id, |_| ()).is_some());
        }
        assert!(slots.all.capacity() <= KEPT);
    }
}

//! The entries of the waiters, each where its id says.

use super::WaiterId;
use super::entry::Entry;
use super::ordered::KEPT;

/// Entries that stay where they are until they are removed. It allocates nothing before the first.
#[derive(Debug)]
pub(super) struct Slots<T> {
    all: Vec<Slot<T>>,
    /// The first one that is free, if it is within `all`.
    free: u32,
    taken: u32,
}

#[derive(Debug)]
enum Slot<T> {
    Taken(Entry<T>),
    /// Which one is free after it.
    Free(u32),
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self {
            all: Vec::new(),
            free: 0,
            taken: 0,
        }
    }

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.taken as usize
    }

    /// Where the next entry goes.
    #[inline]
    pub(super) const fn next(&self) -> u32 {
        self.free
    }

    /// Inserts the entry whose id has the [next](Self::next) slot.
    #[inline]
    pub(super) fn insert(&mut self, entry: Entry<T>) {
        self.taken += 1;
        let at = self.free as usize;
        match self.all.get_mut(at) {
            Some(slot) => {
                if let Slot::Free(next) = *slot {
                    self.free = next;
                }
                *slot = Slot::Taken(entry);
            }
            None => {
                self.all.push(Slot::Taken(entry));
                self.free = self.all.len() as u32;
            }
        }
    }

    #[inline]
    pub(super) fn get(&self, id: WaiterId) -> Option<&Entry<T>> {
        match self.all.get(id.slot() as usize) {
            Some(Slot::Taken(entry)) if entry.id == id => Some(entry),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: WaiterId) -> Option<&mut Entry<T>> {
        match self.all.get_mut(id.slot() as usize) {
            Some(Slot::Taken(entry)) if entry.id == id => Some(entry),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, id: WaiterId) -> Option<Entry<T>> {
        self.get(id)?;
        let slot = self.all.get_mut(id.slot() as usize)?;
        let was = std::mem::replace(slot, Slot::Free(self.free));
        self.free = id.slot();
        self.taken -= 1;
        if self.taken == 0 && self.all.capacity() > KEPT {
            // After a rush.
            *self = Self::new();
        }
        match was {
            Slot::Taken(entry) => Some(entry),
            Slot::Free(_) => None,
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<T>> {
        self.all.iter_mut().filter_map(|slot| match slot {
            Slot::Taken(entry) => Some(entry),
            Slot::Free(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::queue::entry::Stand;

    fn entry(id: WaiterId, item: usize) -> Entry<usize> {
        Entry {
            id,
            item,
            stand: Stand::Waiting,
            deadline_ns: 0,
            due_ns: 0,
            aside_ns: 0,
            notified_ns: 0,
            waker: None,
            untimed: false,
            on_lapse: None,
        }
    }

    proptest! {
        /// Each entry is found by its id as long as it is there, and by no other; places are used again.
        #[test]
        fn an_id_finds_its_own_entry(ops in proptest::collection::vec((any::<bool>(), 0..40_usize), 1..300)) {
            let (mut slots, mut there, mut gone) = (Slots::new(), Vec::new(), Vec::new());
            let mut most = 0;
            for (n, (insert, which)) in ops.into_iter().enumerate() {
                if insert || there.is_empty() {
                    let id = WaiterId::new(0, n as u64, slots.next());
                    slots.insert(entry(id, n));
                    there.push((id, n));
                } else {
                    let (id, item) = there.swap_remove(which % there.len());
                    prop_assert_eq!(slots.remove(id).map(|entry| entry.item), Some(item));
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
                    prop_assert!(slots.remove(*id).is_none());
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
                let id = WaiterId::new(0, n, slots.next());
                slots.insert(entry(id, 0));
                id
            })
            .collect();
        for id in ids {
            assert!(slots.remove(id).is_some());
        }
        assert!(slots.all.capacity() <= KEPT);
    }
}

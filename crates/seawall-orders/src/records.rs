//! Records by their ids, in memory that is used again.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// What is kept by an id.
pub(crate) trait Record: Default {
    /// The id.
    fn id(&self) -> &[u8];

    /// Gives back what it holds: another record is to be written in its place.
    fn clear(&mut self);
}

/// Records by their ids. Each has a slot, the one that was left last: where records go in the order in
/// which they came, memory is walked through, which a processor can foresee, and nothing is allocated.
#[derive(Debug)]
pub(crate) struct Records<T> {
    // Ids may come from the users of a platform, so that nobody is to foresee their hashes.
    hasher: RandomState,
    by_id: HashTable<usize>,
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
    /// The slot of the record that came last, which is often asked for next.
    last: Option<usize>,
}

#[derive(Debug)]
struct Slot<T> {
    hash: u64,
    record: T,
}

impl<T: Record> Records<T> {
    /// No records, and room for so many.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            // Half of it stays free: a fuller table has to be put in order again and again, as records go.
            by_id: HashTable::with_capacity(capacity * 2),
            slots: Vec::with_capacity(capacity),
            free: Vec::new(),
            last: None,
        }
    }

    /// The hash of an id, in these records alone.
    pub(crate) fn hash(&self, id: &str) -> u64 {
        self.hasher.hash_one(id.as_bytes())
    }

    /// The slot of an id.
    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        let is_last = |last: &usize| self.slots[*last].record.id() == id.as_bytes();
        let last = self.last.filter(is_last);
        last.or_else(|| self.find_hashed(self.hash(id), id))
    }

    /// The slot of an id of that hash.
    pub(crate) fn find_hashed(&self, hash: u64, id: &str) -> Option<usize> {
        let is = |slot: &usize| {
            let slot = &self.slots[*slot];
            slot.hash == hash && slot.record.id() == id.as_bytes()
        };
        self.by_id.find(hash, is).copied()
    }

    /// The record in a slot.
    pub(crate) fn get(&self, slot: usize) -> &T {
        &self.slots[slot].record
    }

    /// The record in a slot.
    pub(crate) fn get_mut(&mut self, slot: usize) -> &mut T {
        &mut self.slots[slot].record
    }

    /// The slots, with their records; those that are free among them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let records = self.slots.iter().map(|slot| &slot.record);
        records.enumerate()
    }

    /// A slot for a record whose id has that hash and no slot; it is to be written there at once.
    pub(crate) fn add(&mut self, hash: u64) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                hash,
                record: T::default(),
            });
            self.slots.len() - 1
        });
        self.slots[slot].hash = hash;
        self.last = Some(slot);
        let hash_of = |slot: &usize| self.slots[*slot].hash;
        self.by_id.insert_unique(hash, slot, hash_of);
        slot
    }

    /// Removes the record in a slot.
    pub(crate) fn remove(&mut self, slot: usize) {
        let hash = self.slots[slot].hash;
        if let Ok(found) = self.by_id.find_entry(hash, |of| *of == slot) {
            found.remove();
            self.last = self.last.filter(|last| *last != slot);
            self.slots[slot].record.clear();
            self.free.push(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::{Record, Records};

    #[derive(Debug, Default)]
    struct Named(String, u32);

    impl Record for Named {
        fn id(&self) -> &[u8] {
            self.0.as_bytes()
        }

        fn clear(&mut self) {
            *self = Self::default();
        }
    }

    proptest! {
        /// Beside a map, with few ids, so that slots are left and taken again.
        #[test]
        fn as_a_map(steps in prop::collection::vec((0_u32..40, any::<bool>()), 0..400)) {
            let mut records = Records::<Named>::with_capacity(2);
            let mut model = HashMap::new();
            for (number, (id, comes)) in (0..).zip(steps) {
                let id = format!("id-{id}");
                let hash = records.hash(&id);
                match (records.find_hashed(hash, &id), comes) {
                    (None, true) => {
                        let slot = records.add(hash);
                        *records.get_mut(slot) = Named(id.clone(), number);
                        model.insert(id, number);
                    }
                    (Some(slot), false) => {
                        records.remove(slot);
                        model.remove(&id);
                    }
                    (found, _) => prop_assert_eq!(found.is_some(), model.contains_key(&id)),
                }
                for (id, number) in &model {
                    let slot = records.find(id);
                    prop_assert_eq!(slot.map(|slot| records.get(slot).1), Some(*number));
                }
                prop_assert_eq!(records.by_id.len(), model.len());
                prop_assert!(records.slots.len() <= 40, "slots are used again");
            }
        }
    }
}

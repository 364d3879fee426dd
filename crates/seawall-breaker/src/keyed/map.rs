//! A bounded map of circuits by key.
//!
//! Look-ups take the read lock of one shard for as long as it takes to find a hash. **No code of
//! the user runs under a lock**: keys are hashed before it is taken, only hashes are compared
//! under it, the found key is compared after it was released, and keys and circuits are dropped
//! after it was released too. A `Hash`, `Eq`, `Clone` or `Drop` that panics or comes back to this
//! map therefore neither poisons nor deadlocks.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::AddAssign;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::HashTable;

use super::evict::Evict;

mod eviction;

/// A key and its value, shared by the map and the calls in flight. One that is held stays.
// In this order: what a look-up touches lies between the count of references and the first words of
// the value.
#[repr(C)]
pub(crate) struct Entry<K, V> {
    /// Since the hand last passed it.
    used: AtomicBool,
    key: K,
    value: V,
}

impl<K, V> Entry<K, V> {
    pub(crate) const fn key(&self) -> &K {
        &self.key
    }

    #[inline]
    pub(crate) const fn value(&self) -> &V {
        &self.value
    }
}

/// The hash lies beside the pointer, so that a growing table reads no entry.
struct Slot<K, V> {
    hash: u64,
    entry: Arc<Entry<K, V>>,
}

struct Shard<K, V: Evict> {
    table: HashTable<Slot<K, V>>,
    /// Of evicted entries. Under the lock, so that no entry is ever counted twice or not at all.
    evicted: Option<Box<V::Totals>>,
}

/// A lock per pair of cache lines.
#[repr(align(128))]
struct Aligned<T>(RwLock<T>);

#[derive(Clone, Copy, Default)]
struct Hand {
    shard: usize,
    bucket: usize,
}

/// A map from keys to circuits, of about `max` entries.
pub(crate) struct Map<K, V: Evict, B> {
    shards: Box<[Aligned<Shard<K, V>>]>,
    /// Locked before a shard, never while one is.
    hand: Mutex<Hand>,
    max: AtomicUsize,
    len: AtomicUsize,
    evicted: AtomicU64,
    hasher: B,
}

impl<K, V: Evict, B> Map<K, V, B> {
    /// As many shards as make it unlikely that two threads meet in one, and that a growing shard
    /// keeps calls waiting. At least one entry is kept.
    pub(crate) fn new(max: usize, hasher: B) -> Self {
        let shards = (max / 256).clamp(16, 256).next_power_of_two();
        Self {
            shards: (0..shards)
                .map(|_| {
                    Aligned(RwLock::new(Shard {
                        table: HashTable::new(),
                        evicted: None,
                    }))
                })
                .collect(),
            hand: Mutex::default(),
            max: AtomicUsize::new(max.max(1)),
            len: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
            hasher,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(crate) fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    /// How many entries were evicted.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// What the map itself takes beside its entries, and an entry without what its key and value
    /// keep elsewhere, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let tables: usize = (0..self.shards.len())
            .map(|index| self.read(index).table.allocation_size())
            .sum();
        // Two counts, and what an allocator keeps per block.
        let entry = size_of::<Entry<K, V>>() + 2 * size_of::<usize>() + size_of::<usize>();
        size_of_val(&*self.shards) + tables + self.len() * entry
    }

    /// The sum over every entry, the evicted ones included. Grows only, if the parts do.
    pub(crate) fn totals(&self) -> V::Totals
    where
        V::Totals: for<'a> AddAssign<&'a V::Totals>,
    {
        let mut totals = V::Totals::default();
        for index in 0..self.shards.len() {
            let shard = self.read(index);
            if let Some(evicted) = &shard.evicted {
                totals += evicted;
            }
            for slot in &shard.table {
                slot.entry.value.add_to(&mut totals, false);
            }
        }
        totals
    }

    /// Hands every entry to `each`, outside of the locks. One that is added or evicted meanwhile may
    /// be seen or not; those of one shard are held meanwhile.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Arc<Entry<K, V>>)) {
        for index in 0..self.shards.len() {
            let held: Vec<_> = {
                let shard = self.read(index);
                shard
                    .table
                    .iter()
                    .map(|slot| Arc::clone(&slot.entry))
                    .collect()
            };
            held.iter().for_each(&mut each);
        }
    }

    fn read(&self, shard: usize) -> RwLockReadGuard<'_, Shard<K, V>> {
        let shard = self.shards[shard].0.read();
        shard.unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, shard: usize) -> RwLockWriteGuard<'_, Shard<K, V>> {
        let shard = self.shards[shard].0.write();
        shard.unwrap_or_else(PoisonError::into_inner)
    }

    /// Mixed once more (Fibonacci hashing), since a table uses both ends of the hash itself.
    fn shard_of(&self, hash: u64) -> usize {
        (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize & (self.shards.len() - 1)
    }
}

impl<K, V: Evict, B: BuildHasher> Map<K, V, B> {
    /// The entry of `key`, if there is one.
    #[inline]
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<Arc<Entry<K, V>>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.find(self.hasher.hash_one(key), key)
    }

    /// The entry of `key`; `make` makes the value of a new one, outside of the locks.
    #[inline]
    pub(crate) fn get_or_make<Q>(
        &self,
        key: Cow<'_, Q>,
        make: impl FnOnce() -> V,
    ) -> Arc<Entry<K, V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hasher.hash_one(&*key);
        match self.find(hash, &*key) {
            Some(entry) => entry,
            None => self.make(hash, key, make),
        }
    }

    #[cold]
    #[inline(never)]
    fn make<Q>(&self, hash: u64, key: Cow<'_, Q>, make: impl FnOnce() -> V) -> Arc<Entry<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let value = make();
        self.insert::<Q>(hash, key.into_owned(), value)
    }

    // Always: a call that finds its key is the one that counts.
    #[inline(always)]
    fn find<Q>(&self, hash: u64, key: &Q) -> Option<Arc<Entry<K, V>>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let found = {
            let shard = self.read(self.shard_of(hash));
            let slot = shard.table.find(hash, |slot| slot.hash == hash)?;
            Arc::clone(&slot.entry)
        };
        if found.key.borrow() == key {
            if !found.used.load(Ordering::Relaxed) {
                found.used.store(true, Ordering::Relaxed);
            }
            return Some(found);
        }
        self.find_among(hash, key)
    }

    /// Other keys have the same hash: one in 2^64, or a hasher that hardly hashes.
    #[cold]
    #[inline(never)]
    fn find_among<Q>(&self, hash: u64, key: &Q) -> Option<Arc<Entry<K, V>>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let same = self.of_hash(&self.read(self.shard_of(hash)), hash);
        let found = same.into_iter().find(|entry| entry.key.borrow() == key)?;
        found.used.store(true, Ordering::Relaxed);
        Some(found)
    }

    fn of_hash(&self, shard: &Shard<K, V>, hash: u64) -> Vec<Arc<Entry<K, V>>> {
        shard
            .table
            .iter_hash(hash)
            .filter(|slot| slot.hash == hash)
            .map(|slot| Arc::clone(&slot.entry))
            .collect()
    }

    #[cold]
    #[inline(never)]
    fn insert<Q>(&self, hash: u64, key: K, value: V) -> Arc<Entry<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let entry = Arc::new(Entry {
            used: AtomicBool::new(true),
            key,
            value,
        });
        // Those of the same hash that are known to have another key. Each round learns of one
        // more at least, and nearly always there is none.
        let mut others: Vec<Arc<Entry<K, V>>> = Vec::new();
        loop {
            let mut shard = self.write(self.shard_of(hash));
            let same = self.of_hash(&shard, hash);
            if same
                .iter()
                .all(|entry| others.iter().any(|other| Arc::ptr_eq(entry, other)))
            {
                let slot = Slot {
                    hash,
                    entry: Arc::clone(&entry),
                };
                shard.table.insert_unique(hash, slot, |slot| slot.hash);
                self.len.fetch_add(1, Ordering::Relaxed);
                drop(shard);
                drop(same);
                break;
            }
            drop(shard);
            if let Some(first) = same
                .iter()
                .find(|other| other.key.borrow() == entry.key.borrow())
            {
                // Another thread was first; its entry is the one.
                return Arc::clone(first);
            }
            others = same;
        }
        // Before the eviction: what is held stays.
        drop(others);
        self.evict_excess();
        entry
    }
}

impl<K, V: Evict, B> fmt::Debug for Map<K, V, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("keys", &self.len())
            .field("max", &self.max())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests;

//! One of the tables that hold the limits of keys.
//!
//! A key whose limit is a single bucket is one word in a table, beside the key itself: 24 bytes. It
//! becomes a limiter, with a queue and everything else that a limiter has, when it needs one: when a
//! call waits, when the upstream reports something about the key, or when its settings are its own.
//! It becomes a word again when none of that holds any more.
//!
//! A full bucket is like a new one. So before a table grows, idle keys are evicted: what is kept is
//! at most twice of what was used within the time that a bucket takes to fill, and no limit is
//! forgotten too early.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::bucket::Rate;
use crate::limiter::Limiter;
use crate::rates::EarlierRates;

#[derive(Debug)]
pub(super) struct Table {
    slots: HashTable<Slot>,
    /// The rate of keys that are words; `None` when every key needs a limiter.
    pub(super) rate: Option<Rate>,
    /// Those that it had before.
    pub(super) earlier_rates: EarlierRates,
    /// Whether a key that is used up rejects without a limiter.
    pub(super) at_once: bool,
    /// Whether some keys have settings of their own, so that a new key must be looked for in them.
    pub(super) has_named: bool,
}

#[derive(Debug)]
struct Slot {
    key: u64,
    limit: KeyLimit,
}

#[derive(Debug)]
pub(super) enum KeyLimit {
    /// The word of a bucket.
    Word(u64),
    Limiter(Arc<Limiter>),
}

impl KeyLimit {
    /// Changes the word, where it is one.
    pub(super) fn change_word(&mut self, change: impl FnOnce(u64) -> u64) {
        if let Self::Word(word) = self {
            *word = change(*word);
        }
    }
}

/// The two halves of a product: every bit of the key counts for every bit of the hash.
pub(super) const fn mix(key: u64) -> u64 {
    let product = (key ^ 0x2545_F491_4F6C_DD1D) as u128 * 0x9E37_79B9_7F4A_7C15;
    (product as u64) ^ ((product >> 64) as u64)
}

impl Table {
    pub(super) const fn new(rate: Option<Rate>, at_once: bool, has_named: bool) -> Self {
        Self {
            slots: HashTable::new(),
            rate,
            earlier_rates: EarlierRates::since(0),
            at_once,
            has_named,
        }
    }

    pub(super) fn get(&self, key: u64) -> Option<&KeyLimit> {
        self.get_hashed(mix(key), key)
    }

    pub(super) fn get_hashed(&self, hash: u64, key: u64) -> Option<&KeyLimit> {
        let slot = self.slots.find(hash, |slot| slot.key == key)?;
        Some(&slot.limit)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, hash: u64, key: u64) -> Option<&mut KeyLimit> {
        let slot = self.slots.find_mut(hash, |slot| slot.key == key)?;
        Some(&mut slot.limit)
    }

    /// The rate of a new key, where it is a word and there is room for it.
    #[inline]
    pub(super) fn rate_of_new(&self) -> Option<Rate> {
        self.rate.filter(|_| !self.has_named && !self.is_full())
    }

    pub(super) fn set(&mut self, key: u64, limit: KeyLimit) {
        match self.get_mut(mix(key), key) {
            Some(known) => *known = limit,
            None => self.insert_new(mix(key), key, limit),
        }
    }

    /// Inserts a key that is not in the table.
    // Always: every new key comes here.
    #[inline(always)]
    pub(super) fn insert_new(&mut self, hash: u64, key: u64, limit: KeyLimit) {
        let slot = Slot { key, limit };
        self.slots.insert_unique(hash, slot, |slot| mix(slot.key));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &KeyLimit)> {
        self.slots.iter().map(|slot| (slot.key, &slot.limit))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut KeyLimit)> {
        self.slots
            .iter_mut()
            .map(|slot| (slot.key, &mut slot.limit))
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.allocation_size()
    }

    /// Whether the table grows with the next key.
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= self.slots.capacity()
    }

    /// Evicts idle keys before the table grows, which visits every key as well. It grows if that
    /// frees less than a quarter, so that the next time is far enough away.
    pub(super) fn make_room(
        &mut self,
        is_named: impl Fn(u64) -> bool,
        now_ns: u64,
        evicted: &mut Vec<Arc<Limiter>>,
    ) -> u64 {
        let capacity = self.slots.capacity();
        let count = self.evict_idle(is_named, now_ns, evicted);
        if self.slots.len() > capacity / 4 * 3 {
            self.slots.reserve(capacity / 4 + 1, |slot| mix(slot.key));
        }
        count
    }

    /// Evicts idle keys and returns their number. Their limiters are to be dropped without a lock.
    pub(super) fn evict_idle(
        &mut self,
        is_named: impl Fn(u64) -> bool,
        now_ns: u64,
        evicted: &mut Vec<Arc<Limiter>>,
    ) -> u64 {
        let mut count = 0;
        for at in 0..self.slots.num_buckets() {
            let Some(slot) = self.slots.get_bucket_mut(at) else {
                continue;
            };
            let is_idle = match &mut slot.limit {
                KeyLimit::Word(word) => Rate::is_full(*word, now_ns),
                KeyLimit::Limiter(limiter) => {
                    // No call holds it, and none can get hold of it under this lock. A watchdog of
                    // its queue may, for a moment: that has nothing to do without a waiter.
                    if Arc::strong_count(limiter) > 1 {
                        continue;
                    }
                    let is_idle = limiter.is_idle(now_ns);
                    let fits = self.rate.is_some() && !is_named(slot.key);
                    if let Some(word) = limiter
                        .plain_word(&self.earlier_rates)
                        .filter(|_| fits && !is_idle)
                    {
                        slot.limit = KeyLimit::Word(word);
                    }
                    is_idle
                }
            };
            if is_idle && let Ok(entry) = self.slots.get_bucket_entry(at) {
                if let KeyLimit::Limiter(limiter) = entry.remove().0.limit {
                    evicted.push(limiter);
                }
                count += 1;
            }
        }
        count
    }

    pub(super) fn shrink(&mut self) {
        self.slots.shrink_to_fit(|slot| mix(slot.key));
    }
}

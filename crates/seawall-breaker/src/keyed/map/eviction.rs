//! Eviction of idle entries.
//!
//! When a new key exceeds the bound, a clock hand goes on through the map from where it last stopped
//! and gives entries a second chance (CLOCK, Corbató 1968): an idle entry that was not used since
//! the hand last passed it is evicted. The hand visits no more than [`VISITS`] entries per new key;
//! if it finds no such entry among them, an idle one that was used is evicted, or else one that
//! remembers something and was not used. So the bound is exceeded only when none of them may be
//! evicted, and the next new keys make up for it, two for one.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::{Entry, Map, Shard};
use crate::keyed::evict::{Evict, Rest};

/// How many entries the hand visits for one new key.
pub(super) const VISITS: usize = 16;

/// How many buckets, nearly all of them empty, it passes in search of so many entries: enough to
/// go through all of a small map.
const BUCKETS: usize = 2048;

impl<K, V: Evict, B> Map<K, V, B> {
    /// Changes the bound. A lower one is reached as new keys come, two for one.
    pub(crate) fn set_max(&self, max: usize) {
        self.max.store(max.max(1), Ordering::Relaxed);
    }

    /// After a new key: evicts one entry, or two if the bound was exceeded before.
    pub(super) fn evict_excess(&self) {
        for _ in 0..2 {
            if self.len() <= self.max() {
                return;
            }
            // Dropped here, with no lock held.
            if self.evict().is_none() {
                return;
            }
        }
    }

    /// Evicts one entry, if the hand finds one that may be evicted.
    fn evict(&self) -> Option<Arc<Entry<K, V>>> {
        let mut hand = self.hand.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut used, mut remembers) = (None, None);
        let (mut visits, mut buckets) = (0, 0);
        while visits < VISITS && buckets < BUCKETS {
            let mut shard = self.write(hand.shard);
            while visits < VISITS && buckets < BUCKETS && hand.bucket < shard.table.num_buckets() {
                let at = *hand;
                hand.bucket += 1;
                buckets += 1;
                let Some(slot) = shard.table.get_bucket_mut(at.bucket) else {
                    continue;
                };
                visits += 1;
                // Held by nothing else, and nothing can take hold of it under this lock.
                let Some(entry) = Arc::get_mut(&mut slot.entry) else {
                    continue;
                };
                match (entry.value.rest(), std::mem::take(entry.used.get_mut())) {
                    (Rest::Idle, false) => return self.take(&mut shard, at.bucket),
                    (Rest::Idle, true) => _ = used.get_or_insert(at),
                    (Rest::Remembers, false) => _ = remembers.get_or_insert(at),
                    (Rest::Remembers, true) | (Rest::Stays, _) => {}
                }
            }
            if hand.bucket >= shard.table.num_buckets() {
                hand.bucket = 0;
                hand.shard = (hand.shard + 1) & (self.shards.len() - 1);
                buckets += 1;
            }
        }
        let second = used.or(remembers)?;
        let mut shard = self.write(second.shard);
        let entry = Arc::get_mut(&mut shard.table.get_bucket_mut(second.bucket)?.entry)?;
        // It may have been used since, or the table have grown.
        if entry.value.rest() == Rest::Stays {
            return None;
        }
        self.take(&mut shard, second.bucket)
    }

    fn take(&self, shard: &mut Shard<K, V>, bucket: usize) -> Option<Arc<Entry<K, V>>> {
        let slot = shard.table.get_bucket_entry(bucket).ok()?.remove().0;
        slot.entry
            .value
            .add_to(shard.evicted.get_or_insert_default(), true);
        self.len.fetch_sub(1, Ordering::Relaxed);
        self.evicted.fetch_add(1, Ordering::Relaxed);
        Some(slot.entry)
    }
}

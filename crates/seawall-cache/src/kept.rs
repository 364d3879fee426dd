//! What is kept: entries with their times, and what makes them invalid.

use std::hash::Hash;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::{Cache, EntryAction};
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use seawall_core::ns;

use crate::calls::hash_of;
use crate::{CacheConfig, Demand};

/// How many counters of invalidations there are: one of another key does away with one entry in so many.
const SLOTS: usize = 4096;

/// How many parts a store has that is limited by weight, at most: what is heavier than one is not kept.
const PARTS: usize = 4;

/// Moments are nanoseconds of the layer's clock plus this, so that what is older than the process has one.
const START: u64 = 1 << 62;
/// The longest span that is added to a moment.
const LONGEST: u64 = 1 << 61;

/// A moment of the layer's clock, also before its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) const fn at(clock: u64) -> Self {
        Self(START.saturating_add(clock))
    }

    pub(crate) fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(ns(span).min(LONGEST)))
    }

    pub(crate) fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(ns(span).min(LONGEST)))
    }

    /// How long ago `earlier` was.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// An answer that is kept.
#[derive(Debug)]
pub(crate) struct Entry<V> {
    pub(crate) stored: V,
    /// When its data was made, as far as is known.
    pub(crate) made: Moment,
    /// When its call began, and the time that the data has itself.
    pub(crate) order: Order,
    pub(crate) until: Until,
    pub(crate) weight: u64,
    /// What it counts for in the store.
    pub(crate) counted: Counted,
    pub(crate) guard: Guard,
    pub(crate) refresh: Refreshing,
}

/// What an entry counts for, by its weight and the settings. It changes in the lock of its part of the store alone, where
/// the store notices.
#[derive(Debug, Default)]
pub(crate) struct Counted(AtomicU64);

/// Since when a new answer is fetched in place of one that is stale.
#[derive(Debug, Default)]
pub(crate) struct Refreshing(AtomicU64);

impl Refreshing {
    pub(crate) fn begin(&self, now: Moment) {
        self.0.store(now.0, Ordering::Relaxed);
    }

    /// Whether that takes longer than `most`: to one caller in that time. It begins where it has not.
    pub(crate) fn is_overdue(&self, now: Moment, most: Duration) -> bool {
        let overdue = |since: u64| (since == 0 || Moment(since).after(most) < now).then_some(now.0);
        let order = Ordering::Relaxed;
        let before = self.0.fetch_update(order, order, overdue);
        before.is_ok_and(|since| since != 0)
    }
}

/// Until when an entry may be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    /// Without more.
    pub(crate) fresh: Moment,
    /// While a new one is fetched.
    pub(crate) refreshing: Moment,
    /// Where the upstream fails; also in less time than the two before.
    pub(crate) failing: Moment,
}

impl Until {
    /// Until when it may be used for anything.
    pub(crate) fn last(&self) -> Moment {
        self.fresh.max(self.refreshing).max(self.failing)
    }
}

/// Which of two answers is newer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) began: Moment,
    pub(crate) timestamp: Option<u64>,
}

impl Order {
    /// Whether this is older than `other`: by the time of the data, where both have one, otherwise by when
    /// the call began.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        match (self.timestamp, other.timestamp) {
            (Some(mine), Some(theirs)) if mine != theirs => mine < theirs,
            _ => self.began < other.began,
        }
    }

    /// Whether this replaces what is stale, whatever its own time: a call that began later has seen more than a time
    /// that is far too late.
    fn succeeds<V>(&self, stale: &Entry<V>, now: Moment) -> bool {
        stale.until.fresh <= now && stale.order.began < self.began
    }
}

/// Which counters of invalidations an answer depends on, and what they were when its call began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    slots: [u16; 2],
    count: u64,
    /// How often whatever matched was invalidated.
    matching: u64,
}

impl Guard {
    /// One number that grows with every invalidation that it depends on.
    pub(crate) const fn epoch(&self) -> u64 {
        self.count.wrapping_add(self.matching)
    }
}

/// What a look-up finds.
#[derive(Debug)]
pub(crate) enum Found<V> {
    Fresh(Arc<Entry<V>>),
    /// It may be used while a new one is fetched, or is [taken stale](Entry::is_taken_stale).
    Refresh(Arc<Entry<V>>),
    /// It may be used where the upstream fails, or nothing is there.
    Nothing,
}

/// Why an answer was not kept.
pub(crate) enum NotKept<V> {
    /// This one is newer.
    Older(Arc<Entry<V>>),
    Invalidated,
    TooHeavy,
}

/// What is kept. An entry that was invalidated is never found again, also one whose call was under way.
pub(crate) struct Kept<K, V> {
    cache: Cache<K, Arc<Entry<V>>, ByWeight, DefaultHashBuilder, PutAside>,
    hasher: DefaultHashBuilder,
    /// Invalidations of keys and groups, by hash.
    counts: Box<[AtomicU64]>,
    /// Invalidations of what matches.
    matching: AtomicU64,
    /// The least that an entry counts for; 0 where each counts 1.
    share: AtomicU64,
}

#[derive(Clone, Debug)]
struct ByWeight;

impl<K, V> Weighter<K, Arc<Entry<V>>> for ByWeight {
    #[inline]
    fn weight(&self, _: &K, entry: &Arc<Entry<V>>) -> u64 {
        entry.counted.0.load(Ordering::Relaxed)
    }
}

/// What is put aside to be dropped outside of every lock: what a `Drop` of others does is not known.
pub(crate) type Aside<K, V> = Vec<(Option<K>, Arc<Entry<V>>)>;

/// Puts aside what is replaced or evicted.
#[derive(Clone, Debug)]
struct PutAside;

impl<K, V> Lifecycle<K, Arc<Entry<V>>> for PutAside {
    type RequestState = Aside<K, V>;

    fn on_evict(&self, aside: &mut Aside<K, V>, key: K, entry: Arc<Entry<V>>) {
        aside.push((Some(key), entry));
    }
}

impl<K: Eq + Hash + Clone, V> Kept<K, V> {
    pub(crate) fn new(config: &CacheConfig) -> Self {
        let hasher = DefaultHashBuilder::default();
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(config.max_entries());
        options.weight_capacity(config.capacity());
        if config.max_weight().is_some() {
            options.shards(PARTS);
        }
        let Ok(options) = options.build() else {
            unreachable!("both capacities are set");
        };
        Self {
            cache: Cache::with_options(options, ByWeight, hasher.clone(), PutAside),
            hasher,
            counts: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            matching: AtomicU64::new(0),
            share: AtomicU64::new(config.share().map_or(0, NonZeroU64::get)),
        }
    }

    pub(crate) fn hash(&self, key: &K) -> u64 {
        hash_of(&self.hasher, key)
    }

    fn count(&self, slots: [u16; 2]) -> u64 {
        let [key, group] = slots.map(|slot| self.counts[usize::from(slot)].load(Ordering::Acquire));
        key.wrapping_add(group)
    }

    /// What an answer depends on whose call begins now.
    pub(crate) fn guard(&self, hash: u64, group: Option<u64>) -> Guard {
        self.guard_of(Self::slots(hash, group))
    }

    /// What an answer of before this store depends on: of that nothing was ever invalidated.
    pub(crate) fn first_guard(hash: u64, group: Option<u64>) -> Guard {
        Guard {
            slots: Self::slots(hash, group),
            count: 0,
            matching: 0,
        }
    }

    fn slots(hash: u64, group: Option<u64>) -> [u16; 2] {
        [Self::slot(hash), Self::slot(group.unwrap_or(hash))]
    }

    fn guard_of(&self, slots: [u16; 2]) -> Guard {
        Guard {
            slots,
            count: self.count(slots),
            matching: self.matching.load(Ordering::Acquire),
        }
    }

    /// What the same answer depends on whose call begins only now.
    pub(crate) fn renewed(&self, guard: &Guard) -> Guard {
        self.guard_of(guard.slots)
    }

    /// Whether nothing that it depends on was invalidated since.
    pub(crate) fn is_valid(&self, guard: &Guard) -> bool {
        self.count(guard.slots) == guard.count
            && self.matching.load(Ordering::Acquire) == guard.matching
    }

    /// What is kept under `key`, and valid.
    #[inline]
    pub(crate) fn get(&self, key: &K) -> Option<Arc<Entry<V>>> {
        let entry = self.cache.get(key)?;
        // What matched an invalidation was taken out then.
        (self.count(entry.guard.slots) == entry.guard.count).then_some(entry)
    }

    /// What is kept under `key`, and suits a request that wants this.
    #[inline]
    pub(crate) fn look_up(&self, key: &K, now: Moment, demand: &Demand) -> Found<V> {
        let Some(entry) = self.get(key) else {
            return Found::Nothing;
        };
        entry.suits(now, demand)
    }

    /// What is kept under `key` and may be used although the upstream fails.
    pub(crate) fn look_up_stale(&self, key: &K, now: Moment) -> Option<Arc<Entry<V>>> {
        self.get(key).filter(|entry| now < entry.until.failing)
    }

    /// Keeps an answer, unless it is older than what is kept and [not stale yet](Order::succeeds), or was invalidated since its call began. To be
    /// called while nothing else is kept under that key.
    pub(crate) fn keep(
        &self,
        key: K,
        entry: Arc<Entry<V>>,
        now: Moment,
        aside: &mut Aside<K, V>,
    ) -> Result<(), NotKept<V>> {
        if !self.is_valid(&entry.guard) {
            aside.push((Some(key), entry));
            return Err(NotKept::Invalidated);
        }
        if let Some(before) = self.cache.peek(&key) {
            aside.push((None, Arc::clone(&before)));
            if self.count(before.guard.slots) == before.guard.count
                && now < before.until.last()
                && entry.order.is_before(&before.order)
                && !entry.order.succeeds(&before, now)
            {
                aside.push((Some(key), entry));
                return Err(NotKept::Older(before));
            }
        }
        self.insert(key, entry, aside)
    }

    /// What is too heavy does away with what was kept, which is older, and comes back.
    fn insert(
        &self,
        key: K,
        entry: Arc<Entry<V>>,
        aside: &mut Aside<K, V>,
    ) -> Result<(), NotKept<V>> {
        self.count_again(&entry);
        let inserted = Arc::as_ptr(&entry);
        self.cache.insert_with_lifecycle(key, entry, aside);
        match aside.iter().any(|(_, one)| Arc::as_ptr(one) == inserted) {
            true => Err(NotKept::TooHeavy),
            false => Ok(()),
        }
    }

    /// Keeps what comes from a file, unless something is there, or it was invalidated.
    pub(crate) fn insert_if_absent(
        &self,
        key: K,
        entry: Arc<Entry<V>>,
        aside: &mut Aside<K, V>,
    ) -> Result<(), NotKept<V>> {
        if !self.is_valid(&entry.guard) {
            aside.push((Some(key), entry));
            return Err(NotKept::Invalidated);
        }
        if let Some(before) = self.get(&key) {
            aside.push((Some(key), entry));
            return Err(NotKept::Older(before));
        }
        self.insert(key, entry, aside)
    }

    /// Whether it is this that is kept under `key`.
    pub(crate) fn holds(&self, key: &K, entry: &Arc<Entry<V>>) -> bool {
        self.cache
            .peek(key)
            .is_some_and(|kept| Arc::ptr_eq(&kept, entry))
    }

    /// Takes what is kept under `key` out of memory.
    pub(crate) fn remove(&self, key: &K) -> bool {
        self.cache.remove(key).is_some()
    }

    /// From now on nothing is kept whose call began before. What matches is to be
    /// [taken out](Self::remove_where) once what is being kept now is kept.
    pub(crate) fn invalidate_pending(&self) {
        self.matching.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes out what matches.
    pub(crate) fn remove_where(&self, matches: impl Fn(&K) -> bool) {
        // Not by `retain`, which asks and drops in its lock.
        for (key, entry) in self.cache.iter() {
            if matches(&key) {
                self.cache.remove_if(&key, |one| Arc::ptr_eq(one, &entry));
            }
        }
    }

    /// Everything that is valid.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, Arc<Entry<V>>)> {
        let is_valid = |entry: &Entry<V>| self.count(entry.guard.slots) == entry.guard.count;
        self.cache.iter().filter(move |(_, entry)| is_valid(entry))
    }

    pub(crate) fn len(&self) -> usize {
        self.cache.len()
    }

    pub(crate) fn weight(&self) -> u64 {
        self.cache.weight()
    }

    /// Sets what an entry counts for at least from now on. Whether that is another one: then what is kept is to be
    /// [counted again](Self::set_capacity) once what is being kept now is kept.
    pub(crate) fn set_share(&self, share: Option<NonZeroU64>) -> bool {
        let share = share.map_or(0, NonZeroU64::get);
        self.share.swap(share, Ordering::AcqRel) != share
    }

    fn count_again(&self, entry: &Entry<V>) {
        let counted = match self.share.load(Ordering::Acquire) {
            0 => 1,
            share => entry.weight.max(share),
        };
        entry.counted.0.store(counted, Ordering::Relaxed);
    }

    /// Sets what everything may count for together, and drops what has no place any more.
    pub(crate) fn set_capacity(&self, capacity: u64, counts_again: bool) {
        if counts_again {
            // What comes meanwhile evicts no more than either bound wants.
            if capacity > self.cache.capacity() {
                self.cache.set_capacity(capacity);
            }
            for (key, _) in self.cache.iter() {
                let again = |_: &K, entry: &mut Arc<Entry<V>>| {
                    self.count_again(entry);
                    EntryAction::Retain(())
                };
                drop(self.cache.entry(&key, Some(Duration::ZERO), again));
            }
        }
        self.cache.set_capacity(capacity);
    }
}

impl<K, V> Kept<K, V> {
    const fn slot(hash: u64) -> u16 {
        // The table of the store takes the others.
        (hash >> 20) as u16 % SLOTS as u16
    }

    /// Makes everything of a key or a group invalid, by its hash.
    pub(crate) fn invalidate(&self, hash: u64) {
        self.counts[usize::from(Self::slot(hash))].fetch_add(1, Ordering::AcqRel);
    }
}

impl<V> Entry<V> {
    /// How old it is.
    pub(crate) const fn age(&self, now: Moment) -> Duration {
        now.since(self.made)
    }

    /// Whether it is older than a request takes it.
    pub(crate) fn is_too_old(&self, now: Moment, demand: &Demand) -> bool {
        demand.max_age.is_some_and(|most| self.age(now) > most)
    }

    /// Whether it is the answer to a request that wants this, and has waited for it or gets what is stale since its
    /// call has failed: it may have no lifetime at all.
    pub(crate) fn suits_late(&self, now: Moment, demand: &Demand) -> bool {
        let lasts = demand.min_fresh.is_zero() || now.after(demand.min_fresh) < self.until.fresh;
        lasts && !self.is_too_old(now, demand)
    }

    /// How it suits a request that wants this.
    #[inline]
    pub(crate) fn suits(self: Arc<Self>, now: Moment, demand: &Demand) -> Found<V> {
        if now < self.until.fresh && *demand == Demand::DEFAULT {
            return Found::Fresh(self);
        }
        self.suits_special(now, demand)
    }

    #[cold]
    fn suits_special(self: Arc<Self>, now: Moment, demand: &Demand) -> Found<V> {
        if !demand.look_up || self.is_too_old(now, demand) {
            return Found::Nothing;
        }
        if now.after(demand.min_fresh) < self.until.fresh {
            return Found::Fresh(self);
        }
        let is_refreshed = demand.min_fresh.is_zero() && now < self.until.refreshing;
        if demand.stale && (is_refreshed || self.is_taken_stale(now, demand)) {
            return Found::Refresh(self);
        }
        Found::Nothing
    }

    /// Whether its request takes it stale, without a call.
    pub(crate) fn is_taken_stale(&self, now: Moment, demand: &Demand) -> bool {
        let Until { fresh, failing, .. } = self.until;
        // Only what may be used when stale at all may be because the request says so.
        demand.min_fresh.is_zero() && now < fresh.after(demand.max_stale).min(failing)
    }
}

seawall_core::impl_debug!(Kept<K, V>: |this| entries = this.counts.len());

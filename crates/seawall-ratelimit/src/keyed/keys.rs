//! The limits of all keys.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use seawall_core::{PartitionKey, QuotaSignal, Unit, ns};

use super::all_keys::AllKeys;
use super::config::KeyedRateLimitConfig;
use super::table::{KeyLimit, Table, mix};
use crate::bounds::{Applied, pause_ns};
use crate::bucket::Rate;
use crate::config::RateLimitConfig;
use crate::costs::Costs;
use crate::denial::Denial;
use crate::limit::Limit;
use crate::limiter::Limiter;
use crate::meter::WallClock;
use crate::pause::Start;
use crate::rates::EarlierRates;

/// Threads that ask for different keys at the same time seldom meet in one of so many.
const SHARDS: usize = 64;

/// The decision about a call, as far as its key is a word.
pub(crate) enum KeyAdmission {
    /// The tokens are taken.
    Granted,
    /// Not before so many nanoseconds from now.
    Denied(u64),
    /// Its limiter decides.
    Limiter(Arc<Limiter>),
}

/// A lock per pair of cache lines.
#[repr(align(128))]
#[derive(Debug)]
pub(super) struct Shard(Mutex<Table>);

/// The limits of all keys.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(super) shards: Box<[Shard]>,
    /// Locked before a shard, never while one is.
    pub(super) config: RwLock<KeyedRateLimitConfig>,
    pub(super) has_account: bool,
    /// For limiters to come.
    wall: Mutex<WallClock>,
    /// What the first limit of keys counts that are not named.
    pub(super) first_unit: Unit,
    /// Whether a call that costs nothing of that unit is free, whatever its key.
    pub(super) one_unit: AtomicBool,
    /// What holds for all keys.
    pub(super) all: Arc<AllKeys>,
    evicted: AtomicU64,
}

impl Keys {
    pub(crate) fn new(config: KeyedRateLimitConfig, has_account: bool, wall: WallClock) -> Self {
        let per_key = config.per_key();
        let rate = word_rate(per_key, has_account);
        let at_once = per_key.max_wait().is_zero();
        let has_named = config.keys().next().is_some();
        Self {
            shards: (0..SHARDS)
                .map(|_| Shard(Mutex::new(Table::new(rate, at_once, has_named))))
                .collect(),
            has_account,
            wall: Mutex::new(wall),
            first_unit: per_key.limits()[0].unit(),
            one_unit: AtomicBool::new(counts_one_unit(&config, has_account)),
            all: Arc::default(),
            evicted: AtomicU64::new(0),
            config: RwLock::new(config),
        }
    }

    pub(super) fn wall(&self) -> WallClock {
        *self.wall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the time for limits that count by the wall clock.
    pub(crate) fn set_wall_clock(&self, now_ns: u64, wall: WallClock) {
        *self.wall.lock().unwrap_or_else(PoisonError::into_inner) = wall;
        for (_, limiter) in self.limiters() {
            limiter.set_wall_clock(now_ns, wall);
        }
    }

    #[inline]
    pub(crate) const fn first_unit(&self) -> Unit {
        self.first_unit
    }

    /// Whether a call that costs nothing of the first unit is free, whatever its key.
    #[inline]
    pub(crate) fn counts_one_unit(&self) -> bool {
        self.one_unit.load(Ordering::Relaxed)
    }

    /// Whether nothing holds that concerns all keys.
    #[inline]
    pub(crate) fn is_clear(&self, now_ns: u64) -> bool {
        self.all.is_clear(now_ns)
    }

    /// When the pause of all keys ends, `u64::MAX` until it is resumed; `None` when there is none.
    pub(crate) fn paused_until(&self, now_ns: u64) -> Option<u64> {
        let until = self.all.pause().until();
        (now_ns < until && !self.all.is_bypass()).then_some(until)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.all.is_draining()
    }

    pub(crate) fn is_bypassed(&self) -> bool {
        self.all.is_bypass()
    }

    /// Changes what holds for all keys, and wakes the waiters that it lets pass.
    pub(crate) fn change_all(&self, now_ns: u64, change: impl FnOnce(&AllKeys)) {
        change(&self.all);
        for (_, limiter) in self.limiters() {
            limiter.wake(now_ns);
        }
    }

    /// Pauses all keys as the upstream asks for in the response to a call of one.
    pub(crate) fn pause_for_upstream(
        &self,
        key: PartitionKey,
        now_ns: u64,
        signal: QuotaSignal,
    ) -> Applied {
        let pause = pause_ns(self.config().of_key(key), signal);
        let (lasts, applied) = pause.unwrap_or_default();
        if lasts > 0 {
            let until = now_ns.saturating_add(lasts);
            self.all.pause_until(now_ns, until, false);
        }
        applied
    }

    /// Takes what a call costs where its key is a word, or finds its limiter.
    #[inline]
    pub(crate) fn try_admit(&self, key: PartitionKey, now_ns: u64, cost: u32) -> KeyAdmission {
        let hash = mix(key.0);
        {
            let table = &mut *self.lock(hash);
            let (rate, at_once) = (table.rate, table.at_once);
            match table.get_mut(hash, key.0) {
                Some(KeyLimit::Word(word)) => {
                    let taken = rate.map(|rate| (rate, rate.take(*word, now_ns, cost.into())));
                    match taken {
                        Some((_, Ok(next))) => {
                            *word = next;
                            return KeyAdmission::Granted;
                        }
                        Some((rate, Err(wait))) if at_once && u64::from(cost) <= rate.burst() => {
                            return KeyAdmission::Denied(wait);
                        }
                        _ => {}
                    }
                }
                Some(KeyLimit::Limiter(limiter)) => {
                    return KeyAdmission::Limiter(Arc::clone(limiter));
                }
                None => {
                    let rate = table.rate_of_new();
                    let first = rate.map(|rate| rate.take(0, now_ns, cost.into()));
                    if let Some(Ok(word)) = first {
                        table.insert_new(hash, key.0, KeyLimit::Word(word));
                        return KeyAdmission::Granted;
                    }
                }
            }
        }
        self.admit_slow(key, now_ns, cost)
    }

    /// A new key for which there may be no room, or a key that needs a limiter now.
    #[cold]
    #[inline(never)]
    fn admit_slow(&self, key: PartitionKey, now_ns: u64, cost: u32) -> KeyAdmission {
        let config = self.config();
        let mut evicted = Vec::new();
        let admission = {
            let hash = mix(key.0);
            let table = &mut *self.lock(hash);
            let is_new = table.get_hashed(hash, key.0).is_none();
            if is_new {
                self.make_room(table, &config, now_ns, &mut evicted);
            }
            let first = |rate: Rate| rate.take(0, now_ns, cost.into());
            match table.rate.map(first) {
                Some(Ok(word)) if is_new && !config.has_key(key) => {
                    table.insert_new(hash, key.0, KeyLimit::Word(word));
                    KeyAdmission::Granted
                }
                _ => KeyAdmission::Limiter(self.limiter_in(table, &config, key, now_ns)),
            }
        };
        // Dropped without a lock.
        drop((config, evicted));
        admission
    }

    /// As [`try_admit`](Self::try_admit) while something holds for all keys. A key that is rejected
    /// needs no limiter.
    ///
    /// # Errors
    ///
    /// Why it does not depart.
    #[cold]
    pub(crate) fn admit_paused(
        &self,
        key: PartitionKey,
        now_ns: u64,
        cost: u32,
    ) -> Result<KeyAdmission, Denial> {
        if self.all.is_draining() {
            return Err(Denial::DRAINING);
        }
        let config = self.config();
        let start = Start::new(now_ns, self.all.pause());
        let mut evicted = Vec::new();
        let table = &mut *self.lock(mix(key.0));
        let word = match table.get(key.0) {
            Some(KeyLimit::Limiter(_)) => None,
            Some(KeyLimit::Word(word)) => Some(*word),
            None => (!config.has_key(key)).then_some(0),
        };
        if let (Some(word), Some(rate)) = (word, table.rate)
            && !self.all.is_bypass()
            && u64::from(cost) <= rate.burst()
        {
            let word = rate.after(word, start.pause);
            let wait = rate.wait(word, start, cost.into());
            if wait == 0
                && let Ok(next) = rate.take(word, now_ns, cost.into())
            {
                if table.get(key.0).is_none() {
                    self.make_room(table, &config, now_ns, &mut evicted);
                }
                table.set(key.0, KeyLimit::Word(next));
                return Ok(KeyAdmission::Granted);
            }
            if wait > ns(config.per_key().max_wait()) {
                return Err(Denial::of_wait(start, wait, false));
            }
        }
        let limiter = self.limiter_in(table, &config, key, now_ns);
        Ok(KeyAdmission::Limiter(limiter))
    }

    /// The limiter of a key; a key that was a word becomes one.
    pub(crate) fn limiter(&self, key: PartitionKey, now_ns: u64) -> Arc<Limiter> {
        let mut evicted = Vec::new();
        let limiter = {
            let config = self.config();
            let table = &mut *self.lock(mix(key.0));
            if table.get(key.0).is_none() {
                self.make_room(table, &config, now_ns, &mut evicted);
            }
            self.limiter_in(table, &config, key, now_ns)
        };
        // Dropped without a lock.
        drop(evicted);
        limiter
    }

    pub(super) fn limiter_in(
        &self,
        table: &mut Table,
        config: &KeyedRateLimitConfig,
        key: PartitionKey,
        now_ns: u64,
    ) -> Arc<Limiter> {
        let settings = || config.of_key(key).clone();
        let (limiter, is_new) = match table.get(key.0) {
            Some(KeyLimit::Limiter(limiter)) => return Arc::clone(limiter),
            Some(KeyLimit::Word(word)) => {
                let limiter = Limiter::with_word(settings(), *word, self.wall());
                (limiter, false)
            }
            None => (Limiter::new(settings(), now_ns, self.wall()), true),
        };
        let rates = if is_new && (config.has_key(key) || table.rate.is_none()) {
            // Whatever rates it had when it was evicted, its buckets were full.
            EarlierRates::since(now_ns)
        } else {
            table.earlier_rates.clone()
        };
        let limiter = limiter.with_earlier_rates(rates).of_key(&self.all);
        let limiter = Arc::new(if self.has_account {
            limiter.within_account()
        } else {
            limiter
        });
        table.set(key.0, KeyLimit::Limiter(Arc::clone(&limiter)));
        limiter
    }

    /// The limiter of a key, if it has one now.
    pub(crate) fn find_limiter(&self, key: PartitionKey) -> Option<Arc<Limiter>> {
        match self.lock(mix(key.0)).get(key.0) {
            Some(KeyLimit::Limiter(limiter)) => Some(Arc::clone(limiter)),
            _ => None,
        }
    }

    /// What a key has left of the limit that has the least; an unused key has all of it.
    pub(crate) fn available(&self, key: PartitionKey, now_ns: u64) -> f64 {
        if let Some(limiter) = self.find_limiter(key) {
            return limiter.min_available(now_ns);
        }
        let table = self.lock(mix(key.0));
        if let (Some(KeyLimit::Word(word)), Some(rate)) = (table.get(key.0), table.rate) {
            return rate.available(*word, now_ns);
        }
        drop(table);
        let config = self.config();
        let capacities = config.of_key(key).limits().iter().map(Limit::capacity);
        capacities.min().unwrap_or(0).into()
    }

    /// Evicts every idle key, and frees the memory.
    pub(crate) fn evict_idle(&self, now_ns: u64) {
        let config = self.config();
        for shard in &self.shards {
            let mut evicted = Vec::new();
            let mut table = lock(shard);
            let is_named = |key| config.has_key(PartitionKey(key));
            let count = table.evict_idle(is_named, now_ns, &mut evicted);
            self.evicted.fetch_add(count, Ordering::Relaxed);
            table.shrink();
            drop(table);
            drop(evicted);
        }
    }

    /// Every key that has a limiter now.
    pub(crate) fn limiters(&self) -> Vec<(PartitionKey, Arc<Limiter>)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let table = lock(shard);
            all.extend(table.iter().filter_map(|(key, limit)| match limit {
                KeyLimit::Limiter(limiter) => Some((PartitionKey(key), Arc::clone(limiter))),
                KeyLimit::Word(_) => None,
            }));
        }
        all
    }

    /// The settings in force.
    pub(crate) fn config(&self) -> RwLockReadGuard<'_, KeyedRateLimitConfig> {
        self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a call costs of each limit of a key.
    pub(crate) fn costs_of(&self, key: PartitionKey, cost: impl FnMut(Unit) -> u32) -> Costs {
        let config = self.config();
        let limits = config.of_key(key).limits();
        Costs::of(limits.iter().map(Limit::unit), cost)
    }

    /// Evicts idle keys where the next new one would make the table grow.
    // Always: every new key comes here.
    #[inline(always)]
    pub(super) fn make_room(
        &self,
        table: &mut Table,
        config: &KeyedRateLimitConfig,
        now_ns: u64,
        evicted: &mut Vec<Arc<Limiter>>,
    ) {
        if table.is_full() {
            self.evict_from(table, config, now_ns, evicted);
        }
    }

    #[cold]
    #[inline(never)]
    fn evict_from(
        &self,
        table: &mut Table,
        config: &KeyedRateLimitConfig,
        now_ns: u64,
        evicted: &mut Vec<Arc<Limiter>>,
    ) {
        let is_named = |key| config.has_key(PartitionKey(key));
        let count = table.make_room(is_named, now_ns, evicted);
        self.evicted.fetch_add(count, Ordering::Relaxed);
    }

    /// How many keys are kept.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// How many keys were evicted.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// The memory of the tables and of the limiters of keys, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        // A reference count is before each, as far as the alignment asks for.
        let count = align_of::<Limiter>().max(2 * size_of::<usize>());
        let of_shard = |shard: &Shard| {
            let table = lock(shard);
            let limiters = table.iter().map(|(_, limit)| match limit {
                KeyLimit::Limiter(limiter) => count + limiter.bytes(),
                KeyLimit::Word(_) => 0,
            });
            table.bytes() + limiters.sum::<usize>()
        };
        let tables = self.shards.iter().map(of_shard).sum::<usize>();
        size_of_val(&*self.shards) + tables
    }

    pub(super) fn lock(&self, hash: u64) -> MutexGuard<'_, Table> {
        // Bits that the table does not use first.
        lock(&self.shards[(hash >> 40) as usize % SHARDS])
    }
}

/// The rate of keys that are words, if they can be.
pub(super) fn word_rate(config: &RateLimitConfig, has_account: bool) -> Option<Rate> {
    match config.limits() {
        [only] if !has_account && !config.shadow() && config.reserved_share().is_none() => {
            only.rate()
        }
        _ => None,
    }
}

/// Whether all that a call costs is its cost of the first limit, whatever its key.
pub(super) fn counts_one_unit(config: &KeyedRateLimitConfig, has_account: bool) -> bool {
    let [only] = config.per_key().limits() else {
        return false;
    };
    let mut limits = config.keys().flat_map(|(_, config)| config.limits());
    !has_account && limits.all(|limit| limit.unit() == only.unit())
}

pub(super) fn lock(shard: &Shard) -> MutexGuard<'_, Table> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

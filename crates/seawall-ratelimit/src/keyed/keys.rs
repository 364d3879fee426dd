//! The limits of all keys.
//!
//! A key whose limit is a single bucket is one word in a table, beside the key itself: 24 bytes. It
//! becomes a limiter of its own, with a line and everything else that a limiter has, when it needs
//! one: when somebody waits, when the upstream says something of it, or when its settings are its
//! own. It is a word again once nobody needs that any more.
//!
//! A bucket that is full again is like one that was never there. So before a table grows, those keys
//! go that nobody would miss: what is kept is at most twice of what was used within the time that a
//! bucket takes to fill, and no limit is ever forgotten too early.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use hashbrown::HashTable;
use seawall_core::{InvalidConfig, PartitionKey};

use crate::RateLimitConfig;
use crate::bucket::Rate;
use crate::limiter::Limiter;
use crate::meter::WallClock;

/// Threads that ask at once for different keys seldom meet in one of so many.
const SHARDS: usize = 64;

/// What is known of a key after a call has asked.
pub(crate) enum Found {
    /// The tokens are taken.
    Granted,
    /// Not before so many nanoseconds from now.
    Later(u64),
    /// Ask its limiter.
    Own(Arc<Limiter>),
}

#[derive(Debug)]
struct Slot {
    key: u64,
    limit: KeyLimit,
}

#[derive(Debug)]
enum KeyLimit {
    /// The word of a bucket.
    Bare(u64),
    Own(Arc<Limiter>),
}

/// A lock per pair of cache lines.
#[repr(align(128))]
#[derive(Debug)]
struct Shard(Mutex<Table>);

#[derive(Debug)]
struct Table {
    slots: HashTable<Slot>,
    /// Of keys without a limiter of their own; `None` when every key needs one.
    rate: Option<Rate>,
    /// Whether a key that is used up rejects without a limiter of its own.
    at_once: bool,
}

/// The settings of keys, by key where they have their own.
#[derive(Debug)]
struct Plan {
    usual: RateLimitConfig,
    own: HashMap<u64, RateLimitConfig>,
}

/// The limits of all keys.
#[derive(Debug)]
pub(crate) struct Keys {
    shards: Box<[Shard]>,
    /// Locked before a shard, never while one is.
    plan: RwLock<Plan>,
    /// Whether a limit above forbids the short way.
    within: bool,
    wall: WallClock,
    evicted: AtomicU64,
}

/// The two halves of a product: every bit of the key counts for every bit of the hash.
const fn mix(key: u64) -> u64 {
    let product = (key ^ 0x2545_F491_4F6C_DD1D) as u128 * 0x9E37_79B9_7F4A_7C15;
    (product as u64) ^ ((product >> 64) as u64)
}

fn check(config: &RateLimitConfig) -> Result<(), InvalidConfig> {
    if config.limits().iter().any(|limit| limit.file().is_some()) {
        return Err(InvalidConfig::new(
            "kept_in",
            "a quota file",
            "none for a limit per key: one file cannot hold the quotas of many",
        ));
    }
    Ok(())
}

impl Keys {
    pub(crate) fn new(
        usual: RateLimitConfig,
        within: bool,
        wall: WallClock,
    ) -> Result<Self, InvalidConfig> {
        check(&usual)?;
        let keys = Self {
            shards: (0..SHARDS)
                .map(|_| {
                    Shard(Mutex::new(Table {
                        slots: HashTable::new(),
                        rate: bare(&usual, within),
                        at_once: usual.max_wait().is_zero(),
                    }))
                })
                .collect(),
            plan: RwLock::new(Plan {
                usual,
                own: HashMap::new(),
            }),
            within,
            wall,
            evicted: AtomicU64::new(0),
        };
        Ok(keys)
    }

    /// Takes what a call costs where its key is a word, or finds its limiter.
    #[inline]
    pub(crate) fn ask(&self, key: PartitionKey, now_ns: u64, cost: u32) -> Found {
        let hash = mix(key.0);
        {
            let table = &mut *self.lock(hash);
            let slot = table.slots.find_mut(hash, |slot| slot.key == key.0);
            match (slot.map(|slot| &mut slot.limit), table.rate) {
                (Some(KeyLimit::Bare(word)), Some(rate)) => {
                    match rate.take(*word, now_ns, cost.into()) {
                        Ok(next) => {
                            *word = next;
                            return Found::Granted;
                        }
                        Err(wait) if table.at_once && u64::from(cost) <= rate.burst() => {
                            return Found::Later(wait);
                        }
                        Err(_) => {}
                    }
                }
                (Some(KeyLimit::Own(limiter)), _) => return Found::Own(Arc::clone(limiter)),
                _ => {}
            }
        }
        self.ask_again(key, now_ns, cost)
    }

    /// A new key, or one that needs a limiter of its own now.
    #[cold]
    #[inline(never)]
    fn ask_again(&self, key: PartitionKey, now_ns: u64, cost: u32) -> Found {
        let hash = mix(key.0);
        let plan = self.plan();
        let mut gone = Vec::new();
        let found = {
            let table = &mut *self.lock(hash);
            let is_new = table.slots.find(hash, |slot| slot.key == key.0).is_none();
            if is_new {
                self.make_room(table, &plan, now_ns, &mut gone);
            }
            let fits = |rate: Rate| rate.take(0, now_ns, cost.into());
            match (is_new, table.rate.map(fits)) {
                (true, Some(Ok(word))) if !plan.own.contains_key(&key.0) => {
                    let limit = KeyLimit::Bare(word);
                    let slot = Slot { key: key.0, limit };
                    table.slots.insert_unique(hash, slot, |slot| mix(slot.key));
                    Found::Granted
                }
                _ => Found::Own(self.own_in(table, &plan, key, now_ns)),
            }
        };
        // Dropped with no lock held.
        drop((plan, gone));
        found
    }

    /// The limiter of a key, which becomes one if it was a word.
    pub(crate) fn own(&self, key: PartitionKey, now_ns: u64) -> Arc<Limiter> {
        let plan = self.plan();
        let table = &mut *self.lock(mix(key.0));
        self.own_in(table, &plan, key, now_ns)
    }

    fn own_in(
        &self,
        table: &mut Table,
        plan: &Plan,
        key: PartitionKey,
        now_ns: u64,
    ) -> Arc<Limiter> {
        let hash = mix(key.0);
        let word = match table.slots.find(hash, |slot| slot.key == key.0) {
            Some(Slot {
                limit: KeyLimit::Own(limiter),
                ..
            }) => return Arc::clone(limiter),
            Some(Slot {
                limit: KeyLimit::Bare(word),
                ..
            }) => Some(*word),
            None => None,
        };
        let config = plan.own.get(&key.0).unwrap_or(&plan.usual);
        let limiter = match word {
            Some(word) => Limiter::with_word(config.clone(), word, self.wall),
            None => Limiter::new(config.clone(), now_ns, self.wall),
        };
        let limiter = Arc::new(if self.within {
            limiter.below_another()
        } else {
            limiter
        });
        let limit = KeyLimit::Own(Arc::clone(&limiter));
        match table.slots.find_mut(hash, |slot| slot.key == key.0) {
            Some(slot) => slot.limit = limit,
            None => {
                let slot = Slot { key: key.0, limit };
                table.slots.insert_unique(hash, slot, |slot| mix(slot.key));
            }
        }
        limiter
    }

    /// What a key has left of its first limit; one that was never asked for has all of it.
    pub(crate) fn available(&self, key: PartitionKey, now_ns: u64) -> f64 {
        let plan = self.plan();
        let table = self.lock(mix(key.0));
        let slot = table.slots.find(mix(key.0), |slot| slot.key == key.0);
        match (slot.map(|slot| &slot.limit), table.rate) {
            (Some(KeyLimit::Bare(word)), Some(rate)) => rate.available(*word, now_ns),
            (Some(KeyLimit::Own(limiter)), _) => {
                let limiter = Arc::clone(limiter);
                drop(table);
                limiter.least_available(now_ns)
            }
            _ => {
                let config = plan.own.get(&key.0).unwrap_or(&plan.usual);
                let capacities = config.limits().iter().map(crate::Limit::capacity);
                capacities.min().unwrap_or(0).into()
            }
        }
    }

    /// Before a table grows, which looks at every key as well, those go that nobody would miss. It
    /// grows if that makes room for less than a quarter, so that the next time is far enough away.
    fn make_room(&self, table: &mut Table, plan: &Plan, now_ns: u64, gone: &mut Vec<Arc<Limiter>>) {
        let capacity = table.slots.capacity();
        if table.slots.len() < capacity {
            return;
        }
        self.sweep(table, plan, now_ns, gone);
        if table.slots.len() > capacity / 4 * 3 {
            table.slots.reserve(capacity / 4 + 1, |slot| mix(slot.key));
        }
    }

    /// Lets those keys go that nobody would miss. Their limiters are to be dropped with no lock
    /// held.
    fn sweep(&self, table: &mut Table, plan: &Plan, now_ns: u64, gone: &mut Vec<Arc<Limiter>>) {
        let (rate, mut evicted) = (table.rate, 0);
        for at in 0..table.slots.num_buckets() {
            let Some(slot) = table.slots.get_bucket_mut(at) else {
                continue;
            };
            let goes = match &mut slot.limit {
                KeyLimit::Bare(word) => Rate::is_full(*word, now_ns),
                KeyLimit::Own(limiter) => {
                    // Held by nobody else, and nobody can take hold of it under this lock.
                    let Some(limiter) = Arc::get_mut(limiter) else {
                        continue;
                    };
                    let goes = limiter.is_idle(now_ns);
                    let usual = rate.is_some() && !plan.own.contains_key(&slot.key);
                    if let Some(word) = limiter.plain_word().filter(|_| usual && !goes) {
                        slot.limit = KeyLimit::Bare(word);
                    }
                    goes
                }
            };
            if goes && let Ok(entry) = table.slots.get_bucket_entry(at) {
                if let KeyLimit::Own(limiter) = entry.remove().0.limit {
                    gone.push(limiter);
                }
                evicted += 1;
            }
        }
        self.evicted.fetch_add(evicted, Ordering::Relaxed);
    }

    /// Lets every key go that nobody would miss, and gives the memory back.
    pub(crate) fn evict_idle(&self, now_ns: u64) {
        let plan = self.plan();
        for shard in &self.shards {
            let mut gone = Vec::new();
            let mut table = lock(shard);
            self.sweep(&mut table, &plan, now_ns, &mut gone);
            table.slots.shrink_to_fit(|slot| mix(slot.key));
            drop(table);
            drop(gone);
        }
    }

    /// Hands every key that has a limiter of its own to `each`, outside of the locks.
    pub(crate) fn for_each_own(&self, mut each: impl FnMut(PartitionKey, &Limiter)) {
        for shard in &self.shards {
            let held: Vec<_> = {
                let table = lock(shard);
                let own = table.slots.iter().filter_map(|slot| match &slot.limit {
                    KeyLimit::Own(limiter) => Some((PartitionKey(slot.key), Arc::clone(limiter))),
                    KeyLimit::Bare(_) => None,
                });
                own.collect()
            };
            for (key, limiter) in &held {
                each(*key, limiter);
            }
        }
    }

    /// The settings of keys that have none of their own.
    pub(crate) fn usual(&self) -> RateLimitConfig {
        self.plan().usual.clone()
    }

    /// The settings of a key.
    pub(crate) fn config_of(&self, key: PartitionKey) -> RateLimitConfig {
        let plan = self.plan();
        plan.own.get(&key.0).unwrap_or(&plan.usual).clone()
    }

    /// Changes the settings of keys that have none of their own; what was used stays used.
    pub(crate) fn configure(
        &self,
        now_ns: u64,
        config: RateLimitConfig,
    ) -> Result<(), InvalidConfig> {
        check(&config)?;
        let (mut own, usual) = (Vec::new(), config.clone());
        {
            let mut plan = self.plan.write().unwrap_or_else(PoisonError::into_inner);
            plan.usual.same_shape(&config)?;
            let rate = bare(&config, self.within);
            for shard in &self.shards {
                let table = &mut *lock(shard);
                for slot in table.slots.iter_mut() {
                    if let KeyLimit::Bare(word) = &mut slot.limit {
                        match (table.rate, rate) {
                            (Some(old), Some(new)) => *word = old.carry(*word, now_ns, new),
                            _ => {
                                let before = plan.usual.clone();
                                let limiter = Limiter::with_word(before, *word, self.wall);
                                slot.limit = KeyLimit::Own(Arc::new(limiter));
                            }
                        }
                    }
                    if let KeyLimit::Own(limiter) = &slot.limit
                        && !plan.own.contains_key(&slot.key)
                    {
                        own.push(Arc::clone(limiter));
                    }
                }
                table.rate = rate;
                table.at_once = config.max_wait().is_zero();
            }
            plan.usual = config;
        }
        // With no lock held: those in line are woken.
        for limiter in own {
            // Of the same shape, as was checked.
            let _ = limiter.configure(now_ns, usual.clone());
        }
        Ok(())
    }

    /// Gives a key settings of its own. One that was used before keeps what it has used, and must
    /// have limits of the same kinds.
    pub(crate) fn configure_key(
        &self,
        key: PartitionKey,
        now_ns: u64,
        config: RateLimitConfig,
    ) -> Result<(), InvalidConfig> {
        check(&config)?;
        let hash = mix(key.0);
        let limiter = {
            let mut plan = self.plan.write().unwrap_or_else(PoisonError::into_inner);
            let table = &mut *self.lock(hash);
            let known = table.slots.find(hash, |slot| slot.key == key.0).is_some();
            let limiter = known.then(|| self.own_in(table, &plan, key, now_ns));
            if let Some(limiter) = &limiter {
                limiter.config().same_shape(&config)?;
            }
            plan.own.insert(key.0, config.clone());
            limiter
        };
        // With no lock held: those in line are woken.
        limiter.map_or(Ok(()), |limiter| limiter.configure(now_ns, config))
    }

    /// How many keys are kept.
    pub(crate) fn len(&self) -> usize {
        let lens = self.shards.iter().map(|shard| lock(shard).slots.len());
        lens.sum()
    }

    /// How many keys have a limiter of their own.
    pub(crate) fn own_len(&self) -> usize {
        let mut own = 0;
        self.for_each_own(|_, _| own += 1);
        own
    }

    /// How many keys went, since nobody would miss them.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// What the table takes, with the limiters that keys have of their own, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let tables = self.shards.iter();
        let tables: usize = tables.map(|s| lock(s).slots.allocation_size()).sum();
        let own = size_of::<Limiter>() + 2 * size_of::<usize>();
        size_of_val(&*self.shards) + tables + self.own_len() * own
    }

    fn plan(&self) -> RwLockReadGuard<'_, Plan> {
        self.plan.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self, hash: u64) -> MutexGuard<'_, Table> {
        // Bits that the table does not look at first.
        lock(&self.shards[(hash >> 40) as usize % SHARDS])
    }
}

/// The rate of keys that are words, if they can be.
fn bare(config: &RateLimitConfig, within: bool) -> Option<Rate> {
    match config.limits() {
        [only] if !within && !config.shadow() => only.rate(),
        _ => None,
    }
}

fn lock(shard: &Shard) -> MutexGuard<'_, Table> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Calls under way, by key: one leads, the others wait for its answer.
//!
//! A waiter has a slot of its own. The leader fills all of them once it has an answer; one that is dropped
//! without makes the first waiter the leader. Whatever is woken or dropped is so outside of every lock.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash};
use std::mem;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use hashbrown::HashTable;

use crate::sync::{Mutex, MutexGuard};

/// How many locks the calls are spread over.
const SHARDS: usize = if cfg!(seawall_loom) { 1 } else { 64 };

/// The calls that are under way.
pub(crate) struct Calls<K, A> {
    shards: Box<[Mutex<Shard<K, A>>]>,
}

/// The calls of some keys.
struct Shard<K, A> {
    pending: HashTable<Pending<K, A>>,
    /// The number of the next call or waiter.
    next: u64,
}

/// A call under way.
struct Pending<K, A> {
    key: K,
    hash: u64,
    /// Which call it is: an answer of an earlier one is not shared.
    id: u64,
    /// Which caller leads. One that led before may still answer.
    leader: u64,
    /// The epoch in which it was made: a caller of a later one does not share its answer.
    epoch: u64,
    waiters: Waiters<A>,
}

/// By number, so that the first is the one that has waited longest.
type Waiters<A> = BTreeMap<u64, Arc<Slot<A>>>;

/// Where a waiter finds what it waits for.
struct Slot<A>(Mutex<Waited<A>>);

enum Waited<A> {
    Waiting(Option<Waker>),
    Answered(A),
    /// The call with this id is this waiter's now.
    Leads(u64),
    /// There will be no answer.
    Alone,
    /// It was taken.
    Over,
}

/// What a caller does.
pub(crate) enum Joined<K, A> {
    Leads(Lead<K, A>),
    Waits(Waiting<K, A>),
}

/// What a waiter gets.
pub(crate) enum Turn<K, A> {
    Answered(A),
    /// The leader is gone: the waiter makes the call.
    Leads(Lead<K, A>),
    /// The leader takes too long: the waiter makes the call, too.
    Lapsed(Lead<K, A>),
    /// The waiter makes a call of its own.
    Alone,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, A> Calls<K, A> {
    pub(crate) fn new() -> Self {
        let shard = || {
            Mutex::new(Shard {
                pending: HashTable::new(),
                next: 0,
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
        }
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard<K, A>> {
        // Not the lowest bits, nor the highest: the table takes those.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    /// Runs `run` while no call of that hash begins or ends.
    pub(crate) fn exclusive<T>(&self, hash: u64, run: impl FnOnce() -> T) -> T {
        let _shard = lock(self.shard(hash));
        run()
    }

    /// Waits until what is exclusive now has ended.
    pub(crate) fn barrier(&self) {
        for shard in &self.shards {
            drop(lock(shard));
        }
    }

    /// Whether a call of this key is under way.
    pub(crate) fn is_pending(&self, hash: u64, key: &K) -> bool
    where
        K: Eq,
    {
        let shard = lock(self.shard(hash));
        shard.pending.find(hash, |one| one.key == *key).is_some()
    }

    /// How many callers wait.
    pub(crate) fn waiting(&self) -> usize {
        let waiting = |shard: &Mutex<Shard<K, A>>| {
            let shard = lock(shard);
            shard
                .pending
                .iter()
                .map(|one| one.waiters.len())
                .sum::<usize>()
        };
        self.shards.iter().map(waiting).sum()
    }

    /// How many calls are under way.
    pub(crate) fn len(&self) -> usize {
        let len = |shard: &Mutex<Shard<K, A>>| lock(shard).pending.len();
        self.shards.iter().map(len).sum()
    }
}

impl<K: Eq, A> Calls<K, A> {
    /// Leads the call of `key`, or waits for its answer. Where the call under way is of an earlier epoch than this,
    /// its waiters wait for this one from now on.
    pub(crate) fn join(self: &Arc<Self>, key: K, hash: u64, epoch: u64) -> Joined<K, A> {
        let mut shard = lock(self.shard(hash));
        let number = shard.next;
        shard.next = number.wrapping_add(1);
        let found = shard.pending.find_mut(hash, |one| one.key == key);
        match found {
            Some(pending) if pending.epoch >= epoch => {
                let leader = pending.leader;
                let slot = Arc::new(Slot(Mutex::new(Waited::Waiting(None))));
                pending.waiters.insert(number, Arc::clone(&slot));
                drop(shard);
                Joined::Waits(Waiting {
                    calls: Arc::clone(self),
                    slot,
                    hash,
                    number,
                    leader,
                })
            }
            Some(pending) => {
                pending.epoch = epoch;
                (pending.id, pending.leader) = (number, number);
                drop(shard);
                Joined::Leads(Lead::new(Arc::clone(self), hash, number, number))
            }
            None => {
                let pending = Pending {
                    key,
                    hash,
                    id: number,
                    leader: number,
                    epoch,
                    waiters: BTreeMap::new(),
                };
                shard.pending.insert_unique(hash, pending, |one| one.hash);
                drop(shard);
                Joined::Leads(Lead::new(Arc::clone(self), hash, number, number))
            }
        }
    }
}

/// The right and the duty to make the call of a key. Dropped, it goes to the first waiter.
pub(crate) struct Lead<K, A> {
    // `None` when it is over.
    calls: Option<Arc<Calls<K, A>>>,
    hash: u64,
    id: u64,
    leader: u64,
}

impl<K, A> Lead<K, A> {
    const fn new(calls: Arc<Calls<K, A>>, hash: u64, id: u64, leader: u64) -> Self {
        Self {
            calls: Some(calls),
            hash,
            id,
            leader,
        }
    }

    /// Ends the call, if no caller waits for it.
    pub(crate) fn end_alone(&mut self) -> bool {
        let Some(calls) = &self.calls else {
            return true;
        };
        let mut shard = lock(calls.shard(self.hash));
        let (id, leader) = (self.id, self.leader);
        let found = shard.pending.find_entry(self.hash, |one| one.id == id);
        let removed = match found {
            Ok(found) if !found.get().waiters.is_empty() => return false,
            // Another one leads that has taken over; it ends the call.
            Ok(found) if found.get().leader != leader => None,
            Ok(found) => Some(found.remove().0),
            Err(_) => None,
        };
        drop(shard);
        drop(removed);
        self.calls = None;
        true
    }
}

impl<K, A: Clone> Lead<K, A> {
    /// Ends the call: `keep` may keep its answer, and what it returns is given to all waiters. There are none
    /// where another caller has taken over and ended it, nor where another epoch has replaced it: then they wait
    /// for that one.
    pub(crate) fn finish<T>(mut self, keep: impl FnOnce() -> (A, T)) -> T {
        let Some(calls) = self.calls.take() else {
            return keep().1;
        };
        let mut shard = lock(calls.shard(self.hash));
        let found = shard.pending.find_entry(self.hash, |one| one.id == self.id);
        let (waiters, _key) = match found.map(|found| found.remove().0) {
            Ok(pending) => (pending.waiters, Some(pending.key)),
            Err(_) => (Waiters::new(), None),
        };
        let waiters = Unanswered(waiters);
        // In the lock: the next caller finds either the call or what was kept of it.
        let (answer, kept) = keep();
        drop(shard);
        waiters.fill(&answer);
        kept
    }

    /// Ends the call with an answer for all waiters.
    pub(crate) fn answer(self, answer: A) {
        self.finish(|| (answer, ()));
    }
}

/// The waiters of a call that is over. Dropped, since keeping its answer has panicked, they are alone.
struct Unanswered<A>(Waiters<A>);

impl<A> Unanswered<A> {
    fn fill(mut self, answer: &A)
    where
        A: Clone,
    {
        self.wake(|| Waited::Answered(answer.clone()));
    }

    fn wake(&mut self, with: impl Fn() -> Waited<A>) {
        for slot in mem::take(&mut self.0).into_values() {
            let before = mem::replace(&mut *lock(&slot.0), with());
            if let Waited::Waiting(Some(waker)) = before {
                waker.wake();
            }
        }
    }
}

impl<A> Drop for Unanswered<A> {
    fn drop(&mut self) {
        self.wake(|| Waited::Alone);
    }
}

impl<K, A> Drop for Lead<K, A> {
    fn drop(&mut self) {
        let Some(calls) = self.calls.take() else {
            return;
        };
        let mut shard = lock(calls.shard(self.hash));
        let (id, leader) = (self.id, self.leader);
        let is_mine = |one: &Pending<K, A>| one.id == id && one.leader == leader;
        let Ok(mut found) = shard.pending.find_entry(self.hash, is_mine) else {
            return;
        };
        let Some((number, slot)) = found.get_mut().waiters.pop_first() else {
            let (pending, _) = found.remove();
            drop(shard);
            drop(pending);
            return;
        };
        // In the lock of the shard: a waiter that is dropped takes it before it looks into its slot.
        found.get_mut().leader = number;
        let before = mem::replace(&mut *lock(&slot.0), Waited::Leads(id));
        drop(shard);
        if let Waited::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

/// A caller that waits. Dropped, it waits no more; what it was given goes on.
pub(crate) struct Waiting<K, A> {
    calls: Arc<Calls<K, A>>,
    slot: Arc<Slot<A>>,
    hash: u64,
    number: u64,
    /// Which caller led when it began to wait.
    leader: u64,
}

impl<K, A> Waiting<K, A> {
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Turn<K, A>> {
        // Outside of the lock, as whatever else is not ours.
        let waker = cx.waker().clone();
        let mut waited = lock(&self.slot.0);
        if let Waited::Waiting(before) = &mut *waited {
            let before = before.replace(waker);
            drop(waited);
            drop(before);
            return Poll::Pending;
        }
        let turn = mem::replace(&mut *waited, Waited::Over);
        drop(waited);
        Poll::Ready(match turn {
            Waited::Answered(answer) => Turn::Answered(answer),
            Waited::Leads(id) => Turn::Leads(self.lead(id)),
            Waited::Waiting(_) | Waited::Alone | Waited::Over => Turn::Alone,
        })
    }

    fn lead(&self, id: u64) -> Lead<K, A> {
        Lead::new(Arc::clone(&self.calls), self.hash, id, self.number)
    }

    /// Leads from now on. Unless it waits for the last time not where the leader has changed since it began to:
    /// that one has begun later. What the one that led before answers counts as well.
    pub(crate) fn take_over(&self, is_last: bool) -> Option<Lead<K, A>> {
        let mut shard = lock(self.calls.shard(self.hash));
        let number = self.number;
        let mut pending = shard.pending.iter_hash_mut(self.hash);
        let pending = pending.find(|one| one.waiters.contains_key(&number))?;
        if pending.leader != self.leader && !is_last {
            return None;
        }
        let slot = pending.waiters.remove(&number);
        pending.leader = number;
        let id = pending.id;
        drop(shard);
        drop(slot);
        Some(self.lead(id))
    }
}

impl<K, A> Drop for Waiting<K, A> {
    fn drop(&mut self) {
        let mut shard = lock(self.calls.shard(self.hash));
        let number = self.number;
        let removed = shard
            .pending
            .iter_hash_mut(self.hash)
            .find_map(|one| one.waiters.remove(&number));
        drop(shard);
        drop(removed);
        let before = mem::replace(&mut *lock(&self.slot.0), Waited::Over);
        if let Waited::Leads(id) = before {
            // It was to lead, and does not: the next one does.
            drop(self.lead(id));
        }
    }
}

/// The hash of a key.
pub(crate) fn hash_of<K: Hash>(hasher: &impl BuildHasher, key: &K) -> u64 {
    hasher.hash_one(key)
}

seawall_core::impl_debug!(Calls<K, A>:);

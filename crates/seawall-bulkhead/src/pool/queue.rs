//! Permits and waiters, in all and per key, without clock, lock and executor.
//!
//! A waiter is `active` while it may get a permit, `parked` with its key while the key has no
//! room, and in neither while it is skipped, since its own service is not ready. It keeps its
//! id, and so its rank, wherever it is. While a key has room and waiters of it are parked, one
//! more of them is active: a call that makes room or stops being active promotes the next one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::task::Waker;
use std::time::Duration;

use seawall_core::{InvalidConfig, NonZeroDuration, PartitionKey, Reason};

use crate::config::needs_waiting;
use crate::mode::Mode;
use crate::semaphore::Admission;

/// How many permits there are, how many calls may wait, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolLimits {
    pub(crate) max_concurrent: u32,
    pub(crate) max_per_key: Option<u32>,
    pub(crate) max_waiting: u32,
    pub(crate) max_wait: Duration,
}

impl PoolLimits {
    /// A wait is longer than zero, and is set only where calls may wait.
    pub(crate) fn check_max_wait(&self, is_set: bool) -> Result<(), InvalidConfig> {
        NonZeroDuration::check("max_wait", self.max_wait)?;
        if is_set && self.max_waiting == 0 {
            return Err(needs_waiting("max_wait", format!("{:?}", self.max_wait)));
        }
        Ok(())
    }
}

/// The rank of a waiter: a lower one came first.
pub(crate) type WaiterId = u64;

#[derive(Debug)]
pub(crate) struct PoolQueue {
    pub(crate) limits: PoolLimits,
    pub(crate) mode: Mode,
    pub(crate) in_flight: u32,
    next_ticket: WaiterId,
    waiters: BTreeMap<WaiterId, Waiter>,
    active: BTreeSet<WaiterId>,
    /// Keys that have a permit or a parked waiter.
    keys: HashMap<PartitionKey, PerKey>,
}

#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) key: PartitionKey,
    /// `None` once it was taken to wake it, until it waits again.
    pub(crate) waker: Option<Waker>,
    skipped: bool,
}

#[derive(Debug, Default)]
struct PerKey {
    in_flight: u32,
    parked: BTreeSet<WaiterId>,
}

impl PoolQueue {
    pub(crate) fn new(limits: PoolLimits) -> Self {
        Self {
            limits,
            mode: Mode::Normal,
            in_flight: 0,
            next_ticket: 0,
            waiters: BTreeMap::new(),
            active: BTreeSet::new(),
            keys: HashMap::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    pub(crate) fn in_flight_of(&self, key: PartitionKey) -> u32 {
        self.keys.get(&key).map_or(0, |own| own.in_flight)
    }

    /// Takes a permit if the call may have one and no waiter goes before it.
    pub(crate) fn try_acquire(&mut self, key: PartitionKey) -> Admission {
        let admission = self.mode.admission(self.by_limits(key));
        if matches!(admission, Admission::Admitted | Admission::Shadowed(_)) {
            self.take(key);
        }
        admission
    }

    fn by_limits(&mut self, key: PartitionKey) -> Admission {
        let has_room = self.in_flight < self.limits.max_concurrent && self.below_max_per_key(key);
        // The head of the queue goes first.
        if has_room && self.head().is_none() {
            Admission::Admitted
        } else if self.is_full() {
            Admission::Rejected(Reason::BulkheadFull)
        } else {
            Admission::Wait
        }
    }

    fn is_full(&self) -> bool {
        self.waiters.len() >= self.limits.max_waiting as usize
    }

    fn below_max_per_key(&self, key: PartitionKey) -> bool {
        let max = self.limits.max_per_key;
        max.is_none_or(|max| self.in_flight_of(key) < max)
    }

    fn has_room(&self) -> bool {
        match self.mode {
            Mode::Normal => self.in_flight < self.limits.max_concurrent,
            Mode::Blocked => false,
            Mode::Bypassed => true,
        }
    }

    fn key_has_room(&self, key: PartitionKey) -> bool {
        self.mode == Mode::Bypassed || self.below_max_per_key(key)
    }

    /// Whether a call may join the queue.
    pub(crate) fn check_join(&self) -> Result<(), Reason> {
        match self.mode {
            Mode::Blocked => Err(Reason::Paused),
            Mode::Normal if self.is_full() => Err(Reason::BulkheadFull),
            Mode::Normal | Mode::Bypassed => Ok(()),
        }
    }

    pub(crate) fn join(&mut self, key: PartitionKey, waker: Waker) -> WaiterId {
        let id = self.next_ticket;
        self.next_ticket += 1;
        let waiter = Waiter {
            key,
            waker: Some(waker),
            skipped: false,
        };
        self.waiters.insert(id, waiter);
        self.active.insert(id);
        id
    }

    pub(crate) fn take(&mut self, key: PartitionKey) {
        self.in_flight += 1;
        self.keys.entry(key).or_default().in_flight += 1;
    }

    pub(crate) fn release(&mut self, key: PartitionKey) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(own) = self.keys.get_mut(&key) {
            own.in_flight = own.in_flight.saturating_sub(1);
        }
        self.promote(key);
    }

    /// The first active waiter. Those before it whose keys have no room are parked.
    fn head(&mut self) -> Option<WaiterId> {
        loop {
            let first = *self.active.first()?;
            let key = self.waiters.get(&first).map(|waiter| waiter.key)?;
            if self.key_has_room(key) {
                return Some(first);
            }
            self.active.remove(&first);
            self.keys.entry(key).or_default().parked.insert(first);
        }
    }

    pub(crate) fn may_go(&mut self, id: WaiterId, last_chance: bool) -> bool {
        if !self.has_room() {
            return false;
        }
        if last_chance {
            let key = self.waiters.get(&id).map(|waiter| waiter.key);
            return key.is_some_and(|key| self.key_has_room(key));
        }
        self.head() == Some(id)
    }

    /// The waker of the first waiter, if there is a permit for it.
    pub(crate) fn notify_next(&mut self) -> Option<Waker> {
        if !self.has_room() {
            return None;
        }
        let head = self.head()?;
        self.waiters.get_mut(&head)?.waker.take()
    }

    /// Makes the first parked waiter of a key active, if the key has room; forgets a key of which
    /// nothing is left.
    pub(crate) fn promote(&mut self, key: PartitionKey) {
        let has_room = self.key_has_room(key);
        let Some(own) = self.keys.get_mut(&key) else {
            return;
        };
        if has_room && let Some(first) = own.parked.pop_first() {
            self.active.insert(first);
        }
        if own.in_flight == 0 && own.parked.is_empty() {
            self.keys.remove(&key);
        }
    }

    /// Other limits or another mode: every parked waiter is looked at again.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Self)) -> Option<Waker> {
        change(self);
        for own in self.keys.values_mut() {
            self.active.append(&mut own.parked);
        }
        self.keys.retain(|_, own| own.in_flight > 0);
        self.notify_next()
    }

    pub(crate) fn is_skipped(&self, id: WaiterId) -> bool {
        let waiter = self.waiters.get(&id);
        waiter.is_some_and(|waiter| waiter.skipped)
    }

    pub(crate) fn skip(&mut self, id: WaiterId) {
        self.deactivate(id);
        if let Some(waiter) = self.waiters.get_mut(&id) {
            waiter.skipped = true;
            let key = waiter.key;
            self.promote(key);
        }
    }

    pub(crate) fn rejoin(&mut self, id: WaiterId) {
        if let Some(waiter) = self.waiters.get_mut(&id)
            && waiter.skipped
        {
            waiter.skipped = false;
            self.active.insert(id);
        }
    }

    /// Registers a waker; hands back the one it replaces, to be dropped outside of the lock.
    pub(crate) fn wait(&mut self, id: WaiterId, waker: &Waker) -> Option<Waker> {
        let known = &mut self.waiters.get_mut(&id)?.waker;
        match known {
            Some(known) if known.will_wake(waker) => None,
            known => known.replace(waker.clone()),
        }
    }

    fn deactivate(&mut self, id: WaiterId) {
        self.active.remove(&id);
        if let Some(waiter) = self.waiters.get(&id)
            && let Some(own) = self.keys.get_mut(&waiter.key)
        {
            own.parked.remove(&id);
        }
    }

    pub(crate) fn remove(&mut self, id: WaiterId) -> Option<Waiter> {
        self.deactivate(id);
        self.waiters.remove(&id)
    }

    #[cfg(test)]
    pub(crate) fn forgot_everything(&self) -> bool {
        self.keys.is_empty() && self.active.is_empty() && self.waiters.is_empty()
    }
}

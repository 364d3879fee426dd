//! Permits of a pool, in all and per key.
//!
//! A waiter that waits for its turn is *active*, or *parked* with its key while the key has no room.
//! While a key has room and waiters of it are parked, one more of them is active: whatever makes
//! room, or stops being active, promotes the next one. A claim counts as a permit that is held.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use seawall_core::queue::{Next, Supply, WaiterId};
use seawall_core::{InvalidConfig, NonZeroDuration, PartitionKey, Reason};

use crate::commands::FlagChange;
use crate::config::needs_waiting;
use crate::keyed::KeyedSupply;
use crate::mode::Mode;
use crate::semaphore::Admission;
use crate::semaphore::packed::DRAINING;
use crate::snapshot::BulkheadState;

/// How many permits there are, how many calls may wait, and for how long; whether that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolLimits {
    pub(crate) max_concurrent: u32,
    pub(crate) max_per_key: Option<u32>,
    pub(crate) max_waiting: u32,
    pub(crate) max_wait: Duration,
    pub(crate) shadow: bool,
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

#[derive(Debug)]
pub(crate) struct PoolSupply {
    limits: PoolLimits,
    mode: Mode,
    in_flight: u32,
    claims: u32,
    queue_depth: usize,
    active: BTreeMap<WaiterId, PartitionKey>,
    /// Keys that have a permit, a claim or a parked waiter.
    keys: HashMap<PartitionKey, PerKey>,
}

#[derive(Debug, Default)]
struct PerKey {
    in_flight: u32,
    claims: u32,
    parked: BTreeSet<WaiterId>,
}

/// The numbers of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolUsage {
    pub(crate) limits: PoolLimits,
    pub(crate) mode: Mode,
    pub(crate) in_flight: u32,
    pub(crate) queue_depth: usize,
}

impl PoolUsage {
    pub(crate) const fn state(&self) -> BulkheadState {
        let limit = self.limits.max_concurrent;
        BulkheadState::with(self.mode, self.in_flight, limit, self.queue_depth)
    }
}

impl PoolSupply {
    pub(crate) fn new(limits: PoolLimits) -> Self {
        Self {
            mode: Mode::new(limits.shadow),
            limits,
            in_flight: 0,
            claims: 0,
            queue_depth: 0,
            active: BTreeMap::new(),
            keys: HashMap::new(),
        }
    }

    pub(crate) const fn usage(&self) -> PoolUsage {
        PoolUsage {
            limits: self.limits,
            mode: self.mode,
            in_flight: self.in_flight,
            queue_depth: self.queue_depth,
        }
    }

    pub(crate) fn in_flight_of(&self, key: PartitionKey) -> u32 {
        self.keys.get(&key).map_or(0, |own| own.in_flight)
    }

    /// Other limits for calls and waiters alike; a waiter keeps its `max_wait`.
    pub(crate) fn set_limits(&mut self, limits: PoolLimits) {
        self.limits = limits;
        self.mode.configure(limits.shadow);
        self.unpark();
    }

    /// Ends every command.
    pub(crate) fn reset(&mut self) {
        self.mode = Mode::new(self.limits.shadow);
        self.unpark();
    }

    /// Whether nothing is left of any call.
    #[cfg(test)]
    pub(crate) fn is_unused(&self) -> bool {
        self.keys.is_empty() && self.active.is_empty() && self.queue_depth == 0
    }

    /// Every parked waiter is looked at again.
    fn unpark(&mut self) {
        for (key, own) in &mut self.keys {
            let parked = std::mem::take(&mut own.parked);
            self.active.extend(parked.into_iter().map(|id| (id, *key)));
        }
        self.keys.retain(|_, own| !own.is_unused());
    }

    fn is_full(&self) -> bool {
        self.queue_depth >= self.limits.max_waiting as usize
    }

    /// Whether a call that finds no permit is to be rejected. Where limits are ignored, calls beyond
    /// them stand for those that would wait.
    fn is_full_for(&self, held_of_key: u32) -> bool {
        if !self.mode.ignores_limits() {
            return self.is_full();
        }
        let beyond = self.in_flight.saturating_sub(self.limits.max_concurrent);
        let max_per_key = self.limits.max_per_key.unwrap_or(u32::MAX);
        let beyond = beyond.max(held_of_key.saturating_sub(max_per_key));
        beyond >= self.limits.max_waiting
    }

    fn has_room(&self, held: u32) -> bool {
        let has_room = held < self.limits.max_concurrent || self.mode.ignores_limits();
        has_room && !self.mode.is_paused()
    }

    fn key_has_room(&self, held: u32) -> bool {
        let max = self.limits.max_per_key;
        self.mode.ignores_limits() || max.is_none_or(|max| held < max)
    }

    /// What a key holds, claims included.
    fn held_of(&self, key: PartitionKey) -> u32 {
        self.keys
            .get(&key)
            .map_or(0, |own| own.in_flight + own.claims)
    }

    /// The first active waiter whose key has room; those before it are parked.
    fn head(&mut self) -> Option<(WaiterId, PartitionKey)> {
        loop {
            let (id, key) = self.active.first_key_value()?;
            let (id, key) = (*id, *key);
            if self.key_has_room(self.held_of(key)) {
                return Some((id, key));
            }
            self.active.remove(&id);
            self.keys.entry(key).or_default().parked.insert(id);
        }
    }

    /// Changes what a key has; then makes its first parked waiter active, if it has room, and
    /// forgets it if nothing is left of it.
    fn change(&mut self, key: PartitionKey, change: impl FnOnce(&mut PerKey)) {
        let own = self.keys.entry(key).or_default();
        change(own);
        let held = own.in_flight + own.claims;
        let first = own.parked.first().copied();
        if let Some(first) = first
            && self.key_has_room(held)
            && let Some(own) = self.keys.get_mut(&key)
        {
            own.parked.remove(&first);
            self.active.insert(first, key);
        }
        if self.keys.get(&key).is_some_and(PerKey::is_unused) {
            self.keys.remove(&key);
        }
    }

    fn by_limits(&mut self, key: PartitionKey) -> Admission {
        let held = self.in_flight + self.claims;
        let of_key = self.held_of(key);
        let max_per_key = self.limits.max_per_key;
        let has_room =
            held < self.limits.max_concurrent && max_per_key.is_none_or(|max| of_key < max);
        // The head of the queue goes first.
        if has_room && self.head().is_none() {
            Admission::Admitted
        } else if self.is_full_for(of_key) {
            Admission::Rejected(Reason::BulkheadFull)
        } else {
            Admission::Wait
        }
    }
}

impl PerKey {
    fn is_unused(&self) -> bool {
        self.in_flight == 0 && self.claims == 0 && self.parked.is_empty()
    }
}

impl Supply<PartitionKey> for PoolSupply {
    fn claim_next(&mut self, _: u64, _: Next<'_, PartitionKey>) -> Result<WaiterId, u64> {
        if !self.has_room(self.in_flight + self.claims) {
            return Err(u64::MAX);
        }
        let (id, key) = self.head().ok_or(u64::MAX)?;
        self.active.remove(&id);
        self.claims += 1;
        self.change(key, |own| own.claims += 1);
        Ok(id)
    }

    fn unclaim(&mut self, _: WaiterId, key: &PartitionKey) -> bool {
        self.claims -= 1;
        self.change(*key, |own| own.claims -= 1);
        true
    }

    fn serves_expired(&self) -> bool {
        !self.is_draining()
    }

    fn enter(&mut self, id: WaiterId, key: &PartitionKey) {
        self.active.insert(id, *key);
    }

    fn exit(&mut self, id: WaiterId, key: &PartitionKey) {
        self.active.remove(&id);
        self.change(*key, |own| {
            own.parked.remove(&id);
        });
    }

    fn counted(&mut self, _: &PartitionKey) {
        self.queue_depth += 1;
    }

    fn uncounted(&mut self, _: &PartitionKey) {
        self.queue_depth -= 1;
    }
}

impl KeyedSupply for PoolSupply {
    fn try_acquire(&mut self, key: PartitionKey) -> Admission {
        let normal = self.by_limits(key);
        let admission = self.mode.admission(normal);
        if matches!(admission, Admission::Admitted | Admission::Shadowed(_)) {
            self.take(key);
        }
        admission
    }

    fn check_join(&self, _: PartitionKey) -> Result<(), Reason> {
        match self.mode.rejects() {
            Some(reason) => Err(reason),
            None if self.is_full() && !self.mode.ignores_limits() => Err(Reason::BulkheadFull),
            None => Ok(()),
        }
    }

    fn max_wait(&self) -> Duration {
        self.limits.max_wait
    }

    fn has_permit(&self, key: PartitionKey) -> bool {
        self.has_room(self.in_flight) && self.key_has_room(self.in_flight_of(key))
    }

    fn take(&mut self, key: PartitionKey) {
        self.in_flight += 1;
        self.change(key, |own| own.in_flight += 1);
    }

    fn release(&mut self, key: PartitionKey) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.change(key, |own| own.in_flight = own.in_flight.saturating_sub(1));
    }

    fn in_flight(&self) -> u32 {
        self.in_flight
    }

    fn is_draining(&self) -> bool {
        self.mode.has(DRAINING)
    }

    fn command(&mut self, (set, clear): FlagChange) {
        self.mode.command(set, clear);
        self.unpark();
    }
}

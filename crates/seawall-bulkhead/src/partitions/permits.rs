//! Which call gets the next permit of a partitioned bulkhead, without clock, lock and executor.
//!
//! A key with fewer permits than it is guaranteed comes before every other, a named one first. The
//! rest is borrowed: the next permit goes to the key that has borrowed least for its weight, and
//! within a key to the first waiter. Permits that a named key is guaranteed and does not use are
//! not lent. A claim of a waiter that was notified counts as a permit that is held.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use seawall_core::queue::{Next, Supply, WaiterId};
use seawall_core::{PartitionKey, Reason};

use super::config::{PartitionConfig, PartitionShare};
use super::hash::Seeded;
use super::partition::{Candidate, Partition};
use crate::commands::FlagChange;
use crate::keyed::KeyedSupply;
use crate::mode::Mode;
use crate::semaphore::Admission;
use crate::semaphore::packed::DRAINING;

#[derive(Debug)]
pub(crate) struct PartitionPermits {
    pub(super) limit: u32,
    pub(super) mode: Mode,
    pub(super) in_flight: u32,
    claims: u32,
    pub(super) queue_depth: usize,
    /// The sum of what is kept available for named keys.
    kept: u64,
    turns: u64,
    /// As configured last: limit and shares may have been changed since.
    pub(super) config: PartitionConfig,
    pub(super) partitions: HashMap<PartitionKey, Partition, Seeded>,
    candidates: BTreeSet<Candidate>,
}

impl PartitionPermits {
    pub(crate) fn new(config: PartitionConfig) -> Self {
        let mut permits = Self {
            limit: config.max_concurrent(),
            mode: Mode::new(config.shadow()),
            in_flight: 0,
            claims: 0,
            queue_depth: 0,
            kept: 0,
            turns: 0,
            partitions: HashMap::with_hasher(Seeded::new()),
            candidates: BTreeSet::new(),
            config,
        };
        permits.apply_config();
        permits
    }

    /// Gives a key a share of its own.
    pub(super) fn name(&mut self, key: PartitionKey, share: PartitionShare) {
        self.change(key, |partition| {
            partition.named = true;
            partition.share = share;
        });
    }

    pub(super) const fn default_share(&self) -> PartitionShare {
        self.config.default_share()
    }

    /// What the settings alone decide about a call.
    fn by_shares(&self, key: PartitionKey) -> Admission {
        let fresh = Partition::new(self.default_share(), false);
        let partition = self.partitions.get(&key).unwrap_or(&fresh);
        let debt = partition.debt();
        let below_max = partition.held() < partition.share.max;
        let first = self.candidates.first();
        let is_next = first.is_none_or(|(first, ..)| debt < *first);
        let free = self.limit.saturating_sub(self.in_flight + self.claims);
        if partition.waiting.is_empty() && below_max && is_next && self.has_room(free, debt.kept) {
            Admission::Admitted
        } else if self.is_full_for(partition) {
            Admission::Rejected(Reason::BulkheadFull)
        } else {
            Admission::Wait
        }
    }

    /// Whether a call of the key that finds no permit is to be rejected. Where shares are ignored,
    /// calls beyond them stand for those that would wait: beyond the bound of the key, or of what it
    /// has borrowed beyond all permits.
    #[cold]
    fn is_full_for(&self, partition: &Partition) -> bool {
        if !self.mode.ignores_limits() {
            return partition.is_full();
        }
        let (held, share) = (partition.held(), partition.share);
        let borrowed = held.saturating_sub(share.guaranteed);
        let beyond = self.in_flight.saturating_sub(self.limit).min(borrowed);
        beyond.max(held.saturating_sub(share.max)) >= share.max_waiting
    }

    /// Whether one of `free` permits can be given to a key that is below its maximum.
    fn has_room(&self, free: u32, kept: bool) -> bool {
        u64::from(free) > if kept { 0 } else { self.kept }
    }

    /// Changes a partition, and what is known of all together.
    pub(super) fn change<T>(
        &mut self,
        key: PartitionKey,
        change: impl FnOnce(&mut Partition) -> T,
    ) -> T {
        let share = self.default_share();
        let partition = self
            .partitions
            .entry(key)
            .or_insert_with(|| Partition::new(share, false));
        let (kept, in_flight) = (partition.kept(), partition.in_flight);
        let (claims, waiting) = (partition.claims, partition.queue_depth);
        let out = change(partition);
        self.kept = self.kept - u64::from(kept) + u64::from(partition.kept());
        self.in_flight = self.in_flight - in_flight + partition.in_flight;
        self.claims = self.claims - claims + partition.claims;
        self.queue_depth = self.queue_depth - waiting + partition.queue_depth;
        let may_have_more = partition.held() < partition.share.max;
        let candidate = (may_have_more && !partition.waiting.is_empty())
            .then(|| (partition.debt(), partition.served, key.0));
        if partition.candidate != candidate {
            if let Some(old) = partition.candidate.take() {
                self.candidates.remove(&old);
            }
            if let Some(new) = candidate {
                self.candidates.insert(new);
            }
            partition.candidate = candidate;
        }
        if partition.is_idle() && !partition.named {
            self.partitions.remove(&key);
        }
        out
    }

    const fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// The key whose first waiter is next, if there is a permit for it.
    fn next_key(&self, first: PartitionKey) -> Option<PartitionKey> {
        if self.mode.is_paused() {
            return None;
        }
        if self.mode.ignores_limits() {
            // Also of a key that is at its maximum, and so is no candidate.
            return Some(first);
        }
        let (debt, _, key) = self.candidates.first()?;
        let free = self.limit.saturating_sub(self.in_flight + self.claims);
        self.has_room(free, debt.kept).then_some(PartitionKey(*key))
    }
}

impl Supply<PartitionKey> for PartitionPermits {
    fn claim_next(&mut self, _: u64, next: Next<'_, PartitionKey>) -> Result<WaiterId, u64> {
        let key = self.next_key(*next.item).ok_or(u64::MAX)?;
        let turn = self.next_turn();
        let first = self.change(key, |partition| {
            let first = partition.waiting.pop_first()?;
            partition.claims += 1;
            partition.served = turn;
            Some(first)
        });
        first.ok_or(u64::MAX)
    }

    fn unclaim(&mut self, _: WaiterId, key: &PartitionKey) -> bool {
        self.change(*key, |partition| partition.claims -= 1);
        true
    }

    fn serves_expired(&self) -> bool {
        !self.is_draining()
    }

    fn enter(&mut self, id: WaiterId, key: &PartitionKey) {
        let turn = self.next_turn();
        self.change(*key, |partition| {
            if partition.waiting.is_empty() {
                partition.served = turn;
            }
            partition.waiting.insert(id);
        });
    }

    fn exit(&mut self, id: WaiterId, key: &PartitionKey) {
        self.change(*key, |partition| partition.waiting.remove(&id));
    }

    fn counted(&mut self, key: &PartitionKey) {
        self.change(*key, |partition| partition.queue_depth += 1);
    }

    fn uncounted(&mut self, key: &PartitionKey) {
        self.change(*key, |partition| partition.queue_depth -= 1);
    }
}

impl KeyedSupply for PartitionPermits {
    fn try_acquire(&mut self, key: PartitionKey) -> Admission {
        let admission = self.mode.admission(self.by_shares(key));
        if matches!(admission, Admission::Admitted | Admission::Shadowed(_)) {
            let turn = self.next_turn();
            self.change(key, |partition| {
                partition.in_flight += 1;
                partition.served = turn;
            });
        }
        admission
    }

    fn check_join(&self, key: PartitionKey) -> Result<(), Reason> {
        let partition = self.partitions.get(&key);
        let full = partition.map_or(self.default_share().max_waiting == 0, Partition::is_full);
        match self.mode.rejects() {
            Some(reason) => Err(reason),
            None if full && !self.mode.ignores_limits() => Err(Reason::BulkheadFull),
            None => Ok(()),
        }
    }

    fn max_wait(&self) -> Duration {
        self.config.max_wait()
    }

    fn has_permit(&self, key: PartitionKey) -> bool {
        if self.mode.is_paused() || self.mode.ignores_limits() {
            return !self.mode.is_paused();
        }
        let fresh = Partition::new(self.default_share(), false);
        let partition = self.partitions.get(&key).unwrap_or(&fresh);
        let share = partition.share;
        let kept = partition.named && partition.in_flight < share.guaranteed;
        let free = self.limit.saturating_sub(self.in_flight);
        partition.in_flight < share.max && self.has_room(free, kept)
    }

    // A waiter was served when it was notified.
    fn take(&mut self, key: PartitionKey) {
        self.change(key, |partition| partition.in_flight += 1);
    }

    fn release(&mut self, key: PartitionKey) {
        self.change(key, |partition| partition.in_flight -= 1);
    }

    fn in_flight(&self) -> u32 {
        self.in_flight
    }

    fn is_draining(&self) -> bool {
        self.mode.has(DRAINING)
    }

    fn command(&mut self, (set, clear): FlagChange) {
        self.mode.command(set, clear);
    }
}

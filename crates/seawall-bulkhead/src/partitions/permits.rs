//! Which call gets the next permit of a partitioned bulkhead, without clock, lock and executor.
//!
//! A key with fewer permits than it is guaranteed comes before every other, a named one first. The
//! rest is borrowed: the next permit goes to the key that has borrowed least for its weight, and
//! within a key to the first waiter. Permits that a named key is guaranteed and does not use are
//! not lent.

use std::collections::{BTreeSet, HashMap};
use std::task::Waker;

use seawall_core::queue::WaiterId;
use seawall_core::{PartitionKey, Reason};

use super::config::{PartitionConfig, PartitionShare};
use super::debt::Debt;
use super::hash::Seeded;
use super::partition::{Candidate, Partition};
use crate::mode::Mode;
use crate::semaphore::{Admission, Turn};

#[derive(Debug)]
pub(crate) struct PartitionPermits {
    pub(super) limit: u32,
    pub(super) mode: Mode,
    pub(super) in_flight: u32,
    pub(super) queue_depth: usize,
    /// The sum of what is kept available for named keys.
    kept: u64,
    turns: u64,
    pub(super) default_share: PartitionShare,
    pub(super) partitions: HashMap<PartitionKey, Partition, Seeded>,
    candidates: BTreeSet<Candidate>,
}

impl PartitionPermits {
    pub(crate) fn new(config: &PartitionConfig) -> Self {
        let mut permits = Self {
            limit: config.max_concurrent(),
            mode: Mode::Normal,
            in_flight: 0,
            queue_depth: 0,
            kept: 0,
            turns: 0,
            default_share: config.default_share(),
            partitions: HashMap::with_hasher(Seeded::new()),
            candidates: BTreeSet::new(),
        };
        for (key, share) in config.shares() {
            permits.name(*key, *share);
        }
        permits
    }

    /// Gives a key a share of its own.
    pub(super) fn name(&mut self, key: PartitionKey, share: PartitionShare) {
        self.change(key, |partition| {
            partition.named = true;
            partition.share = share;
        });
    }

    /// Acquires a permit, if the key may have one and no waiter comes before it.
    pub(crate) fn try_acquire(&mut self, key: PartitionKey) -> Admission {
        let fresh = Partition::new(self.default_share, false);
        let partition = self.partitions.get(&key).unwrap_or(&fresh);
        let (debt, active) = (partition.debt(), partition.active);
        let below_max = partition.in_flight < partition.share.max;
        let full = partition.is_full();
        let first = self.candidates.first();
        let is_next = first.is_none_or(|(first, ..)| debt < *first);
        let normal = if active == 0 && below_max && is_next && self.has_room_for(debt) {
            Admission::Admitted
        } else if full {
            Admission::Rejected(Reason::BulkheadFull)
        } else {
            Admission::Wait
        };
        let admission = match self.mode {
            Mode::Normal => normal,
            mode => mode.admission(normal),
        };
        if matches!(admission, Admission::Admitted | Admission::Shadowed(_)) {
            self.grant(key);
        }
        admission
    }

    /// Whether a permit can be given to a key with this debt that is below its maximum.
    fn has_room_for(&self, debt: Debt) -> bool {
        let available = u64::from(self.limit.saturating_sub(self.in_flight));
        available > if debt.kept { 0 } else { self.kept }
    }

    /// Changes a partition, and what the whole knows about it.
    pub(super) fn change<T>(
        &mut self,
        key: PartitionKey,
        change: impl FnOnce(&mut Partition) -> T,
    ) -> T {
        let share = self.default_share;
        let partition = self
            .partitions
            .entry(key)
            .or_insert_with(|| Partition::new(share, false));
        let (kept, in_flight) = (partition.kept(), partition.in_flight);
        let waiting = partition.waiters.len();
        let out = change(partition);
        self.kept = self.kept - u64::from(kept) + u64::from(partition.kept());
        self.in_flight = self.in_flight - in_flight + partition.in_flight;
        self.queue_depth = self.queue_depth - waiting + partition.waiters.len();
        let candidate = (partition.active > 0 && partition.in_flight < partition.share.max)
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
        // Idle: all that is known about it is its name.
        if partition.in_flight == 0 && partition.waiters.is_empty() && !partition.named {
            self.partitions.remove(&key);
        }
        out
    }

    fn grant(&mut self, key: PartitionKey) {
        self.turns += 1;
        let turn = self.turns;
        self.change(key, |partition| {
            partition.in_flight += 1;
            partition.served = turn;
        });
    }

    /// Releases a permit; hands back the waker of the next waiter.
    pub(crate) fn release(&mut self, key: PartitionKey) -> Option<Waker> {
        self.change(key, |partition| partition.in_flight -= 1);
        self.next()
    }

    /// Whether a call may join the queue of its key.
    pub(crate) fn check_join(&self, key: PartitionKey) -> Result<(), Reason> {
        let partition = self.partitions.get(&key);
        let full = partition.map_or(self.default_share.max_waiting == 0, Partition::is_full);
        match self.mode {
            Mode::Blocked => Err(Reason::Paused),
            Mode::Normal if full => Err(Reason::BulkheadFull),
            Mode::Normal | Mode::Bypassed => Ok(()),
        }
    }

    pub(crate) fn join(&mut self, key: PartitionKey, waker: Waker) -> WaiterId {
        self.turns += 1;
        let turn = self.turns;
        self.change(key, |partition| {
            if partition.active == 0 {
                partition.served = turn;
            }
            partition.active += 1;
            partition.waiters.join((), waker)
        })
    }

    fn may_go(&self, key: PartitionKey, id: WaiterId, last_chance: bool) -> bool {
        let Some(partition) = self.partitions.get(&key) else {
            return false;
        };
        match self.mode {
            Mode::Blocked => return false,
            Mode::Bypassed => return true,
            Mode::Normal => {}
        }
        if last_chance {
            let below_max = partition.in_flight < partition.share.max;
            return below_max && self.has_room_for(partition.debt());
        }
        partition.waiters.is_first(id)
            && partition.candidate.is_some()
            && partition.candidate.as_ref() == self.candidates.first()
            && self.has_room_for(partition.debt())
    }

    /// Whether the turn of a waiter has come; at its `last_chance`, whether a permit is available.
    /// Hands back a waker to be dropped.
    pub(crate) fn turn(
        &mut self,
        key: PartitionKey,
        id: WaiterId,
        last_chance: bool,
        waker: &Waker,
    ) -> (Turn, Option<Waker>) {
        let partition = self.partitions.get(&key);
        let skipped = partition.is_some_and(|partition| partition.waiters.is_skipped(id));
        if skipped || self.may_go(key, id, last_chance) {
            return (Turn::Go, None);
        }
        (Turn::Wait, self.wait(key, id, waker))
    }

    fn wait(&mut self, key: PartitionKey, id: WaiterId, waker: &Waker) -> Option<Waker> {
        self.rejoin(key, id);
        self.change(key, |partition| partition.waiters.wait(id, waker))
    }

    fn rejoin(&mut self, key: PartitionKey, id: WaiterId) {
        self.change(key, |partition| {
            partition.active += u32::from(partition.waiters.rejoin(id));
        });
    }

    /// Acquires a permit and leaves the queue, if it may; otherwise waits. Hands back whether it
    /// has the permit, a waker to be dropped, and one to be woken.
    pub(crate) fn acquire(
        &mut self,
        key: PartitionKey,
        id: WaiterId,
        last_chance: bool,
        waker: &Waker,
    ) -> (bool, Option<Waker>, Option<Waker>) {
        self.rejoin(key, id);
        if !self.may_go(key, id, last_chance) {
            return (false, self.wait(key, id, waker), None);
        }
        self.turns += 1;
        let turn = self.turns;
        let mine = self.change(key, |partition| {
            partition.in_flight += 1;
            partition.served = turn;
            partition.active -= 1;
            let left = partition.waiters.leave(id);
            left.and_then(|((), waker)| waker)
        });
        (true, mine, self.next())
    }

    /// Lets others pass; hands back the waker of the next waiter.
    pub(crate) fn skip(&mut self, key: PartitionKey, id: WaiterId) -> Option<Waker> {
        self.change(key, |partition| {
            if !partition.waiters.is_skipped(id) {
                partition.waiters.skip(id);
                partition.active -= 1;
            }
        });
        self.next()
    }

    /// Leaves without a permit. Hands back a waker to be dropped, and one to be woken.
    pub(crate) fn leave(
        &mut self,
        key: PartitionKey,
        id: WaiterId,
    ) -> (Option<Waker>, Option<Waker>) {
        let mine = self.change(key, |partition| {
            let was_skipped = partition.waiters.is_skipped(id);
            let ((), waker) = partition.waiters.leave(id)?;
            partition.active -= u32::from(!was_skipped);
            waker
        });
        (mine, self.next())
    }

    /// The waker of the first waiter of the key that is next, if there is a permit for it.
    pub(super) fn next(&mut self) -> Option<Waker> {
        let key = match self.mode {
            Mode::Blocked => return None,
            Mode::Normal => {
                let (debt, _, key) = *self.candidates.first()?;
                if !self.has_room_for(debt) {
                    return None;
                }
                PartitionKey(key)
            }
            // Also of a key that is at its maximum, and so is no candidate.
            Mode::Bypassed => {
                let mut active = self.partitions.iter().filter(|(_, p)| p.active > 0);
                *active.next()?.0
            }
        };
        self.partitions.get_mut(&key)?.waiters.notify_next()
    }
}

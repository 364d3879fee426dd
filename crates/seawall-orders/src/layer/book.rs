//! The orders in memory.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::settled::{Settled, View};
use super::tracked::{NewOrder, Place, Standing, Tracked};
use crate::broker::Target;
use crate::protocol::{Operation, Rules};
use crate::records::{Record, Records};

/// For how many orders there is room from the start, at most.
const MAX_RESERVED: usize = 8_192;
/// How many values of orders are kept for the next ones.
const MAX_SPARE: usize = 64;

/// What there is of an order. Each of its parts is written by itself, so that no more memory is touched
/// than is needed.
#[derive(Default)]
struct Known {
    stamp: u64,
    /// Whether it is among those that are settled.
    is_settled: bool,
    /// The order, while it may be in use.
    live: Option<Arc<Tracked>>,
    /// What is kept of it, once it is settled and nobody uses it.
    settled: Option<Settled>,
}

impl Record for Known {
    fn id(&self) -> &[u8] {
        match (&self.live, &self.settled) {
            (Some(it), _) => it.id.as_bytes(),
            (None, Some(settled)) => settled.id().as_bytes(),
            (None, None) => &[],
        }
    }

    fn clear(&mut self) {
        self.stamp = 0;
        self.live = None;
        self.settled = None;
    }
}

/// The orders in memory.
pub(super) struct Book {
    known: Records<Known>,
    /// Settled orders by the hashes of the broker's ids. The keys of the hashes are secret and random, so
    /// that two ids of one hash are nothing to reckon with.
    by_broker_id: HashTable<(u64, Place)>,
    hasher: RandomState,
    /// The last ones that were settled, and the hashes that they are found by.
    settled: VecDeque<(Place, Option<u64>)>,
    /// How many are not settled.
    unsettled: usize,
    /// Of how many orders there was one.
    stamp: u64,
    /// Values that nobody uses, for the next orders.
    spare: Vec<Arc<Tracked>>,
    // Two threads count what they did to one order in either order, so these may be below zero.
    in_doubt: i64,
    exhausted: i64,
    starting: i64,
}

impl Book {
    /// No orders, and room for so many that are settled.
    pub(super) fn new(remembered: usize) -> Self {
        Self {
            known: Records::with_capacity(remembered.saturating_add(MAX_SPARE).min(MAX_RESERVED)),
            by_broker_id: HashTable::new(),
            hasher: RandomState::new(),
            settled: VecDeque::new(),
            unsettled: 0,
            stamp: 0,
            spare: Vec::new(),
            in_doubt: 0,
            exhausted: 0,
            starting: 0,
        }
    }

    /// Adds an order, with what `begins` makes of it, or gives it back if there is one of its id.
    pub(super) fn add(
        &mut self,
        new: NewOrder,
        begins: impl FnOnce(&mut Tracked),
    ) -> Result<Arc<Tracked>, Box<NewOrder>> {
        let hash = self.known.hash(&new.id);
        if self.known.find_hashed(hash, &new.id).is_some() {
            return Err(Box::new(new));
        }
        self.stamp += 1;
        self.unsettled += 1;
        let (slot, stamp) = (self.known.add(hash), self.stamp);
        let place = Place { slot, stamp };
        let mut it = self.unused();
        if let Some(room) = Arc::get_mut(&mut it) {
            room.begin(place, new);
            begins(room);
        }
        let known = self.known.get_mut(slot);
        (known.stamp, known.is_settled) = (stamp, false);
        known.live = Some(Arc::clone(&it));
        Ok(it)
    }

    /// A value that nobody uses.
    fn unused(&mut self) -> Arc<Tracked> {
        let spare = self.spare.pop();
        // Nobody has another reference to those.
        let spare = spare.filter(|it| Arc::strong_count(it) == 1 && Arc::weak_count(it) == 0);
        spare.unwrap_or_default()
    }

    /// Forgets an order.
    pub(super) fn forget(&mut self, place: Place) {
        if let Some(known) = self.at(place) {
            self.unsettled -= usize::from(!known.is_settled);
            self.known.remove(place.slot);
        }
    }

    fn at(&self, place: Place) -> Option<&Known> {
        let known = self.known.get(place.slot);
        (known.stamp == place.stamp).then_some(known)
    }

    /// The order of an id; by `rules`, where it has to be made one again.
    pub(super) fn find(
        &mut self,
        id: &str,
        rules: impl FnOnce(Operation) -> Rules,
    ) -> Option<Arc<Tracked>> {
        let slot = self.known.find(id)?;
        self.live(slot, rules)
    }

    pub(super) fn find_target(
        &mut self,
        target: &Target,
        rules: impl FnOnce(Operation) -> Rules,
    ) -> Option<Arc<Tracked>> {
        match target {
            Target::Client(id) => self.find(id, rules),
            Target::Broker(id) => {
                let hash = self.hasher.hash_one(&**id);
                let (_, place) = *self.by_broker_id.find(hash, |of| of.0 == hash)?;
                self.at(place)?;
                self.live(place.slot, rules)
            }
        }
    }

    /// The order that was written last.
    pub(super) fn latest(
        &mut self,
        rules: impl FnOnce(Operation) -> Rules,
    ) -> Option<Arc<Tracked>> {
        let number = |known: &Known| match (&known.live, &known.settled) {
            (Some(it), _) => Some(it.number()),
            (None, settled) => settled.as_ref().map(Settled::number),
        };
        let numbers = self.known.iter();
        let numbers = numbers.filter_map(|(slot, known)| Some((number(known)?, slot)));
        let (_, slot) = numbers.max_by_key(|(number, _)| *number)?;
        self.live(slot, rules)
    }

    /// The order in a slot, as one that can be used.
    fn live(
        &mut self,
        slot: usize,
        rules: impl FnOnce(Operation) -> Rules,
    ) -> Option<Arc<Tracked>> {
        let known = self.known.get_mut(slot);
        if let Some(settled) = known.settled.take() {
            let rules = rules(settled.operation());
            let stamp = known.stamp;
            let place = Place { slot, stamp };
            let mut it = self.unused();
            if let Some(room) = Arc::get_mut(&mut it) {
                settled.go_on(room, place, rules);
            }
            self.known.get_mut(slot).live = Some(it);
        }
        self.known.get(slot).live.clone()
    }

    /// Keeps less of an order that is settled, unless somebody uses it.
    pub(super) fn rest(&mut self, place: Place) {
        if self.at(place).is_none_or(|known| !known.is_settled) {
            return;
        }
        let known = self.known.get_mut(place.slot);
        // Others get theirs from here alone, under this lock.
        let Some(it) = known.live.as_mut().and_then(Arc::get_mut) else {
            return;
        };
        known.settled = it.settle_down();
        if known.settled.is_some()
            && let Some(spare) = known.live.take()
            && self.spare.len() < MAX_SPARE
        {
            self.spare.push(spare);
        }
    }

    /// The orders whose time is over, and of which nobody has noted it: their callers do not poll them.
    pub(super) fn overdue(&self, now: Duration) -> Vec<Arc<Tracked>> {
        if self.unsettled == 0 {
            return Vec::new();
        }
        let overdue = self.in_use().filter(|it| it.is_overdue(now));
        overdue.cloned().collect()
    }

    /// The orders that are not settled, or that somebody uses.
    pub(super) fn in_use(&self) -> impl Iterator<Item = &Arc<Tracked>> {
        let known = self.known.iter();
        known.filter_map(|(_, known)| known.live.as_ref())
    }

    /// Shows each order.
    pub(super) fn each(&self, mut look: impl FnMut(View<'_>)) {
        for (_, known) in self.known.iter() {
            match (&known.live, &known.settled) {
                (Some(it), _) => it.view(&mut look),
                (None, Some(settled)) => look(settled.view()),
                (None, None) => {}
            }
        }
    }

    /// Orders in doubt, exhausted, and those of an earlier process that are in doubt.
    pub(super) fn standing(&self) -> (u32, u32, u32) {
        let count = |count: i64| u32::try_from(count).unwrap_or(0);
        (
            count(self.in_doubt),
            count(self.exhausted),
            count(self.starting),
        )
    }

    /// Counts what an order was, and is now.
    pub(super) fn recount(&mut self, before: Standing, now: Standing) {
        let count = |counter: &mut i64, before: bool, now: bool| {
            *counter += i64::from(now) - i64::from(before);
        };
        count(&mut self.in_doubt, before.in_doubt, now.in_doubt);
        count(&mut self.exhausted, before.exhausted, now.exhausted);
        count(&mut self.starting, before.starting, now.starting);
    }

    /// Keeps a settled order among the last ones.
    pub(super) fn settle(&mut self, it: &Tracked, most: usize) {
        let place = it.place;
        if self.at(place).is_none_or(|known| known.is_settled) {
            return;
        }
        self.known.get_mut(place.slot).is_settled = true;
        self.unsettled -= 1;
        let hash = it.with_broker_id(|id| self.hasher.hash_one(id));
        if let Some(hash) = hash {
            let is = |of: &(u64, Place)| of.0 == hash;
            match self.by_broker_id.entry(hash, is, |of| of.0) {
                Entry::Occupied(mut known) => known.get_mut().1 = place,
                Entry::Vacant(room) => {
                    room.insert((hash, place));
                }
            }
        }
        self.settled.push_back((place, hash));
        while self.settled.len() > most {
            let Some((oldest, hash)) = self.settled.pop_front() else {
                break;
            };
            self.forget(oldest);
            if let Some(hash) = hash
                && let Ok(known) = self.by_broker_id.find_entry(hash, |of| of.0 == hash)
            {
                known.remove();
            }
        }
    }
}

//! Who gets the next place of a pool, without clock, lock and executor.
//!
//! A key with fewer places than it was guaranteed comes before every other, a named one first. The
//! rest is borrowed:
//! the next place goes to the key that has borrowed least for its weight, and within a key to the
//! first in line. Places that a named key was guaranteed and does not use are not lent.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::task::Waker;

use seawall_core::queue::{Queue, Ticket};
use seawall_core::{PartitionKey, Reason};

use super::config::PartitionShare;
use crate::places::{Entry, Turn};

/// How much a key has borrowed for its weight, below zero while it has less than it was guaranteed.
#[derive(Clone, Copy, Debug)]
struct Debt {
    /// A place is kept free for it: nobody comes before that, and nobody else may have it.
    kept: bool,
    borrowed: i64,
    weight: i64,
}

impl Ord for Debt {
    fn cmp(&self, other: &Self) -> Ordering {
        // Fractions, compared without dividing; both weights are below 2^32.
        let (left, right) = (self.borrowed, other.borrowed);
        let by_kept = other.kept.cmp(&self.kept);
        by_kept.then_with(|| {
            (i128::from(left) * i128::from(other.weight))
                .cmp(&(i128::from(right) * i128::from(self.weight)))
        })
    }
}

impl PartialOrd for Debt {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Debt {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Debt {}

/// A key in whose line somebody waits, and which may have more places. Of two that have borrowed
/// as much, the one that was served longer ago comes first.
type Candidate = (Debt, u64, u64);

#[derive(Debug)]
struct Part {
    share: PartitionShare,
    named: bool,
    taken: u32,
    line: Queue<()>,
    /// Those who do not stand aside.
    in_line: u32,
    /// When it was served last, or began to wait, counted in turns.
    served: u64,
    /// As it stands among the candidates.
    candidate: Option<Candidate>,
}

impl Part {
    const fn new(share: PartitionShare, named: bool) -> Self {
        Self {
            share,
            named,
            taken: 0,
            line: Queue::new(),
            in_line: 0,
            served: 0,
            candidate: None,
        }
    }

    const fn debt(&self) -> Debt {
        Debt {
            kept: self.kept() > 0,
            borrowed: self.taken as i64 - self.share.guaranteed as i64,
            weight: self.share.weight as i64,
        }
    }

    /// Guaranteed places that are kept free.
    const fn kept(&self) -> u32 {
        if self.named {
            self.share.guaranteed.saturating_sub(self.taken)
        } else {
            0
        }
    }
}

/// Hashes keys, which are numbers, by one multiplication: keys are looked up at every call. Seeded,
/// so that nobody can choose keys that meet.
#[derive(Clone, Copy, Debug)]
struct Seeded(u64);

impl Seeded {
    fn new() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded(self.0)
    }
}

struct Folded(u64);

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, key: u64) {
        // The golden ratio's bits; both halves of the product, so that every bit counts everywhere.
        let product = u128::from(self.0 ^ key) * 0x9e37_79b9_7f4a_7c15;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
}

#[derive(Debug)]
pub(crate) struct Pool {
    limit: u32,
    taken: u32,
    waiting: usize,
    /// The sum of what is kept free for named keys.
    kept: u64,
    turns: u64,
    default_share: PartitionShare,
    parts: HashMap<PartitionKey, Part, Seeded>,
    candidates: BTreeSet<Candidate>,
}

impl Pool {
    pub(crate) fn new(
        limit: u32,
        default_share: PartitionShare,
        shares: &[(PartitionKey, PartitionShare)],
    ) -> Self {
        let mut pool = Self {
            limit,
            taken: 0,
            waiting: 0,
            kept: 0,
            turns: 0,
            default_share,
            parts: HashMap::with_hasher(Seeded::new()),
            candidates: BTreeSet::new(),
        };
        for (key, share) in shares {
            pool.parts.insert(*key, Part::new(*share, true));
            pool.kept += u64::from(share.guaranteed);
        }
        pool
    }

    /// Takes a place, if the key may have one and nobody in line comes before it.
    pub(crate) fn enter(&mut self, key: PartitionKey) -> Entry {
        let fresh = Part::new(self.default_share, false);
        let part = self.parts.get(&key).unwrap_or(&fresh);
        let (debt, in_line) = (part.debt(), part.in_line);
        let below_max = part.taken < part.share.max;
        let full = part.line.len() >= part.share.max_waiting as usize;
        let first = self.candidates.first();
        let is_next = first.is_none_or(|(first, ..)| debt < *first);
        if in_line == 0 && below_max && is_next && self.has_place_for(debt) {
            self.grant(key);
            Entry::Taken
        } else if full {
            Entry::Rejected(Reason::BulkheadFull)
        } else {
            Entry::Wait
        }
    }

    /// Whether a place can be given to a key with this debt that is below its maximum.
    fn has_place_for(&self, debt: Debt) -> bool {
        let free = u64::from(self.limit.saturating_sub(self.taken));
        free > if debt.kept { 0 } else { self.kept }
    }

    /// Changes a part, and what the pool knows of it.
    fn change<T>(&mut self, key: PartitionKey, change: impl FnOnce(&mut Part) -> T) -> T {
        let share = self.default_share;
        let part = self
            .parts
            .entry(key)
            .or_insert_with(|| Part::new(share, false));
        let (kept, taken) = (part.kept(), part.taken);
        let waiting = part.line.len();
        let out = change(part);
        self.kept = self.kept - u64::from(kept) + u64::from(part.kept());
        self.taken = self.taken - taken + part.taken;
        self.waiting = self.waiting - waiting + part.line.len();
        let candidate = (part.in_line > 0 && part.taken < part.share.max)
            .then(|| (part.debt(), part.served, key.0));
        if part.candidate != candidate {
            if let Some(old) = part.candidate.take() {
                self.candidates.remove(&old);
            }
            if let Some(new) = candidate {
                self.candidates.insert(new);
            }
            part.candidate = candidate;
        }
        // Idle: all that is known of it is its name.
        if part.taken == 0 && part.line.is_empty() && !part.named {
            self.parts.remove(&key);
        }
        out
    }

    fn grant(&mut self, key: PartitionKey) {
        self.turns += 1;
        let turn = self.turns;
        self.change(key, |part| {
            part.taken += 1;
            part.served = turn;
        });
    }

    /// Gives a place back; calls who is next.
    pub(crate) fn release(&mut self, key: PartitionKey) -> Option<Waker> {
        self.change(key, |part| part.taken -= 1);
        self.next()
    }

    /// Joins the line of its key; `None` when that is full.
    pub(crate) fn join(&mut self, key: PartitionKey, waker: &Waker) -> Option<Ticket> {
        self.turns += 1;
        let turn = self.turns;
        self.change(key, |part| {
            if part.line.len() >= part.share.max_waiting as usize {
                return None;
            }
            if part.in_line == 0 {
                part.served = turn;
            }
            part.in_line += 1;
            Some(part.line.join((), waker.clone()))
        })
    }

    fn may_go(&self, key: PartitionKey, ticket: Ticket, late: bool) -> bool {
        let Some(part) = self.parts.get(&key) else {
            return false;
        };
        if late {
            return part.taken < part.share.max && self.has_place_for(part.debt());
        }
        part.line.is_first(ticket)
            && part.candidate.is_some()
            && part.candidate.as_ref() == self.candidates.first()
            && self.has_place_for(part.debt())
    }

    /// Whether the turn of a waiter has come; to one who is `late`, whether there is a place. Hands
    /// back a waker to be dropped.
    pub(crate) fn turn(
        &mut self,
        key: PartitionKey,
        ticket: Ticket,
        late: bool,
        waker: &Waker,
    ) -> (Turn, Option<Waker>) {
        let aside = self
            .parts
            .get(&key)
            .is_some_and(|p| p.line.is_aside(ticket));
        if aside || self.may_go(key, ticket, late) {
            return (Turn::Go, None);
        }
        (Turn::Wait, self.wait(key, ticket, waker))
    }

    fn wait(&mut self, key: PartitionKey, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        self.rejoin(key, ticket);
        self.change(key, |part| part.line.wait(ticket, waker))
    }

    fn rejoin(&mut self, key: PartitionKey, ticket: Ticket) {
        self.change(key, |part| {
            part.in_line += u32::from(part.line.rejoin(ticket));
        });
    }

    /// Takes a place and leaves the line, if it may; otherwise waits in line. Hands back whether it
    /// has the place, a waker to be dropped, and one to be woken.
    pub(crate) fn take(
        &mut self,
        key: PartitionKey,
        ticket: Ticket,
        late: bool,
        waker: &Waker,
    ) -> (bool, Option<Waker>, Option<Waker>) {
        self.rejoin(key, ticket);
        if !self.may_go(key, ticket, late) {
            return (false, self.wait(key, ticket, waker), None);
        }
        self.turns += 1;
        let turn = self.turns;
        let mine = self.change(key, |part| {
            part.taken += 1;
            part.served = turn;
            part.in_line -= 1;
            part.line.leave(ticket).and_then(|((), waker)| waker)
        });
        (true, mine, self.next())
    }

    /// Lets others pass; calls who is next.
    pub(crate) fn stand_aside(&mut self, key: PartitionKey, ticket: Ticket) -> Option<Waker> {
        self.change(key, |part| {
            if !part.line.is_aside(ticket) {
                part.line.stand_aside(ticket);
                part.in_line -= 1;
            }
        });
        self.next()
    }

    /// Leaves without a place. Hands back a waker to be dropped, and one to be woken.
    pub(crate) fn leave(
        &mut self,
        key: PartitionKey,
        ticket: Ticket,
    ) -> (Option<Waker>, Option<Waker>) {
        let mine = self.change(key, |part| {
            let was_aside = part.line.is_aside(ticket);
            let ((), waker) = part.line.leave(ticket)?;
            part.in_line -= u32::from(!was_aside);
            waker
        });
        (mine, self.next())
    }

    /// Calls the first of the key that is next, if there is a place for it.
    fn next(&mut self) -> Option<Waker> {
        let (debt, _, key) = *self.candidates.first()?;
        if !self.has_place_for(debt) {
            return None;
        }
        self.parts.get_mut(&PartitionKey(key))?.line.call_next()
    }

    pub(crate) fn set_limit(&mut self, limit: u32) -> Option<Waker> {
        self.limit = limit;
        self.next()
    }

    /// Names a key, or gives it another share.
    pub(crate) fn set_share(&mut self, key: PartitionKey, share: PartitionShare) -> Option<Waker> {
        self.change(key, |part| {
            part.named = true;
            part.share = share;
        });
        self.next()
    }

    pub(crate) const fn limit(&self) -> u32 {
        self.limit
    }

    pub(crate) const fn default_share(&self) -> PartitionShare {
        self.default_share
    }

    pub(crate) const fn taken(&self) -> u32 {
        self.taken
    }

    pub(crate) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// The shares of the named keys.
    pub(crate) fn named(&self) -> impl Iterator<Item = (PartitionKey, &PartitionShare)> {
        let named = self.parts.iter().filter(|(_, part)| part.named);
        named.map(|(key, part)| (*key, &part.share))
    }

    /// Keys that have a call or a name: places taken, calls that wait.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (PartitionKey, u32, usize)> {
        let parts = self.parts.iter();
        parts.map(|(key, part)| (*key, part.taken, part.line.len()))
    }
}

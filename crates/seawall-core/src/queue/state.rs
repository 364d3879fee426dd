//! The bookkeeping of a queue.

use std::task::Waker;

use super::entry::{Aside, Ended, Entry, Stand};
use super::ordered::Ordered;
use super::rank::Arrival;
use super::slots::Slots;
use super::watchdogs::{LINGER, Watchdogs};
use super::{Supply, WaiterId, Wakers};

/// How long a waiter may take to be polled once it was notified, in nanoseconds: 5 ms. After that
/// its claim goes to the next waiter.
///
/// Longer than a healthy runtime lets a task wait, and short beside what calls take. A waiter that
/// is late for it loses its turn, not its rank. Where most waiters are late, the runtime is slow
/// rather than they are stuck: then the queue doubles the time for all, up to 320 ms, and halves it
/// again when most come in time.
pub const GRACE: u64 = 5_000_000;

/// So many more waiters late than in time, or in time than late, change the grace.
pub(super) const LATE_VOTES: i8 = 8;

/// Twice the time within which a watchdog looks at the latest.
const FAR: u64 = 2 * LINGER;

/// At so many claims, waiters that have left are looked for although others wait. What is known of them
/// was written by other threads: finding several at once waits for that once.
pub(super) const FORGET_AT: usize = 16;

/// At fewer claims, those that have left behind one that does not come are not looked for.
pub(super) const MANY_CLAIMS: usize = 2 * FORGET_AT;

pub(super) const LONGEST_GRACE: u64 = 64 * GRACE;

/// Whether a deadline is so far away that a waiter needs no timer for it yet: the watchdog wakes it
/// while there is time to set one.
pub(super) const fn is_far(now_ns: u64, deadline_ns: u64) -> bool {
    deadline_ns != u64::MAX && deadline_ns.saturating_sub(now_ns) > FAR
}

/// Waiters in the order in which they came; see the [module](super).
///
/// `T` is what the [`Supply`] must know of a waiter.
#[derive(Debug)]
pub struct Queue<T> {
    /// How many have joined.
    arrivals: u64,
    /// How many were notified.
    pub(super) notifications: u64,
    pub(super) entries: Slots<T>,
    /// Those that wait for their turn.
    pub(super) waiting: Ordered<WaiterId>,
    /// How many wait for their turn or have a claim.
    pub(super) active: usize,
    /// How many have a claim.
    pub(super) claims: usize,
    /// With so many, those that have left are looked for.
    pub(super) many_claims: usize,
    /// How many of those that are not active do not count any more.
    pub(super) uncounted: usize,
    /// Notified waiters that have not been polled since, by the number of their notification.
    pub(super) unanswered: Ordered<(u64, Arrival)>,
    pub(super) deadlines: Ordered<(u64, Arrival)>,
    /// No waiter whose deadline is before this sleeps without a timer of its own.
    pub(super) timed_ns: u64,
    /// No waiter expires or lapses before this.
    pub(super) quiet_ns: u64,
    /// [`next_check_ns`](Self::next_check_ns), or before.
    pub(super) unchecked_ns: u64,
    pub(super) grace_ns: u64,
    /// The latest reading of the clock: a late one passes none.
    pub(super) latest_ns: u64,
    pub(super) watchdogs: Watchdogs,
    /// Counts waiters that came late, less those that came in time.
    pub(super) late: i8,
}

/// Where a waiter stands when it is polled.
// Exhaustive: the protocol of a queue; a layer that ignores a case loses waiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has a claim, or its service has woken it: it polls its service, then
    /// [takes](Queue::take) or is [skipped](Queue::skip).
    Go,
    /// Others go first, or there is nothing for it yet: its waker is registered.
    Wait,
    /// Its deadline has passed: it takes what there is, or is rejected.
    Expired,
}

/// What became of an attempt to [take](Queue::take).
// Exhaustive: the protocol of a queue, as above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// It has what it waited for, and has left the queue.
    Taken,
    /// There is nothing for it: it waits, with its waker registered.
    Missing,
    /// It waits for something else as well, and keeps its claim.
    Kept,
}

impl<T> Queue<T> {
    /// A queue without waiters. Allocates nothing before the first one joins.
    pub const fn new() -> Self {
        Self {
            arrivals: 0,
            notifications: 0,
            entries: Slots::new(),
            waiting: Ordered::new(),
            active: 0,
            claims: 0,
            many_claims: MANY_CLAIMS,
            uncounted: 0,
            unanswered: Ordered::new(),
            deadlines: Ordered::new(),
            timed_ns: 0,
            quiet_ns: u64::MAX,
            unchecked_ns: u64::MAX,
            grace_ns: GRACE,
            latest_ns: 0,
            watchdogs: Watchdogs::new(),
            late: 0,
        }
    }

    /// How many wait, notified, skipped and lapsed ones included. Expired ones do not count, nor do
    /// those that have lapsed and wait without a deadline.
    pub fn len(&self) -> usize {
        self.entries.len() - self.uncounted
    }

    /// Whether there is no waiter that [counts](Self::len).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait for their turn or have a claim.
    pub fn active(&self) -> usize {
        self.active
    }

    /// How many have a claim.
    pub fn claims(&self) -> usize {
        self.claims
    }

    /// The latest reading of the clock that the queue knows, in nanoseconds.
    pub fn latest_ns(&self) -> u64 {
        self.latest_ns
    }

    /// Whether any waits for its turn: a call that arrives has to wait behind it.
    pub fn has_waiting(&self) -> bool {
        self.active > self.claims
    }

    /// Whether the waiter is the first of those without a claim.
    pub fn is_first(&self, id: WaiterId) -> bool {
        self.waiting.first() == Some(id)
    }

    /// Whether the waiter is skipped for now.
    pub fn is_skipped(&self, id: WaiterId) -> bool {
        self.stand(id) == Some(Stand::Aside(Aside::Skipped))
    }

    #[inline]
    pub(super) fn stand(&self, id: WaiterId) -> Option<Stand> {
        self.entries.get(id).map(|entry| entry.stand)
    }

    /// What a waiter brought with it.
    pub fn item(&self, id: WaiterId) -> Option<&T> {
        self.entries.get(id).map(|entry| &entry.item)
    }

    /// When something has to be done although nothing happens, in nanoseconds; `u64::MAX` for
    /// never. Waiters that are polled have timers of their own for their deadlines.
    pub(super) fn next_check_ns(&self) -> u64 {
        let unanswered = self.first_unanswered();
        let first = self.waiting.first().and_then(|id| self.entries.get(id));
        let deadline = self.deadlines.first();
        let unanswered = unanswered.map_or(u64::MAX, |first| first.notified_ns);
        let due = first.map_or(u64::MAX, |first| first.due_ns);
        let deadline = deadline.map_or(u64::MAX, |(at, _)| at);
        let next = unanswered.min(due).min(deadline);
        next.saturating_add(self.grace_ns)
    }

    /// The one that was notified first, of those that have not been polled since.
    #[inline]
    pub(super) fn first_unanswered(&self) -> Option<&Entry<T>> {
        let (_, of) = self.unanswered.first()?;
        self.entries.at(of)
    }

    /// Joins with this rank (see [`rank`](super::rank())), behind all of the same one, until
    /// `deadline_ns`. Its [turn](Self::turn) registers its waker.
    pub fn join(
        &mut self,
        rank: i64,
        item: T,
        deadline_ns: u64,
        supply: &mut impl Supply<T>,
    ) -> WaiterId {
        let arrival = Arrival::new(self.arrivals, self.entries.next());
        let id = WaiterId::new(rank, arrival);
        self.arrivals = self.arrivals.wrapping_add(1);
        if deadline_ns != u64::MAX {
            self.deadlines.insert((deadline_ns, arrival));
            self.quiet_ns = self.quiet_ns.min(deadline_ns);
            self.check_after(deadline_ns);
        }
        supply.counted(&item);
        self.entries.insert(id, item, deadline_ns);
        self.wait(id, supply);
        id
    }

    /// One that is not active waits for its turn.
    pub(super) fn wait(&mut self, id: WaiterId, supply: &mut impl Supply<T>) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.stand = Stand::Waiting;
            supply.enter(id, &entry.item);
            self.waiting.insert(id);
            self.active += 1;
        }
    }

    /// A waiter is polled, with this waker.
    pub fn turn(
        &mut self,
        id: WaiterId,
        now_ns: u64,
        waker: Waker,
        supply: &mut impl Supply<T>,
        wakers: &mut Wakers,
    ) -> Standing {
        // One that has just joined has nothing to answer.
        let is_new = self.entries.get(id).is_some_and(Entry::is_new);
        if is_new {
            self.dispatch_joined(now_ns, supply, wakers);
        } else {
            self.come_back(id, now_ns, supply);
            if self.answered(id, supply, wakers) {
                self.vote(false);
            }
            self.dispatch(now_ns, supply, wakers);
        }
        let entry = self.entries.get_mut(id);
        let standing = match entry {
            Some(entry) if entry.stand == Stand::Waiting => {
                entry.waker = Some(waker);
                if is_far(now_ns, entry.deadline_ns) {
                    entry.untimed = true;
                    // Its reading of the clock may be older than the last look.
                    self.timed_ns = self.timed_ns.min(entry.deadline_ns);
                }
                return Standing::Wait;
            }
            Some(entry) if entry.stand == Stand::Notified => {
                self.answered(id, supply, wakers);
                Standing::Go
            }
            Some(entry) if entry.stand == Stand::Aside(Aside::Skipped) => Standing::Go,
            _ => Standing::Expired,
        };
        wakers.discard(Some(waker));
        standing
    }

    /// A waiter that has a claim takes it and leaves: `take` does the first. So there is not more to
    /// hand out than before, and nothing is dispatched. `None`, and nothing has happened, when it has
    /// none or `take` did not take it: see [`take`](Self::take).
    pub fn take_claim<S: Supply<T>>(
        &mut self,
        id: WaiterId,
        supply: &mut S,
        wakers: &mut Wakers,
        take: impl FnOnce(&mut S, &T) -> bool,
    ) -> Option<()> {
        let entry = self.entries.get(id)?;
        if entry.stand != Stand::Notified || !take(supply, &entry.item) {
            return None;
        }
        if entry.notification != u64::MAX {
            self.vote(false);
        }
        self.remove(id, supply, wakers);
        self.settle();
        Some(())
    }

    /// A waiter whose service is ready takes what it waits for, if it has a claim or has expired:
    /// `take` does that. Otherwise it waits, with this waker.
    pub fn take<S: Supply<T>>(
        &mut self,
        id: WaiterId,
        now_ns: u64,
        waker: Waker,
        supply: &mut S,
        wakers: &mut Wakers,
        take: impl FnOnce(&mut S, &T, &mut Wakers) -> Taking,
    ) -> Taking {
        if self.is_skipped(id) {
            self.remove_aside(id, supply);
            self.wait(id, supply);
        }
        self.come_back(id, now_ns, supply);
        self.answered(id, supply, wakers);
        self.dispatch(now_ns, supply, wakers);
        self.answered(id, supply, wakers);
        let taking = match self.entries.get(id) {
            Some(entry)
                if entry.stand == Stand::Notified
                    || entry.stand == Stand::Aside(Aside::Expired) && supply.serves_expired() =>
            {
                take(supply, &entry.item, wakers)
            }
            _ => Taking::Missing,
        };
        match taking {
            Taking::Taken => {
                self.leave(id, now_ns, supply, wakers);
                wakers.discard(Some(waker));
                return taking;
            }
            Taking::Kept => {
                wakers.discard(Some(waker));
                return taking;
            }
            Taking::Missing => {}
        }
        let given_up = self.stand(id) == Some(Stand::Notified);
        if given_up {
            self.end_active(id, supply);
            self.wait(id, supply);
        }
        let unused = match self.entries.get_mut(id) {
            Some(entry) if entry.stand == Stand::Waiting => entry.waker.replace(waker),
            _ => Some(waker),
        };
        wakers.discard(unused);
        if given_up {
            // What it had claimed may be for another. It has its waker by now.
            self.dispatch(now_ns, supply, wakers);
        }
        taking
    }

    /// The first waiter has a timer of its own: it comes at `due_ns`, or lapses after that.
    pub fn set_due(&mut self, id: WaiterId, due_ns: u64, wakers: &mut Wakers) {
        if let Some(entry) = self.entries.get_mut(id)
            && entry.stand == Stand::Waiting
        {
            entry.due_ns = due_ns;
            self.check_after(due_ns);
            self.call_watchdog(wakers);
        }
    }

    /// Wakes those whose deadlines are not far any more, to set timers.
    pub(super) fn wake_untimed(&mut self, now_ns: u64, wakers: &mut Wakers) {
        let timed_ns = now_ns.saturating_add(FAR).saturating_add(1);
        let near = (self.timed_ns, Arrival::MIN)..(timed_ns, Arrival::MIN);
        for (_, of) in self.deadlines.range(near.start, near.end.max(near.start)) {
            if let Some(entry) = self.entries.at_mut(of)
                && std::mem::take(&mut entry.untimed)
                && entry.stand == Stand::Waiting
            {
                // Others were woken, or will be, and set their timers when they are polled.
                wakers.add(entry.waker.take());
            }
        }
        self.timed_ns = self.timed_ns.max(timed_ns);
    }

    /// Wakes everyone that sleeps in the queue, to look for itself.
    pub(super) fn wake_all(&mut self, wakers: &mut Wakers) {
        let all = self.entries.iter_mut();
        for entry in all.filter(|entry| entry.stand == Stand::Waiting) {
            wakers.add(entry.waker.take());
        }
    }

    /// Has `waker` woken when the waiter lapses or expires.
    pub fn on_lapse(&mut self, id: WaiterId, waker: Waker, wakers: &mut Wakers) {
        let unused = match self.entries.get_mut(id) {
            Some(entry) if !matches!(entry.stand, Stand::Aside(_)) => entry.on_lapse.replace(waker),
            _ => Some(waker),
        };
        wakers.discard(unused);
    }

    /// The claim of a waiter that is not polled any more goes to the next.
    pub fn lapse(
        &mut self,
        id: WaiterId,
        now_ns: u64,
        supply: &mut impl Supply<T>,
        wakers: &mut Wakers,
    ) {
        if self.stand(id) == Some(Stand::Notified) && self.end_active(id, supply) == Ended::Active {
            self.set_aside(id, Aside::Lapsed, supply, wakers);
        }
        self.dispatch(now_ns, supply, wakers);
    }

    /// Lets others pass: the waiter's own service is not ready and will wake it. It keeps its rank.
    pub fn skip(
        &mut self,
        id: WaiterId,
        now_ns: u64,
        supply: &mut impl Supply<T>,
        wakers: &mut Wakers,
    ) {
        if self.end_active(id, supply) == Ended::Active {
            self.set_aside(id, Aside::Skipped, supply, wakers);
        }
        self.dispatch(now_ns, supply, wakers);
    }

    /// Leaves, wherever it stands. `false` when it has left before.
    pub fn leave(
        &mut self,
        id: WaiterId,
        now_ns: u64,
        supply: &mut impl Supply<T>,
        wakers: &mut Wakers,
    ) -> bool {
        let was_here = self.remove(id, supply, wakers);
        self.dispatch(now_ns, supply, wakers);
        was_here
    }

    pub(super) fn remove(
        &mut self,
        id: WaiterId,
        supply: &mut impl Supply<T>,
        wakers: &mut Wakers,
    ) -> bool {
        if self.end_active(id, supply) == Ended::Aside {
            self.remove_aside(id, supply);
        }
        let deadline_ns = self.entries.remove(id, |entry| {
            supply.uncounted(&entry.item);
            wakers.discard(entry.waker.take());
            wakers.discard(entry.on_lapse.take());
            entry.deadline_ns
        });
        let Some(deadline_ns) = deadline_ns else {
            return false;
        };
        if deadline_ns != u64::MAX {
            self.deadlines.remove((deadline_ns, id.arrival()));
        }
        true
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

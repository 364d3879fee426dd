//! Who waits for a turn, in which order: the bookkeeping of a layer's waiting line.
//!
//! A layer that lets calls wait (for a place, for a token) needs the same of its line each time:
//! first come, first served; a waiter that gives up leaves no gap behind; and a waiter whose own
//! service is not ready lets the next one pass without losing its rank. [`Queue`] has this and
//! nothing else. It has no lock, no atomics and no clock: the layer keeps it under its own
//! `Mutex`, and says in its own words when a turn has come.
//!
//! # The protocol
//!
//! A waiter [joins](Queue::join) at its first poll. At each further poll, under the lock:
//!
//! * it is not [first](Queue::is_first), or what it waits for is not there: it
//!   [waits](Queue::wait) with the waker of this poll;
//! * it is first and what it waits for is there: outside of the lock it polls its service. If
//!   that is ready, it takes its due and [leaves](Queue::leave); if not, it
//!   [stands aside](Queue::stand_aside), and its own service will wake it. One who finds nothing
//!   to take when it is back [rejoins](Queue::rejoin) at its old rank and waits.
//!
//! The first in line who leaves or stands aside, and whoever gives something back, calls the
//! [next](Queue::call_next) waiter. A waiter that was called and is dropped instead has left, and so
//! calls the next: no wake-up is lost on the way. One who leaves from farther back was not called,
//! or has been passed since by one who rejoined and looked for itself: it need not call anybody.
//!
//! The first is not polled by anybody but its own task, and may never be. A layer gives those
//! behind it a timer of their own, so that they do not wait for it without bound.
//!
//! Wakers come out of the queue by value. Wake and drop them *after* the lock is released: both
//! run code of the executor, which may drop another waiter of the same queue. Cloning one, which
//! [`wait`](Queue::wait) does under the lock where the waker is a new one, counts a reference and
//! runs nothing.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::Priority;

/// The rank of a waiter in its [`Queue`]: a lower one goes first, and among equals the one that
/// came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    rank: i64,
    drawn: u64,
}

/// The rank of a waiter of this priority that comes at `now_ns`, in a line where waiting makes up
/// for priority: one step of [`Priority`] is worth `step_ns` nanoseconds of waiting.
///
/// So a waiter is passed by one of `d` steps more only if that one came less than `d * step_ns`
/// after it: within a priority the first to come is the first to go, and nobody starves, however
/// many of a higher priority keep coming. A rank never changes while its owner waits, which is
/// why a line of many classes costs no more than a plain one.
///
/// ```
/// use seawall_core::Priority;
/// use seawall_core::queue::rank;
///
/// let step = 1_000_000; // 64 steps, from low to normal, are worth 64 ms.
/// let low = rank(0, Priority::LOW, step);
/// assert!(rank(63_000_000, Priority::NORMAL, step) < low);
/// assert!(rank(65_000_000, Priority::NORMAL, step) > low);
/// ```
pub const fn rank(now_ns: u64, priority: Priority, step_ns: u64) -> i64 {
    let handicap = step_ns.saturating_mul((u8::MAX - priority.0) as u64);
    let rank = now_ns.saturating_add(handicap);
    if rank > i64::MAX as u64 {
        i64::MAX
    } else {
        rank as i64
    }
}

/// Waiters in the order in which they came; see the [module](self).
///
/// ```
/// use std::task::Waker;
/// use seawall_core::queue::Queue;
///
/// let mut queue = Queue::new();
/// let ann = queue.join("ann", Waker::noop().clone());
/// let bob = queue.join("bob", Waker::noop().clone());
/// assert!(queue.is_first(ann));
///
/// // Ann's service is not ready: Bob may go, and Ann keeps her rank.
/// queue.stand_aside(ann);
/// assert!(queue.is_first(bob));
/// drop(queue.wait(ann, Waker::noop()));
/// assert!(queue.is_first(ann));
///
/// assert_eq!(queue.leave(ann).map(|(who, _)| who), Some("ann"));
/// assert_eq!(queue.len(), 1);
/// ```
#[derive(Debug)]
pub struct Queue<T> {
    drawn: u64,
    /// Those who wait for their turn.
    line: BTreeMap<Ticket, Waiter<T>>,
    /// Those who wait for their own service.
    aside: BTreeMap<Ticket, Waiter<T>>,
}

#[derive(Debug)]
struct Waiter<T> {
    item: T,
    /// `None` once it was called, until its next poll.
    waker: Option<Waker>,
}

impl<T> Queue<T> {
    /// A queue without waiters. Allocates nothing before the first one joins.
    pub const fn new() -> Self {
        Self {
            drawn: 0,
            line: BTreeMap::new(),
            aside: BTreeMap::new(),
        }
    }

    /// How many wait, those who stand aside included.
    pub fn len(&self) -> usize {
        self.line.len() + self.aside.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty() && self.aside.is_empty()
    }

    /// Joins behind all others of rank 0; `item` is handed back by [`leave`](Self::leave).
    pub fn join(&mut self, item: T, waker: Waker) -> Ticket {
        self.join_ranked(0, item, waker)
    }

    /// Joins before those of a higher rank and behind all others; see [`rank`] for one that lets
    /// nobody starve. Who joins at the head of the line takes the turn over from the one that was
    /// called: that one finds, when it is polled, that it is not the first, and waits.
    pub fn join_ranked(&mut self, rank: i64, item: T, waker: Waker) -> Ticket {
        let drawn = self.drawn;
        let ticket = Ticket { rank, drawn };
        // 2^64 waiters do not come by.
        self.drawn = self.drawn.wrapping_add(1);
        let waker = Some(waker);
        self.line.insert(ticket, Waiter { item, waker });
        ticket
    }

    /// Leaves, wherever the waiter stood. Hands back its item and its waker, to be dropped
    /// outside of the lock; `None` when it has left before.
    pub fn leave(&mut self, ticket: Ticket) -> Option<(T, Option<Waker>)> {
        let gone = self.line.remove(&ticket);
        let gone = gone.or_else(|| self.aside.remove(&ticket))?;
        Some((gone.item, gone.waker))
    }

    /// Whether the waiter is the first of those who wait for their turn.
    pub fn is_first(&self, ticket: Ticket) -> bool {
        self.line
            .first_key_value()
            .is_some_and(|(first, _)| *first == ticket)
    }

    /// Whether the waiter stands aside.
    pub fn is_aside(&self, ticket: Ticket) -> bool {
        self.aside.contains_key(&ticket)
    }

    /// Waits in line with this waker; a waiter that stood aside comes back to its old rank.
    /// Hands back the waker that it replaces, to be dropped outside of the lock.
    #[must_use = "a waker must be dropped outside of the lock"]
    pub fn wait(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        self.rejoin(ticket);
        let waiter = self.line.get_mut(&ticket)?;
        match &mut waiter.waker {
            Some(known) if known.will_wake(waker) => None,
            known => known.replace(waker.clone()),
        }
    }

    /// Comes back to the line from aside, at the old rank and with the waker it had; of no effect
    /// on those in line. `true` when it came back.
    pub fn rejoin(&mut self, ticket: Ticket) -> bool {
        let back = self.aside.remove(&ticket);
        let back = back.map(|back| self.line.insert(ticket, back));
        back.is_some()
    }

    /// Lets others pass: the waiter's own service is not ready and will wake it. It keeps its
    /// rank for the time when it [waits](Self::wait) again.
    pub fn stand_aside(&mut self, ticket: Ticket) {
        if let Some(waiter) = self.line.remove(&ticket) {
            self.aside.insert(ticket, waiter);
        }
    }

    /// Calls the first in line: hands out its waker, to be woken outside of the lock. `None`
    /// when nobody is in line, or when the first was called and has not been polled since.
    #[must_use = "the waiter sleeps on unless it is woken"]
    pub fn call_next(&mut self) -> Option<Waker> {
        self.line.first_entry()?.get_mut().waker.take()
    }

    /// Calls everybody, those who stand aside included: something has changed for all of them.
    /// The wakers are to be woken outside of the lock.
    #[must_use = "the waiters sleep on unless they are woken"]
    pub fn call_all(&mut self) -> Vec<Waker> {
        let all = self.line.values_mut().chain(self.aside.values_mut());
        all.filter_map(|waiter| waiter.waker.take()).collect()
    }

    /// What a waiter brought with it, wherever it stands.
    pub fn item(&self, ticket: Ticket) -> Option<&T> {
        let waiter = self.line.get(&ticket);
        let waiter = waiter.or_else(|| self.aside.get(&ticket))?;
        Some(&waiter.item)
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noop() -> Waker {
        Waker::noop().clone()
    }

    #[test]
    fn the_first_is_called_once_per_poll() {
        let mut queue = Queue::new();
        assert!(queue.call_next().is_none());
        let first = queue.join((), noop());
        let second = queue.join((), noop());
        assert!(queue.call_next().is_some());
        assert!(queue.call_next().is_none(), "called already");
        assert!(queue.wait(first, &noop()).is_none());
        assert!(queue.call_next().is_some(), "polled since");
        assert!(queue.leave(first).is_some());
        assert!(queue.leave(first).is_none());
        assert!(queue.is_first(second));
        assert!(queue.call_next().is_some());
    }

    #[test]
    fn who_stands_aside_is_passed_and_counted() {
        let mut queue = Queue::new();
        let tickets = [1, 2, 3].map(|n| queue.join(n, noop()));
        queue.stand_aside(tickets[0]);
        queue.stand_aside(tickets[1]);
        assert_eq!(queue.len(), 3);
        assert!(queue.is_aside(tickets[0]) && queue.is_first(tickets[2]));
        assert_eq!(queue.leave(tickets[1]).map(|(n, _)| n), Some(2));
        assert!(queue.wait(tickets[0], &noop()).is_none());
        assert!(queue.is_first(tickets[0]));
        queue.stand_aside(tickets[0]);
        assert!(queue.rejoin(tickets[0]) && !queue.rejoin(tickets[0]));
        assert!(queue.is_first(tickets[0]));
    }

    #[test]
    fn a_lower_rank_goes_first_and_takes_the_turn_over() {
        let mut queue = Queue::new();
        let usual = queue.join_ranked(rank(0, Priority::NORMAL, 1), "usual", noop());
        assert!(queue.call_next().is_some());
        let urgent = queue.join_ranked(rank(9, Priority::HIGH, 1), "urgent", noop());
        let later = queue.join_ranked(rank(9, Priority::HIGH, 1), "later", noop());
        assert!(queue.is_first(urgent) && !queue.is_first(usual));
        assert_eq!(queue.item(later), Some(&"later"));
        assert!(queue.wait(usual, &noop()).is_none());
        queue.stand_aside(urgent);
        assert!(queue.is_first(later));
        assert_eq!(queue.call_all().len(), 3);
        assert!(queue.call_all().is_empty(), "called already");
        assert!(queue.leave(later).is_some());
        assert!(queue.is_first(usual));
        assert_eq!(rank(u64::MAX, Priority::LOW, u64::MAX), i64::MAX);
    }

    proptest! {
        /// Against a sorted list of (rank, aside).
        #[test]
        fn ranks_are_those_of_an_obvious_list(steps in prop::collection::vec((0_u8..4, 0_usize..12), 1..80)) {
            let mut queue = Queue::new();
            let mut model: Vec<(Ticket, bool)> = Vec::new();
            for (step, which) in steps {
                let at = which.checked_rem(model.len());
                match (step, at) {
                    (0, _) | (_, None) => {
                        model.push((queue.join_ranked((which % 3) as i64, (), noop()), false));
                        model.sort_by_key(|(ticket, _)| *ticket);
                    }
                    (1, Some(at)) => {
                        let (ticket, _) = model.remove(at);
                        prop_assert!(queue.leave(ticket).is_some());
                    }
                    (2, Some(at)) => {
                        queue.stand_aside(model[at].0);
                        model[at].1 = true;
                    }
                    (_, Some(at)) => {
                        drop(queue.wait(model[at].0, &noop()));
                        model[at].1 = false;
                    }
                }
                let first = model.iter().find(|(_, aside)| !aside).map(|(t, _)| *t);
                for (ticket, aside) in &model {
                    prop_assert_eq!(queue.is_first(*ticket), Some(*ticket) == first);
                    prop_assert_eq!(queue.is_aside(*ticket), *aside);
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
        }
    }
}

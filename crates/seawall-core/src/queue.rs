//! The order of waiters: the bookkeeping of a layer's wait queue.
//!
//! A layer that lets calls wait (for a permit, for a token) needs the same of its queue each time:
//! first come, first served; a waiter that gives up leaves no gap behind; and a waiter whose own
//! service is not ready lets the next one pass without losing its rank. [`Queue`] has this and
//! nothing else. It has no lock, no atomics and no clock: the layer keeps it under its own
//! `Mutex`, and decides when a waiter's turn has come.
//!
//! # The protocol
//!
//! A waiter [joins](Queue::join) at its first poll. At each further poll, under the lock:
//!
//! * it is not [first](Queue::is_first), or what it waits for is not there: it
//!   [waits](Queue::wait) with the waker of this poll;
//! * it is first and what it waits for is there: outside of the lock it polls its service. If
//!   that is ready, it takes what it waited for and [leaves](Queue::leave); if not, it is
//!   [skipped](Queue::skip), and its own service will wake it. A waiter that finds nothing to take
//!   when it is back [rejoins](Queue::rejoin) at its old rank and waits.
//!
//! The first waiter that leaves or is skipped, and a call that gives something back, notify the
//! [next](Queue::notify_next) waiter. A waiter that was notified and is dropped instead has left,
//! and so notifies the next: no wake-up is lost on the way. A waiter that leaves from farther back
//! was not notified, or has been passed since by one that rejoined and looked for itself: it need
//! not notify any other.
//!
//! The first waiter is polled by its own task alone, and may never be. A layer gives those behind
//! it a timer of their own, so that they do not wait for it without bound.
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
pub struct WaiterId {
    rank: i64,
    drawn: u64,
}

/// The rank of a waiter of this priority that comes at `now_ns`, in a queue where waiting makes up
/// for priority: one step of [`Priority`] is worth `step_ns` nanoseconds of waiting.
///
/// So a waiter is passed by one of `d` steps more only if that one came less than `d * step_ns`
/// after it: within a priority the first to come is the first to go, and none starves, however
/// many of a higher priority keep coming. A rank never changes while its waiter waits, which is
/// why a queue of many priorities costs no more than a plain one.
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
/// queue.skip(ann);
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
    /// Waiters for their turn.
    waiting: BTreeMap<WaiterId, Waiter<T>>,
    /// Waiters for their own service.
    skipped: BTreeMap<WaiterId, Waiter<T>>,
}

#[derive(Debug)]
struct Waiter<T> {
    item: T,
    /// `None` once it was notified, until its next poll.
    waker: Option<Waker>,
}

impl<T> Queue<T> {
    /// A queue without waiters. Allocates nothing before the first one joins.
    pub const fn new() -> Self {
        Self {
            drawn: 0,
            waiting: BTreeMap::new(),
            skipped: BTreeMap::new(),
        }
    }

    /// How many wait, those that are skipped included.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.skipped.len()
    }

    /// Whether there is no waiter.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.skipped.is_empty()
    }

    /// Joins behind all others of rank 0; `item` is handed back by [`leave`](Self::leave).
    pub fn join(&mut self, item: T, waker: Waker) -> WaiterId {
        self.join_ranked(0, item, waker)
    }

    /// Joins before those of a higher rank and behind all others; see [`rank`] for one that lets
    /// none starve. A waiter that joins at the head takes the turn over from the one that was
    /// notified: that one finds, when it is polled, that it is not the first, and waits.
    pub fn join_ranked(&mut self, rank: i64, item: T, waker: Waker) -> WaiterId {
        let drawn = self.drawn;
        let id = WaiterId { rank, drawn };
        // 2^64 waiters do not come by.
        self.drawn = self.drawn.wrapping_add(1);
        let waker = Some(waker);
        self.waiting.insert(id, Waiter { item, waker });
        id
    }

    /// Leaves, whether the waiter was skipped or not. Hands back its item and its waker, to be dropped
    /// outside of the lock; `None` when it has left before.
    pub fn leave(&mut self, id: WaiterId) -> Option<(T, Option<Waker>)> {
        let gone = self.waiting.remove(&id);
        let gone = gone.or_else(|| self.skipped.remove(&id))?;
        Some((gone.item, gone.waker))
    }

    /// Whether the waiter is the first of those that wait for their turn.
    pub fn is_first(&self, id: WaiterId) -> bool {
        self.waiting
            .first_key_value()
            .is_some_and(|(first, _)| *first == id)
    }

    /// Whether the waiter is skipped for now.
    pub fn is_skipped(&self, id: WaiterId) -> bool {
        self.skipped.contains_key(&id)
    }

    /// Waits for its turn with this waker; a waiter that was skipped comes back to its old rank.
    /// Hands back the waker that it replaces, to be dropped outside of the lock.
    #[must_use = "a waker must be dropped outside of the lock"]
    pub fn wait(&mut self, id: WaiterId, waker: &Waker) -> Option<Waker> {
        self.rejoin(id);
        let waiter = self.waiting.get_mut(&id)?;
        match &mut waiter.waker {
            Some(known) if known.will_wake(waker) => None,
            known => known.replace(waker.clone()),
        }
    }

    /// Comes back after it was skipped, at the old rank and with the waker it had; of no effect on
    /// other waiters. `true` when it came back.
    pub fn rejoin(&mut self, id: WaiterId) -> bool {
        let back = self.skipped.remove(&id);
        let back = back.map(|back| self.waiting.insert(id, back));
        back.is_some()
    }

    /// Lets others pass: the waiter's own service is not ready and will wake it. It keeps its
    /// rank for the time when it [waits](Self::wait) again.
    pub fn skip(&mut self, id: WaiterId) {
        if let Some(waiter) = self.waiting.remove(&id) {
            self.skipped.insert(id, waiter);
        }
    }

    /// Notifies the first waiter: hands out its waker, to be woken outside of the lock. `None`
    /// when there is none, or when it was notified and has not been polled since.
    #[must_use = "the waiter sleeps on unless it is woken"]
    pub fn notify_next(&mut self) -> Option<Waker> {
        self.waiting.first_entry()?.get_mut().waker.take()
    }

    /// Notifies every waiter, also the skipped ones: something has changed for all of them.
    /// The wakers are to be woken outside of the lock.
    #[must_use = "the waiters sleep on unless they are woken"]
    pub fn notify_all(&mut self) -> Vec<Waker> {
        let all = self.waiting.values_mut().chain(self.skipped.values_mut());
        all.filter_map(|waiter| waiter.waker.take()).collect()
    }

    /// What a waiter brought with it, skipped or not.
    pub fn item(&self, id: WaiterId) -> Option<&T> {
        let waiter = self.waiting.get(&id);
        let waiter = waiter.or_else(|| self.skipped.get(&id))?;
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
    fn the_first_is_notified_once_per_poll() {
        let mut queue = Queue::new();
        assert!(queue.notify_next().is_none());
        let first = queue.join((), noop());
        let second = queue.join((), noop());
        assert!(queue.notify_next().is_some());
        assert!(queue.notify_next().is_none(), "notified already");
        assert!(queue.wait(first, &noop()).is_none());
        assert!(queue.notify_next().is_some(), "polled since");
        assert!(queue.leave(first).is_some());
        assert!(queue.leave(first).is_none());
        assert!(queue.is_first(second));
        assert!(queue.notify_next().is_some());
    }

    #[test]
    fn a_skipped_waiter_is_passed_and_counted() {
        let mut queue = Queue::new();
        let ids = [1, 2, 3].map(|n| queue.join(n, noop()));
        queue.skip(ids[0]);
        queue.skip(ids[1]);
        assert_eq!(queue.len(), 3);
        assert!(queue.is_skipped(ids[0]) && queue.is_first(ids[2]));
        assert_eq!(queue.leave(ids[1]).map(|(n, _)| n), Some(2));
        assert!(queue.wait(ids[0], &noop()).is_none());
        assert!(queue.is_first(ids[0]));
        queue.skip(ids[0]);
        assert!(queue.rejoin(ids[0]) && !queue.rejoin(ids[0]));
        assert!(queue.is_first(ids[0]));
    }

    #[test]
    fn a_lower_rank_goes_first_and_takes_the_turn_over() {
        let mut queue = Queue::new();
        let usual = queue.join_ranked(rank(0, Priority::NORMAL, 1), "usual", noop());
        assert!(queue.notify_next().is_some());
        let urgent = queue.join_ranked(rank(9, Priority::HIGH, 1), "urgent", noop());
        let later = queue.join_ranked(rank(9, Priority::HIGH, 1), "later", noop());
        assert!(queue.is_first(urgent) && !queue.is_first(usual));
        assert_eq!(queue.item(later), Some(&"later"));
        assert!(queue.wait(usual, &noop()).is_none());
        queue.skip(urgent);
        assert!(queue.is_first(later));
        assert_eq!(queue.notify_all().len(), 3);
        assert!(queue.notify_all().is_empty(), "notified already");
        assert!(queue.leave(later).is_some());
        assert!(queue.is_first(usual));
        assert_eq!(rank(u64::MAX, Priority::LOW, u64::MAX), i64::MAX);
    }

    proptest! {
        /// Against a sorted list of (rank, skipped).
        #[test]
        fn ranks_are_those_of_an_obvious_list(steps in prop::collection::vec((0_u8..4, 0_usize..12), 1..80)) {
            let mut queue = Queue::new();
            let mut model: Vec<(WaiterId, bool)> = Vec::new();
            for (step, which) in steps {
                let at = which.checked_rem(model.len());
                match (step, at) {
                    (0, _) | (_, None) => {
                        model.push((queue.join_ranked((which % 3) as i64, (), noop()), false));
                        model.sort_by_key(|(id, _)| *id);
                    }
                    (1, Some(at)) => {
                        let (id, _) = model.remove(at);
                        prop_assert!(queue.leave(id).is_some());
                    }
                    (2, Some(at)) => {
                        queue.skip(model[at].0);
                        model[at].1 = true;
                    }
                    (_, Some(at)) => {
                        drop(queue.wait(model[at].0, &noop()));
                        model[at].1 = false;
                    }
                }
                let first = model.iter().find(|(_, skipped)| !skipped).map(|(t, _)| *t);
                for (id, skipped) in &model {
                    prop_assert_eq!(queue.is_first(*id), Some(*id) == first);
                    prop_assert_eq!(queue.is_skipped(*id), *skipped);
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
        }
    }
}

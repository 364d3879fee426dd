//! Places in all and per key, and the line in front of them, without clock and executor.
//!
//! What is guarded here (a connection, a thread) costs a thousand times what a lock does, so one
//! short lock decides everything and there is no order of atomics to argue about.
//!
//! A waiter is in `line` while a place may be had for it, `parked` with its key while the key has
//! no room, and in neither while it stands aside, since its own service is not ready. It keeps its
//! ticket, and so its rank, wherever it is. While a key has room and waiters of it are parked, one
//! more of them is in line: whoever makes room or leaves a line brings the next one back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use seawall_core::PartitionKey;

/// How many places there are, and how many may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) total: u32,
    pub(crate) per_key: Option<u32>,
    pub(crate) waiting: u32,
}

/// The rank of a waiter: a lower one came first.
pub(crate) type Ticket = u64;

/// What a waiter does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Sleep: its waker is registered.
    Wait,
    /// Poll its service, then [`Gate::take`] or [`Gate::stand_aside`].
    Go,
}

/// Why no place was had at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// There is room in the line.
    Wait,
    /// There is none.
    Full,
}

#[derive(Debug)]
pub(crate) struct Gate {
    sizes: Sizes,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_flight: u32,
    drawn: Ticket,
    waiters: BTreeMap<Ticket, Waiter>,
    line: BTreeSet<Ticket>,
    /// Keys that have a place or somebody parked; of no use without a bound per key.
    keys: HashMap<PartitionKey, PerKey>,
}

#[derive(Debug)]
struct Waiter {
    key: PartitionKey,
    /// `None` once it was called, until it waits again.
    waker: Option<Waker>,
    aside: bool,
}

#[derive(Debug, Default)]
struct PerKey {
    in_flight: u32,
    parked: BTreeSet<Ticket>,
}

impl Gate {
    pub(crate) fn new(sizes: Sizes) -> Self {
        Self {
            sizes,
            state: Mutex::default(),
        }
    }

    /// Takes a place if one is free and nobody is in line for it.
    pub(crate) fn try_take(&self, key: PartitionKey) -> Result<(), Taken> {
        let mut state = self.lock();
        // Whoever is at the head of the line goes first.
        if state.head(&self.sizes).is_none() && state.has_room(&self.sizes, key) {
            state.seat(&self.sizes, key);
            return Ok(());
        }
        Err(if state.waiters.len() < self.sizes.waiting as usize {
            Taken::Wait
        } else {
            Taken::Full
        })
    }

    /// Joins the line; `None` when it is full.
    pub(crate) fn join(&self, key: PartitionKey, waker: &Waker) -> Option<Ticket> {
        let waker = Some(waker.clone());
        let mut state = self.lock();
        if state.waiters.len() >= self.sizes.waiting as usize {
            drop(state);
            return None;
        }
        let ticket = state.drawn;
        state.drawn += 1;
        let aside = false;
        state.waiters.insert(ticket, Waiter { key, waker, aside });
        state.line.insert(ticket);
        Some(ticket)
    }

    /// Asks whether the turn of a waiter has come. To one who is `late`, whose patience is over,
    /// its rank is of no account.
    pub(crate) fn turn(&self, ticket: Ticket, late: bool, waker: &Waker) -> Turn {
        let mut state = self.lock();
        if state.is_aside(ticket) || state.may_go(&self.sizes, ticket, late) {
            return Turn::Go;
        }
        let old = state.wait(ticket, waker);
        // Looking for the head may have parked one, and so have made another the head.
        let next = state.call_next(&self.sizes);
        drop(state);
        drop(old);
        wake(next);
        Turn::Wait
    }

    /// Takes a place and leaves the line, if it is this waiter's turn or it is `late`; otherwise
    /// it waits in line, with its waker registered.
    pub(crate) fn take(&self, ticket: Ticket, late: bool, waker: &Waker) -> bool {
        let mut state = self.lock();
        state.rejoin(ticket);
        let taken = state.may_go(&self.sizes, ticket, late);
        let old = if taken {
            let gone = state.remove(ticket);
            gone.and_then(|gone| {
                state.seat(&self.sizes, gone.key);
                state.promote(&self.sizes, gone.key);
                gone.waker
            })
        } else {
            state.wait(ticket, waker)
        };
        let next = state.call_next(&self.sizes);
        drop(state);
        drop(old);
        wake(next);
        taken
    }

    /// Lets others pass, since the waiter's own service is not ready.
    pub(crate) fn stand_aside(&self, ticket: Ticket) {
        let mut state = self.lock();
        state.unlist(ticket);
        if let Some(waiter) = state.waiters.get_mut(&ticket) {
            waiter.aside = true;
            let key = waiter.key;
            state.promote(&self.sizes, key);
        }
        let next = state.call_next(&self.sizes);
        drop(state);
        wake(next);
    }

    /// Leaves without a place.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut state = self.lock();
        let gone = state.remove(ticket);
        if let Some(gone) = &gone {
            state.promote(&self.sizes, gone.key);
        }
        let next = state.call_next(&self.sizes);
        drop(state);
        drop(gone);
        wake(next);
    }

    /// Gives a place back.
    pub(crate) fn release(&self, key: PartitionKey) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if let Some(own) = state.keys.get_mut(&key) {
            own.in_flight = own.in_flight.saturating_sub(1);
        }
        state.promote(&self.sizes, key);
        let next = state.call_next(&self.sizes);
        drop(state);
        wake(next);
    }

    pub(crate) const fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Places that are taken.
    pub(crate) fn in_flight(&self) -> u32 {
        self.lock().in_flight
    }

    /// Places that are taken for a key; 0 where there is no bound per key.
    pub(crate) fn in_flight_by(&self, key: PartitionKey) -> u32 {
        self.lock().keys.get(&key).map_or(0, |own| own.in_flight)
    }

    /// How many wait, wherever they stand.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiters.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, sizes: &Sizes, key: PartitionKey) -> bool {
        self.in_flight < sizes.total && self.key_has_room(sizes, key)
    }

    fn key_has_room(&self, sizes: &Sizes, key: PartitionKey) -> bool {
        let taken = || self.keys.get(&key).map_or(0, |own| own.in_flight);
        sizes.per_key.is_none_or(|most| taken() < most)
    }

    fn seat(&mut self, sizes: &Sizes, key: PartitionKey) {
        self.in_flight += 1;
        if sizes.per_key.is_some() {
            self.keys.entry(key).or_default().in_flight += 1;
        }
    }

    /// The first in line. Those before it whose keys have no room are parked.
    fn head(&mut self, sizes: &Sizes) -> Option<Ticket> {
        loop {
            let first = *self.line.first()?;
            let key = self.waiters.get(&first).map(|waiter| waiter.key)?;
            if self.key_has_room(sizes, key) {
                return Some(first);
            }
            self.line.remove(&first);
            self.keys.entry(key).or_default().parked.insert(first);
        }
    }

    fn may_go(&mut self, sizes: &Sizes, ticket: Ticket, late: bool) -> bool {
        if late {
            let key = self.waiters.get(&ticket).map(|waiter| waiter.key);
            return key.is_some_and(|key| self.has_room(sizes, key));
        }
        self.in_flight < sizes.total && self.head(sizes) == Some(ticket)
    }

    /// Calls the first in line, if there is a place for it.
    fn call_next(&mut self, sizes: &Sizes) -> Option<Waker> {
        if self.in_flight >= sizes.total {
            return None;
        }
        let head = self.head(sizes)?;
        self.waiters.get_mut(&head)?.waker.take()
    }

    /// Brings the first of those who are parked with a key back into the line, if the key has
    /// room; forgets a key of which nothing is left.
    fn promote(&mut self, sizes: &Sizes, key: PartitionKey) {
        let room = self.key_has_room(sizes, key);
        let Some(own) = self.keys.get_mut(&key) else {
            return;
        };
        if room && let Some(first) = own.parked.pop_first() {
            self.line.insert(first);
        }
        if own.in_flight == 0 && own.parked.is_empty() {
            self.keys.remove(&key);
        }
    }

    fn is_aside(&self, ticket: Ticket) -> bool {
        self.waiters.get(&ticket).is_some_and(|waiter| waiter.aside)
    }

    fn rejoin(&mut self, ticket: Ticket) {
        if let Some(waiter) = self.waiters.get_mut(&ticket)
            && waiter.aside
        {
            waiter.aside = false;
            self.line.insert(ticket);
        }
    }

    /// Registers a waker; hands back the one it replaces, to be dropped outside of the lock.
    fn wait(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        let known = &mut self.waiters.get_mut(&ticket)?.waker;
        match known {
            Some(known) if known.will_wake(waker) => None,
            known => known.replace(waker.clone()),
        }
    }

    fn unlist(&mut self, ticket: Ticket) {
        self.line.remove(&ticket);
        if let Some(waiter) = self.waiters.get(&ticket)
            && let Some(own) = self.keys.get_mut(&waiter.key)
        {
            own.parked.remove(&ticket);
        }
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        self.unlist(ticket);
        self.waiters.remove(&ticket)
    }
}

/// Outside of the lock: a waker runs code of the executor.
fn wake(next: Option<Waker>) {
    if let Some(waker) = next {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    struct Sleeper {
        ticket: Ticket,
        key: PartitionKey,
        called: Arc<Flag>,
        aside: bool,
    }

    proptest! {
        /// Against a plain list: no place too many, and whoever is the first that could go has
        /// been woken.
        #[test]
        fn nobody_sleeps_in_front_of_a_place_that_is_free_for_it(
            total in 1_u32..4,
            per_key in prop::option::of(1_u32..3),
            steps in prop::collection::vec((0_u8..5, 0_u64..3, 0_usize..8), 1..80),
        ) {
            let gate = Gate::new(Sizes { total, per_key, waiting: 6 });
            let mut held: Vec<PartitionKey> = Vec::new();
            let mut line: Vec<Sleeper> = Vec::new();
            let room = |held: &[PartitionKey], key: PartitionKey| {
                held.len() < total as usize
                    && per_key.is_none_or(|most| held.iter().filter(|k| **k == key).count() < most as usize)
            };
            for (step, key, which) in steps {
                let key = PartitionKey(key);
                match step {
                    0 => {
                        let first = line.iter().find(|s| !s.aside && room(&held, s.key));
                        let keys_full = |s: &Sleeper| per_key.is_some_and(|most| {
                            held.iter().filter(|k| **k == s.key).count() >= most as usize
                        });
                        let in_line = line.iter().any(|s| !s.aside && !keys_full(s));
                        let free = room(&held, key) && first.is_none() && !in_line;
                        match gate.try_take(key) {
                            Ok(()) => { prop_assert!(free); held.push(key); }
                            Err(taken) => {
                                prop_assert!(!free);
                                let called = Arc::new(Flag::default());
                                let joined = gate.join(key, &Arc::clone(&called).into());
                                prop_assert_eq!(joined.is_some(), line.len() < 6);
                                prop_assert_eq!(taken == Taken::Wait, joined.is_some());
                                if let Some(ticket) = joined {
                                    let waker = Arc::clone(&called).into();
                                    if gate.turn(ticket, false, &waker) == Turn::Go {
                                        called.0.store(true, Ordering::Relaxed);
                                    }
                                    line.push(Sleeper { ticket, key, called, aside: false });
                                }
                            }
                        }
                    }
                    1 if !held.is_empty() => {
                        let key = held.remove(which % held.len());
                        gate.release(key);
                    }
                    2 if !line.is_empty() => {
                        gate.leave(line.remove(which % line.len()).ticket);
                    }
                    3 if !line.is_empty() => {
                        let at = which % line.len();
                        let sleeper = &mut line[at];
                        sleeper.aside = true;
                        gate.stand_aside(sleeper.ticket);
                    }
                    4 if !line.is_empty() => {
                        let at = which % line.len();
                        line[at].aside = false;
                        let first = line.iter().position(|s| !s.aside && room(&held, s.key));
                        let waker = Arc::clone(&line[at].called).into();
                        line[at].called.0.store(false, Ordering::Relaxed);
                        let took = gate.take(line[at].ticket, false, &waker);
                        prop_assert_eq!(took, first == Some(at));
                        if took {
                            held.push(line.remove(at).key);
                        }
                    }
                    _ => {}
                }
                if let Some(first) = line.iter().find(|s| !s.aside && room(&held, s.key)) {
                    prop_assert!(first.called.0.load(Ordering::Relaxed), "it sleeps");
                }
                prop_assert_eq!(gate.in_flight() as usize, held.len());
                prop_assert_eq!(gate.waiting(), line.len());
                for key in (0..3).map(PartitionKey) {
                    let count = held.iter().filter(|k| **k == key).count();
                    prop_assert_eq!(gate.in_flight_by(key) as usize, if per_key.is_some() { count } else { 0 });
                }
            }
            for key in held { gate.release(key); }
            for sleeper in line { gate.leave(sleeper.ticket); }
            prop_assert!(gate.lock().keys.is_empty() && gate.lock().line.is_empty());
        }
    }

    #[test]
    fn one_whose_patience_is_over_takes_what_is_free_whatever_its_rank() {
        let gate = Gate::new(Sizes {
            total: 1,
            per_key: Some(1),
            waiting: 2,
        });
        let waker = Waker::noop();
        assert!(gate.try_take(PartitionKey(1)).is_ok());
        let first = gate.join(PartitionKey(1), waker).unwrap();
        let late = gate.join(PartitionKey(2), waker).unwrap();
        assert!(!gate.take(late, true, waker));
        gate.release(PartitionKey(1));
        assert_eq!(gate.turn(late, false, waker), Turn::Wait);
        assert_eq!(gate.turn(late, true, waker), Turn::Go);
        assert!(gate.take(late, true, waker));
        assert_eq!(gate.turn(first, false, waker), Turn::Wait);
    }
}

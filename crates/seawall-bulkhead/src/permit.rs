//! What a call holds: its place, or its place in the queue.

use std::fmt;
use std::task::Waker;
use std::time::Duration;

use seawall_core::queue::Ticket;
use seawall_core::{Outcome, Settle};

use crate::observe::{Common, State, Stripe, abandoned};
use crate::places::Turn;

/// A place in the bulkhead, held by one call and given back when it is settled or dropped.
///
/// It is handed to the layer's [`Hold`](seawall_core::Hold) with the response, so that it can
/// live on in the body of the response. Dropped without being settled, the call counts as
/// abandoned.
pub struct Permit {
    /// `None` once settled.
    state: Option<State>,
}

impl Permit {
    /// The permit of a place that was taken just now.
    #[inline]
    pub(crate) const fn of(state: State) -> Self {
        Self { state: Some(state) }
    }
}

impl Settle for Permit {
    #[inline]
    fn settle(mut self, outcome: Outcome) {
        if let Some(state) = self.state.take() {
            state.common().places.release();
            state.stripe().settled(&outcome);
        }
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            state.common().places.release();
            abandoned(state.common(), state.stripe());
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.state.as_ref().map(|s| s.common().observer.name());
        f.debug_struct("Permit").field("bulkhead", &name).finish()
    }
}

/// A call that has no place yet. Dropped without one, it leaves the line and counts as
/// abandoned.
#[derive(Debug)]
pub(crate) struct Waiting {
    state: State,
    /// `None` before its first poll: a future that nobody polls must hold nobody up.
    ticket: Option<Ticket>,
    /// Whether it has a place or was refused.
    over: bool,
}

impl Waiting {
    pub(crate) const fn new(state: State) -> Self {
        Self {
            state,
            ticket: None,
            over: false,
        }
    }

    /// Asks whether its turn has come; joins the line at the first time, and is told `None` when
    /// the line is full. One who is `late` asks whether there is a place at all.
    pub(crate) fn turn(&mut self, late: bool, waker: &Waker) -> Option<Turn> {
        let places = &self.state.common().places;
        let ticket = match self.ticket {
            Some(ticket) => ticket,
            None => {
                let ticket = places.join(waker)?;
                self.ticket = Some(ticket);
                self.state.stripe().waits();
                ticket
            }
        };
        Some(places.turn(ticket, late, waker))
    }

    /// Takes the place, if it is its turn or it is `late`.
    pub(crate) fn take(&mut self, late: bool, waker: &Waker) -> Option<Permit> {
        let places = &self.state.common().places;
        if !places.take(self.ticket?, late, waker) {
            return None;
        }
        self.ticket = None;
        self.over = true;
        Some(Permit::of(self.state.clone()))
    }

    /// Lets others pass while its own service is not ready.
    pub(crate) fn stand_aside(&self) {
        if let Some(ticket) = self.ticket {
            self.state.common().places.stand_aside(ticket);
        }
    }

    /// How long it waits for its turn.
    pub(crate) fn patience(&self) -> Duration {
        self.state.common().config.acquire_timeout().get()
    }

    /// Leaves the line without a place, and counts why.
    pub(crate) fn refuse<T>(&mut self, why: impl FnOnce(&Common, &Stripe) -> T) -> T {
        self.leave();
        why(self.state.common(), self.state.stripe())
    }

    fn leave(&mut self) {
        self.over = true;
        if let Some(ticket) = self.ticket.take() {
            self.state.common().places.leave(ticket);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            self.refuse(abandoned);
        }
    }
}

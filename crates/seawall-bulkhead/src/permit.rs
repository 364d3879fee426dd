//! What a call holds: its place, or its place in the queue.

use std::fmt;
use std::task::Waker;
use std::time::Duration;

use seawall_core::queue::Ticket;
use seawall_core::{Complete, Outcome, Priority, Reason, Rejection, RequestMeta};
use tokio::time::Instant;

use crate::observe::{State, abandoned, reject, turn_away};
use crate::places::{Turn, Turned, Wish};
use crate::wait::InLine;

/// A place in the bulkhead, held by one call and given back when it is settled or dropped.
///
/// It is handed to the layer's [`TrackCompletion`](seawall_core::TrackCompletion) with the response, so that it can
/// live on in the body of the response. Dropped without being settled, the call counts as
/// abandoned.
pub struct Permit {
    /// `None` once settled.
    state: Option<State>,
    /// When the place was taken, if anybody wants to know; 0 otherwise.
    start_ns: u64,
}

impl Permit {
    /// The permit of a place that was taken just now.
    #[inline]
    pub(crate) fn of(state: State, measured: bool) -> Self {
        let mut permit = Self {
            state: Some(state),
            start_ns: 0,
        };
        if measured {
            permit.begin();
        }
        permit
    }

    /// The call begins now, for those who want to know.
    pub(crate) fn begin(&mut self) {
        if let Some(state) = &self.state {
            self.start_ns = state.common().clock.now().max(1);
        }
    }

    /// Gives the place back as if it had not been taken.
    pub(crate) fn give_up(mut self) {
        if let Some(state) = self.state.take() {
            let common = state.common();
            common.places.release(|| common.clock.now());
        }
    }
}

impl Complete for Permit {
    #[inline]
    fn complete(mut self, outcome: Outcome) {
        if let Some(state) = self.state.take() {
            let common = state.common();
            let taken = common.places.release(|| common.clock.now());
            state.stripe().settled(&outcome);
            if self.start_ns != 0 {
                common.measured(self.start_ns, taken, &outcome);
            }
        }
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            let common = state.common();
            common.places.release(|| common.clock.now());
            abandoned(&common.observer, state.stripe());
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
    wish: Wish,
    measured: bool,
    /// `None` before its first poll: a future that nobody polls must hold nobody up.
    ticket: Option<Ticket>,
    patience_ns: u64,
    /// Whether it has a place or was rejected.
    over: bool,
}

impl Waiting {
    pub(crate) fn new(state: State, meta: &RequestMeta, measured: bool) -> Self {
        let deadline_ns = meta
            .deadline
            .map_or(u64::MAX, |at| state.common().clock.at(at));
        Self {
            wish: Wish {
                priority: meta.priority,
                deadline_ns,
                reserves: false,
            },
            state,
            measured,
            ticket: None,
            patience_ns: 0,
            over: false,
        }
    }

    /// Of one that has no request yet, and waits for as long as it takes.
    pub(crate) fn reserving(state: State, priority: Priority) -> Self {
        let meta = RequestMeta::default().with_priority(priority);
        let mut waiting = Self::new(state, &meta, false);
        waiting.wish.reserves = true;
        waiting
    }

    /// Leaves the line as if it had never been there.
    pub(crate) fn withdraw(mut self) {
        self.leave();
    }

    fn reject(&mut self, reason: Reason) -> Rejection {
        self.leave();
        reject(&self.state.common().observer, self.state.stripe(), reason)
    }

    fn leave(&mut self) {
        self.over = true;
        if let Some(ticket) = self.ticket.take() {
            self.state.common().places.leave(ticket);
        }
    }
}

impl InLine for Waiting {
    type Permit = Permit;

    fn turn(&mut self, late: bool, waker: &Waker) -> Result<Turn, Rejection> {
        let common = self.state.common();
        let ticket = match self.ticket {
            Some(_) if self.wish.is_over(|| common.clock.now()) => {
                return Err(self.reject(Reason::DeadlineExceeded));
            }
            Some(ticket) => ticket,
            None => match common.places.join(common.clock.now(), &self.wish, waker) {
                Ok(joined) => {
                    self.ticket = Some(joined.ticket);
                    self.patience_ns = joined.patience_ns;
                    self.state.stripe().waits();
                    joined.ticket
                }
                Err(turned) => {
                    self.over = true;
                    if self.wish.reserves
                        && let Turned::Away(reason) = turned
                    {
                        // There is no call yet that could count.
                        return Err(common.observer.rejection(reason));
                    }
                    return Err(turn_away(&common.observer, self.state.stripe(), turned));
                }
            },
        };
        Ok(common.places.turn(ticket, late, waker))
    }

    fn take(&mut self, late: bool, waker: &Waker) -> Option<Permit> {
        let ticket = self.ticket?;
        let places = &self.state.common().places;
        places.take(ticket, late, waker, || {
            self.ticket = None;
            self.over = true;
            Permit::of(self.state.clone(), self.measured)
        })
    }

    fn stand_aside(&self) {
        if let Some(ticket) = self.ticket {
            self.state.common().places.stand_aside(ticket);
        }
    }

    fn gives_up_at(&self) -> Instant {
        let clock = &self.state.common().clock;
        let patience = Duration::from_nanos(self.patience_ns);
        let patience = seawall_core::deadline(Instant::now(), patience);
        if self.wish.deadline_ns == u64::MAX {
            patience
        } else {
            patience.min(clock.instant(self.wish.deadline_ns))
        }
    }

    fn give_up(&mut self) -> Rejection {
        let clock = &self.state.common().clock;
        self.reject(if self.wish.is_over(|| clock.now()) {
            Reason::DeadlineExceeded
        } else {
            Reason::QueueTimeout
        })
    }

    fn inner_failed(&mut self, outcome: &Outcome) {
        self.leave();
        self.state.stripe().settled(outcome);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            self.leave();
            abandoned(&self.state.common().observer, self.state.stripe());
        }
    }
}

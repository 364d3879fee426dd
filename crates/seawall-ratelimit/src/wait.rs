//! A call that has no token yet.

use std::task::Waker;

use seawall_core::queue::Ticket;
use tokio::time::Instant;

use crate::line::Turn;
use crate::observe::{Common, State, Stripe, abandoned, refuse};

/// A call in line. Dropped without tokens, it leaves the line and counts as abandoned.
#[derive(Debug)]
pub(crate) struct Waiting {
    state: State,
    cost: u32,
    /// `None` before its first poll: a future that nobody polls must hold nobody up.
    joined: Option<Joined>,
    /// Whether it has departed or was refused.
    over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Joined {
    ticket: Ticket,
    deadline_ns: u64,
}

impl Waiting {
    pub(crate) const fn new(state: State, cost: u32) -> Self {
        Self {
            state,
            cost,
            joined: None,
            over: false,
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.state.common().clock.now()
    }

    /// Asks whether its turn has come, or, if it is `late`, whether there are tokens at all; joins
    /// the line at the first time.
    ///
    /// # Errors
    ///
    /// The refusal, when it is of no use to join any more.
    pub(crate) fn turn<E>(&mut self, now_ns: u64, late: bool, waker: &Waker) -> Result<Turn, E>
    where
        E: From<seawall_core::Rejection>,
    {
        let limiter = &self.state.common().limiter;
        let ticket = match self.joined {
            Some(joined) => joined.ticket,
            None => match limiter.join(now_ns, self.cost, waker) {
                Ok(ticket) => {
                    let deadline_ns = now_ns.saturating_add(limiter.max_wait_ns());
                    self.joined = Some(Joined {
                        ticket,
                        deadline_ns,
                    });
                    self.state.stripe().waits();
                    ticket
                }
                Err(wait_ns) => {
                    return Err(self.end(|common, stripe| refuse(common, stripe, wait_ns).into()));
                }
            },
        };
        Ok(limiter.turn(now_ns, self.cost, ticket, late, waker))
    }

    /// Takes the tokens, if it is its turn or it is `late`.
    ///
    /// # Errors
    ///
    /// What to do instead.
    pub(crate) fn take(&mut self, late: bool, waker: &Waker) -> Result<(), Turn> {
        let Some(joined) = self.joined else {
            return Err(Turn::Wait);
        };
        let limiter = &self.state.common().limiter;
        limiter.take(self.now(), self.cost, joined.ticket, late, waker)?;
        self.state.stripe().granted();
        self.joined = None;
        self.over = true;
        Ok(())
    }

    /// Lets others pass while its own service is not ready.
    pub(crate) fn stand_aside(&self) {
        if let Some(joined) = self.joined {
            let limiter = &self.state.common().limiter;
            limiter.stand_aside(self.cost, joined.ticket);
        }
    }

    /// When it is refused if its turn has not come.
    pub(crate) fn deadline_ns(&self) -> u64 {
        self.joined.map_or(u64::MAX, |joined| joined.deadline_ns)
    }

    pub(crate) fn instant(&self, at_ns: u64) -> Instant {
        self.state.common().clock.instant(at_ns)
    }

    /// Refuses it, since it has waited for as long as it may.
    pub(crate) fn refuse(&mut self, now_ns: u64) -> seawall_core::Rejection {
        let cost = self.cost;
        self.end(|common, stripe| {
            let wait_ns = common.limiter.retry_after(now_ns, cost);
            refuse(common, stripe, wait_ns)
        })
    }

    /// Leaves the line without tokens, and counts why.
    pub(crate) fn end<T>(&mut self, why: impl FnOnce(&Common, &Stripe) -> T) -> T {
        self.over = true;
        if let Some(joined) = self.joined.take() {
            self.state.common().limiter.leave(self.cost, joined.ticket);
        }
        why(self.state.common(), self.state.stripe())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            self.end(abandoned);
        }
    }
}

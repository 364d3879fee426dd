//! A call that has no token yet.

use std::sync::Arc;
use std::task::Waker;

use seawall_core::queue::Ticket;
use seawall_core::striped::Local;
use seawall_core::{Clock, EventSource, RequestMeta, Unit};
use tokio::time::Instant;

use crate::costs::Costs;
use crate::keyed::Keyed;
use crate::limiter::{Above, Denial, Limiter, Turn, Wish};
use crate::observe::{State, Stripe, abandoned, reject};

/// The limiter of a call: that of its layer, or that of its key.
#[derive(Clone)]
pub(crate) enum Lane {
    Whole(State),
    PartitionKey(Local<Keyed, Stripe>, Arc<Limiter>),
}

impl Lane {
    pub(crate) fn limiter(&self) -> &Limiter {
        match self {
            Self::Whole(state) => &state.common().limiter,
            Self::PartitionKey(_, limiter) => limiter,
        }
    }

    /// The limiter over that one.
    pub(crate) fn above(&self) -> Option<&Limiter> {
        match self {
            Self::Whole(_) => None,
            Self::PartitionKey(state, _) => state.common().above(),
        }
    }

    pub(crate) fn clock(&self) -> &Clock {
        match self {
            Self::Whole(state) => &state.common().clock,
            Self::PartitionKey(state, _) => &state.common().clock,
        }
    }

    pub(crate) fn observer(&self) -> &EventSource {
        match self {
            Self::Whole(state) => &state.common().observer,
            Self::PartitionKey(state, _) => &state.common().observer,
        }
    }

    pub(crate) fn stripe(&self) -> &Stripe {
        match self {
            Self::Whole(state) => state.stripe(),
            Self::PartitionKey(state, _) => state.stripe(),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock().now()
    }
}

/// What a call wishes for: of its own limiter, and of the one above.
#[derive(Clone, Copy)]
pub(crate) struct Wishes {
    pub(crate) own: Wish,
    pub(crate) above: Option<Wish>,
}

impl Wishes {
    /// Of a lane, for a request whose costs are told by `price`.
    pub(crate) fn of(lane: &Lane, meta: &RequestMeta, mut price: impl FnMut(Unit) -> u32) -> Self {
        let deadline_ns = meta.deadline.map_or(u64::MAX, |at| lane.clock().at(at));
        let max_wait_ns = lane.limiter().max_wait_ns();
        let mut wish = |limiter: &Limiter| Wish {
            costs: Costs::of(limiter.units(), &mut price),
            priority: meta.priority,
            deadline_ns,
            max_wait_ns,
        };
        Self {
            own: wish(lane.limiter()),
            above: lane.above().map(wish),
        }
    }

    /// Whether no limiter need be asked.
    pub(crate) fn are_free(&self) -> bool {
        self.own.costs.is_free() && self.above.is_none_or(|wish| wish.costs.is_free())
    }

    pub(crate) fn above<'a>(&'a self, lane: &'a Lane, ticket: Option<Ticket>) -> Option<Above<'a>> {
        Some(Above {
            limiter: lane.above()?,
            wish: self.above.as_ref()?,
            ticket,
        })
    }
}

/// A call in line. Dropped without tokens, it leaves the line and counts as abandoned.
pub(crate) struct Waiting {
    lane: Lane,
    wishes: Wishes,
    /// `None` before its first poll: a future that nobody polls must hold nobody up.
    joined: Option<Joined>,
    /// Its place in the line above, where it stands while it is the first in its own.
    above: Option<Ticket>,
    /// Whether it has departed or was rejected.
    over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Joined {
    ticket: Ticket,
    deadline_ns: u64,
}

impl Waiting {
    pub(crate) const fn new(lane: Lane, wishes: Wishes) -> Self {
        Self {
            lane,
            wishes,
            joined: None,
            above: None,
            over: false,
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.lane.now()
    }

    /// Asks whether its turn has come, or, if it is `late`, whether there are tokens at all; joins
    /// the line at the first time.
    ///
    /// # Errors
    ///
    /// The rejection, when it is of no use to join any more.
    pub(crate) fn turn<E>(&mut self, now_ns: u64, late: bool, waker: &Waker) -> Result<Turn, E>
    where
        E: From<seawall_core::Rejection>,
    {
        let ticket = match self.joined {
            Some(joined) => joined.ticket,
            None => match self.join(now_ns, waker) {
                Ok(ticket) => ticket,
                Err(rejection) => return Err(self.end(|lane| reject_in(lane, rejection).into())),
            },
        };
        let limiter = self.lane.limiter();
        let turn = limiter.turn(now_ns, &self.wishes.own, ticket, late, waker);
        match self.turn_above(now_ns, turn, late, waker) {
            Ok(turn) => Ok(turn),
            Err(rejection) => Err(self.end(|lane| reject_in(lane, rejection).into())),
        }
    }

    fn join(&mut self, now_ns: u64, waker: &Waker) -> Result<Ticket, Denial> {
        let limiter = self.lane.limiter();
        let ticket = limiter.join(now_ns, &self.wishes.own, waker)?;
        let patience = now_ns.saturating_add(self.wishes.own.max_wait_ns);
        self.joined = Some(Joined {
            ticket,
            deadline_ns: patience.min(self.wishes.own.deadline_ns),
        });
        self.lane.stripe().waits();
        Ok(ticket)
    }

    /// Who is the first in its own line waits in the line above, too; who is no longer holds nobody
    /// up there.
    fn turn_above(
        &mut self,
        now_ns: u64,
        turn: Turn,
        late: bool,
        waker: &Waker,
    ) -> Result<Turn, Denial> {
        let (Some(limiter), Some(wish)) = (self.lane.above(), &self.wishes.above) else {
            return Ok(turn);
        };
        if turn != Turn::Go || wish.costs.is_free() {
            if let Some(ticket) = self.above.take() {
                limiter.leave(ticket);
            }
            return Ok(turn);
        }
        let ticket = match self.above {
            Some(ticket) => ticket,
            None => {
                // It waits for as long as its own line lets it.
                let patience = Wish {
                    deadline_ns: self.deadline_ns(),
                    max_wait_ns: u64::MAX,
                    ..*wish
                };
                *self.above.insert(limiter.join(now_ns, &patience, waker)?)
            }
        };
        Ok(limiter.turn(now_ns, wish, ticket, late, waker))
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
        let now = self.now();
        let above = self.wishes.above(&self.lane, self.above);
        let above = above.filter(|above| !above.wish.costs.is_free());
        let limiter = self.lane.limiter();
        limiter.take(now, &self.wishes.own, joined.ticket, late, waker, above)?;
        self.lane.stripe().granted();
        self.joined = None;
        self.above = None;
        self.over = true;
        Ok(())
    }

    /// Lets others pass while its own service is not ready.
    pub(crate) fn stand_aside(&self) {
        if let Some(joined) = self.joined {
            self.lane.limiter().stand_aside(joined.ticket);
        }
        if let (Some(limiter), Some(ticket)) = (self.lane.above(), self.above) {
            limiter.stand_aside(ticket);
        }
    }

    /// When it is rejected if its turn has not come.
    pub(crate) fn deadline_ns(&self) -> u64 {
        self.joined.map_or(u64::MAX, |joined| joined.deadline_ns)
    }

    pub(crate) fn instant(&self, at_ns: u64) -> Instant {
        self.lane.clock().instant(at_ns)
    }

    /// Rejects it, since it has waited for as long as it may.
    pub(crate) fn reject(&mut self, now_ns: u64) -> seawall_core::Rejection {
        let wishes = self.wishes;
        self.end(|lane| reject_in(lane, retry_after(lane, now_ns, &wishes)))
    }

    /// The service that it was to go to has failed.
    pub(crate) fn inner_failed(&mut self) {
        self.end(|lane| lane.stripe().inner_failed());
    }

    /// Leaves the line without tokens, and counts why.
    fn end<T>(&mut self, why: impl FnOnce(&Lane) -> T) -> T {
        self.over = true;
        if let Some(ticket) = self.above.take()
            && let Some(limiter) = self.lane.above()
        {
            limiter.leave(ticket);
        }
        if let Some(joined) = self.joined.take() {
            self.lane.limiter().leave(joined.ticket);
        }
        why(&self.lane)
    }
}

/// When a call that was rejected may come back: when both limiters let it.
pub(crate) fn retry_after(lane: &Lane, now_ns: u64, wishes: &Wishes) -> Denial {
    let own = lane.limiter().retry_after(now_ns, &wishes.own);
    let Some(above) = wishes.above(lane, None) else {
        return own;
    };
    let above = above.limiter.retry_after(now_ns, above.wish);
    if above.wait_ns > own.wait_ns {
        above
    } else {
        own
    }
}

fn reject_in(lane: &Lane, denial: Denial) -> seawall_core::Rejection {
    reject(lane.observer(), lane.stripe(), denial)
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over {
            self.end(|lane| abandoned(lane.observer(), lane.stripe()));
        }
    }
}

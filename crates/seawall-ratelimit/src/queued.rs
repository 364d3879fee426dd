//! A call in the queue of its limiter, and in that of the account.

use std::sync::Arc;
use std::task::Waker;

use seawall_core::Rejection;
use seawall_core::queue::{QueuedCall, Taking, Turn, WaiterId, Wakers, watch};
use tokio::time::Instant;

use crate::counts::abandon;
use crate::denial::Denial;
use crate::limiter::{Limiter, Next, TokenRequest};
use crate::limiter_ref::{LimiterRef, TokenRequests};
use crate::watched::{Claim, WatchedQueue};

/// A call that waits for its tokens. Dropped without them, it leaves the queue and counts as
/// abandoned.
pub(crate) struct Queued {
    limiter: LimiterRef,
    requests: TokenRequests,
    /// `None` before the first poll: a future that is not polled must delay no other.
    joined: Option<Joined>,
    /// The place in the queue of the account, where it waits while it has a claim on the tokens of
    /// its key.
    account: Option<OfAccount>,
    /// Whether it has departed, was rejected or has failed.
    over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Joined {
    id: WaiterId,
    deadline_ns: u64,
}

#[derive(Debug)]
struct OfAccount {
    id: WaiterId,
    /// Gives up the claim on the tokens of the key.
    lapse: Waker,
}

impl Queued {
    pub(crate) const fn new(limiter: LimiterRef, requests: TokenRequests) -> Self {
        Self {
            limiter,
            requests,
            joined: None,
            account: None,
            over: false,
        }
    }

    fn try_turn(&mut self, now_ns: u64, waker: Waker, wakers: &mut Wakers) -> Result<Turn, Denial> {
        let id = match self.joined {
            Some(joined) => joined.id,
            None => self.join(now_ns, wakers)?,
        };
        if self.account_request().is_none() {
            let limiter = self.limiter.limiter();
            let next = limiter.turn(id, now_ns, waker, None, wakers)?;
            return Ok(self.watched(next, false));
        }
        // Cloned while no lock is held.
        let of_key = waker.clone();
        let next = self
            .limiter
            .limiter()
            .turn(id, now_ns, of_key, None, wakers)?;
        if next.turn == Turn::Go {
            return self.turn_of_account(id, now_ns, waker, wakers);
        }
        // Without a claim here it delays no other there.
        self.leave_account(now_ns, wakers);
        Ok(self.watched(next, false))
    }

    fn join(&mut self, now_ns: u64, wakers: &mut Wakers) -> Result<WaiterId, Denial> {
        let request = &self.requests.own;
        let max = now_ns.saturating_add(request.max_wait_ns);
        let deadline_ns = max.min(request.deadline_ns);
        let limiter = self.limiter.limiter();
        let id = limiter.join(now_ns, request, deadline_ns, wakers)?;
        self.joined = Some(Joined { id, deadline_ns });
        self.limiter.counters().waited.add();
        Ok(id)
    }

    /// One that has a claim on the tokens of its key waits in the queue of the account as well.
    fn turn_of_account(
        &mut self,
        of_key: WaiterId,
        now_ns: u64,
        waker: Waker,
        wakers: &mut Wakers,
    ) -> Result<Turn, Denial> {
        let Some((limiter, request)) = self.account_request() else {
            return Ok(Turn::Go);
        };
        let (id, lapse) = match &self.account {
            Some(joined) => (joined.id, joined.lapse.clone()),
            None => {
                // It waits as long there as here.
                let deadline_ns = self.deadline_ns();
                let request = TokenRequest {
                    deadline_ns,
                    max_wait_ns: u64::MAX,
                    ..*request
                };
                let id = limiter.join_from_key(now_ns, &request, deadline_ns, wakers)?;
                let claim = Claim::new(self.limiter.clone(), of_key);
                let lapse = Waker::from(Arc::new(claim));
                let joined = OfAccount { id, lapse };
                (id, self.account.insert(joined).lapse.clone())
            }
        };
        let Some(limiter) = self.limiter.account() else {
            return Ok(Turn::Go);
        };
        let next = limiter.turn(id, now_ns, waker, Some(lapse), wakers)?;
        Ok(self.watched(next, true))
    }

    /// The limiter of the account, and what is asked of it, unless that is free.
    fn account_request(&self) -> Option<(&Limiter, &TokenRequest)> {
        let account = self.requests.of_account(&self.limiter)?;
        Some((account.limiter, account.request))
    }

    /// Starts the watchdog of a queue in which it is going to sleep. No lock is held.
    fn watched(&self, next: Next, of_account: bool) -> Turn {
        if let Some(generation) = next.watchdog {
            let queue = WatchedQueue::new(&self.limiter, of_account);
            watch(queue, generation);
        }
        next.turn
    }

    fn try_take(&mut self, waker: Waker, wakers: &mut Wakers) -> Result<(), Turn> {
        let Some(joined) = self.joined else {
            return Err(Turn::Wait);
        };
        // Read again: what departs now is granted now.
        let now_ns = self.now_ns();
        let mut next_of_account = None;
        // Cloned while no lock is held.
        let mut of_account = self.account_request().is_some().then(|| waker.clone());
        let take_of_account = |wakers: &mut Wakers| {
            let Some(waker) = of_account.take() else {
                return Taking::Taken;
            };
            let (Some(limiter), Some(account)) = (self.limiter.account(), &self.account) else {
                wakers.discard(Some(waker));
                return Taking::Missing;
            };
            let taken = limiter.take(account.id, now_ns, waker, wakers, |_| Taking::Taken);
            let Err((taking, next)) = taken else {
                return Taking::Taken;
            };
            next_of_account = Some(next);
            taking
        };
        let limiter = self.limiter.limiter();
        let taken = limiter.take(joined.id, now_ns, waker, wakers, take_of_account);
        // Dropped with no lock held.
        drop(of_account);
        let Err((taking, next)) = taken else {
            return Ok(());
        };
        let turn = self.watched(next, false);
        if taking == Taking::Missing {
            self.leave_account(now_ns, wakers);
            return Err(turn);
        }
        Err(next_of_account.map_or(turn, |next| self.watched(next, true)))
    }

    fn leave_account(&mut self, now_ns: u64, wakers: &mut Wakers) {
        if let Some(joined) = self.account.take()
            && let Some(limiter) = self.limiter.account()
        {
            limiter.leave(joined.id, now_ns, wakers);
        }
    }

    /// Leaves the queues without tokens.
    fn leave(&mut self, now_ns: u64) {
        self.over = true;
        let mut wakers = Wakers::new();
        self.leave_account(now_ns, &mut wakers);
        if let Some(joined) = self.joined.take() {
            self.limiter.limiter().leave(joined.id, now_ns, &mut wakers);
        }
        wakers.wake();
    }

    /// The service that it was going to call has failed.
    pub(crate) fn inner_failed(&mut self) {
        self.leave(self.now_ns());
        self.limiter.counters().inner_failed.add();
    }
}

impl QueuedCall for Queued {
    type Permit = ();

    fn now_ns(&self) -> u64 {
        self.limiter.now()
    }

    fn instant(&self, at_ns: u64) -> Instant {
        self.limiter.clock().instant(at_ns)
    }

    fn deadline_ns(&self) -> u64 {
        self.joined.map_or(u64::MAX, |joined| joined.deadline_ns)
    }

    fn turn(&mut self, now_ns: u64, waker: Waker) -> Result<Turn, Rejection> {
        let mut wakers = Wakers::new();
        let turn = self.try_turn(now_ns, waker, &mut wakers);
        wakers.wake();
        turn.map_err(|denial| {
            self.leave(now_ns);
            self.limiter.reject(denial)
        })
    }

    fn take(&mut self, waker: &Waker) -> Result<(), Turn> {
        let mut wakers = Wakers::new();
        let taken = self.try_take(waker.clone(), &mut wakers);
        // Before anything is woken: a waker may panic, and what is taken is taken.
        if taken.is_ok() {
            self.limiter.counters().granted.add();
            self.joined = None;
            self.account = None;
            self.over = true;
        }
        wakers.wake();
        taken
    }

    fn skip(&mut self) {
        let now_ns = self.now_ns();
        let mut wakers = Wakers::new();
        if let Some(joined) = self.joined {
            self.limiter.limiter().skip(joined.id, now_ns, &mut wakers);
        }
        if let (Some(limiter), Some(joined)) = (self.limiter.account(), &self.account) {
            limiter.skip(joined.id, now_ns, &mut wakers);
        }
        wakers.wake();
    }

    fn reject(&mut self, now_ns: u64) -> Rejection {
        self.leave(now_ns);
        let denial = self.limiter.denial_of(now_ns, &self.requests);
        self.limiter.reject(denial)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if !self.over {
            self.leave(self.now_ns());
            abandon(&self.limiter.state().events, self.limiter.counters());
        }
    }
}

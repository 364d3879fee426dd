//! A call in the queue of its limiter, and in that of the account.

use std::task::Waker;

use seawall_core::Rejection;
use seawall_core::queue::WaiterId;
use tokio::time::Instant;

use crate::counts::abandon;
use crate::denial::Denial;
use crate::limiter::{Poller, TokenRequest, Turn};
use crate::limiter_ref::{LimiterRef, TokenRequests};

/// A call that waits for its tokens. Dropped without them, it leaves the queue and counts as
/// abandoned.
pub(crate) struct Queued {
    limiter: LimiterRef,
    requests: TokenRequests,
    /// `None` before the first poll: a future that is not polled must delay no other.
    joined: Option<Joined>,
    /// The place in the queue of the account, where it waits while it is the first of its key.
    account: Option<WaiterId>,
    /// Whether it has departed, was rejected or has failed.
    over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Joined {
    id: WaiterId,
    deadline_ns: u64,
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

    pub(crate) fn now(&self) -> u64 {
        self.limiter.now()
    }

    /// When it is rejected if it has not departed.
    pub(crate) fn deadline_ns(&self) -> u64 {
        self.joined.map_or(u64::MAX, |joined| joined.deadline_ns)
    }

    pub(crate) fn instant(&self, at_ns: u64) -> Instant {
        self.limiter.clock().instant(at_ns)
    }

    /// Whether its turn has come, or, if it is late, whether there are tokens at all. Joins the
    /// queue the first time.
    ///
    /// # Errors
    ///
    /// The rejection, when it may not join.
    pub(crate) fn turn(&mut self, poller: Poller<'_>) -> Result<Turn, Rejection> {
        self.try_turn(poller).map_err(|denial| {
            self.leave();
            self.limiter.reject(denial)
        })
    }

    fn try_turn(&mut self, poller: Poller<'_>) -> Result<Turn, Denial> {
        let id = match self.joined {
            Some(joined) => joined.id,
            None => self.join(poller)?,
        };
        let limiter = self.limiter.limiter();
        let turn = limiter.turn(&self.requests.own, id, poller)?;
        self.turn_of_account(turn, poller)
    }

    fn join(&mut self, poller: Poller<'_>) -> Result<WaiterId, Denial> {
        let limiter = self.limiter.limiter();
        let request = &self.requests.own;
        let id = limiter.join(poller.now_ns, request, poller.waker)?;
        let max = poller.now_ns.saturating_add(request.max_wait_ns);
        self.joined = Some(Joined {
            id,
            deadline_ns: max.min(request.deadline_ns),
        });
        self.limiter.counters().waited.add();
        Ok(id)
    }

    /// The first of a key waits in the queue of the account as well; one that is not the first any
    /// more delays no other there.
    fn turn_of_account(&mut self, turn: Turn, poller: Poller<'_>) -> Result<Turn, Denial> {
        let Some(account) = self.requests.of_account(&self.limiter, self.account) else {
            return Ok(turn);
        };
        if turn != Turn::Ready {
            if let Some(id) = self.account.take() {
                account.limiter.leave(id);
            }
            return Ok(turn);
        }
        let id = match account.id {
            Some(id) => id,
            None => {
                // It waits as long there as here.
                let request = TokenRequest {
                    deadline_ns: self.deadline_ns(),
                    max_wait_ns: u64::MAX,
                    ..*account.request
                };
                let joined = account
                    .limiter
                    .join(poller.now_ns, &request, poller.waker)?;
                *self.account.insert(joined)
            }
        };
        account.limiter.turn(account.request, id, poller)
    }

    /// Takes the tokens, if it is its turn or it is late.
    ///
    /// # Errors
    ///
    /// What to do instead.
    pub(crate) fn take(&mut self, late: bool, waker: &Waker) -> Result<(), Turn> {
        let Some(joined) = self.joined else {
            return Err(Turn::Wait);
        };
        let poller = Poller {
            now_ns: self.now(),
            late,
            waker,
        };
        let account = self.requests.of_account(&self.limiter, self.account);
        let limiter = self.limiter.limiter();
        limiter.take(&self.requests.own, joined.id, poller, account)?;
        self.limiter.counters().granted.add();
        self.joined = None;
        self.account = None;
        self.over = true;
        Ok(())
    }

    /// Lets others pass while its own service is not ready.
    pub(crate) fn skip(&self) {
        if let Some(joined) = self.joined {
            self.limiter.limiter().skip(joined.id);
        }
        if let (Some(limiter), Some(id)) = (self.limiter.account(), self.account) {
            limiter.skip(id);
        }
    }

    /// Rejects it: its deadline has come.
    pub(crate) fn reject(&mut self, now_ns: u64) -> Rejection {
        self.leave();
        let denial = self.limiter.denial_of(now_ns, &self.requests);
        self.limiter.reject(denial)
    }

    /// The service that it was going to call has failed.
    pub(crate) fn inner_failed(&mut self) {
        self.leave();
        self.limiter.counters().inner_failed.add();
    }

    /// Leaves the queues without tokens.
    fn leave(&mut self) {
        self.over = true;
        if let Some(id) = self.account.take()
            && let Some(limiter) = self.limiter.account()
        {
            limiter.leave(id);
        }
        if let Some(joined) = self.joined.take() {
            self.limiter.limiter().leave(joined.id);
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if !self.over {
            self.leave();
            abandon(&self.limiter.state().events, self.limiter.counters());
        }
    }
}

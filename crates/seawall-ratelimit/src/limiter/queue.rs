//! Waiters: they join, wait for their turn, take their tokens, are skipped, leave.
//!
//! Nothing here wakes, clones or drops a waker under the lock: the callers do, with no lock held.

use std::task::Waker;

use seawall_core::ns;
use seawall_core::queue::{Queue, Standing, Taking, Turn, WaiterId, Wakers, rank};

use super::lazy::Waiting;
use super::supply::Tokens;
use super::{Inner, Limiter, Next, TokenRequest};
use crate::denial::Denial;

impl Limiter {
    /// Joins the queue, until `deadline_ns`.
    ///
    /// # Errors
    ///
    /// Why it may not: the wait would be too long, or the queue is full.
    pub(crate) fn join(
        &self,
        now_ns: u64,
        request: &TokenRequest,
        deadline_ns: u64,
        wakers: &mut Wakers,
    ) -> Result<WaiterId, Denial> {
        let inner = &mut *self.lock_at(now_ns);
        self.dispatch(inner, now_ns, wakers);
        // Once more, under the lock, which keeps the bound on the queue exact.
        if self.is_shadow() {
            self.check_pause(inner, now_ns)?;
        } else {
            self.check_wait_locked(inner, now_ns, request)?;
        }
        Ok(self.join_locked(inner, now_ns, request, deadline_ns))
    }

    /// The same for a waiter of a key: it is in a queue already, and that is bounded. One that is
    /// late takes what there is.
    ///
    /// # Errors
    ///
    /// Why it may not: the wait would be too long.
    pub(crate) fn join_from_key(
        &self,
        now_ns: u64,
        request: &TokenRequest,
        deadline_ns: u64,
        wakers: &mut Wakers,
    ) -> Result<WaiterId, Denial> {
        let inner = &mut *self.lock_at(now_ns);
        self.dispatch(inner, now_ns, wakers);
        if self.is_shadow() {
            self.check_pause(inner, now_ns)?;
        } else if now_ns < deadline_ns {
            self.check_forecast(inner, now_ns, request, false)?;
        }
        Ok(self.join_locked(inner, now_ns, request, deadline_ns))
    }

    fn join_locked(
        &self,
        inner: &mut Inner,
        now_ns: u64,
        request: &TokenRequest,
        deadline_ns: u64,
    ) -> WaiterId {
        let step = ns(inner.config.priority_aging()) / 64;
        let rank = rank(now_ns, request.priority, step);
        // Before every other one, however long it has waited: what those wait for is not theirs to use.
        let rank = match inner.is_reserved(request.priority) {
            true => rank.saturating_sub(i64::MAX),
            false => rank,
        };
        let waiting = Waiting {
            priority: request.priority,
            costs: request.costs,
        };
        self.with_queue(inner, |queue, tokens| {
            queue.join(rank, waiting, deadline_ns, tokens)
        })
    }

    /// Whether the turn of a waiter has come; after its deadline, whether there are tokens at all.
    /// `on_lapse` is woken when it loses its claim.
    ///
    /// # Errors
    ///
    /// The rejection, when no limit can grant any more what it costs.
    pub(crate) fn turn(
        &self,
        id: WaiterId,
        now_ns: u64,
        waker: Waker,
        on_lapse: Option<Waker>,
        wakers: &mut Wakers,
    ) -> Result<Next, Denial> {
        let inner = &mut *self.lock_at(now_ns);
        self.with_queue(inner, |queue, tokens| {
            let standing = queue.turn(id, now_ns, waker, tokens, wakers);
            if let Some(on_lapse) = on_lapse {
                queue.on_lapse(id, on_lapse, wakers);
            }
            let waiting = queue.item(id).copied().unwrap_or_default();
            tokens.check_fits(&waiting.costs)?;
            let is_granted = match standing {
                Standing::Go => true,
                Standing::Wait => return Ok(sleep(queue, tokens, id, now_ns, wakers)),
                Standing::Expired => tokens.wait_in_turn(now_ns, waiting.call()) == 0,
            };
            Ok(Next {
                turn: if is_granted { Turn::Go } else { Turn::Wait },
                watchdog: None,
            })
        })
    }

    /// Takes the tokens and leaves the queue, if the waiter has a claim or is late, and if
    /// `of_account` has taken those of the account. If that has not, it keeps its claim.
    ///
    /// # Errors
    ///
    /// What became of it, and what it does instead.
    pub(crate) fn take(
        &self,
        id: WaiterId,
        now_ns: u64,
        waker: Waker,
        wakers: &mut Wakers,
        of_account: impl FnOnce(&mut Wakers) -> Taking,
    ) -> Result<(), (Taking, Next)> {
        let inner = &mut *self.lock_at(now_ns);
        self.with_queue(inner, |queue, tokens| {
            let take = |tokens: &mut Tokens<'_>, waiting: &Waiting, wakers: &mut Wakers| {
                tokens.take_both(now_ns, waiting.call(), wakers, of_account)
            };
            match queue.take(id, now_ns, waker, tokens, wakers, take) {
                Taking::Taken => Ok(()),
                taking => Err((taking, sleep(queue, tokens, id, now_ns, wakers))),
            }
        })
    }

    /// Lets others pass, since the waiter's own service is not ready.
    pub(crate) fn skip(&self, id: WaiterId, now_ns: u64, wakers: &mut Wakers) {
        self.with_queue(&mut self.lock(), |queue, tokens| {
            queue.skip(id, now_ns, tokens, wakers);
        });
    }

    /// The claim of a waiter that is not polled any more goes to the next.
    pub(crate) fn lapse(&self, id: WaiterId, now_ns: u64, wakers: &mut Wakers) {
        self.with_queue(&mut self.lock(), |queue, tokens| {
            queue.lapse(id, now_ns, tokens, wakers);
        });
    }

    /// Leaves without tokens.
    pub(crate) fn leave(&self, id: WaiterId, now_ns: u64, wakers: &mut Wakers) {
        self.with_queue(&mut self.lock(), |queue, tokens| {
            queue.leave(id, now_ns, tokens, wakers);
        });
    }

    /// How many wait, skipped and lapsed ones included, and none whose wait is over.
    pub(crate) fn waiting(&self, now_ns: u64) -> usize {
        let mut wakers = Wakers::new();
        let mut inner = self.lock_at(now_ns);
        self.dispatch(&mut inner, now_ns, &mut wakers);
        let waiting = inner.queue.len();
        drop(inner);
        wakers.wake();
        waiting
    }

    /// The watchdog of the queue looks; see [`Queue::watch`].
    pub(crate) fn watch(&self, generation: u64, now_ns: u64, waker: Waker) -> Option<u64> {
        let mut wakers = Wakers::new();
        let next = self.with_queue(&mut self.lock(), |queue, tokens| {
            queue.watch(generation, now_ns, waker, tokens, &mut wakers)
        });
        wakers.wake();
        next
    }

    /// See [`Queue::watch_ended`].
    pub(crate) fn watch_ended(&self, generation: u64) {
        let mut wakers = Wakers::new();
        self.lock().queue.watch_ended(generation, &mut wakers);
        wakers.wake();
    }

    /// Changes something and notifies the waiters that may go by now.
    pub(super) fn change<R>(&self, now_ns: u64, change: impl FnOnce(&Self, &mut Inner) -> R) -> R {
        let mut wakers = Wakers::new();
        let mut inner = self.lock_at(now_ns);
        let result = change(self, &mut inner);
        self.dispatch(&mut inner, now_ns, &mut wakers);
        drop(inner);
        wakers.wake();
        result
    }
}

/// A waiter has to wait: the first has a timer for its tokens.
fn sleep(
    queue: &mut Queue<Waiting>,
    tokens: &mut Tokens<'_>,
    id: WaiterId,
    now_ns: u64,
    wakers: &mut Wakers,
) -> Next {
    let first = queue.item(id).filter(|_| queue.is_first(id));
    let due_ns = first.map_or(u64::MAX, |waiting| {
        now_ns.saturating_add(tokens.wait_behind_claims(now_ns, waiting.call()))
    });
    queue.set_due(id, due_ns, wakers);
    Next {
        turn: match due_ns {
            u64::MAX => Turn::Wait,
            due_ns => Turn::WaitUntil(due_ns),
        },
        watchdog: queue.start_watchdog(now_ns, wakers),
    }
}

//! Waiters: they join, wait for their turn, take their tokens, are skipped, leave.

use std::sync::atomic::Ordering;
use std::task::Waker;

use seawall_core::ns;
use seawall_core::queue::{WaiterId, rank};

use super::{AccountRequest, Ahead, Inner, Limiter, Poller, TokenRequest, Turn, Waiting};
use crate::costs::Costs;
use crate::denial::Denial;
use crate::pause::UNTIL_RESUMED;

impl Limiter {
    /// Joins the queue.
    ///
    /// # Errors
    ///
    /// Why it may not: the wait would be too long, or the queue is full.
    pub(crate) fn join(
        &self,
        now_ns: u64,
        request: &TokenRequest,
        waker: &Waker,
    ) -> Result<WaiterId, Denial> {
        let waker = waker.clone();
        let mut inner = self.lock();
        // Once more, under the lock, which keeps the bound on the queue exact.
        let may_wait = if self.is_shadow() {
            self.check_pause(&inner, now_ns)
        } else {
            self.check_wait_locked(&mut inner, now_ns, request)
        };
        if let Err(denial) = may_wait {
            drop(inner);
            return Err(denial);
        }
        let step = ns(inner.config.priority_aging()) / 64;
        let rank = rank(now_ns, request.priority, step);
        let waiting = Waiting {
            priority: request.priority,
            costs: request.costs,
        };
        self.slow_path.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.count(&mut inner, waiting);
        Ok(inner.queue.join_ranked(rank, waiting, waker))
    }

    /// Whether the turn of a waiter has come.
    ///
    /// # Errors
    ///
    /// The limits have shrunk, and can never grant what it costs any more.
    pub(crate) fn turn(
        &self,
        request: &TokenRequest,
        id: WaiterId,
        poller: Poller<'_>,
    ) -> Result<Turn, Denial> {
        let mut inner = self.lock_at(poller.now_ns);
        if !self.is_shadow() && !self.fits(&inner, &request.costs) {
            return Err(self.too_expensive(&inner, &request.costs));
        }
        let turn = if inner.queue.is_skipped(id) {
            Turn::Ready
        } else if poller.late || self.has_turn(&inner, id) {
            match self.wait_in_turn(&mut inner, poller.now_ns, &request.costs) {
                0 => Turn::Ready,
                wait => Turn::WaitFor(wait),
            }
        } else {
            Turn::Wait
        };
        let replaced = match turn {
            Turn::Ready => None,
            Turn::WaitFor(_) | Turn::Wait => inner.queue.wait(id, poller.waker),
        };
        drop(inner);
        drop(replaced);
        Ok(turn)
    }

    /// Whether a waiter may take what is there: the first one, and each one in shadow mode.
    fn has_turn(&self, inner: &Inner, id: WaiterId) -> bool {
        inner.queue.is_first(id) || self.is_shadow()
    }

    /// Takes the tokens and leaves the queue, if it is the turn of the waiter or it is late.
    ///
    /// # Errors
    ///
    /// What to do instead; the waiter is queued then, with its waker registered.
    pub(crate) fn take(
        &self,
        request: &TokenRequest,
        id: WaiterId,
        poller: Poller<'_>,
        account: Option<AccountRequest<'_>>,
    ) -> Result<(), Turn> {
        let mut wakers = Wakers::default();
        let taken = self.take_without_waking(request, id, poller, account, &mut wakers);
        // No lock is held here, neither of this limiter nor of the account.
        wakers.wake();
        taken
    }

    fn take_without_waking(
        &self,
        request: &TokenRequest,
        id: WaiterId,
        poller: Poller<'_>,
        account: Option<AccountRequest<'_>>,
        wakers: &mut Wakers,
    ) -> Result<(), Turn> {
        let mut inner = self.lock();
        if inner.queue.rejoin(id) {
            self.slow_path.fetch_add(1, Ordering::Relaxed);
            if let Some(waiting) = inner.queue.item(id).copied() {
                self.count(&mut inner, waiting);
            }
        }
        let taken = if poller.late || self.has_turn(&inner, id) {
            self.take_both(&mut inner, request, poller, account, wakers)
        } else {
            Err(Turn::Wait)
        };
        if taken.is_ok() {
            wakers.add(self.remove(&mut inner, id));
        } else {
            wakers.add((inner.queue.wait(id, poller.waker), None));
        }
        taken
    }

    /// Takes here and of the account, or nowhere.
    fn take_both(
        &self,
        inner: &mut Inner,
        request: &TokenRequest,
        poller: Poller<'_>,
        account: Option<AccountRequest<'_>>,
        wakers: &mut Wakers,
    ) -> Result<(), Turn> {
        if let Some(account) = account {
            match self.wait_in_turn(inner, poller.now_ns, &request.costs) {
                0 => {}
                wait => return Err(Turn::WaitFor(wait)),
            }
            let id = account.id.ok_or(Turn::Wait)?;
            let limiter = account.limiter;
            limiter.take_without_waking(account.request, id, poller, None, wakers)?;
        }
        match self.take_all(inner, poller.now_ns, &request.costs) {
            Err(_) if self.is_shadow() && self.check_pause(inner, poller.now_ns).is_ok() => {
                self.debit_all(inner, poller.now_ns, &request.costs);
                Ok(())
            }
            taken => taken.map_err(Turn::WaitFor),
        }
    }

    /// In how many nanoseconds the first waiter departs: in shadow mode as soon as no operator's
    /// pause holds.
    fn wait_in_turn(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) -> u64 {
        if self.is_shadow() {
            return match self.pause_in_force(inner).commanded_until() {
                UNTIL_RESUMED => u64::MAX,
                until => until.saturating_sub(now_ns),
            };
        }
        self.wait_if_first(inner, now_ns, costs)
    }

    /// Lets others pass, since the waiter's own service is not ready.
    pub(crate) fn skip(&self, id: WaiterId) {
        let mut inner = self.lock();
        if inner.queue.is_skipped(id) {
            return;
        }
        if let Some(waiting) = inner.queue.item(id).copied() {
            self.uncount(&mut inner, waiting);
        }
        inner.queue.skip(id);
        self.slow_path.fetch_sub(1, Ordering::Relaxed);
        let next = inner.queue.notify_next();
        drop(inner);
        wake(next);
    }

    /// Leaves without tokens.
    pub(crate) fn leave(&self, id: WaiterId) {
        let mut inner = self.lock();
        let (_own, next) = self.remove(&mut inner, id);
        drop(inner);
        wake(next);
    }

    /// Returns the waker of the waiter, to be dropped without the lock, and that of the next one.
    fn remove(&self, inner: &mut Inner, id: WaiterId) -> (Option<Waker>, Option<Waker>) {
        let was_first = inner.queue.is_first(id);
        let was_skipped = inner.queue.is_skipped(id);
        let Some((waiting, waker)) = inner.queue.leave(id) else {
            return (None, None);
        };
        if !was_skipped {
            self.slow_path.fetch_sub(1, Ordering::Relaxed);
            self.uncount(inner, waiting);
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let next = if was_first {
            inner.queue.notify_next()
        } else {
            None
        };
        (waker, next)
    }

    /// Adds to the costs of queued calls.
    fn count(&self, inner: &mut Inner, waiting: Waiting) {
        let delay = self.delay_ns(inner, &waiting.costs);
        let at = inner
            .ahead
            .partition_point(|ahead| ahead.priority > waiting.priority);
        match inner.ahead.get_mut(at) {
            Some(ahead) if ahead.priority == waiting.priority => {
                ahead.calls += 1;
                ahead.sums.add(&waiting.costs);
                ahead.delay_ns += delay;
            }
            _ => inner.ahead.insert(
                at,
                Ahead {
                    priority: waiting.priority,
                    calls: 1,
                    sums: waiting.costs.sums(),
                    delay_ns: delay,
                },
            ),
        }
    }

    fn uncount(&self, inner: &mut Inner, waiting: Waiting) {
        let delay = self.delay_ns(inner, &waiting.costs);
        let all = &mut inner.ahead;
        let Some(at) = all.iter().position(|a| a.priority == waiting.priority) else {
            return;
        };
        let ahead = &mut all[at];
        ahead.calls -= 1;
        ahead.sums.sub(&waiting.costs);
        ahead.delay_ns = ahead.delay_ns.saturating_sub(delay);
        if ahead.calls == 0 {
            all.remove(at);
        }
    }

    fn delay_ns(&self, inner: &Inner, costs: &Costs) -> u64 {
        if inner.meters.is_empty() {
            self.bucket.rate().delay_ns(costs.get(0))
        } else {
            let meters = inner.meters.iter().enumerate();
            let delays = meters.map(|(index, meter)| meter.delay_ns(costs.get(index)));
            delays.max().unwrap_or(0)
        }
    }

    /// The delays of queued calls depend on the rate.
    pub(super) fn recount_delays(&self, inner: &mut Inner) {
        let mut all = std::mem::take(&mut inner.ahead);
        for ahead in &mut all {
            // Less than two milliseconds per call: an average is enough.
            let delay = self.delay_ns(inner, &ahead.sums.mean(ahead.calls));
            ahead.delay_ns = delay.saturating_mul(ahead.calls.into());
        }
        inner.ahead = all;
    }
}

/// Wakers to drop and to wake when no lock is held any more: of a limiter, and of its account.
#[derive(Default)]
struct Wakers([(Option<Waker>, Option<Waker>); 2]);

impl Wakers {
    fn add(&mut self, wakers: (Option<Waker>, Option<Waker>)) {
        self.0.swap(0, 1);
        self.0[0] = wakers;
    }

    fn wake(self) {
        for (_, next) in self.0 {
            wake(next);
        }
    }
}

/// Without the lock: a waker runs code of the executor.
pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

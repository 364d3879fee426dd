//! What the queue hands out: the tokens of all limits, beside what is claimed.

use std::sync::atomic::Ordering;

use seawall_core::queue::{Next, Queue, Supply, Taking, WaiterId, Wakers};

use super::lazy::Waiting;
use super::{Ahead, Inner, Limiter};
use crate::costs::{Call, Costs};
use crate::denial::Denial;

/// The tokens of a limiter.
pub(super) struct Tokens<'a> {
    pub(super) limiter: &'a Limiter,
    pub(super) inner: &'a mut Inner,
}

impl Supply<Waiting> for Tokens<'_> {
    /// The next waiter has a claim when all limits grant what it costs together with all claims. One
    /// that no limit can grant any more has one as well: it is rejected at its next poll, and must
    /// not hold up the others until then.
    fn claim_next(&mut self, now_ns: u64, next: Next<'_, Waiting>) -> Result<WaiterId, u64> {
        let call = next.item.call();
        match self.wait_behind_claims(now_ns, call) {
            wait if wait > 0 && self.check_fits(call.0).is_ok() => Err(now_ns.saturating_add(wait)),
            _ => {
                self.inner.claimed.add(call.0);
                Ok(next.id)
            }
        }
    }

    fn unclaim(&mut self, id: WaiterId, waiting: &Waiting) -> bool {
        self.inner.claimed.sub(&waiting.costs);
        self.exit(id, waiting);
        true
    }

    fn enter(&mut self, _: WaiterId, waiting: &Waiting) {
        self.limiter.slow_path.fetch_add(1, Ordering::Relaxed);
        self.limiter.count(self.inner, *waiting);
    }

    fn exit(&mut self, _: WaiterId, waiting: &Waiting) {
        self.limiter.slow_path.fetch_sub(1, Ordering::Relaxed);
        self.limiter.uncount(self.inner, *waiting);
    }
}

impl Tokens<'_> {
    /// Whether all limits can ever grant it; in shadow mode that does not matter.
    ///
    /// # Errors
    ///
    /// The rejection, when they cannot.
    pub(super) fn check_fits(&self, costs: &Costs) -> Result<(), Denial> {
        if self.limiter.is_shadow() || self.limiter.fits(self.inner, costs) {
            Ok(())
        } else {
            Err(self.limiter.too_expensive(self.inner, costs))
        }
    }

    /// In how many nanoseconds this is granted, whatever others claim.
    pub(super) fn wait_in_turn(&mut self, now_ns: u64, call: Call<'_>) -> u64 {
        match self.wait_in_shadow(now_ns) {
            Some(wait) => wait,
            None => {
                let start = self.limiter.start(self.inner, now_ns);
                self.limiter.wait_if_first(self.inner, start, call)
            }
        }
    }

    /// In how many nanoseconds this is granted, if all that is claimed is taken before.
    pub(super) fn wait_behind_claims(&mut self, now_ns: u64, call: Call<'_>) -> u64 {
        match self.wait_in_shadow(now_ns) {
            Some(wait) => wait,
            None => {
                let start = self.limiter.start(self.inner, now_ns);
                self.limiter.wait_behind_claims(self.inner, start, call)
            }
        }
    }

    /// In shadow mode waiters depart as soon as no operator's pause holds.
    fn wait_in_shadow(&self, now_ns: u64) -> Option<u64> {
        let is_shadow = self.limiter.is_shadow();
        is_shadow.then(|| match self.limiter.check_pause(self.inner, now_ns) {
            Ok(()) => 0,
            Err(pause) => pause.wait_ns,
        })
    }

    /// Takes here and of the account, or nowhere.
    pub(super) fn take_both(
        &mut self,
        now_ns: u64,
        call: Call<'_>,
        wakers: &mut Wakers,
        of_account: impl FnOnce(&mut Wakers) -> Taking,
    ) -> Taking {
        if self.wait_in_turn(now_ns, call) > 0 {
            return Taking::Missing;
        }
        // Under this lock, so that one grants only what the other grants. This limiter has no fast
        // path that others could use meanwhile, if there is an account.
        if of_account(wakers) != Taking::Taken {
            return Taking::Kept;
        }
        let taken = if self.limiter.is_shadow() {
            let taken = self.limiter.take_all(self.inner, now_ns, call);
            if taken.is_err() {
                self.limiter.debit_all(self.inner, now_ns, call.0);
            }
            Ok(())
        } else {
            let start = self.limiter.start(self.inner, now_ns);
            self.limiter.take_granted(self.inner, start, call.0)
        };
        match taken {
            Ok(()) => Taking::Taken,
            Err(_) => Taking::Missing,
        }
    }
}

impl Limiter {
    /// Uses the queue and the rest beside each other.
    pub(super) fn with_queue<R>(
        &self,
        inner: &mut Inner,
        act: impl FnOnce(&mut Queue<Waiting>, &mut Tokens<'_>) -> R,
    ) -> R {
        let mut queue = std::mem::take(&mut inner.queue);
        let limiter = self;
        let result = act(&mut queue, &mut Tokens { limiter, inner });
        inner.queue = queue;
        result
    }

    /// Lets waiters expire and lapse, and notifies the next ones.
    #[inline]
    pub(super) fn dispatch(&self, inner: &mut Inner, now_ns: u64, wakers: &mut Wakers) {
        if !inner.queue.is_empty() {
            self.dispatch_some(inner, now_ns, wakers);
        }
    }

    // Never inlined: most calls find no queue, and should not carry it.
    #[inline(never)]
    fn dispatch_some(&self, inner: &mut Inner, now_ns: u64, wakers: &mut Wakers) {
        self.with_queue(inner, |queue, tokens| {
            queue.dispatch(now_ns, tokens, wakers);
        });
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

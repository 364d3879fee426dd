//! Whether a call departs, waits or is denied, and for how long.

use std::sync::atomic::Ordering;

use seawall_core::Reason;
use seawall_core::queue::Wakers;

use super::{
    AccountRequest, Admission, BYPASS, CAPPED, DRAINING, Inner, Limiter, PAUSED, SHADOW,
    TokenRequest, UNTIL_RESUMED,
};
use crate::cap;
use crate::costs::{Costs, Sums};
use crate::denial::Denial;
use crate::meter::Meter;

impl Limiter {
    /// Takes the costs of a new call, if no other is queued for them, or decides what it does
    /// instead.
    #[cold]
    #[inline(never)]
    pub(crate) fn admit(
        &self,
        now_ns: u64,
        request: &TokenRequest,
        account: Option<AccountRequest<'_>>,
    ) -> Admission {
        let mut wakers = Wakers::new();
        let admission = self.admit_without_waking(now_ns, request, account, &mut wakers);
        // No lock is held here, neither of this limiter nor of the account.
        wakers.wake();
        admission
    }

    fn admit_without_waking(
        &self,
        now_ns: u64,
        request: &TokenRequest,
        account: Option<AccountRequest<'_>>,
        wakers: &mut Wakers,
    ) -> Admission {
        let inner = &mut *self.lock();
        self.dispatch(inner, now_ns, wakers);
        let flags = self.slow_path.load(Ordering::Relaxed);
        if flags & (SHADOW | BYPASS) != 0 {
            return self.admit_in_shadow(inner, now_ns, request, account, wakers);
        }
        if flags & DRAINING != 0 {
            return Admission::Denied(Denial::DRAINING);
        }
        if !self.fits(inner, &request.costs) {
            return Admission::Denied(Denial::TOO_EXPENSIVE);
        }
        if self.wait_if_new(inner, now_ns, &request.costs) == 0 {
            // Under this lock, so that one grants only what the other grants. This limiter has no
            // fast path that others could use meanwhile, if there is an account.
            match Self::admit_to_account(account, now_ns, wakers) {
                None | Some(Admission::Granted) => {
                    if self.take_all(inner, now_ns, &request.costs).is_ok() {
                        return Admission::Granted;
                    }
                }
                Some(other) => {
                    if let Admission::Shadowed(_) = other {
                        self.debit_all(inner, now_ns, &request.costs);
                    }
                    return other;
                }
            }
        } else if let Some(account) = account
            && let Err(denial) = account.limiter.check_wait(now_ns, account.request, wakers)
        {
            return Admission::Denied(denial);
        }
        match self.check_wait_locked(inner, now_ns, request) {
            Ok(()) => Admission::Wait,
            Err(denial) => Admission::Denied(denial),
        }
    }

    fn admit_to_account(
        account: Option<AccountRequest<'_>>,
        now_ns: u64,
        wakers: &mut Wakers,
    ) -> Option<Admission> {
        let AccountRequest { limiter, request } = account?;
        Some(limiter.admit_without_waking(now_ns, request, None, wakers))
    }

    /// In shadow mode the account alone decides, if there is one, and the operator.
    #[inline(never)]
    fn admit_in_shadow(
        &self,
        inner: &mut Inner,
        now_ns: u64,
        request: &TokenRequest,
        account: Option<AccountRequest<'_>>,
        wakers: &mut Wakers,
    ) -> Admission {
        if let Err(denial) = self.check_command(inner, now_ns) {
            return Admission::Denied(denial);
        }
        let account = Self::admit_to_account(account, now_ns, wakers);
        let admission = account.unwrap_or(Admission::Granted);
        if let Admission::Denied(_) | Admission::Wait = admission {
            return admission;
        }
        let would_pass = self.check_new(inner, request).and_then(|()| {
            if self.wait_if_new(inner, now_ns, &request.costs) == 0
                && self.take_all(inner, now_ns, &request.costs).is_ok()
            {
                return Ok(());
            }
            self.check_wait_locked(inner, now_ns, request)?;
            // A call that would have waited owes its tokens, so that the forecast for the next is
            // that of a real queue.
            self.debit_all(inner, now_ns, &request.costs);
            Ok(())
        });
        would_pass.map_or_else(Admission::Shadowed, |()| admission)
    }

    /// Whether a new call is taken at all.
    fn check_new(&self, inner: &Inner, request: &TokenRequest) -> Result<(), Denial> {
        if self.is_draining() {
            Err(Denial::DRAINING)
        } else if !self.fits(inner, &request.costs) {
            Err(Denial::TOO_EXPENSIVE)
        } else {
            Ok(())
        }
    }

    /// Whether no operator has paused the layer or drains it.
    ///
    /// # Errors
    ///
    /// The rejection that holds in shadow mode too.
    pub(super) fn check_command(&self, inner: &Inner, now_ns: u64) -> Result<(), Denial> {
        if self.is_draining() {
            return Err(Denial::DRAINING);
        }
        Self::check_pause(inner, now_ns)
    }

    /// Whether no operator has paused the layer.
    pub(super) const fn check_pause(inner: &Inner, now_ns: u64) -> Result<(), Denial> {
        match inner.commanded_until {
            UNTIL_RESUMED => Err(Denial::paused_by_operator(u64::MAX)),
            until if now_ns < until => Err(Denial::paused_by_operator(until - now_ns)),
            _ => Ok(()),
        }
    }

    /// Whether a new call may join the queue now; in shadow mode it may unless an operator rejects
    /// it.
    ///
    /// # Errors
    ///
    /// Why it may not: the wait would be too long, or the queue is full.
    fn check_wait(
        &self,
        now_ns: u64,
        request: &TokenRequest,
        wakers: &mut Wakers,
    ) -> Result<(), Denial> {
        let inner = &mut *self.lock();
        self.dispatch(inner, now_ns, wakers);
        if self.is_shadow() {
            return self.check_command(inner, now_ns);
        }
        self.check_new(inner, request)?;
        self.check_wait_locked(inner, now_ns, request)
    }

    pub(super) fn check_wait_locked(
        &self,
        inner: &mut Inner,
        now_ns: u64,
        request: &TokenRequest,
    ) -> Result<(), Denial> {
        let is_full = inner.queue.len() >= self.max_waiting.load(Ordering::Relaxed) as usize;
        self.check_forecast(inner, now_ns, request, is_full)
    }

    /// Whether the tokens are there in time, if the queue is not full.
    pub(super) fn check_forecast(
        &self,
        inner: &mut Inner,
        now_ns: u64,
        request: &TokenRequest,
        is_full: bool,
    ) -> Result<(), Denial> {
        let denial = self.forecast(inner, now_ns, request);
        let max_wait = request.deadline_ns.saturating_sub(now_ns);
        let max_wait = max_wait.min(request.max_wait_ns);
        if !is_full && denial.wait_ns <= max_wait {
            return Ok(());
        }
        Err(self.at_least_min_wait(inner, denial))
    }

    /// When a rejected call may come back. Not at once: there may be a token, but the queue is full,
    /// or the service was not ready to use it.
    fn at_least_min_wait(&self, inner: &Inner, denial: Denial) -> Denial {
        let min_wait = if inner.meters.is_empty() {
            self.bucket.rate().token_ns()
        } else {
            let min_waits = inner.meters.iter().map(Meter::min_wait);
            min_waits.max().unwrap_or(1)
        };
        Denial {
            wait_ns: denial.wait_ns.max(min_wait),
            ..denial
        }
    }

    /// When a call departs that joins the queue now, and what it waits for.
    fn forecast(&self, inner: &mut Inner, now_ns: u64, request: &TokenRequest) -> Denial {
        let mut sums = Sums::default();
        let mut delay = 0_u64;
        let ahead = inner.ahead.iter();
        for ahead in ahead.take_while(|ahead| ahead.priority >= request.priority) {
            sums.add_all(&ahead.sums);
            delay = delay.saturating_add(ahead.delay_ns);
        }
        sums.add(&request.costs);
        let start = inner.paused_until.max(now_ns);
        if start == UNTIL_RESUMED {
            return Denial::paused_by_operator(u64::MAX);
        }
        let (wait, by_quota) = self.wait(inner, start, &sums);
        let (pause, refill) = (start - now_ns, wait.saturating_add(delay));
        // A pause empties the limits, so there is a wait after it as well: the longer part decides.
        let reason = if pause > 0 && pause >= refill {
            Reason::Paused
        } else if by_quota {
            Reason::QuotaExhausted
        } else {
            Reason::RateLimited
        };
        let wait_ns = pause.saturating_add(refill);
        Denial {
            reason,
            wait_ns,
            commanded: now_ns < inner.commanded_until,
        }
    }

    /// In how many nanoseconds all limits have granted the sums, and whether the last to do so is a
    /// quota.
    fn wait(&self, inner: &mut Inner, now_ns: u64, sums: &Sums) -> (u64, bool) {
        if inner.meters.is_empty() {
            let wait = cap::wait(&self.bucket, inner.cap, now_ns, sums.get(0));
            return (wait, false);
        }
        let mut longest = (0, false);
        let limits = inner.config.limits().iter();
        for (index, (meter, limit)) in inner.meters.iter_mut().zip(limits).enumerate() {
            let sum = sums.get(index);
            if sum > 0 {
                let wait = meter.wait(now_ns, sum);
                if wait > longest.0 {
                    longest = (wait, limit.is_quota());
                }
            }
        }
        longest
    }

    pub(super) fn fits(&self, inner: &Inner, costs: &Costs) -> bool {
        if inner.meters.is_empty() {
            return u64::from(costs.get(0)) <= self.bucket.rate().burst();
        }
        let mut meters = inner.meters.iter().enumerate();
        meters.all(|(index, meter)| u64::from(costs.get(index)) <= meter.capacity())
    }

    /// Takes from every limit, or from none.
    ///
    /// # Errors
    ///
    /// In how many nanoseconds the tokens are there.
    pub(super) fn take_all(
        &self,
        inner: &mut Inner,
        now_ns: u64,
        costs: &Costs,
    ) -> Result<(), u64> {
        match self.wait_if_first(inner, now_ns, costs) {
            0 => {}
            wait => return Err(wait),
        }
        if inner.meters.is_empty() {
            let cost = u64::from(costs.get(0));
            // Calls on the fast path may have taken meanwhile: what they left decides.
            self.bucket.try_take(now_ns, cost)?;
            if let Some(cap) = &mut inner.cap {
                cap.take(cost);
            }
            self.open_fast_path(inner, now_ns);
        } else {
            self.debit_all(inner, now_ns, costs);
        }
        Ok(())
    }

    /// Takes from every limit, whether it is there or not.
    pub(super) fn debit_all(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) {
        if inner.meters.is_empty() {
            self.bucket.debit(now_ns, costs.get(0).into());
        }
        for (index, meter) in inner.meters.iter_mut().enumerate() {
            let cost = costs.get(index);
            if cost > 0 {
                meter.take(now_ns, cost.into());
            }
        }
    }

    /// Opens the fast path again once nothing holds any more that the upstream has reported.
    pub(super) fn open_fast_path(&self, inner: &mut Inner, now_ns: u64) {
        if inner.cap.is_some_and(|cap| now_ns >= cap.until) {
            inner.cap = None;
        }
        if inner.paused_until != 0 && now_ns >= inner.paused_until {
            inner.paused_until = 0;
            self.unset(PAUSED);
        }
        if inner.cap.is_none() {
            self.unset(CAPPED);
        }
    }

    /// Why a waiter did not get its tokens, and when a call like it may come back.
    pub(crate) fn denial_of(&self, now_ns: u64, request: &TokenRequest) -> Denial {
        let mut inner = self.lock();
        let denial = self.forecast(&mut inner, now_ns, request);
        self.at_least_min_wait(&inner, denial)
    }

    /// In how many nanoseconds a call would depart behind those queued; `u64::MAX` when that is
    /// unknown or never.
    pub(crate) fn time_to(&self, now_ns: u64, request: &TokenRequest) -> u64 {
        let mut inner = self.lock();
        if !self.fits(&inner, &request.costs) {
            return u64::MAX;
        }
        self.forecast(&mut inner, now_ns, request).wait_ns
    }

    /// In how many nanoseconds a call departs that is the first in the queue.
    pub(super) fn wait_if_first(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) -> u64 {
        self.wait_for(inner, now_ns, &costs.sums())
    }

    /// In how many nanoseconds a call departs that waits for all that is claimed.
    pub(super) fn wait_behind_claims(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) -> u64 {
        let mut sums = inner.claimed;
        sums.add(costs);
        self.wait_for(inner, now_ns, &sums)
    }

    /// The same for a new call; [`u64::MAX`] when others wait for their turn. A waiter that does not
    /// take what it has claimed costs a new call no more than that.
    fn wait_if_new(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) -> u64 {
        if inner.queue.has_waiting() {
            return u64::MAX;
        }
        self.wait_behind_claims(inner, now_ns, costs)
    }

    fn wait_for(&self, inner: &mut Inner, now_ns: u64, sums: &Sums) -> u64 {
        let start = inner.paused_until.max(now_ns);
        if start == UNTIL_RESUMED {
            return u64::MAX;
        }
        let (wait, _) = self.wait(inner, start, sums);
        (start - now_ns).saturating_add(wait)
    }
}

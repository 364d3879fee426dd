//! Whether a call departs, waits or is denied, and for how long.

use std::sync::atomic::Ordering;

use seawall_core::queue::Wakers;

use super::{AccountRequest, Admission, Inner, Limiter, Taken, TokenRequest};
use crate::costs::{Costs, Sums};
use crate::denial::Denial;
use crate::meter::Meter;
use crate::pause::{Pause, Start, UNTIL_RESUMED};

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
        let inner = &mut *self.lock_at(now_ns);
        self.dispatch(inner, now_ns, wakers);
        if self.is_shadow() {
            return self.admit_in_shadow(inner, now_ns, request, account, wakers);
        }
        if self.is_draining() {
            return Admission::Denied(Denial::DRAINING);
        }
        if !self.fits(inner, &request.costs) {
            return Admission::Denied(self.too_expensive(inner, &request.costs));
        }
        if self.wait_if_new(inner, now_ns, &request.costs) == 0 {
            // Under this lock, so that one grants only what the other grants. This limiter has no
            // fast path that others could use meanwhile, if there is an account.
            match Self::admit_to_account(account, now_ns, wakers) {
                None | Some(Admission::Granted) => {
                    if self.take_granted(inner, now_ns, &request.costs).is_ok() {
                        return Admission::Granted;
                    }
                }
                Some(Admission::Shadowed(denial, _)) => {
                    self.debit_all(inner, now_ns, &request.costs);
                    let (own, account) = (true, false);
                    return Admission::Shadowed(denial, Taken { own, account });
                }
                Some(other) => return other,
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
                && self.take_granted(inner, now_ns, &request.costs).is_ok()
            {
                return Ok(());
            }
            self.check_wait_locked(inner, now_ns, request)?;
            // A call that would have waited owes its tokens, so that the forecast for the next is
            // that of a real queue.
            self.debit_all(inner, now_ns, &request.costs);
            Ok(())
        });
        let account = admission == Admission::Granted;
        match (would_pass, admission) {
            (Err(denial), _) => {
                let own = false;
                Admission::Shadowed(denial, Taken { own, account })
            }
            (Ok(()), Admission::Shadowed(denial, _)) => {
                let own = true;
                Admission::Shadowed(denial, Taken { own, account })
            }
            (Ok(()), other) => other,
        }
    }

    /// Whether a new call is taken at all.
    fn check_new(&self, inner: &Inner, request: &TokenRequest) -> Result<(), Denial> {
        if self.is_draining() {
            Err(Denial::DRAINING)
        } else if !self.fits(inner, &request.costs) {
            Err(self.too_expensive(inner, &request.costs))
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
        self.check_pause(inner, now_ns)
    }

    /// Whether no operator has paused the layer.
    pub(super) fn check_pause(&self, inner: &Inner, now_ns: u64) -> Result<(), Denial> {
        match self.pause_in_force(inner).commanded_until() {
            UNTIL_RESUMED => Err(Denial::paused_by_operator(u64::MAX)),
            until if now_ns < until => Err(Denial::paused_by_operator(until - now_ns)),
            _ => Ok(()),
        }
    }

    /// The pause that holds here.
    pub(super) fn pause_in_force(&self, inner: &Inner) -> Pause {
        let all = self.all_keys.as_ref();
        all.map_or(inner.pause, |all| inner.pause.and(all.pause()))
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
        let inner = &mut *self.lock_at(now_ns);
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
        Err(denial.not_at_once())
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
        let pause = self.pause_in_force(inner);
        let start = Start::new(now_ns, pause);
        if start.at == UNTIL_RESUMED {
            return Denial::paused_by_operator(u64::MAX);
        }
        let (wait, by_quota) = self.wait(inner, start, &sums, &request.costs);
        Denial::of_wait(start, wait.saturating_add(delay), by_quota)
    }

    /// In how many nanoseconds from now all limits have granted the sums, of which `last` are the
    /// costs of the last call; and whether the last limit to do so is a quota.
    fn wait(&self, inner: &mut Inner, start: Start, sums: &Sums, last: &Costs) -> (u64, bool) {
        let mut longest = (start.at - start.now, false);
        for index in 0..self.units.len() {
            let (sum, cost) = (sums.get(index), last.get(index).into());
            if sum == 0 {
                continue;
            }
            let wait = self.wait_of(inner, index, start, (sum, cost));
            if wait > longest.0 {
                longest = (wait, inner.config.limits()[index].is_quota());
            }
        }
        longest
    }

    fn wait_of(&self, inner: &mut Inner, index: usize, start: Start, costs: (u64, u64)) -> u64 {
        if !inner.caps.is_empty() {
            return self.wait_capped(inner, index, start, costs);
        }
        match inner.meters.get_mut(index) {
            Some(meter) => meter.wait(start, costs.0),
            None => self.bucket.wait(start, costs.0),
        }
    }

    #[cold]
    fn wait_capped(&self, inner: &mut Inner, index: usize, start: Start, costs: (u64, u64)) -> u64 {
        let rate = self.rate_of(inner, index);
        let Inner { meters, caps, .. } = inner;
        let limit = |start, sum| match meters.get_mut(index) {
            Some(meter) => meter.wait(start, sum),
            None => self.bucket.wait(start, sum),
        };
        caps[index].wait(start, rate, costs, limit)
    }

    pub(super) fn fits(&self, inner: &Inner, costs: &Costs) -> bool {
        if inner.meters.is_empty() {
            return u64::from(costs.get(0)) <= self.bucket.rate().burst();
        }
        let mut meters = inner.meters.iter().enumerate();
        meters.all(|(index, meter)| u64::from(costs.get(index)) <= meter.capacity())
    }

    /// The rejection of a call that does not fit, with the figures of the limit that it exceeds most.
    #[cold]
    pub(super) fn too_expensive(&self, inner: &Inner, costs: &Costs) -> Denial {
        let capacity = |index| {
            let meter = inner.meters.get(index);
            let capacity = meter.map_or_else(|| self.bucket.rate().burst(), Meter::capacity);
            u32::try_from(capacity).unwrap_or(u32::MAX)
        };
        let limits = (0..self.units.len()).map(|index| (costs.get(index), capacity(index)));
        let excess = limits.max_by_key(|(cost, capacity)| cost.saturating_sub(*capacity));
        let (cost, capacity) = excess.unwrap_or_default();
        Denial::too_expensive(cost, capacity)
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
            0 => self.take_granted(inner, now_ns, costs),
            wait => Err(wait),
        }
    }

    /// [`take_all`](Self::take_all), after a wait of zero has been found under this lock.
    ///
    /// # Errors
    ///
    /// In how many nanoseconds the tokens are there.
    pub(super) fn take_granted(
        &self,
        inner: &mut Inner,
        now_ns: u64,
        costs: &Costs,
    ) -> Result<(), u64> {
        if inner.meters.is_empty() {
            let cost = u64::from(costs.get(0));
            self.bucket.settle(self.pause_in_force(inner));
            // Calls on the fast path may have taken meanwhile: what they left decides.
            self.bucket.try_take(now_ns, cost)?;
        } else {
            self.take_from_meters(inner, now_ns, costs);
        }
        self.take_from_caps(inner, now_ns, costs);
        Ok(())
    }

    /// Takes from every limit, whether it is there or not.
    pub(super) fn debit_all(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) {
        if inner.meters.is_empty() {
            self.bucket.settle(self.pause_in_force(inner));
            self.bucket.debit(now_ns, costs.get(0).into());
        } else {
            self.take_from_meters(inner, now_ns, costs);
        }
        self.take_from_caps(inner, now_ns, costs);
    }

    fn take_from_meters(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) {
        let start = Start::new(now_ns, self.pause_in_force(inner));
        for (index, meter) in inner.meters.iter_mut().enumerate() {
            let cost = costs.get(index);
            if cost > 0 {
                meter.take(start, cost.into());
            }
        }
    }

    fn take_from_caps(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) {
        for index in 0..inner.caps.len() {
            let rate = self.rate_of(inner, index);
            inner.caps[index].take(now_ns, rate, costs.get(index).into(), now_ns);
        }
    }

    /// Why a waiter did not get its tokens, and when a call like it may come back.
    pub(crate) fn denial_of(&self, now_ns: u64, request: &TokenRequest) -> Denial {
        let mut inner = self.lock_at(now_ns);
        if self.is_shadow() {
            let commanded = self.check_pause(&inner, now_ns).err();
            return commanded.unwrap_or(Denial::rate_limited(0));
        }
        self.forecast(&mut inner, now_ns, request)
    }

    /// In how many nanoseconds a call would depart behind those queued; `u64::MAX` when that is
    /// unknown or never.
    pub(crate) fn time_to(&self, now_ns: u64, request: &TokenRequest) -> u64 {
        let mut inner = self.lock_at(now_ns);
        if self.is_shadow() {
            let commanded = self.check_command(&inner, now_ns).err();
            return commanded.map_or(0, |denial| denial.wait_ns);
        }
        match self.check_new(&inner, request) {
            Ok(()) => self.forecast(&mut inner, now_ns, request).wait_ns,
            Err(denial) => denial.wait_ns,
        }
    }

    /// In how many nanoseconds a call departs that is the first in the queue.
    pub(super) fn wait_if_first(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) -> u64 {
        self.wait_for(inner, now_ns, &costs.sums(), costs)
    }

    /// In how many nanoseconds a call departs that waits for all that is claimed.
    pub(super) fn wait_behind_claims(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) -> u64 {
        let mut sums = inner.claimed;
        sums.add(costs);
        self.wait_for(inner, now_ns, &sums, costs)
    }

    /// The same for a new call; [`u64::MAX`] when others wait for their turn. A waiter that does not
    /// take what it has claimed costs a new call no more than that.
    #[inline]
    fn wait_if_new(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) -> u64 {
        if inner.queue.active() == 0 {
            self.wait_if_first(inner, now_ns, costs)
        } else if inner.queue.has_waiting() {
            u64::MAX
        } else {
            self.wait_behind_claims(inner, now_ns, costs)
        }
    }

    fn wait_for(&self, inner: &mut Inner, now_ns: u64, sums: &Sums, last: &Costs) -> u64 {
        let start = Start::new(now_ns, self.pause_in_force(inner));
        if start.at == UNTIL_RESUMED {
            return u64::MAX;
        }
        self.wait(inner, start, sums, last).0
    }
}

//! Whether a call departs, waits or is denied, and for how long.

use seawall_core::queue::Wakers;

use super::{AccountRequest, Admission, Inner, Limiter, Taken, TokenRequest};
use crate::costs::{Call, Costs};
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
        if let Err(denial) = self.check_new(inner, now_ns, request) {
            return Admission::Denied(denial);
        }
        let start = self.start(inner, now_ns);
        if self.wait_if_new(inner, start, request.call()) == 0 {
            // Under this lock, so that one grants only what the other grants. This limiter has no
            // fast path that others could use meanwhile, if there is an account.
            match Self::admit_to_account(account, now_ns, wakers) {
                None | Some(Admission::Granted) => {
                    if self.take_granted(inner, start, &request.costs).is_ok() {
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
        let would_pass = self.check_new(inner, now_ns, request).and_then(|()| {
            let start = self.start(inner, now_ns);
            if self.wait_if_new(inner, start, request.call()) == 0
                && self.take_granted(inner, start, &request.costs).is_ok()
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
    #[inline]
    pub(super) fn check_new(
        &self,
        inner: &Inner,
        now_ns: u64,
        request: &TokenRequest,
    ) -> Result<(), Denial> {
        if self.is_draining() {
            Err(Denial::DRAINING)
        } else if request.deadline_ns <= now_ns {
            Err(Denial::EXPIRED)
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
    #[inline]
    pub(super) fn pause_in_force(&self, inner: &Inner) -> Pause {
        match &self.all_keys {
            None => inner.pause,
            Some(all) if all.is_bypass() && !inner.pause_holds_in_bypass => all.pause(),
            Some(all) => inner.pause.and(all.pause()),
        }
    }

    /// From when on a call may depart that comes now.
    #[inline]
    pub(super) fn start(&self, inner: &Inner, now_ns: u64) -> Start {
        Start::new(now_ns, self.pause_in_force(inner))
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
        self.check_new(inner, now_ns, request)?;
        self.check_wait_locked(inner, now_ns, request)
    }

    pub(super) fn fits(&self, inner: &Inner, costs: &Costs) -> bool {
        if inner.meters.is_empty() {
            return u64::from(costs.get(0)) <= self.bucket.rate().burst();
        }
        let mut meters = inner.meters.iter().enumerate();
        meters.all(|(index, meter)| u64::from(costs.get(index)) <= meter.capacity())
    }

    /// The most that one call may cost of a limit.
    pub(super) fn capacity(&self, inner: &Inner, index: usize) -> u64 {
        let meter = inner.meters.get(index);
        meter.map_or_else(|| self.bucket.rate().burst(), Meter::capacity)
    }

    /// The rejection of a call that does not fit, with the figures of the limit that it exceeds most.
    #[cold]
    pub(super) fn too_expensive(&self, inner: &Inner, costs: &Costs) -> Denial {
        let capacity = |index| u32::try_from(self.capacity(inner, index)).unwrap_or(u32::MAX);
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
        call: Call<'_>,
    ) -> Result<(), u64> {
        let start = self.start(inner, now_ns);
        match self.wait_if_first(inner, start, call) {
            0 => self.take_granted(inner, start, call.0),
            wait => Err(wait),
        }
    }

    /// [`take_all`](Self::take_all), after a wait of zero has been found under this lock.
    ///
    /// # Errors
    ///
    /// In how many nanoseconds the tokens are there.
    #[inline]
    pub(super) fn take_granted(
        &self,
        inner: &mut Inner,
        start: Start,
        costs: &Costs,
    ) -> Result<(), u64> {
        if inner.meters.is_empty() {
            let cost = u64::from(costs.get(0));
            self.bucket.settle(start.now, start.pause);
            // Calls on the fast path may have taken meanwhile: what they left decides.
            self.bucket.try_take(start.now, cost)?;
        } else {
            Self::take_from_meters(inner, start, costs);
        }
        self.take_from_caps(inner, start.now, costs);
        Ok(())
    }

    /// Takes from every limit, whether it is there or not.
    pub(super) fn debit_all(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) {
        let start = self.start(inner, now_ns);
        if inner.meters.is_empty() {
            self.bucket.settle(start.now, start.pause);
            self.bucket.debit(now_ns, costs.get(0).into());
        } else {
            Self::take_from_meters(inner, start, costs);
        }
        self.take_from_caps(inner, now_ns, costs);
    }

    fn take_from_meters(inner: &mut Inner, start: Start, costs: &Costs) {
        for (index, meter) in inner.meters.iter_mut().enumerate() {
            let cost = costs.get(index);
            if cost > 0 {
                meter.take(start, cost.into());
            }
        }
    }

    // Inlined without its body: few upstreams report anything.
    #[inline]
    fn take_from_caps(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) {
        if !inner.caps.is_empty() {
            self.take_from_some_caps(inner, now_ns, costs);
        }
    }

    #[cold]
    fn take_from_some_caps(&self, inner: &mut Inner, now_ns: u64, costs: &Costs) {
        for index in 0..inner.caps.len() {
            let rate = self.rate_of(inner, index);
            inner.caps[index].take(now_ns, rate, costs.get(index).into(), now_ns);
        }
    }
}

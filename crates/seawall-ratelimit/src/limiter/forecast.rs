//! When calls depart: new ones, waiters, and those that only ask.

use std::sync::atomic::Ordering;

use seawall_core::Priority;

use super::{Inner, Limiter, TokenRequest};
use crate::costs::{Call, Costs, Sums};
use crate::denial::Denial;
use crate::pause::{Start, UNTIL_RESUMED};

impl Limiter {
    /// Whether a new call may join the queue now.
    ///
    /// # Errors
    ///
    /// Why it may not: the wait would be too long, or the queue is full.
    pub(super) fn check_wait_locked(
        &self,
        inner: &mut Inner,
        now_ns: u64,
        request: &TokenRequest,
    ) -> Result<(), Denial> {
        // Neither sort of call takes places from the other.
        let waiting = match (&inner.reserved, inner.is_reserved(request.priority)) {
            (None, _) => inner.queue.len(),
            (Some(_), true) => inner.reserved_ahead(),
            (Some(_), false) => inner.queue.len().saturating_sub(inner.reserved_ahead()),
        };
        let is_full = waiting >= self.max_waiting.load(Ordering::Relaxed) as usize;
        self.check_forecast(inner, now_ns, request, is_full)
    }

    /// Whether the tokens are there in time, if the queue is not full.
    ///
    /// # Errors
    ///
    /// Why a call is not let in.
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
        let start = self.start(inner, now_ns);
        if start.at == UNTIL_RESUMED {
            return Denial::paused_by_operator(u64::MAX);
        }
        let (wait, by_quota) = self.wait_leaving(inner, start, &sums, request.call());
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
        match self.check_new(&inner, now_ns, request) {
            Ok(()) => self.forecast(&mut inner, now_ns, request).wait_ns,
            Err(denial) => denial.wait_ns,
        }
    }

    /// In how many nanoseconds a call departs that is the first in the queue.
    #[inline]
    pub(super) fn wait_if_first(&self, inner: &mut Inner, start: Start, call: Call<'_>) -> u64 {
        self.wait_for(inner, start, &call.0.sums(), call)
    }

    /// In how many nanoseconds a call departs that waits for all that is claimed.
    pub(super) fn wait_behind_claims(
        &self,
        inner: &mut Inner,
        start: Start,
        call: Call<'_>,
    ) -> u64 {
        let mut sums = inner.claimed;
        sums.add(call.0);
        self.wait_for(inner, start, &sums, call)
    }

    /// The same for a new call; [`u64::MAX`] when others wait for their turn. A waiter that does not
    /// take what it has claimed costs a new call no more than that. One that may use reserved tokens waits
    /// for others of these alone.
    #[inline]
    pub(super) fn wait_if_new(&self, inner: &mut Inner, start: Start, call: Call<'_>) -> u64 {
        if inner.queue.active() == 0 {
            self.wait_if_first(inner, start, call)
        } else if inner.queue.has_waiting()
            && !(inner.is_reserved(call.1) && inner.reserved_ahead() == 0)
        {
            u64::MAX
        } else {
            self.wait_behind_claims(inner, start, call)
        }
    }

    #[inline]
    fn wait_for(&self, inner: &mut Inner, start: Start, sums: &Sums, last: Call<'_>) -> u64 {
        if start.at == UNTIL_RESUMED {
            return u64::MAX;
        }
        if inner.reserved.is_some() {
            return self.wait_leaving(inner, start, sums, last).0;
        }
        self.wait(inner, start, sums, last.0).0
    }

    /// [`wait`](Self::wait), until the last call leaves what is reserved, if it has to.
    #[inline(never)]
    fn wait_leaving(
        &self,
        inner: &mut Inner,
        start: Start,
        sums: &Sums,
        (costs, priority): Call<'_>,
    ) -> (u64, bool) {
        let mut sums = *sums;
        if let Some(all) = inner
            .reserved
            .as_deref()
            .filter(|_| priority < Priority::RESERVED)
        {
            for index in 0..self.units.len() {
                let cost = u64::from(costs.get(index));
                if cost > 0 {
                    // One that costs more than the rest needs a full limit, and no more than that.
                    let rest = self.capacity(inner, index).saturating_sub(cost);
                    sums.add_to(index, rest.min(all.get(index)));
                }
            }
        }
        self.wait(inner, start, &sums, costs)
    }
}

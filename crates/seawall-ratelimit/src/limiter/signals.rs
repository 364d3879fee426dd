//! What becomes known after a call has departed: its real usage, and what the upstream reports.

use seawall_core::{QuotaSignal, ServerLimit, Unit, ns};

use super::{BYPASS, CAPPED, Inner, Limiter, PAUSED};
use crate::bucket::Rate;
use crate::cap::Caps;
use crate::config::RateLimitConfig;
use crate::costs::{Costs, Granted};
use crate::limit::Limit;
use crate::meter::Meter;
use crate::pause::Start;

impl Limiter {
    /// Applies what the upstream has reported, in the result of a call that was `granted` this if
    /// there was one.
    pub(crate) fn apply_signal(&self, now_ns: u64, signal: QuotaSignal, granted: Option<Granted>) {
        match signal {
            QuotaSignal::Limit(reported) => self.lower(now_ns, &reported),
            QuotaSignal::Pause { lasts, .. } => {
                let lasts = lasts.unwrap_or_else(|| self.lock().config.default_pause());
                if !lasts.is_zero() {
                    self.pause_for(now_ns, ns(lasts), false);
                }
            }
            QuotaSignal::Used { unit, amount } => {
                let granted = granted.unwrap_or(Granted {
                    costs: Costs::default(),
                    at_ns: now_ns,
                });
                self.correct_usage(now_ns, unit, granted, amount);
            }
            _ => {}
        }
    }

    /// Gives back what was granted and not used.
    pub(crate) fn give_back(&self, now_ns: u64, granted: Granted) {
        self.change(now_ns, |limiter, inner| {
            for index in 0..limiter.units.len() {
                let cost = granted.costs.get(index).into();
                limiter.give_back_one(inner, index, now_ns, cost, granted.at_ns);
            }
        });
    }

    fn give_back_one(
        &self,
        inner: &mut Inner,
        index: usize,
        now_ns: u64,
        cost: u64,
        taken_at: u64,
    ) {
        if cost == 0 {
            return;
        }
        match inner.meters.get_mut(index) {
            Some(meter) => meter.give_back(now_ns, cost, taken_at),
            None => self.bucket.refund(cost),
        }
        let rate = self.rate_of(inner, index);
        if let Some(caps) = inner.caps.get_mut(index) {
            caps.give_back(rate, cost, taken_at);
        }
    }

    /// Takes what was used beyond an estimate of `taken_at`.
    fn take_one(&self, inner: &mut Inner, index: usize, now_ns: u64, cost: u64, taken_at: u64) {
        let start = Start::new(now_ns, self.pause_in_force(inner));
        match inner.meters.get_mut(index) {
            Some(meter) => meter.take(start, cost),
            None => {
                self.bucket.settle(start.pause);
                self.bucket.debit(now_ns, cost);
            }
        }
        let rate = self.rate_of(inner, index);
        if let Some(caps) = inner.caps.get_mut(index) {
            caps.take(now_ns, rate, cost, taken_at);
        }
    }

    /// The rate of a limit that is a bucket.
    pub(super) fn rate_of(&self, inner: &Inner, index: usize) -> Option<Rate> {
        let meter = inner.meters.get(index);
        meter.map_or_else(|| Some(self.bucket.rate()), Meter::rate)
    }

    /// Replaces the estimate of a call by what it really used, at every limit that counts `unit`.
    pub(crate) fn correct_usage(&self, now_ns: u64, unit: Unit, granted: Granted, used: u64) {
        let estimate = self.units.iter().position(|counted| *counted == unit);
        let Some(estimate) = estimate.map(|index| granted.costs.get(index)) else {
            return;
        };
        self.correct_estimate(now_ns, unit, estimate.into(), used, granted.at_ns);
    }

    /// Takes or gives back the difference between an estimate and what was really used.
    pub(crate) fn correct_estimate(
        &self,
        now_ns: u64,
        unit: Unit,
        estimate: u64,
        used: u64,
        granted_at: u64,
    ) {
        self.change(now_ns, |limiter, inner| {
            let units = limiter.units.iter().enumerate();
            for (index, _) in units.filter(|(_, counted)| **counted == unit) {
                match used.checked_sub(estimate) {
                    Some(more) => limiter.take_one(inner, index, now_ns, more, granted_at),
                    None => {
                        let back = estimate - used;
                        limiter.give_back_one(inner, index, now_ns, back, granted_at);
                    }
                }
            }
        });
    }

    /// Lowers a limit to what the upstream reports, where that is less than what is left here.
    fn lower(&self, now_ns: u64, reported: &ServerLimit) {
        let until = reported
            .resets_in
            .map(|resets| now_ns.saturating_add(ns(resets)));
        let mut inner = self.lock();
        let Some(index) = reported_limit(&inner.config, reported) else {
            return;
        };
        // Without a reported count, it is that of the settings.
        let count = inner.config.limits()[index].count().into();
        let unused = |used: u64| reported.limit.unwrap_or(count).saturating_sub(used);
        let Some(left) = reported.remaining.or(reported.used.map(unused)) else {
            return;
        };
        let until = until.or_else(|| inner.meters.get_mut(index)?.renewed_at(now_ns));
        let rate = self.rate_of(&inner, index);
        if let (Some(rate), Some(until)) = (rate, until)
            && left >= rate.at_most_within(until.saturating_sub(now_ns))
        {
            // More than the bucket has until then: the fast path stays open.
            return;
        }
        if inner.caps.is_empty() {
            inner.caps = self.units.iter().map(|_| Caps::default()).collect();
        }
        match (until, rate) {
            (Some(until), _) => inner.caps[index].report(now_ns, left, until),
            (None, Some(rate)) => inner.caps[index].report_bucket(now_ns, rate, left),
            (None, None) => {}
        }
        self.set(CAPPED);
    }

    /// Grants nothing for so long, and starts carefully then. A pause that lasts longer stays. One
    /// that an operator has `commanded` holds in shadow mode too.
    pub(crate) fn pause_for(&self, now_ns: u64, for_ns: u64, commanded: bool) {
        let mut inner = self.lock();
        self.set(PAUSED);
        if commanded {
            self.unset(BYPASS);
        }
        let until = now_ns.saturating_add(for_ns);
        inner.pause.extend(now_ns, until, commanded);
    }
}

/// Which limit the upstream reports: of those that count the same unit, the one with the reported
/// window or count, or else the shortest whose period is not over before the reported reset.
fn reported_limit(config: &RateLimitConfig, reported: &ServerLimit) -> Option<usize> {
    let limits = config.limits();
    let has = |unit: Unit| limits.iter().any(|limit| limit.unit() == unit);
    let unit = match reported.unit {
        // A request that costs 1 is counted as a request.
        Unit::Requests if !has(Unit::Requests) => Unit::Cost,
        Unit::Cost if !has(Unit::Cost) => Unit::Requests,
        unit => unit,
    };
    let of_unit = |limit: &Limit| limit.unit() == unit;
    let of_window = |limit: &Limit| {
        reported
            .window
            .is_none_or(|window| limit.period() == window)
    };
    let of_count = |limit: &Limit| reported.limit == Some(limit.count().into());
    let by_count = reported.window.is_none() && limits.iter().any(|l| of_unit(l) && of_count(l));
    let candidate = |(_, limit): &(usize, &Limit)| {
        of_unit(limit) && of_window(limit) && (!by_count || of_count(limit))
    };
    let resets = reported.resets_in.unwrap_or_default();
    let candidates = || limits.iter().enumerate().filter(candidate);
    let long_enough = candidates().filter(|(_, limit)| limit.period() >= resets);
    let shortest = long_enough.min_by_key(|(_, limit)| limit.period());
    let longest = || candidates().max_by_key(|(_, limit)| limit.period());
    shortest.or_else(longest).map(|(index, _)| index)
}

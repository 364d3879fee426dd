//! What becomes known after a call has departed: its real usage, and what the upstream reports.

use seawall_core::{QuotaSignal, ServerLimit, Unit, ns};

use super::{BYPASS, CAPPED, Limiter, PAUSED, UNTIL_RESUMED};
use crate::cap;
use crate::config::RateLimitConfig;
use crate::costs::{Costs, Granted};
use crate::limit::Limit;

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
        let cost_of = |index| u64::from(granted.costs.get(index));
        self.change(now_ns, |limiter, inner| {
            if inner.meters.is_empty() {
                limiter.bucket.refund(cost_of(0));
                if let Some(cap) = &mut inner.cap {
                    cap.give_back(cost_of(0), granted.at_ns);
                }
            }
            for (index, meter) in inner.meters.iter_mut().enumerate() {
                if cost_of(index) > 0 {
                    meter.give_back(now_ns, cost_of(index), granted.at_ns);
                }
            }
        });
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
                match inner.meters.get_mut(index) {
                    Some(meter) if used > estimate => meter.take(now_ns, used - estimate),
                    Some(meter) => meter.give_back(now_ns, estimate - used, granted_at),
                    None if used > estimate => limiter.bucket.debit(now_ns, used - estimate),
                    None => limiter.bucket.refund(estimate - used),
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
        if let Some(meter) = inner.meters.get_mut(index) {
            meter.lower_to(now_ns, left, until);
        } else {
            self.set(CAPPED);
            cap::lower(&self.bucket, &mut inner.cap, now_ns, left, until);
            self.open_fast_path(&mut inner, now_ns);
        }
    }

    /// Grants nothing for so long, then starts empty and refills over the same time again. A pause
    /// that lasts longer stays. One that an operator has `commanded` holds in shadow mode too.
    pub(crate) fn pause_for(&self, now_ns: u64, for_ns: u64, commanded: bool) {
        let until = now_ns.saturating_add(for_ns).min(UNTIL_RESUMED - 1);
        let mut inner = self.lock();
        self.set(PAUSED);
        inner.paused_until = inner.paused_until.max(until);
        if commanded {
            self.unset(BYPASS);
            inner.commanded_until = inner.commanded_until.max(until);
        }
        if inner.meters.is_empty() {
            cap::empty(&self.bucket, until, for_ns);
        }
        for meter in &mut inner.meters {
            meter.empty_until(until, for_ns);
        }
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

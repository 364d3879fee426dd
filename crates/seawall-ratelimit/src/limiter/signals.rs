//! What becomes known after a call has departed: its real usage, and what the upstream reports.

use seawall_core::{QuotaSignal, ServerLimit, Unit, ns};

use super::{BYPASS, CAPPED, Inner, Limiter, PAUSED};
use crate::bucket::Rate;
use crate::cap::Caps;
use crate::config::RateLimitConfig;
use crate::costs::Granted;
use crate::limit::Limit;
use crate::meter::Meter;

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
                let granted = granted.unwrap_or(Granted::nothing(now_ns));
                self.correct_usage(now_ns, granted, &[(unit, amount)]);
            }
            _ => {}
        }
    }

    /// The rate of a limit that is a bucket.
    pub(super) fn rate_of(&self, inner: &Inner, index: usize) -> Option<Rate> {
        let meter = inner.meters.get(index);
        meter.map_or_else(|| Some(self.bucket.rate()), Meter::rate)
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
        if let (Some(meter), None, None) = (inner.meters.get_mut(index), rate, until) {
            return meter.lower_to(now_ns, left);
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

//! What becomes known after a call has departed: its real usage, and what the upstream reports.

use std::time::Duration;

use seawall_core::{QuotaSignal, ServerLimit, Unit, ns};

use super::{BYPASS, CAPPED, Inner, Limiter, PAUSED};
use crate::bounds::{Applied, bound_time, pause_ns};
use crate::bucket::Rate;
use crate::cap::Caps;
use crate::config::RateLimitConfig;
use crate::costs::Granted;
use crate::limit::Limit;
use crate::meter::Meter;
use crate::reported::Reported;

impl Limiter {
    /// Applies what the upstream has reported, in the result of a call that was `granted` this if
    /// there was one.
    pub(crate) fn apply_signal(
        &self,
        now_ns: u64,
        signal: QuotaSignal,
        granted: Option<Granted>,
    ) -> Applied {
        match signal {
            QuotaSignal::Limit(reported) => self.report(now_ns, &reported),
            QuotaSignal::Pause { .. } | QuotaSignal::Ban { .. } => {
                let pause = pause_ns(&self.lock().config, signal);
                let (lasts, applied) = pause.unwrap_or_default();
                if lasts > 0 {
                    self.pause_for(now_ns, lasts, false);
                }
                applied
            }
            QuotaSignal::Used { unit, amount } => {
                let granted = granted.unwrap_or(Granted::nothing(now_ns));
                self.correct_usage(now_ns, granted, &[(unit, amount)])
            }
            _ => Applied::default(),
        }
    }

    /// The rate of a limit that is a bucket.
    pub(super) fn rate_of(&self, inner: &Inner, index: usize) -> Option<Rate> {
        let meter = inner.meters.get(index);
        meter.map_or_else(|| Some(self.bucket.rate()), Meter::rate)
    }

    /// Lowers a limit to what the upstream reports, where that is less than what is left here.
    fn report(&self, now_ns: u64, reported: &ServerLimit) -> Applied {
        let mut inner = self.lock();
        let Some((index, window)) = reported_limit(&inner.config, reported) else {
            return Applied::UNPLACED;
        };
        let limit = &inner.config.limits()[index];
        let unused = |used: u64| {
            let count = reported.limit.unwrap_or_else(|| limit.count_in(window));
            count.saturating_sub(used)
        };
        let Some(left) = reported.remaining.or(reported.used.map(unused)) else {
            return Applied::UNPLACED;
        };
        let longest = inner.config.max_ban().max(limit.period());
        let resets_in = reported
            .resets_in
            .map(|resets| bound_time("reset_ms", resets, longest));
        let (resets_in, applied) = resets_in.unzip();
        let applied = applied.unwrap_or_default();
        let until = resets_in.map(|resets| now_ns.saturating_add(resets));
        let last = Reported::new(now_ns, reported, left, until, ns(window));
        inner.reported.get_or_insert_default()[index] = Some(last);
        let until = until.or_else(|| inner.meters.get_mut(index)?.renewed_at(now_ns));
        let rate = self.rate_of(&inner, index);
        if let (Some(rate), Some(until)) = (rate, until)
            && left >= rate.at_most_within(until.saturating_sub(now_ns))
        {
            // More than the bucket has until then: the fast path stays open.
            return applied;
        }
        if let (Some(meter), None, None) = (inner.meters.get_mut(index), rate, until) {
            meter.lower_to(now_ns, left);
            return applied;
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
        applied
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
        inner.pause_holds_in_bypass |= commanded;
    }
}

/// Which limit the upstream reports, and the window that the report is about.
///
/// Of those that count the same unit, it is the one with the reported window or count. A window that
/// no limit has is that of a limit with other numbers (a share of what is allowed, twenty per second for
/// 1,200 per minute): the shortest whose period is not over before the window, or the reset, or else
/// the longest. All limits of one unit count the same departures, so what is left of one holds for all.
fn reported_limit(config: &RateLimitConfig, reported: &ServerLimit) -> Option<(usize, Duration)> {
    let limits = config.limits();
    let has = |unit: Unit| limits.iter().any(|limit| limit.unit() == unit);
    let unit = match reported.unit {
        // A request that costs 1 is counted as a request.
        Unit::Requests if !has(Unit::Requests) => Unit::Cost,
        Unit::Cost if !has(Unit::Cost) => Unit::Requests,
        unit => unit,
    };
    let of_unit = || {
        limits
            .iter()
            .enumerate()
            .filter(|(_, limit)| limit.unit() == unit)
    };
    let of_window = |limit: &Limit| reported.window == Some(limit.period());
    let of_count = |limit: &Limit| reported.limit == Some(limit.count().into());
    let at_least = reported.window.or(reported.resets_in).unwrap_or_default();
    let named = of_unit().find(|(_, limit)| of_window(limit));
    let shortest = |(_, limit): &(usize, &Limit)| limit.period();
    let counted = || {
        let counted = of_unit().filter(|(_, limit)| reported.window.is_none() && of_count(limit));
        counted.min_by_key(shortest)
    };
    let covering = || {
        let long_enough = of_unit().filter(|(_, limit)| limit.period() >= at_least);
        long_enough.min_by_key(shortest)
    };
    let longest = || of_unit().max_by_key(shortest);
    let found = named.or_else(counted).or_else(covering).or_else(longest);
    found.map(|(index, limit)| (index, reported.window.unwrap_or(limit.period())))
}

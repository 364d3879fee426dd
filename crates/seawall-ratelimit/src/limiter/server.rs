//! What turns out after a call has departed: what it really took, and what the upstream says.

use seawall_core::{ServerLimit, Unit, ns};

use super::line::wake;
use super::{CAREFUL, Inner, Limiter, OPEN_END, PAUSED};
use crate::bucket::Bucket;
use crate::costs::Costs;
use crate::{Limit, RateLimitConfig};

/// So much at most until then, whatever flows into a bucket: what the upstream says is left of
/// its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cap {
    pub(crate) left: u64,
    pub(crate) until: u64,
}

/// [`Bucket::wait`], with a cap over it.
pub(crate) fn capped_wait(bucket: &Bucket, cap: Option<Cap>, now_ns: u64, cost: u64) -> u64 {
    match cap {
        Some(cap) if now_ns < cap.until && cost > cap.left => {
            let rest = bucket
                .rate()
                .wait(bucket.reading(), cap.until, cost - cap.left);
            (cap.until - now_ns).saturating_add(rest)
        }
        _ => bucket.wait(now_ns, cost),
    }
}

/// What the upstream says is left of its window, put over a bucket: at once, and, where more would
/// flow in before the window ends than is left, as a cap until then.
pub(crate) fn lower(
    bucket: &Bucket,
    cap: &mut Option<Cap>,
    now_ns: u64,
    left: u64,
    until: Option<u64>,
) {
    bucket.at_most(now_ns, left);
    let Some(until) = until.filter(|until| *until > now_ns) else {
        return;
    };
    let flows = bucket.rate().inflow(until - now_ns);
    let comes = (bucket.available(now_ns) as u64).saturating_add(flows);
    let known = cap.filter(|cap| now_ns < cap.until);
    // What was said before may have been said of another window, and lasts: the tighter holds.
    if left < comes && known.is_none_or(|known| left < known.left || until > known.until) {
        let left = known.map_or(left, |known| left.min(known.left));
        *cap = Some(Cap { left, until });
    }
}

/// Takes so many tokens that what flows in within `ease_ns` makes up for them: a throttle of
/// seconds does not cost a bucket that fills in hours what it has.
pub(crate) fn empty(bucket: &Bucket, until: u64, ease_ns: u64) {
    let rate = bucket.rate();
    bucket.at_most(until, rate.burst().saturating_sub(rate.inflow(ease_ns)));
}

impl Limiter {
    /// Puts back what was taken at `taken_at` and not used.
    pub(crate) fn give_back(&self, now_ns: u64, costs: &Costs, taken_at: u64) {
        let mut inner = self.lock();
        if inner.meters.is_empty() {
            self.bucket.refund(costs.get(0).into());
            if let Some(cap) = &mut inner.cap
                && taken_at < cap.until
            {
                cap.left = cap.left.saturating_add(costs.get(0).into());
            }
        }
        for (index, meter) in inner.meters.iter_mut().enumerate() {
            if costs.get(index) > 0 {
                meter.give_back(now_ns, costs.get(index).into(), taken_at);
            }
        }
        let next = inner.queue.call_next();
        drop(inner);
        wake(Some((None, next)));
    }

    /// Corrects an estimate: takes or puts back the difference at every limit that counts `unit`.
    pub(crate) fn settle(&self, now_ns: u64, unit: Unit, taken: u64, really: u64, taken_at: u64) {
        let mut inner = self.lock();
        for index in 0..self.units.len() {
            if self.units[index] != unit {
                continue;
            }
            match inner.meters.get_mut(index) {
                Some(meter) if really > taken => meter.take(now_ns, really - taken),
                Some(meter) => meter.give_back(now_ns, taken - really, taken_at),
                None if really > taken => self.bucket.debit(now_ns, really - taken),
                None => self.bucket.refund(taken - really),
            }
        }
        let next = inner.queue.call_next();
        drop(inner);
        wake(Some((None, next)));
    }

    /// Takes what the upstream says for true where it is less than what is known here.
    pub(crate) fn apply_signal(&self, now_ns: u64, said: &ServerLimit) {
        let until = said
            .resets_in
            .map(|resets| now_ns.saturating_add(ns(resets)));
        let mut inner = self.lock();
        let Some(index) = meant(&inner.config, said) else {
            return;
        };
        // Where the height is not said, it is that of the settings.
        let height = inner.config.limits()[index].count().into();
        let unused = |used: u64| said.limit.unwrap_or(height).saturating_sub(used);
        let Some(left) = said.remaining.or(said.used.map(unused)) else {
            return;
        };
        if let Some(meter) = inner.meters.get_mut(index) {
            meter.lower_to(now_ns, left, until);
        } else {
            self.set(CAREFUL);
            lower(&self.bucket, &mut inner.cap, now_ns, left, until);
            self.relax(&mut inner, now_ns);
        }
    }

    /// Grants nothing for so long, and lets what comes then come over as long again: what a throttle
    /// asks for. A pause that lasts longer already stays.
    pub(crate) fn hush(&self, now_ns: u64, for_ns: u64) {
        let until = now_ns.saturating_add(for_ns);
        let mut inner = self.lock();
        self.set(PAUSED);
        inner.paused_until = inner.paused_until.max(until.min(OPEN_END - 1));
        self.empty_until(&mut inner, until, for_ns);
    }

    fn empty_until(&self, inner: &mut Inner, until: u64, ease_ns: u64) {
        if inner.meters.is_empty() {
            empty(&self.bucket, until, ease_ns);
        }
        for meter in &mut inner.meters {
            meter.empty_until(until, ease_ns);
        }
    }
}

/// Which of the limits an upstream means: of those that count the same, the one with the window or
/// the height that it names, or else the shortest that does not end before the time that it names.
fn meant(config: &RateLimitConfig, said: &ServerLimit) -> Option<usize> {
    let limits = config.limits();
    let has = |unit: Unit| limits.iter().any(|limit| limit.unit() == unit);
    let unit = match said.unit {
        // A request that costs 1 is counted as a request.
        Unit::Requests if !has(Unit::Requests) => Unit::Cost,
        Unit::Cost if !has(Unit::Cost) => Unit::Requests,
        unit => unit,
    };
    let of_unit = |limit: &Limit| limit.unit() == unit;
    let of_window = |limit: &Limit| said.window.is_none_or(|window| limit.per() == window);
    let of_height = |limit: &Limit| said.limit == Some(limit.count().into());
    let by_height = said.window.is_none() && limits.iter().any(|l| of_unit(l) && of_height(l));
    let may_be = |(_, limit): &(usize, &Limit)| {
        of_unit(limit) && of_window(limit) && (!by_height || of_height(limit))
    };
    let resets = said.resets_in.unwrap_or_default();
    let found = || limits.iter().enumerate().filter(may_be);
    let fits = found().filter(|(_, limit)| limit.per() >= resets);
    let shortest = fits.min_by_key(|(_, limit)| limit.per());
    let longest = || found().max_by_key(|(_, limit)| limit.per());
    shortest.or_else(longest).map(|(index, _)| index)
}

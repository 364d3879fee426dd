//! Corrections of what was granted, once it is known what was used.

use seawall_core::Unit;

use super::{Inner, Limiter};
use crate::bounds::{Applied, Debt};
use crate::costs::Granted;

impl Limiter {
    /// Gives back what was granted and not used.
    pub(crate) fn give_back(&self, now_ns: u64, granted: Granted) {
        self.change(now_ns, |limiter, inner| {
            for index in 0..limiter.units.len() {
                limiter.correct(inner, now_ns, index, granted, 0);
            }
        });
    }

    /// Replaces the estimates of a call by what it really used, at every limit that counts one of
    /// the units.
    pub(crate) fn correct_usage(
        &self,
        now_ns: u64,
        granted: Granted,
        used: &[(Unit, u64)],
    ) -> Applied {
        let mut applied = Applied::default();
        let amount_of = |unit: Unit| used.iter().find(|(of, _)| *of == unit);
        if self.units.iter().all(|unit| amount_of(*unit).is_none()) {
            return applied;
        }
        self.change(now_ns, |limiter, inner| {
            for (index, unit) in limiter.units.iter().enumerate() {
                if let Some((_, amount)) = amount_of(*unit) {
                    let cut = limiter.correct(inner, now_ns, index, granted, *amount);
                    applied = applied.and(cut);
                }
            }
        });
        applied
    }

    /// Takes or gives back the difference, of what counts of the time at which it was granted.
    fn correct(
        &self,
        inner: &mut Inner,
        now_ns: u64,
        index: usize,
        granted: Granted,
        used: u64,
    ) -> Applied {
        let mut applied = Applied::default();
        let debt = Debt::of(&inner.config, index);
        let (estimate, at) = (u64::from(granted.costs.get(index)), granted.at_ns);
        let start = self.start(inner, now_ns);
        let rate = self.rate_of(inner, index);
        let flowed = rate.map_or(0, |rate| {
            inner.earlier_rates.flowed(index, rate, now_ns, at)
        });
        let Inner { meters, caps, .. } = inner;
        let (meter, mut caps) = (meters.get_mut(index), caps.get_mut(index));
        match used.checked_sub(estimate) {
            Some(0) => {}
            Some(more) => {
                let more = debt.bound(more, &mut applied);
                match meter {
                    Some(meter) => {
                        meter.debit(start, more, at);
                        meter.owe_at_most(now_ns, debt.longest_ns);
                    }
                    None => {
                        self.bucket.settle(now_ns, start.pause);
                        self.bucket.debit(now_ns, more);
                        self.bucket.owe_at_most(now_ns, debt.longest_ns);
                    }
                }
                if let Some(caps) = &mut caps {
                    caps.take(now_ns, rate, more, at);
                }
            }
            None => {
                let less = estimate - used;
                match meter {
                    Some(meter) => meter.give_back(now_ns, less, at, flowed),
                    None => self.bucket.refund(less, flowed),
                }
                if let Some(caps) = &mut caps {
                    caps.give_back(rate, less, at, flowed);
                }
            }
        }
        applied
    }
}

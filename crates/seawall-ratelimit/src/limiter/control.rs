//! What is changed and read from outside.

use std::sync::atomic::Ordering;
use std::time::Duration;

use seawall_core::{InvalidConfig, ns};

use super::{
    BYPASS, CAPPED, DRAINING, Inner, Limiter, PAUSED, RESERVES, SEVERAL, SHADOW, reserved,
};
use crate::bucket::Rate;
use crate::config::RateLimitConfig;
use crate::limit::{Limit, MAX_LIMITS, QuotaFile};
use crate::meter::WallClock;
use crate::pause::Pause;
use crate::rates::EarlierRates;
use crate::snapshot::LimitSnapshot;

impl Limiter {
    /// Grants nothing until [`resume`](Self::resume).
    pub(crate) fn pause(&self) {
        let mut inner = self.lock();
        self.set(PAUSED);
        self.unset(BYPASS);
        inner.pause = Pause::UNTIL_RESUMED;
        inner.pause_holds_in_bypass = true;
    }

    /// All keys are bypassed: the pause of this one does not hold until that ends, or until it is
    /// paused once more.
    pub(crate) fn bypass_pause(&self, now_ns: u64) {
        self.change(now_ns, |_, inner| inner.pause_holds_in_bypass = false);
    }

    /// Rejects new calls until [`resume`](Self::resume); those queued are served.
    pub(crate) fn drain(&self) {
        let _inner = self.lock();
        self.set(DRAINING);
        self.unset(BYPASS);
    }

    /// Ends commands, pauses and what the upstream has reported; what was used stays used.
    pub(crate) fn resume(&self, now_ns: u64) {
        self.change(now_ns, Self::resume_locked);
    }

    /// [`resume`](Self::resume), and lets every call pass as in shadow mode.
    pub(crate) fn bypass(&self, now_ns: u64) {
        self.change(now_ns, |limiter, inner| {
            limiter.resume_locked(inner);
            limiter.set(BYPASS);
        });
    }

    fn resume_locked(&self, inner: &mut Inner) {
        inner.pause = Pause::NONE;
        inner.caps.clear();
        self.unset(PAUSED | DRAINING | CAPPED | BYPASS);
    }

    /// [`resume`](Self::resume), and the shadow mode of the settings.
    pub(crate) fn reset(&self, now_ns: u64) {
        self.resume(now_ns);
        self.set_shadow(now_ns, self.config().shadow());
    }

    /// Fills buckets and strict limits; the counts of windows and days stay.
    pub(crate) fn refill(&self, now_ns: u64) {
        self.change(now_ns, |limiter, inner| {
            if inner.meters.is_empty() {
                limiter.bucket.reset(now_ns);
            }
            for meter in &mut inner.meters {
                meter.refill(now_ns);
            }
            inner.earlier_rates.forget(now_ns);
        });
        self.resume(now_ns);
    }

    pub(crate) fn set_shadow(&self, now_ns: u64, on: bool) {
        self.change(now_ns, |limiter, _| {
            limiter.unset(BYPASS);
            limiter.flag(SHADOW, on);
        });
    }

    /// Sets the time for limits that count by the wall clock.
    pub(crate) fn set_wall_clock(&self, now_ns: u64, wall: WallClock) {
        self.change(now_ns, |_, inner| {
            for meter in &mut inner.meters {
                meter.set_wall_clock(now_ns, wall);
            }
        });
    }

    /// Changes the settings; what was used stays used.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when there are more or fewer limits than before, or limits of other kinds
    /// or units.
    pub(crate) fn configure(
        &self,
        now_ns: u64,
        config: RateLimitConfig,
    ) -> Result<(), InvalidConfig> {
        self.change(now_ns, |limiter, inner| {
            limiter.configure_locked(inner, now_ns, config)
        })
    }

    fn configure_locked(
        &self,
        inner: &mut Inner,
        now_ns: u64,
        config: RateLimitConfig,
    ) -> Result<(), InvalidConfig> {
        inner.config.check_shape(&config)?;
        let single = config.limits().first().filter(|_| self.is_single());
        let rate = single.and_then(Limit::rate);
        for (index, limit) in config.limits().iter().enumerate() {
            let old = self.rate_of(inner, index);
            let (Some(old), Some(new)) = (old, limit.rate()) else {
                continue;
            };
            if old != new {
                inner.earlier_rates.add(now_ns, index, old);
            }
            if let Some(caps) = inner.caps.get_mut(index) {
                caps.carry(now_ns, old, new);
            }
        }
        if let Some(rate) = rate.filter(|rate| *rate != self.bucket.rate()) {
            self.bucket.set(now_ns, rate);
        }
        for (meter, limit) in inner.meters.iter_mut().zip(config.limits()) {
            meter.set(now_ns, limit);
        }
        let max_wait = ns(config.max_wait());
        self.max_wait_ns.store(max_wait, Ordering::Relaxed);
        let max_waiting = config.max_waiting();
        self.max_waiting.store(max_waiting, Ordering::Relaxed);
        self.flag(SHADOW, config.shadow());
        let config = config.with_reserved_share_of(&inner.config);
        let burst = inner.meters.is_empty().then(|| self.bucket.rate().burst());
        inner.reserved = reserved(&config, &inner.meters, burst);
        self.flag(RESERVES, inner.reserved.is_some());
        self.recount_delays(inner);
        inner.config = config;
        Ok(())
    }

    /// Something has changed outside: waiters may go by now.
    pub(crate) fn wake(&self, now_ns: u64) {
        self.change(now_ns, |_, _| {});
    }

    fn flag(&self, flag: u64, on: bool) {
        if on {
            self.set(flag);
        } else {
            self.unset(flag);
        }
    }

    /// How often the files of its limits could not be written.
    pub(crate) fn write_errors(&self) -> u64 {
        let inner = self.lock();
        let files = inner.config.limits().iter().filter_map(Limit::file);
        files.map(QuotaFile::write_errors).sum()
    }

    /// The settings in force.
    pub(crate) fn config(&self) -> RateLimitConfig {
        self.lock().config.clone()
    }

    /// What is there now of each limit, at most its capacity.
    pub(crate) fn available(&self, now_ns: u64) -> [f64; MAX_LIMITS] {
        let mut all = [0.0; MAX_LIMITS];
        let inner = &mut *self.lock_at(now_ns);
        let start = self.start(inner, now_ns);
        if now_ns < start.at {
            return all;
        }
        if inner.meters.is_empty() {
            all[0] = self.bucket.available(start);
        }
        for (index, meter) in inner.meters.iter_mut().enumerate() {
            all[index] = meter.available(start);
        }
        for (index, caps) in inner.caps.iter().enumerate() {
            if let Some(left) = caps.left(now_ns, self.rate_of(inner, index)) {
                all[index] = all[index].min(left);
            }
        }
        all
    }

    /// Each limit with what is left of it, as many as there are.
    pub(crate) fn snapshots(&self, now_ns: u64) -> Vec<LimitSnapshot> {
        let available = self.available(now_ns);
        let inner = &mut *self.lock_at(now_ns);
        let start = self.start(inner, now_ns);
        let reported = inner.reported.as_deref().copied().unwrap_or_default();
        let limits = inner.config.limits().to_vec().into_iter().enumerate();
        let snapshot = |(index, limit): (usize, Limit)| {
            let (capacity, full_ns) = match inner.meters.get_mut(index) {
                Some(meter) => (meter.capacity(), meter.full_in(start)),
                None => {
                    let burst = self.bucket.rate().burst();
                    (burst, self.bucket.wait(start, burst))
                }
            };
            let reserved = inner.reserved.as_deref();
            LimitSnapshot {
                limit,
                reserved: reserved.map_or(0, |all| all.get(index)),
                available: available[index],
                capacity,
                full_in: (full_ns != u64::MAX).then_some(Duration::from_nanos(full_ns)),
                reported: reported[index].map(|last| last.at(now_ns)),
            }
        };
        limits.map(snapshot).collect()
    }

    /// What is there now of the limit that has the least.
    pub(crate) fn min_available(&self, now_ns: u64) -> f64 {
        let all = self.available(now_ns);
        let all = all[..self.units.len()].iter().copied();
        all.fold(f64::INFINITY, f64::min)
    }

    /// Which share is there now of the limit that has the smallest, from 0 to 1.
    pub(crate) fn share_left(&self, now_ns: u64) -> f64 {
        if self.is_shadow() {
            return 1.0;
        }
        let all = self.available(now_ns);
        let inner = self.lock();
        let capacity = |index: usize| match inner.meters.get(index) {
            Some(meter) => meter.capacity(),
            None => self.bucket.rate().burst(),
        };
        let shares = all.iter().take(self.units.len()).enumerate();
        let shares = shares.map(|(index, left)| left / capacity(index).max(1) as f64);
        shares.fold(1.0, f64::min).max(0.0)
    }

    /// When the pause ends, `u64::MAX` until it is resumed; `None` when there is none.
    pub(crate) fn paused_until(&self, now_ns: u64) -> Option<u64> {
        let until = self.pause_in_force(&self.lock()).until();
        (now_ns < until).then_some(until)
    }

    pub(crate) fn is_draining(&self) -> bool {
        let all = self.all_keys.as_ref();
        self.has(DRAINING) || all.is_some_and(|all| all.is_draining())
    }

    /// Whether calls pass that a limit would reject.
    pub(crate) fn is_shadow(&self) -> bool {
        self.has(SHADOW) || self.is_bypassed()
    }

    /// Whether it is switched off by an operator.
    pub(crate) fn is_bypassed(&self) -> bool {
        let all = self.all_keys.as_ref();
        self.has(BYPASS) || all.is_some_and(|all| all.is_bypass())
    }

    /// Whether it is like a new one: nothing is used, queued or reported.
    pub(crate) fn is_idle(&self, now_ns: u64) -> bool {
        let mut inner = self.lock_at(now_ns);
        if self.has(!(SEVERAL | SHADOW | RESERVES)) || !inner.queue.is_empty() {
            return false;
        }
        if inner.meters.is_empty() {
            return Rate::is_full(self.bucket.word(), now_ns);
        }
        inner.meters.iter_mut().all(|meter| meter.is_unused(now_ns))
    }

    /// The word of a single bucket whose limiter is like a new one otherwise, if it had these rates.
    pub(crate) fn plain_word(&self, rates: &EarlierRates) -> Option<u64> {
        let inner = self.lock();
        let plain = !self.has(!SHADOW) && inner.queue.is_empty() && inner.earlier_rates == *rates;
        plain.then(|| self.bucket.word())
    }
}

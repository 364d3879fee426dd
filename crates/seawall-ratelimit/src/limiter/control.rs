//! What is changed and read from outside.

use std::sync::atomic::Ordering;

use seawall_core::{InvalidConfig, ns};

use super::line::wake;
use super::{CAREFUL, DRAINING, Limiter, MANY, OPEN_END, PAUSED, SHADOW};
use crate::RateLimitConfig;
use crate::bucket::Rate;
use crate::config::MAX_LIMITS;
use crate::meter::WallClock;

impl Limiter {
    /// Grants nothing until [`resume`](Self::resume).
    pub(crate) fn pause(&self) {
        let mut inner = self.lock();
        self.set(PAUSED);
        inner.paused_until = OPEN_END;
    }

    /// Accepts nobody new until [`resume`](Self::resume); those in line are served.
    pub(crate) fn drain(&self) {
        let _inner = self.lock();
        self.set(DRAINING);
    }

    /// Ends pauses and what the upstream has said; what was used stays used.
    pub(crate) fn resume(&self) {
        let mut inner = self.lock();
        inner.paused_until = 0;
        inner.cap = None;
        self.unset(PAUSED | DRAINING | CAREFUL);
        let next = inner.queue.call_next();
        drop(inner);
        wake(Some((None, next)));
    }

    /// Fills every bucket and forgets what strict limits have seen; the counts of windows and days
    /// stay.
    pub(crate) fn refill(&self, now_ns: u64) {
        let mut inner = self.lock();
        if inner.meters.is_empty() {
            self.bucket.reset(now_ns);
        }
        for meter in &mut inner.meters {
            meter.refill(now_ns);
        }
        drop(inner);
        self.resume();
    }

    pub(crate) fn watch_only(&self, on: bool) {
        let mut inner = self.lock();
        if on {
            self.set(SHADOW);
        } else {
            self.unset(SHADOW);
        }
        let next = inner.queue.call_next();
        drop(inner);
        wake(Some((None, next)));
    }

    /// Changes the settings; what was used stays used.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] when there are more or fewer limits than before, or limits of other
    /// kinds or units: calls in line have been told their costs by those.
    pub(crate) fn configure(
        &self,
        now_ns: u64,
        config: RateLimitConfig,
    ) -> Result<(), InvalidConfig> {
        let mut inner = self.lock();
        inner.config.same_shape(&config)?;
        let rate = config.limits()[0].rate().filter(|_| self.is_single());
        if let Some(rate) = rate.filter(|rate| *rate != self.bucket.rate()) {
            self.bucket.set(now_ns, rate);
        }
        for (meter, limit) in inner.meters.iter_mut().zip(config.limits()) {
            meter.set(now_ns, limit);
        }
        self.max_wait_ns
            .store(ns(config.max_wait()), Ordering::Relaxed);
        self.max_waiting
            .store(config.max_waiting(), Ordering::Relaxed);
        if config.shadow() {
            self.set(SHADOW);
        } else {
            self.unset(SHADOW);
        }
        self.recount(&mut inner);
        inner.config = config;
        // Everybody's time may have changed.
        let all = inner.queue.call_all();
        drop(inner);
        for waker in all {
            waker.wake();
        }
        Ok(())
    }

    /// Tells the limits that count by the clock of the wall what time it is.
    pub(crate) fn set_wall_clock(&self, now_ns: u64, wall: WallClock) {
        let mut inner = self.lock();
        for meter in &mut inner.meters {
            meter.set_wall_clock(now_ns, wall);
        }
        let next = inner.queue.call_next();
        drop(inner);
        wake(Some((None, next)));
    }

    /// The settings in force.
    pub(crate) fn config(&self) -> RateLimitConfig {
        self.lock().config.clone()
    }

    /// For each limit what is there now, at most its capacity.
    pub(crate) fn available(&self, now_ns: u64) -> [f64; MAX_LIMITS] {
        let mut all = [0.0; MAX_LIMITS];
        let mut inner = self.lock();
        if inner.meters.is_empty() {
            all[0] = self.bucket.available(now_ns);
            if let Some(cap) = inner.cap.filter(|cap| now_ns < cap.until) {
                all[0] = all[0].min(cap.left as f64);
            }
        }
        for (index, meter) in inner.meters.iter_mut().enumerate() {
            all[index] = meter.available(now_ns);
        }
        if now_ns < inner.paused_until {
            all = [0.0; MAX_LIMITS];
        }
        all
    }

    /// What is there of the limit that has least.
    pub(crate) fn least_available(&self, now_ns: u64) -> f64 {
        let all = self.available(now_ns);
        let all = all[..self.units.len()].iter().copied();
        all.fold(f64::INFINITY, f64::min)
    }

    /// When the pause ends, `u64::MAX` when nobody knows; `None` when there is none.
    pub(crate) fn paused_until(&self, now_ns: u64) -> Option<u64> {
        let until = self.lock().paused_until;
        (now_ns < until).then_some(until)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.gate.load(Ordering::Relaxed) & DRAINING != 0
    }

    pub(crate) fn is_shadow(&self) -> bool {
        self.gate.load(Ordering::Relaxed) & SHADOW != 0
    }

    /// How many wait, those who stand aside included.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn max_wait_ns(&self) -> u64 {
        self.max_wait_ns.load(Ordering::Relaxed)
    }

    /// Whether nobody would miss it: nothing is used, nobody waits, and nobody has said anything.
    pub(crate) fn is_idle(&self, now_ns: u64) -> bool {
        if self.gate.load(Ordering::Relaxed) & !(MANY | SHADOW) != 0 || self.waiting() != 0 {
            return false;
        }
        let mut inner = self.lock();
        if inner.meters.is_empty() {
            return Rate::is_full(self.bucket.reading(), now_ns);
        }
        inner.meters.iter_mut().all(|meter| meter.is_unused(now_ns))
    }

    /// The word of a single bucket whose limiter is like a new one otherwise.
    pub(crate) fn plain_word(&self) -> Option<u64> {
        let plain = self.gate.load(Ordering::Relaxed) & !SHADOW == 0 && self.waiting() == 0;
        plain.then(|| self.bucket.reading())
    }
}

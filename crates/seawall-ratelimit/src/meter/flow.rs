//! A bucket as one of several limits.

use crate::bucket::{Bucket, Rate};
use crate::cap::{self, Cap};

/// A bucket, and what the upstream has reported about it.
#[derive(Debug)]
pub(crate) struct Flow {
    bucket: Bucket,
    cap: Option<Cap>,
}

impl Flow {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            bucket: Bucket::new(rate),
            cap: None,
        }
    }

    pub(super) fn rate(&self) -> Rate {
        self.bucket.rate()
    }

    pub(super) fn capacity(&self) -> u64 {
        self.rate().burst()
    }

    pub(super) fn wait(&self, now: u64, cost: u64) -> u64 {
        cap::wait(&self.bucket, self.cap, now, cost)
    }

    pub(super) fn take(&mut self, now: u64, cost: u64) {
        self.bucket.debit(now, cost);
        if let Some(cap) = &mut self.cap {
            cap.take(cost);
        }
    }

    pub(super) fn give_back(&mut self, _now: u64, cost: u64, taken_at: u64) {
        self.bucket.refund(cost);
        if let Some(cap) = &mut self.cap {
            cap.give_back(cost, taken_at);
        }
    }

    pub(super) fn lower_to(&mut self, now: u64, left: u64, until: Option<u64>) {
        cap::lower(&self.bucket, &mut self.cap, now, left, until);
    }

    pub(super) fn empty_until(&self, at: u64, ease_ns: u64) {
        cap::empty(&self.bucket, at, ease_ns);
    }

    pub(super) fn set(&self, now: u64, rate: Rate) {
        self.bucket.set(now, rate);
    }

    pub(super) fn forget_signals(&mut self) {
        self.cap = None;
    }

    pub(super) fn refill(&self, now: u64) {
        self.bucket.reset(now);
    }

    pub(super) fn available(&self, now: u64) -> f64 {
        cap::available(&self.bucket, self.cap, now)
    }

    pub(super) fn is_unused(&self, now: u64) -> bool {
        let capped = self.cap.is_some_and(|cap| now < cap.until);
        !capped && Rate::is_full(self.bucket.word(), now)
    }
}

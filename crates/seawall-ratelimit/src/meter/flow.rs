//! A bucket as one of several limits.

use crate::bucket::{Bucket, Rate};
use crate::pause::Start;

/// A bucket as one of several limits.
#[derive(Debug)]
pub(crate) struct Flow {
    bucket: Bucket,
}

impl Flow {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            bucket: Bucket::new(rate),
        }
    }

    pub(super) fn rate(&self) -> Rate {
        self.bucket.rate()
    }

    pub(super) fn capacity(&self) -> u64 {
        self.rate().burst()
    }

    pub(super) fn wait(&self, start: Start, cost: u64) -> u64 {
        self.bucket.wait(start, cost)
    }

    pub(super) fn take(&self, start: Start, cost: u64) {
        self.bucket.settle(start.now, start.pause);
        self.bucket.debit(start.now, cost);
    }

    pub(super) fn owe_at_most(&self, now: u64, longest_ns: u64) {
        self.bucket.owe_at_most(now, longest_ns);
    }

    pub(super) fn give_back(&self, cost: u64, flowed: u64) {
        self.bucket.refund(cost, flowed);
    }

    pub(super) fn set(&self, now: u64, rate: Rate) {
        self.bucket.set(now, rate);
    }

    pub(super) fn refill(&self, now: u64) {
        self.bucket.reset(now);
    }

    pub(super) fn available(&self, start: Start) -> f64 {
        self.bucket.available(start)
    }

    pub(super) fn is_unused(&self, now: u64) -> bool {
        Rate::is_full(self.bucket.word(), now)
    }
}

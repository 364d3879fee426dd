//! What an upstream has reported of one limit: that no more than so much is left of a window of its own.
//!
//! Reports are kept beside the limit and are not written into it, each until its window ends. So one
//! about a second does not end one about an hour, and all of them can be forgotten.

mod windows;

use self::windows::Windows;
use crate::bucket::Rate;
use crate::pause::Start;

/// The caps of one limit.
#[derive(Debug, Default)]
pub(crate) struct Caps {
    windows: Windows,
    /// Of a bucket whose upstream reported no end: the word of the bucket as it is reported, and
    /// when it was.
    bucket: Option<(u64, u64)>,
}

impl Caps {
    pub(crate) fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.bucket.is_none()
    }

    /// Forgets windows that have ended.
    pub(crate) fn prune(&mut self, now: u64) {
        self.windows.prune(now);
        self.bucket.take_if(|(word, _)| Rate::is_full(*word, now));
    }

    /// No more than `left` until then.
    pub(crate) fn report(&mut self, now: u64, left: u64, until: u64) {
        self.windows.report(now, left, until);
    }

    /// A bucket has no more than `left`, and fills from there.
    pub(crate) fn report_bucket(&mut self, now: u64, rate: Rate, left: u64) {
        let word = self.bucket.map_or(0, |(word, _)| word);
        self.bucket = Some((rate.at_most(word, now, left), now));
    }

    /// What is taken at `taken_at` counts in every window that was reported before.
    pub(crate) fn take(&mut self, now: u64, rate: Option<Rate>, cost: u64, taken_at: u64) {
        self.windows.take(cost, taken_at);
        if let (Some((word, at)), Some(rate)) = (&mut self.bucket, rate)
            && taken_at >= *at
        {
            *word = rate.debit(*word, now, cost);
        }
    }

    /// What was taken after a report and not used is left again; what was taken before is part of
    /// the report, and does not come back.
    pub(crate) fn give_back(&mut self, rate: Option<Rate>, cost: u64, taken_at: u64, flowed: u64) {
        self.windows.give_back(cost, taken_at);
        if let (Some((word, at)), Some(rate)) = (&mut self.bucket, rate)
            && taken_at > *at
        {
            *word = rate.refund(*word, cost, flowed);
        }
    }

    /// The rate of the bucket has changed.
    pub(crate) fn carry(&mut self, now: u64, from: Rate, to: Rate) {
        if let Some((word, _)) = &mut self.bucket {
            *word = from.carry(*word, now, to);
        }
    }

    /// How much may depart now; `None` where nothing was reported.
    pub(crate) fn left(&self, now: u64, rate: Option<Rate>) -> Option<f64> {
        let windows = self.windows.holding(now).map(|(left, _)| left as f64);
        let bucket = self.bucket.zip(rate);
        let bucket = bucket.map(|((word, _), rate)| rate.available(word, now));
        windows.chain(bucket).reduce(f64::min)
    }

    /// In how many nanoseconds the last of several costs departs, `sum` in all with `cost` for the last,
    /// where the limit itself grants a sum after `limit(start, sum)`.
    ///
    /// Exact for one call, and for several that cost one each; a lower bound for others.
    pub(crate) fn wait(
        &self,
        start: Start,
        rate: Option<Rate>,
        (sum, cost): (u64, u64),
        mut limit: impl FnMut(Start, u64) -> u64,
    ) -> u64 {
        let mut wait = limit(start, sum);
        if let (Some((word, _)), Some(rate)) = (self.bucket, rate) {
            wait = wait.max(rate.wait(word, start, sum));
        }
        let windows = self.windows.holding(start.at);
        for (left, until) in windows.filter(|(left, _)| sum > *left) {
            // What departs before the end of the window departs whole.
            let before = left.min(sum - cost);
            wait = wait.max(limit(start.not_before(until), sum - before));
        }
        wait
    }
}

//! What an upstream has reported of one limit: that no more than so much is left of a window of its own.
//!
//! Reports are kept beside the limit and are not written into it, each until its window ends. So one
//! about a second does not end one about an hour, and all of them can be forgotten.

use crate::bucket::Rate;
use crate::pause::Start;

/// Ends that differ by no more than this are those of one window: resets are reported in whole
/// seconds, rounded up.
const TOLERANCE_NS: u64 = 1_000_000_000;

/// So many windows are kept; more are merged, on the safe side.
const MAX_WINDOWS: usize = 4;

/// No more than this until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cap {
    left: u64,
    until: u64,
    /// When it was reported: what was taken before is part of the report.
    at: u64,
}

/// The caps of one limit.
#[derive(Debug, Default)]
pub(crate) struct Caps {
    /// By their ends; a later one has more left.
    windows: Vec<Cap>,
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
        self.windows.retain(|cap| now < cap.until);
        self.bucket.take_if(|(word, _)| Rate::is_full(*word, now));
    }

    /// No more than `left` until then.
    pub(crate) fn report(&mut self, now: u64, left: u64, until: u64) {
        self.prune(now);
        if until <= now {
            return;
        }
        // Windows are longer than this, so two of them are told apart.
        let tolerance = TOLERANCE_NS.min((until - now) / 4);
        let same = |cap: &Cap| cap.until.abs_diff(until) <= tolerance;
        let known: Vec<Cap> = self.windows.iter().copied().filter(same).collect();
        self.windows.retain(|cap| !same(cap));
        // Within one window nothing comes back: calls in flight are missing in the report.
        let cap = known.iter().fold(
            Cap {
                left,
                until,
                at: now,
            },
            |cap, known| Cap {
                left: cap.left.min(known.left),
                until: cap.until.max(known.until),
                at: now,
            },
        );
        let implied = |by: &Cap, cap: &Cap| by.until >= cap.until && by.left <= cap.left;
        if self.windows.iter().any(|known| implied(known, &cap)) {
            return;
        }
        self.windows.retain(|known| !implied(&cap, known));
        let place = self
            .windows
            .partition_point(|known| known.until < cap.until);
        self.windows.insert(place, cap);
        if self.windows.len() > MAX_WINDOWS {
            // As few as in the shorter one, for as long as the longer one.
            let shortest = self.windows.remove(0);
            self.windows[0].left = shortest.left;
        }
    }

    /// A bucket has no more than `left`, and fills from there.
    pub(crate) fn report_bucket(&mut self, now: u64, rate: Rate, left: u64) {
        let word = self.bucket.map_or(0, |(word, _)| word);
        self.bucket = Some((rate.at_most(word, now, left), now));
    }

    /// What is taken at `taken_at` counts in every window that was reported before.
    pub(crate) fn take(&mut self, now: u64, rate: Option<Rate>, cost: u64, taken_at: u64) {
        for cap in self.windows.iter_mut().filter(|cap| taken_at >= cap.at) {
            cap.left = cap.left.saturating_sub(cost);
        }
        if let (Some((word, at)), Some(rate)) = (&mut self.bucket, rate)
            && taken_at >= *at
        {
            *word = rate.debit(*word, now, cost);
        }
    }

    /// What was taken after a report and not used is left again; what was taken before is part of
    /// the report, and does not come back.
    pub(crate) fn give_back(&mut self, rate: Option<Rate>, cost: u64, taken_at: u64) {
        for cap in self.windows.iter_mut().filter(|cap| taken_at > cap.at) {
            cap.left = cap.left.saturating_add(cost);
        }
        if let (Some((word, at)), Some(rate)) = (&mut self.bucket, rate)
            && taken_at > *at
        {
            *word = rate.refund(*word, cost);
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
        let windows = self.windows.iter().filter(|cap| now < cap.until);
        let windows = windows.map(|cap| cap.left as f64);
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
        let windows = self.windows.iter().filter(|cap| start.at < cap.until);
        for cap in windows.filter(|cap| sum > cap.left) {
            // What departs before the end of the window departs whole.
            let before = cap.left.min(sum - cost);
            wait = wait.max(limit(start.not_before(cap.until), sum - before));
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(caps: &Caps, now: u64) -> Option<f64> {
        caps.left(now, None)
    }

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn each_window_is_kept_until_it_ends() {
        let mut caps = Caps::default();
        caps.report(0, 10, 3_600 * SECOND);
        caps.report(0, 9, SECOND);
        assert_eq!(left(&caps, 0), Some(9.0));
        assert_eq!(left(&caps, SECOND), Some(10.0));
        assert_eq!(left(&caps, 3_600 * SECOND), None);
        // The new window of the upstream has begun before the old one was thought to end.
        let mut caps = Caps::default();
        caps.report(0, 3, 20 * SECOND);
        caps.report(19 * SECOND, 59, 79 * SECOND);
        assert_eq!(left(&caps, 19 * SECOND), Some(3.0));
        assert_eq!(left(&caps, 20 * SECOND), Some(59.0));
    }

    #[test]
    fn within_a_window_nothing_comes_back() {
        let mut caps = Caps::default();
        caps.report(0, 5, 60 * SECOND);
        caps.report(SECOND, 7, 60 * SECOND + SECOND / 2);
        assert_eq!(left(&caps, SECOND), Some(5.0));
        caps.take(SECOND, None, 2, SECOND);
        assert_eq!(left(&caps, SECOND), Some(3.0));
        caps.give_back(None, 2, SECOND - 1);
        assert_eq!(left(&caps, SECOND), Some(3.0), "part of the report");
        caps.give_back(None, 2, SECOND + 1);
        assert_eq!(left(&caps, SECOND), Some(5.0));
        assert_eq!(caps.windows.len(), 1);
    }

    #[test]
    fn windows_are_few_and_merged_on_the_safe_side() {
        let mut caps = Caps::default();
        for n in 1..20 {
            caps.report(0, n, n * 60 * SECOND);
        }
        assert_eq!(caps.windows.len(), MAX_WINDOWS);
        for n in 1..20 {
            assert!(left(&caps, n * 60 * SECOND - 1) <= Some(n as f64));
        }
        caps.report(0, 0, 3_600 * SECOND);
        assert_eq!(caps.windows.len(), 1, "it implies all others");
    }
}

//! What is reported of each window of an upstream.
//!
//! A report covers everything that departed before it, so a later refund of that does not raise it;
//! departures after it are taken from it. Of each window two are kept: the newest, and the tightest
//! of the others. The newest alone would not do, since it may leave out calls that were in flight.
//!
//! Some upstreams report when the limit is full again instead of when a window ends. That moves on with
//! every call, and so does what is left: there the older report is forgotten.

/// How many windows are kept. Providers report two or three: by the second, the minute, the day.
const KEPT: usize = 4;

/// Resets are reported in whole seconds, so the ends of one window differ by that much.
const TOLERANCE: u64 = 1_000_000_000;

/// So much is left, of what was not taken before `at`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Report {
    /// Below zero by what was used beyond: a refund fills that first.
    left: i64,
    at: u64,
}

impl Report {
    const fn take(&mut self, cost: u64, taken_at: u64) {
        if taken_at >= self.at {
            self.left = self.left.saturating_sub_unsigned(cost);
        }
    }

    const fn give_back(&mut self, cost: u64, taken_at: u64) {
        if taken_at > self.at {
            self.left = self.left.saturating_add_unsigned(cost);
        }
    }
}

/// What is reported of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Window {
    /// When it ends; 0 for none.
    until: u64,
    /// The end that was reported first, and the last one.
    ends: (u64, u64),
    /// The longest time to its end that was reported: it has at least that length.
    length: u64,
    newest: Report,
    tightest: Report,
}

impl Window {
    const fn new(until: u64, length: u64, report: Report) -> Self {
        Self {
            until,
            ends: (until, until),
            length,
            newest: report,
            tightest: report,
        }
    }

    fn left(&self) -> u64 {
        let left = self.newest.left.min(self.tightest.left);
        u64::try_from(left).unwrap_or(0)
    }

    /// Another report of it.
    fn update(&mut self, until: u64, length: u64, report: Report, tolerance: u64) {
        // One that comes earlier is no sign of that, and what was reported first holds to its end.
        let moves = until > self.ends.0.saturating_add(tolerance);
        if moves || self.newest.left < self.tightest.left {
            self.tightest = self.newest;
        }
        if moves {
            (self.until, self.ends.0, self.length) = (until, until, length);
        }
        self.until = self.until.max(until);
        self.ends.1 = until;
        self.length = self.length.max(length);
        self.newest = report;
    }

    /// Whether a report of a later window shows that this one is over, although its end was thought
    /// to be up to a second away.
    const fn is_over(&self, now: u64, until: u64, left: i64) -> bool {
        // One result may report several windows; those have the same reading.
        self.newest.at < now
            && self.length > 2 * TOLERANCE
            && self.until.saturating_sub(now) <= TOLERANCE
            && left > self.newest.left
            && until > self.until.saturating_add(TOLERANCE)
            && (until - now).saturating_add(TOLERANCE) >= self.length
    }
}

/// What is reported of all windows of an upstream that one limit stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Windows([Window; KEPT]);

impl Windows {
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|window| window.until == 0)
    }

    /// Forgets windows that have ended.
    pub(super) fn prune(&mut self, now: u64) {
        self.forget(|window| window.until <= now);
    }

    fn forget(&mut self, which: impl Fn(&Window) -> bool) {
        let windows = self.0.iter_mut().filter(|window| which(window));
        windows.for_each(|window| *window = Window::default());
    }

    /// The upstream reports that so much is left until then.
    pub(super) fn report(&mut self, now: u64, left: u64, until: u64) {
        self.prune(now);
        if until <= now {
            return;
        }
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        self.forget(|window| window.is_over(now, until, left));
        let length = until - now;
        let tolerance = TOLERANCE.min(length / 4);
        let report = Report { left, at: now };
        let mut windows = self.0.iter_mut();
        let same =
            |window: &&mut Window| window.until > 0 && window.ends.1.abs_diff(until) <= tolerance;
        if let Some(window) = windows.find(same) {
            return window.update(until, length, report, tolerance);
        }
        let free = match self.0.iter().position(|window| window.until == 0) {
            Some(free) => free,
            None => self.merge(),
        };
        self.0[free] = Window::new(until, length, report);
    }

    /// Makes one of the two windows whose ends are closest, with the newest report of each, and
    /// returns the place of the other.
    fn merge(&mut self) -> usize {
        self.0.sort_unstable_by_key(|window| window.until);
        let gap = |at: &usize| self.0[at + 1].until - self.0[*at].until;
        let at = (0..KEPT - 1).min_by_key(gap).unwrap_or(0);
        let earlier = self.0[at];
        let later = &mut self.0[at + 1];
        if earlier.newest.left < later.tightest.left {
            later.tightest = earlier.newest;
        }
        at
    }

    /// A departure of then, or what it used more than estimated.
    pub(super) fn take(&mut self, cost: u64, taken_at: u64) {
        for window in &mut self.0 {
            window.newest.take(cost, taken_at);
            window.tightest.take(cost, taken_at);
        }
    }

    /// What a departure of then did not use.
    pub(super) fn give_back(&mut self, cost: u64, taken_at: u64) {
        for window in &mut self.0 {
            window.newest.give_back(cost, taken_at);
            window.tightest.give_back(cost, taken_at);
        }
    }

    /// How much is left, and until when, for each window that has not ended then.
    pub(super) fn holding(&self, at: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let holding = self.0.iter().filter(move |window| at < window.until);
        holding.map(|window| (window.left(), window.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn windows(reports: &[(u64, u64, u64)]) -> Windows {
        let mut windows = Windows::default();
        for (now, left, until) in reports {
            windows.report(*now, *left, *until);
        }
        windows
    }

    fn left(windows: &Windows, at: u64) -> Option<u64> {
        windows.holding(at).map(|(left, _)| left).min()
    }

    #[test]
    fn each_window_is_kept_until_it_ends() {
        let both = windows(&[(0, 10, 3_600 * SECOND), (0, 9, SECOND)]);
        assert_eq!(left(&both, 0), Some(9));
        assert_eq!(left(&both, SECOND), Some(10));
        assert_eq!(left(&both, 3_600 * SECOND), None);
    }

    #[test]
    fn a_report_of_the_next_window_ends_the_one_before_within_a_second_of_its_end() {
        let early = windows(&[(0, 3, 20 * SECOND), (19 * SECOND + 1, 59, 79 * SECOND)]);
        assert_eq!(left(&early, 19 * SECOND + 1), Some(59));
        // Two seconds are no rounding.
        let other = windows(&[(0, 3, 20 * SECOND), (18 * SECOND, 59, 78 * SECOND)]);
        assert_eq!(left(&other, 18 * SECOND), Some(3));
        // Two windows of one result.
        let both = windows(&[(0, 3, SECOND), (0, 59, 60 * SECOND)]);
        assert_eq!(left(&both, 0), Some(3));
    }

    #[test]
    fn of_one_window_the_tighter_report_holds() {
        let mut windows = windows(&[(0, 50, 60 * SECOND), (SECOND, 20, 60 * SECOND)]);
        windows.report(2 * SECOND, 45, 60 * SECOND + SECOND / 2);
        assert_eq!(left(&windows, 2 * SECOND), Some(20));
        windows.take(5, 2 * SECOND);
        assert_eq!(left(&windows, 2 * SECOND), Some(15));
        // What departed after the tightest one and before the newest.
        windows.give_back(4, SECOND + 1);
        assert_eq!(left(&windows, 2 * SECOND), Some(19));
        windows.give_back(4, SECOND);
        assert_eq!(left(&windows, 2 * SECOND), Some(19), "part of the report");
    }

    #[test]
    fn an_end_that_comes_earlier_does_not_forget_the_first_report() {
        const MS: u64 = SECOND / 1_000;
        let first = [(0, 1, 1_414 * MS), (164 * MS, 4, 1_172 * MS)];
        let mut windows = windows(&first);
        windows.report(164 * MS, 6, 1_127 * MS);
        windows.report(165 * MS, 8, 900 * MS);
        assert_eq!(left(&windows, 1_413 * MS), Some(1));
        assert_eq!(left(&windows, 1_414 * MS), None);
    }

    /// By when a limit is full again: the end moves on with every call, and more is left again.
    #[test]
    fn an_end_that_moves_all_the_time_does_not_keep_the_fewest_that_were_ever_left() {
        for step in [SECOND / 10, SECOND / 2, 3 * SECOND] {
            let mut windows = Windows::default();
            for n in 0..1_000 {
                let now = n * step;
                windows.report(now, 100, now + 30 * SECOND);
                assert!(left(&windows, now) >= Some(50), "{n}: {windows:?}");
                windows.take(1, now);
            }
        }
    }

    #[test]
    fn windows_are_few() {
        let mut many = Windows::default();
        for n in 1..=20 {
            many.report(n, n, n * 1_000 * SECOND);
            assert_eq!(
                left(&many, n),
                Some(n.min(1)).filter(|_| n < 2).or(left(&many, n))
            );
        }
        assert_eq!(many.holding(20).count(), KEPT);
        assert!(left(&many, 19_999 * SECOND) <= Some(20));
    }
}

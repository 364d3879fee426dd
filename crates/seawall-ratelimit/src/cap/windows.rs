//! What is reported of each window of an upstream.
//!
//! A report covers everything that departed before it, so a later refund of that does not raise it;
//! departures after it are taken from it. It holds until its own end. Of each window two are kept: the
//! newest, and the tightest of the others. The newest alone would not do, since it may leave out calls
//! that were in flight.
//!
//! Some upstreams report when the limit is full again instead of when a window ends. That moves on with
//! every call, and so does what is left: there a report is forgotten once a later one ends so much after
//! it that rounding cannot be the reason, and the last two reports count.

use std::cmp::Reverse;

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
    /// When its window ends; 0 for none.
    end: u64,
    /// Until when it holds: also for those that it has replaced.
    until: u64,
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
    /// The longest time to its end that was reported: it has at least that length.
    length: u64,
    newest: Report,
    tightest: Report,
}

impl Window {
    const fn new(length: u64, report: Report) -> Self {
        Self {
            length,
            newest: report,
            tightest: report,
        }
    }

    fn until(&self) -> u64 {
        self.newest.until.max(self.tightest.until)
    }

    fn is_unused(&self) -> bool {
        self.until() == 0
    }

    /// Another report of it.
    fn update(&mut self, length: u64, report: Report, tolerance: u64) {
        // What was reported in whole seconds was rounded.
        let is_rounded = length.is_multiple_of(TOLERANCE);
        let rounding = if is_rounded { TOLERANCE } else { tolerance };
        let (before, until) = (self.newest, self.until());
        // One that comes earlier is no sign of that.
        let moves = report.end > self.tightest.end.saturating_add(rounding);
        // Of equal ones, that with the later end holds longer.
        let rank = |report: &Report| (report.left, Reverse(report.end));
        if moves || rank(&before) < rank(&self.tightest) {
            self.tightest = before;
        }
        if !moves {
            self.tightest.until = until;
        }
        self.length = self.length.max(length);
        self.newest = report;
    }

    /// Whether a report of a later window shows that this one is over, although its end was thought
    /// to be up to a second away.
    fn is_over(&self, now: u64, until: u64, left: i64) -> bool {
        // One result may report several windows; those have the same reading.
        self.newest.at < now
            && self.length > 2 * TOLERANCE
            && self.until().saturating_sub(now) <= TOLERANCE
            && left > self.newest.left
            && until > self.until().saturating_add(TOLERANCE)
            && (until - now).saturating_add(TOLERANCE) >= self.length
    }
}

/// What is reported of all windows of an upstream that one limit stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Windows([Window; KEPT]);

impl Windows {
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Window::is_unused)
    }

    /// Forgets windows that have ended.
    pub(super) fn prune(&mut self, now: u64) {
        self.forget(|window| window.until() <= now);
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
        let length = until - now;
        let tolerance = TOLERANCE.min(length / 4);
        let report = Report {
            left,
            at: now,
            end: until,
            until,
        };
        let same = |window: &&mut Window| {
            !window.is_unused() && window.newest.end.abs_diff(until) <= tolerance
        };
        if let Some(window) = self.0.iter_mut().find(same) {
            return window.update(length, report, tolerance);
        }
        self.forget(|window| window.is_over(now, until, left));
        let free = match self.0.iter().position(Window::is_unused) {
            Some(free) => free,
            None => self.merge(),
        };
        self.0[free] = Window::new(length, report);
    }

    /// Makes one of the two windows whose ends are closest, with the newest report of each, and
    /// returns the place of the other.
    fn merge(&mut self) -> usize {
        self.0.sort_unstable_by_key(Window::until);
        let gap = |at: &usize| self.0[at + 1].until() - self.0[*at].until();
        let at = (0..KEPT - 1).min_by_key(gap).unwrap_or(0);
        let earlier = self.0[at];
        let later = &mut self.0[at + 1];
        if earlier.newest.left < later.tightest.left {
            let (end, until) = (later.newest.end, later.until());
            later.tightest = Report {
                end,
                until,
                ..earlier.newest
            };
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

    /// How much is left, and until when, by each report that holds then.
    pub(super) fn holding(&self, at: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let reports = self.0.iter().flat_map(|of| [of.newest, of.tightest]);
        let holding = reports.filter(move |report| at < report.until);
        holding.map(|report| (u64::try_from(report.left).unwrap_or(0), report.until))
    }
}

#[cfg(test)]
mod tests;

//! A count per calendar day of a time zone.
//!
//! Days are numbered, and the numbers only grow: when the wall clock is set back, what was used of
//! the day that was reached stays used, and the next count comes with the day after it.

use super::wall_clock::{Reported, WallClock};
use crate::limit::{DailyReset, QuotaFile};

/// The longest day: when clocks are set back.
const MAX_DAY_NS: u64 = 25 * 3600 * 1_000_000_000;

/// A limit per calendar day.
#[derive(Clone, Debug)]
pub(crate) struct Daily {
    count: u64,
    reset: DailyReset,
    wall: WallClock,
    day: i64,
    /// When the day after this one begins, by the wall clock.
    end: Option<i128>,
    usage: Usage,
    /// When this day was reached, in readings.
    began: u64,
    /// Nothing is granted before.
    closed_until: u64,
    reported: Option<Reported>,
}

/// Where the usage of the day is kept.
#[derive(Clone, Debug)]
enum Usage {
    Memory(u64),
    File(QuotaFile),
}

impl Daily {
    /// At most `count` per day, of which `already_used` is used today, or what the file has, if that
    /// is more.
    pub(crate) fn new(
        count: u32,
        reset: DailyReset,
        already_used: u32,
        file: Option<QuotaFile>,
        wall: WallClock,
        now: u64,
    ) -> Self {
        let day = reset.day(wall.unix_ns(now));
        let mut daily = Self {
            count: count.max(1).into(),
            end: reset.begin(day.saturating_add(1)),
            reset,
            wall,
            day,
            usage: file.map_or(Usage::Memory(0), Usage::File),
            began: now,
            closed_until: 0,
            reported: None,
        };
        daily.enter(day, now);
        if daily.day == day {
            let known = daily.used_today();
            daily.use_up(u64::from(already_used).saturating_sub(known));
        }
        daily
    }

    /// The most that one call may cost.
    pub(crate) const fn capacity(&self) -> u64 {
        self.count
    }

    /// Nanoseconds from `now` until the last of several costs, `cost` in sum, is granted. Up to
    /// the capacity the sum counts as one cost, above as costs of one; for both it is exact.
    pub(crate) fn wait(&mut self, now: u64, cost: u64) -> u64 {
        self.advance(now);
        if cost == 0 {
            return 0;
        }
        let start = now.max(self.closed_until);
        let end = if cost <= self.count {
            self.first(start, cost)
        } else {
            self.last(start, cost)
        };
        match end {
            u64::MAX => u64::MAX,
            end => end - now,
        }
    }

    /// The first instant from `start` that grants this cost.
    fn first(&self, start: u64, cost: u64) -> u64 {
        let mut at = start;
        // A report ends within two days, and the day after that is unused.
        for _ in 0..6 {
            let (day, left) = self.left(at);
            if self.reported_at(at).map_or(left, |r| left.min(r.left)) >= cost {
                return at;
            }
            at = self.next(day, at);
        }
        u64::MAX
    }

    /// When the last of so many costs of one is granted.
    fn last(&self, start: u64, cost: u64) -> u64 {
        let (mut at, mut left) = (start, cost);
        let mut reported_left = self.reported.map_or(0, |reported| reported.left);
        // The last day, and how much was granted on it.
        let mut granted = (self.day, 0);
        loop {
            let (day, left_today) = self.left(at);
            if day != granted.0 {
                granted = (day, 0);
            }
            let left_today = left_today.saturating_sub(granted.1);
            if self.reported_at(at).is_none() {
                let Some(more) = left.checked_sub(left_today).filter(|more| *more > 0) else {
                    return at;
                };
                let days = i64::try_from(more.div_ceil(self.count)).unwrap_or(i64::MAX);
                return self.begin(day.saturating_add(days)).max(at);
            }
            let units = left_today.min(reported_left).min(left);
            reported_left -= units;
            left -= units;
            granted.1 += units;
            if left == 0 {
                return at;
            }
            at = self.next(day, at);
        }
    }

    fn reported_at(&self, at: u64) -> Option<Reported> {
        self.reported.filter(|reported| at < reported.until)
    }

    /// The first reading after this day, or after what the upstream reported.
    fn next(&self, day: i64, at: u64) -> u64 {
        let end = self.begin(day.saturating_add(1)).max(at.saturating_add(1));
        self.reported_at(at)
            .map_or(end, |reported| end.min(reported.until))
    }

    /// Takes `cost` now, whether it is there or not. What is taken over the count is owed until
    /// the end of the day.
    pub(crate) fn take(&mut self, now: u64, cost: u64) {
        self.advance(now);
        self.use_up(cost);
        if let Some(reported) = &mut self.reported {
            reported.take(cost);
        }
    }

    /// Gives back what was taken at `taken_at` and not used, if that was on this day.
    pub(crate) fn give_back(&mut self, now: u64, cost: u64, taken_at: u64) {
        self.advance(now);
        if let Some(reported) = &mut self.reported {
            reported.give_back(cost, taken_at);
        }
        // Numbers only grow: what was taken since this day was reached counts on it.
        if taken_at < self.began {
            return;
        }
        match &mut self.usage {
            Usage::Memory(used) => *used = used.saturating_sub(cost),
            Usage::File(file) => file.give_back(cost),
        }
    }

    /// How much is there now; below zero by what is owed.
    pub(crate) fn available(&self, now: u64) -> f64 {
        let left = self.count as f64 - self.used(now) as f64;
        let reported = self.reported_at(now).map(|reported| reported.left as f64);
        if now < self.closed_until {
            left.min(0.0)
        } else {
            reported.map_or(left, |reported| left.min(reported))
        }
    }

    /// How much of the current day is used.
    pub(crate) fn used(&self, now: u64) -> u64 {
        match self.day_at(now) {
            later if later > self.day => 0,
            _ => self.used_today(),
        }
    }

    /// The upstream reports that so much is left until its reset. Where more is left here, no more
    /// is granted until then, but at most for the longest day; without a time, until the end of
    /// this day. A time that has passed has no effect.
    pub(crate) fn lower_to(&mut self, now: u64, remaining: u64, resets_at: Option<u64>) {
        self.advance(now);
        let (day, left) = self.left(now);
        let until = match resets_at {
            Some(at) => at.min(now.saturating_add(MAX_DAY_NS)),
            None => self.begin(day.saturating_add(1)),
        };
        if left > remaining && until > now {
            self.reported = Some(Reported::tightened(self.reported, now, remaining, until));
        }
    }

    /// Grants nothing before `at`.
    pub(crate) fn empty_until(&mut self, at: u64, _ease_ns: u64) {
        self.closed_until = self.closed_until.max(at);
    }

    /// Changes the limit. What is used of today stays used, also when the day now begins at another
    /// time.
    pub(crate) fn set(&mut self, now: u64, count: u32, reset: DailyReset) {
        self.advance(now);
        self.count = count.max(1).into();
        if reset != self.reset {
            self.reset = reset;
            self.end = self.reset.begin(self.day.saturating_add(1));
            self.advance(now);
        }
    }

    /// Forgets what the upstream reported. What is used of the day stays used: the upstream does
    /// not forget it.
    pub(crate) fn forget_signals(&mut self) {
        self.closed_until = 0;
        self.reported = None;
    }

    /// Whether it is like a new one.
    pub(crate) fn is_unused(&self, now: u64) -> bool {
        self.used(now) == 0
            && now >= self.closed_until
            && self.reported.is_none_or(|r| now >= r.until)
    }

    /// The clock on the wall was read again.
    pub(crate) fn set_wall_clock(&mut self, now: u64, wall: WallClock) {
        self.advance(now);
        self.wall = wall;
        self.advance(now);
    }

    fn advance(&mut self, now: u64) {
        self.enter(self.day_at(now), now);
        if self.reported.is_some_and(|r| now >= r.until) {
            self.reported = None;
        }
    }

    fn enter(&mut self, day: i64, now: u64) {
        // The file may have a later day.
        let day = match &mut self.usage {
            Usage::Memory(used) => {
                if day > self.day {
                    *used = 0;
                }
                day
            }
            Usage::File(file) => file.enter(day),
        };
        if day > self.day {
            self.day = day;
            self.end = self.reset.begin(day.saturating_add(1));
            self.began = now;
        }
    }

    /// The day of a reading; the current one costs no calendar computation.
    fn day_at(&self, at: u64) -> i64 {
        let unix_ns = self.wall.unix_ns(at);
        match self.end {
            Some(end) if unix_ns < end => self.day,
            None => self.day,
            Some(_) => self.reset.day(unix_ns).max(self.day),
        }
    }

    /// The day of a reading, and what is left of its count.
    fn left(&self, at: u64) -> (i64, u64) {
        match self.day_at(at) {
            later if later > self.day => (later, self.count),
            day => (day, self.count.saturating_sub(self.used_today())),
        }
    }

    fn begin(&self, day: i64) -> u64 {
        let begin = self.reset.begin(day);
        begin.map_or(u64::MAX, |begin| self.wall.reading(begin))
    }

    fn used_today(&self) -> u64 {
        match &self.usage {
            Usage::Memory(used) => *used,
            Usage::File(file) => file.used(),
        }
    }

    fn use_up(&mut self, cost: u64) {
        match &mut self.usage {
            Usage::Memory(used) => *used = used.saturating_add(cost),
            Usage::File(file) if cost > 0 => file.take(cost, self.count),
            Usage::File(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;

//! A count per calendar day of a time zone.
//!
//! Days are numbered, and the numbers only grow: when the wall clock is set back, what was used of
//! the day that was reached stays used, and the next count comes with the day after it.

use super::wall_clock::WallClock;
use crate::limit::{DailyReset, QuotaFile};
use crate::pause::Start;

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

    /// Nanoseconds from now until the last of several costs, `cost` in sum, is granted, from `start`
    /// on. Up to the capacity the sum counts as one cost, above as costs of one; for both it is exact.
    pub(crate) fn wait(&mut self, start: Start, cost: u64) -> u64 {
        self.advance(start.now);
        if cost == 0 {
            return 0;
        }
        match self.last(start.at, cost) {
            u64::MAX => u64::MAX,
            end => end - start.now,
        }
    }

    /// The first instant from `start` at which so much in sum has been granted.
    fn last(&self, start: u64, cost: u64) -> u64 {
        let (day, left) = self.left(start);
        let Some(more) = cost.checked_sub(left).filter(|more| *more > 0) else {
            return start;
        };
        // What one call costs is granted whole: on the next day, also where a part of it is left.
        let days = match cost <= self.count {
            true => 1,
            false => i64::try_from(more.div_ceil(self.count)).unwrap_or(i64::MAX),
        };
        self.begin(day.saturating_add(days)).max(start)
    }

    /// Takes `cost` now, whether it is there or not. What is taken over the count is owed until
    /// the end of the day.
    pub(crate) fn take(&mut self, now: u64, cost: u64) {
        self.advance(now);
        self.use_up(cost);
    }

    /// Takes what a departure at `taken_at` used more than estimated, if that was on this day.
    pub(crate) fn debit(&mut self, now: u64, cost: u64, taken_at: u64) {
        self.advance(now);
        if taken_at >= self.began {
            self.use_up(cost);
        }
    }

    /// Gives back what was taken at `taken_at` and not used, if that was on this day.
    pub(crate) fn give_back(&mut self, now: u64, cost: u64, taken_at: u64) {
        self.advance(now);
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
        self.count as f64 - self.used(now) as f64
    }

    /// How much of the current day is used.
    pub(crate) fn used(&self, now: u64) -> u64 {
        match self.day_at(now) {
            later if later > self.day => 0,
            _ => self.used_today(),
        }
    }

    /// When this day ends.
    pub(crate) fn renewed_at(&mut self, now: u64) -> u64 {
        self.advance(now);
        self.begin(self.day_at(now).saturating_add(1))
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

    /// Whether it is like a new one.
    pub(crate) fn is_unused(&self, now: u64) -> bool {
        self.used(now) == 0
    }

    /// The clock on the wall was read again.
    pub(crate) fn set_wall_clock(&mut self, now: u64, wall: WallClock) {
        self.advance(now);
        self.wall = wall;
        self.advance(now);
    }

    fn advance(&mut self, now: u64) {
        self.enter(self.day_at(now), now);
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

//! A count per calendar day of a time zone.
//!
//! Days are numbered. When the wall clock is set back to an earlier one, the day that was reached lasts
//! until it would have ended, by the running clock, and then it goes on by the wall clock. A clock that
//! is set forward begins another day, but only once within 24 hours, and that does not end before the
//! day that was left would have: it lasts to the midnight after. So each time that the clock is set
//! grants one count more at most, and nothing stops for longer than two days since it was set.

use super::wall_clock::{Carried, WallClock};
use crate::limit::{DailyReset, QuotaFile};
use crate::pause::Start;

/// For so long the clock begins only one day by being set.
const DAY_NS: u64 = 24 * 3_600 * 1_000_000_000;

/// Ends that differ by no more are the same.
const SAME_NS: u64 = 1_000_000_000;

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
    /// The wall clock after this day.
    carried: Option<Carried>,
    /// Before, setting the clock begins no day.
    next_jump_at: u64,
}

/// Where the usage of the day is kept.
#[derive(Clone, Debug)]
enum Usage {
    Memory(u64),
    File(QuotaFile),
}

impl Usage {
    /// The day to start with: today, or that of the file, if it is later.
    fn open(&self, today: i64) -> i64 {
        match self {
            Self::File(file) if file.day() >= today => file.day(),
            Self::File(file) => {
                file.begin(today);
                today
            }
            Self::Memory(_) => today,
        }
    }
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
        let today = reset.day(wall.unix_ns(now));
        let usage = file.map_or(Usage::Memory(0), Usage::File);
        let day = usage.open(today);
        let mut daily = Self {
            count: count.max(1).into(),
            end: reset.begin(day.saturating_add(1)),
            reset,
            wall,
            day,
            usage,
            began: now,
            carried: None,
            next_jump_at: 0,
        };
        if day > today {
            // A clock was wrong, then or now: what was used counts until the end of today.
            let until = daily.begin(today.saturating_add(1));
            daily.carried = Some(Carried { until, wall });
        }
        let known = daily.used_today();
        daily.use_up(u64::from(already_used).saturating_sub(known));
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
        self.end_after(day, days).max(start)
    }

    /// When so many days have ended, from this one on.
    fn end_after(&self, day: i64, days: i64) -> u64 {
        match self.carried {
            Some(carried) => {
                let more = u64::try_from(days - 1).unwrap_or_default();
                carried.until.saturating_add(more.saturating_mul(DAY_NS))
            }
            None => self.begin(day.saturating_add(days)),
        }
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
        self.end_after(self.day_at(now), 1)
    }

    /// Changes the limit. What is used of today stays used, also when the day now begins at another
    /// time.
    pub(crate) fn set(&mut self, now: u64, count: u32, reset: DailyReset) {
        self.advance(now);
        self.count = count.max(1).into();
        if reset != self.reset {
            if let Some(carried) = self.carried.take() {
                self.wall = carried.wall;
                self.day = reset.day(self.wall.unix_ns(now));
            }
            self.reset = reset;
            self.end = self.reset.begin(self.day.saturating_add(1));
            self.advance(now);
        }
    }

    /// Whether it is like a new one.
    pub(crate) fn is_unused(&self, now: u64) -> bool {
        self.used(now) == 0
    }

    /// The wall clock was read again.
    pub(crate) fn set_wall_clock(&mut self, now: u64, wall: WallClock) {
        self.advance(now);
        let day = self.reset.day(wall.unix_ns(now));
        let is_later = day > self.day;
        if day < self.day || (is_later && now < self.next_jump_at) {
            let until = self.end_after(self.day, 1).min(now.saturating_add(DAY_NS));
            self.carried = Some(Carried { until, wall });
            return;
        }
        let (before, end_before) = (self.carried, self.end_after(self.day, 1));
        (self.wall, self.carried) = (wall, None);
        if is_later {
            // A day of which nothing was used costs nothing.
            let is_jump = self.used_today() > 0;
            self.begin_day(day, now);
            if is_jump {
                self.next_jump_at = now.saturating_add(DAY_NS);
                // Its end would begin a second day before the one that was left is over.
                if self.end_after(day, 1).saturating_add(SAME_NS) < end_before {
                    let until = self.begin(day.saturating_add(2));
                    self.carried = Some(Carried { until, wall });
                }
            }
        } else if now < self.next_jump_at
            && let Some(carried) = before
        {
            let until = carried.until.max(self.end_after(day, 1));
            self.carried = Some(Carried { until, wall });
        }
    }

    /// Goes by the wall clock now, where a day of an earlier one goes on.
    pub(crate) fn refill(&mut self, now: u64) {
        self.advance(now);
        if let Some(carried) = &mut self.carried {
            carried.until = now;
            self.advance(now);
        }
    }

    fn advance(&mut self, now: u64) {
        if let Some(carried) = self.carried.filter(|carried| carried.is_over(now)) {
            self.end_carried(now, carried);
        }
        let day = self.day_at(now);
        if day > self.day {
            self.begin_day(day, now);
        }
    }

    /// The day of an earlier wall clock is over.
    fn end_carried(&mut self, now: u64, carried: Carried) {
        // A day that a jump has begun, and that has lasted long enough.
        let was_jump = self.began.saturating_add(DAY_NS) == self.next_jump_at;
        (self.wall, self.carried) = (carried.wall, None);
        let day = self.reset.day(self.wall.unix_ns(carried.until));
        // The rest of the same day, where the clock was set back by less than half of it.
        let rest = self
            .begin(day.saturating_add(1))
            .saturating_sub(carried.until);
        if day != self.day || rest >= DAY_NS / 2 || was_jump {
            self.begin_day(day, now);
        }
    }

    fn begin_day(&mut self, day: i64, now: u64) {
        match &mut self.usage {
            Usage::Memory(used) => *used = 0,
            Usage::File(file) => file.begin(day),
        }
        self.day = day;
        self.end = self.reset.begin(day.saturating_add(1));
        self.began = now;
    }

    /// The day of a reading; the current one costs no calendar computation.
    fn day_at(&self, at: u64) -> i64 {
        if let Some(carried) = self.carried {
            return self.day.saturating_add(i64::from(carried.is_over(at)));
        }
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
            Usage::File(file) if cost > 0 => {
                // A failure is counted by the file.
                file.take(cost, self.count);
            }
            Usage::File(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;

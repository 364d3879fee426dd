//! A count per calendar day of a time zone.
//!
//! Days are numbered and the numbers only grow: when the clock on the wall is set back, what was
//! used of the day that was reached stays used, and the next count comes with the day after it.

use super::midnight::DailyReset;
use super::quota_file::QuotaFile;
use super::wall::{WallClock, WallReading};

/// The longest day: when clocks are set back.
const LONGEST: u64 = 25 * 3600 * 1_000_000_000;

/// A limit per calendar day.
#[derive(Clone, Debug)]
pub(crate) struct Daily {
    count: u64,
    midnight: DailyReset,
    wall: WallClock,
    day: i64,
    /// When the day after this one begins, on the wall.
    end: Option<i128>,
    book: Book,
    /// When this day was reached, in readings.
    began: u64,
    /// Nothing is granted before.
    shut: u64,
    said: Option<WallReading>,
}

/// Where it is noted what is used of the day.
#[derive(Clone, Debug)]
enum Book {
    Here(u64),
    File(QuotaFile),
}

impl Daily {
    /// At most `count` per day, of which `spent` is used already today, and with a file, what is
    /// used according to that, if it is more.
    pub(crate) fn new(
        count: u32,
        midnight: DailyReset,
        spent: u32,
        file: Option<QuotaFile>,
        wall: WallClock,
        now: u64,
    ) -> Self {
        let day = midnight.day(wall.unix_ns(now));
        let mut daily = Self {
            count: count.max(1).into(),
            end: midnight.begin(day.saturating_add(1)),
            midnight,
            wall,
            day,
            book: file.map_or(Book::Here(0), Book::File),
            began: now,
            shut: 0,
            said: None,
        };
        daily.enter(day, now);
        if daily.day == day {
            let known = daily.noted();
            daily.note(u64::from(spent).saturating_sub(known));
        }
        daily
    }

    /// The most that one call may cost.
    pub(crate) const fn capacity(&self) -> u64 {
        self.count
    }

    /// Nanoseconds from `now` until the last of several costs, `cost` in sum, is granted. Up to
    /// the capacity the sum is taken for one cost, above for ones; for each it is exact.
    pub(crate) fn wait(&mut self, now: u64, cost: u64) -> u64 {
        self.advance(now);
        if cost == 0 {
            return 0;
        }
        let start = now.max(self.shut);
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
        // What the upstream said ends within a day or two, and the day after that is empty.
        for _ in 0..6 {
            let (day, room) = self.room(at);
            if self.said_at(at).map_or(room, |said| room.min(said.left)) >= cost {
                return at;
            }
            at = self.next(day, at);
        }
        u64::MAX
    }

    /// When the last of so many ones is granted.
    fn last(&self, start: u64, cost: u64) -> u64 {
        let (mut at, mut left) = (start, cost);
        let mut said_left = self.said.map_or(0, |said| said.left);
        // On which day how much was granted last.
        let mut granted = (self.day, 0);
        loop {
            let (day, room) = self.room(at);
            if day != granted.0 {
                granted = (day, 0);
            }
            let room = room.saturating_sub(granted.1);
            if self.said_at(at).is_none() {
                let Some(more) = left.checked_sub(room).filter(|more| *more > 0) else {
                    return at;
                };
                let days = i64::try_from(more.div_ceil(self.count)).unwrap_or(i64::MAX);
                return self.begin(day.saturating_add(days)).max(at);
            }
            let units = room.min(said_left).min(left);
            said_left -= units;
            left -= units;
            granted.1 += units;
            if left == 0 {
                return at;
            }
            at = self.next(day, at);
        }
    }

    fn said_at(&self, at: u64) -> Option<WallReading> {
        self.said.filter(|said| at < said.until)
    }

    /// The first reading after this day, or after what the upstream said.
    fn next(&self, day: i64, at: u64) -> u64 {
        let end = self.begin(day.saturating_add(1)).max(at.saturating_add(1));
        self.said_at(at).map_or(end, |said| end.min(said.until))
    }

    /// Takes `cost` now, whether it is there or not. What is taken over the count is owed to the
    /// end of the day.
    pub(crate) fn take(&mut self, now: u64, cost: u64) {
        self.advance(now);
        self.note(cost);
        if let Some(said) = &mut self.said {
            said.take(cost);
        }
    }

    /// Puts back what was taken at `taken_at` and did not depart, when that was on this day.
    pub(crate) fn give_back(&mut self, now: u64, cost: u64, taken_at: u64) {
        self.advance(now);
        if let Some(said) = &mut self.said {
            said.give_back(cost, taken_at);
        }
        // Numbers only grow: what was taken since this day was reached was noted on it.
        if taken_at < self.began {
            return;
        }
        match &mut self.book {
            Book::Here(used) => *used = used.saturating_sub(cost),
            Book::File(file) => file.give_back(cost),
        }
    }

    /// How much is there now; below zero by what is owed.
    pub(crate) fn available(&self, now: u64) -> f64 {
        let there = self.count as f64 - self.used(now) as f64;
        let said = self.said_at(now).map(|said| said.left as f64);
        if now < self.shut {
            there.min(0.0)
        } else {
            said.map_or(there, |left| there.min(left))
        }
    }

    /// How much of the day of now is used.
    pub(crate) fn used(&self, now: u64) -> u64 {
        match self.day_at(now) {
            later if later > self.day => 0,
            _ => self.noted(),
        }
    }

    /// The upstream says that so much is left, until it starts anew. Where more is left here, no
    /// more is granted until then, but at most for the longest day; when it says no time, to the
    /// end of this one. A time that has passed says nothing.
    pub(crate) fn lower_to(&mut self, now: u64, remaining: u64, resets_at: Option<u64>) {
        self.advance(now);
        let (day, room) = self.room(now);
        let until = match resets_at {
            Some(at) => at.min(now.saturating_add(LONGEST)),
            None => self.begin(day.saturating_add(1)),
        };
        if room > remaining && until > now {
            self.said = Some(WallReading::heard(self.said, now, remaining, until));
        }
    }

    /// Grants nothing before `at`.
    pub(crate) fn empty_until(&mut self, at: u64) {
        self.shut = self.shut.max(at);
    }

    /// Changes the limit. What is used of today stays used; so it does when the day begins at
    /// another time than before.
    pub(crate) fn set(&mut self, now: u64, count: u32, midnight: DailyReset) {
        self.advance(now);
        self.count = count.max(1).into();
        if midnight != self.midnight {
            self.midnight = midnight;
            self.end = self.midnight.begin(self.day.saturating_add(1));
            self.advance(now);
        }
    }

    /// Forgets what the upstream said. What is used of the day stays used: the upstream does not
    /// forget it.
    pub(crate) fn refill(&mut self, _now: u64) {
        self.shut = 0;
        self.said = None;
    }

    /// Whether it is like a new one.
    pub(crate) fn is_unused(&self, now: u64) -> bool {
        self.used(now) == 0 && now >= self.shut && self.said.is_none_or(|said| now >= said.until)
    }

    /// The clock on the wall was read anew.
    pub(crate) fn set_wall_clock(&mut self, now: u64, wall: WallClock) {
        self.advance(now);
        self.wall = wall;
        self.advance(now);
    }

    fn advance(&mut self, now: u64) {
        self.enter(self.day_at(now), now);
        if self.said.is_some_and(|said| now >= said.until) {
            self.said = None;
        }
    }

    fn enter(&mut self, day: i64, now: u64) {
        // A file may know of a later day.
        let day = match &mut self.book {
            Book::Here(used) => {
                if day > self.day {
                    *used = 0;
                }
                day
            }
            Book::File(file) => file.enter(day),
        };
        if day > self.day {
            self.day = day;
            self.end = self.midnight.begin(day.saturating_add(1));
            self.began = now;
        }
    }

    /// The day of a reading; the present one costs no look at the calendar.
    fn day_at(&self, at: u64) -> i64 {
        let unix_ns = self.wall.unix_ns(at);
        match self.end {
            Some(end) if unix_ns < end => self.day,
            None => self.day,
            Some(_) => self.midnight.day(unix_ns).max(self.day),
        }
    }

    /// The day of a reading, and what is left of its count.
    fn room(&self, at: u64) -> (i64, u64) {
        match self.day_at(at) {
            later if later > self.day => (later, self.count),
            day => (day, self.count.saturating_sub(self.noted())),
        }
    }

    fn begin(&self, day: i64) -> u64 {
        let begin = self.midnight.begin(day);
        begin.map_or(u64::MAX, |begin| self.wall.reading(begin))
    }

    fn noted(&self) -> u64 {
        match &self.book {
            Book::Here(used) => *used,
            Book::File(file) => file.used(),
        }
    }

    fn note(&mut self, cost: u64) {
        match &mut self.book {
            Book::Here(used) => *used = used.saturating_add(cost),
            Book::File(file) if cost > 0 => file.take(cost, self.count),
            Book::File(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;

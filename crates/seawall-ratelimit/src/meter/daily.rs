//! A count per calendar day of a time zone.
//!
//! Days are numbered and the numbers only grow: when the clock on the wall is set back, what was
//! used of the day that was reached stays used, and the next count comes with the day after it.

use super::midnight::Midnight;
use super::quota_file::QuotaFile;
use super::wall::{Said, WallClock};

/// The longest day: when clocks are set back.
const LONGEST: u64 = 25 * 3600 * 1_000_000_000;

/// A limit per calendar day.
#[derive(Clone, Debug)]
pub(crate) struct Daily {
    count: u64,
    midnight: Midnight,
    wall: WallClock,
    day: i64,
    /// When the day after this one begins, on the wall.
    end: Option<i128>,
    book: Book,
    /// When this day was reached, in readings.
    began: u64,
    /// Nothing is granted before.
    shut: u64,
    said: Option<Said>,
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
        midnight: Midnight,
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

    fn said_at(&self, at: u64) -> Option<Said> {
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
            self.said = Some(Said::heard(self.said, now, remaining, until));
        }
    }

    /// Grants nothing before `at`.
    pub(crate) fn empty_until(&mut self, at: u64) {
        self.shut = self.shut.max(at);
    }

    /// Changes the limit. What is used of today stays used; so it does when the day begins at
    /// another time than before.
    pub(crate) fn set(&mut self, now: u64, count: u32, midnight: Midnight) {
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
mod tests {
    use super::super::quota_file::tests::Folder;
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3600 * 1_000_000_000;
    const DAY: u64 = 24 * HOUR;

    /// The clock starts at noon of day 20,000, UTC.
    fn wall() -> WallClock {
        WallClock::new(0, i128::from(20_000 * DAY + 12 * HOUR))
    }

    fn daily(count: u32) -> Daily {
        Daily::new(count, Midnight::utc(), 0, None, wall(), 0)
    }

    #[test]
    fn the_count_comes_anew_at_the_midnight_of_the_place() {
        let mut utc = daily(3);
        utc.take(0, 3);
        assert_eq!((utc.wait(0, 1), utc.available(0)), (12 * HOUR, 0.0));
        assert_eq!(utc.wait(0, 7), 12 * HOUR + 2 * DAY);
        assert_eq!(utc.wait(12 * HOUR, 3), 0);
        assert_eq!(utc.used(12 * HOUR), 0);
        let india = Midnight::offset(19_800).unwrap();
        let mut india = Daily::new(3, india, 0, None, wall(), 0);
        india.take(0, 3);
        assert_eq!(india.wait(0, 1), 6 * HOUR + HOUR / 2);
        let mut three = Daily::new(
            3,
            Midnight::utc()
                .plus(std::time::Duration::from_secs(3 * 3600))
                .unwrap(),
            0,
            None,
            wall(),
            0,
        );
        three.take(0, 3);
        assert_eq!(three.wait(0, 1), 15 * HOUR);
    }

    #[test]
    fn what_is_spent_already_counts_today_only() {
        let mut daily = Daily::new(10, Midnight::utc(), 8, None, wall(), 0);
        assert_eq!((daily.wait(0, 2), daily.wait(0, 3)), (0, 12 * HOUR));
        assert_eq!(daily.available(12 * HOUR), 10.0);
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing_again() {
        let mut daily = daily(3);
        daily.take(12 * HOUR, 3);
        daily.set_wall_clock(12 * HOUR, wall_back(2));
        assert_eq!(daily.used(12 * HOUR), 3);
        assert_eq!(daily.wait(12 * HOUR, 1), 3 * DAY);
    }

    /// A wall that is some days behind.
    fn wall_back(days: u64) -> WallClock {
        WallClock::new(0, wall().unix_ns(0) - i128::from(days * DAY))
    }

    #[test]
    fn refunds_return_to_the_day_they_were_taken_on_and_to_no_other() {
        let mut daily = daily(3);
        daily.take(0, 3);
        daily.give_back(1, 2, 0);
        assert_eq!(daily.used(1), 1);
        daily.take(12 * HOUR, 3);
        daily.give_back(13 * HOUR, 1, 0);
        assert_eq!(daily.used(13 * HOUR), 3);
    }

    #[test]
    fn the_upstream_corrects_downwards_only_and_for_a_day_at_most() {
        let mut daily = daily(10);
        daily.take(0, 6);
        daily.lower_to(0, 9, None);
        assert_eq!(daily.available(0), 4.0);
        daily.lower_to(0, 1, None);
        assert_eq!((daily.wait(0, 1), daily.wait(0, 2)), (0, 12 * HOUR));
        daily.give_back(1, 6, 0);
        assert_eq!(daily.available(1), 1.0);
        // An upstream whose day ends later.
        daily.lower_to(1, 0, Some(14 * HOUR));
        assert_eq!(daily.wait(1, 1), 14 * HOUR - 1);
        assert_eq!(daily.wait(12 * HOUR, 10), 2 * HOUR);
        daily.lower_to(14 * HOUR, 0, Some(u64::MAX));
        assert_eq!(daily.wait(14 * HOUR, 1), LONGEST);
        daily.refill(14 * HOUR);
        daily.lower_to(14 * HOUR, 0, Some(14 * HOUR));
        assert_eq!(daily.wait(14 * HOUR, 10), 0);
    }

    #[test]
    fn nothing_is_granted_before_the_time_it_was_emptied_until() {
        let mut daily = daily(3);
        daily.empty_until(HOUR);
        assert_eq!((daily.wait(0, 3), daily.available(0)), (HOUR, 0.0));
        assert!(!daily.is_unused(0) && daily.is_unused(HOUR));
        daily.empty_until(u64::MAX);
        assert_eq!(daily.wait(0, 3), u64::MAX);
    }

    #[test]
    fn new_settings_keep_what_was_used_today() {
        let mut daily = daily(10);
        daily.take(0, 8);
        daily.set(0, 5, Midnight::utc());
        assert_eq!(daily.wait(0, 1), 12 * HOUR);
        daily.set(0, 12, Midnight::offset(3_600).unwrap());
        assert_eq!((daily.available(0), daily.wait(0, 5)), (4.0, 11 * HOUR));
    }

    #[test]
    fn a_quota_survives_a_restart_and_a_crash() {
        let folder = Folder::new();
        let open = || QuotaFile::open(folder.file()).unwrap();
        let start = |spent, wall| Daily::new(200, Midnight::utc(), spent, Some(open()), wall, 0);
        let mut daily = start(0, wall());
        daily.take(0, 7);
        drop(daily);
        let mut daily = start(5, wall());
        assert_eq!(daily.used(0), 7);
        daily.take(0, 1);
        // A crash loses the rest of a lease of two.
        let crashed = std::fs::read(folder.file()).unwrap();
        drop(daily);
        std::fs::write(folder.file(), crashed).unwrap();
        assert_eq!(start(0, wall()).used(0), 9);
        assert_eq!(start(20, wall()).used(0), 20);
        assert_eq!(start(0, wall()).used(12 * HOUR), 0);
        // The file is of a later day than the clock shows.
        let mut back = start(100, wall_back(3));
        assert_eq!((back.used(0), back.wait(0, 180)), (20, 0));
        back.take(0, 180);
        assert_eq!(back.wait(0, 1), 3 * DAY + 12 * HOUR);
        assert_eq!(back.used(3 * DAY + 12 * HOUR), 0);
    }

    #[test]
    fn a_clock_that_is_set_makes_no_refund_one_of_today() {
        let mut daily = daily(3);
        daily.take(0, 3);
        daily.set_wall_clock(1, WallClock::new(0, wall().unix_ns(0) + i128::from(DAY)));
        daily.take(1, 3);
        daily.give_back(2, 3, 0);
        assert_eq!(daily.used(2), 3);
    }

    #[test]
    fn no_extreme_panics() {
        for unix in [i128::MIN, -1, 0, i128::MAX] {
            for now in [0, 1, u64::MAX - 1, u64::MAX] {
                let midnight = Midnight::offset(86_399).unwrap();
                let wall = WallClock::new(u64::MAX, unix);
                let mut daily = Daily::new(u32::MAX, midnight, u32::MAX, None, wall, now);
                daily.take(now, u64::MAX);
                let _ = (daily.wait(now, 1), daily.wait(now, u64::MAX));
                daily.give_back(now, u64::MAX, now);
                daily.lower_to(now, 0, Some(u64::MAX));
                daily.set_wall_clock(now, WallClock::new(0, i128::MAX));
                daily.set(now, 0, Midnight::utc());
                daily.empty_until(u64::MAX - 1);
                let _ = (daily.wait(now, 1), daily.available(now), daily.used(now));
            }
        }
    }

    #[allow(unused_mut, reason = "zones of the database are a feature")]
    fn midnights() -> Vec<Midnight> {
        let mut all = vec![Midnight::utc(), Midnight::offset(-12_600).unwrap()];
        #[cfg(feature = "timezone")]
        all.push(
            Midnight::zone("America/New_York")
                .unwrap()
                .plus(std::time::Duration::from_secs(9_000))
                .unwrap(),
        );
        all
    }

    proptest! {
        #[test]
        fn no_day_sees_more_than_the_count_and_waits_are_exact(
            count in 1_u32..9,
            midnight in 0..midnights().len(),
            start in 20_510_u64..20_530,
            arrivals in prop::collection::vec((0_u64..9 * HOUR, 1_u64..9), 1..100),
            lower in prop::option::of((0_u64..9, 0_u64..40 * HOUR)),
        ) {
            let midnight = &midnights()[midnight];
            let wall = WallClock::new(0, i128::from(start * DAY));
            let mut daily = Daily::new(count, midnight.clone(), 0, None, wall, 0);
            let mut seen = std::collections::HashMap::new();
            let mut now = 0;
            for (step, (gap, cost)) in arrivals.into_iter().enumerate() {
                now += gap;
                let cost = cost.min(count.into());
                if step == 5 && let Some((left, at)) = lower {
                    daily.lower_to(now, left, Some(now + at));
                }
                let wait = daily.wait(now, cost);
                if wait > 0 {
                    prop_assert!(daily.clone().wait(now + wait - 1, cost) > 0);
                }
                prop_assert_eq!(daily.clone().wait(now + wait, cost), 0);
                if wait == 0 {
                    daily.take(now, cost);
                    let sum = seen.entry(midnight.day(wall.unix_ns(now))).or_insert(0);
                    *sum += cost;
                    prop_assert!(*sum <= u64::from(count));
                }
            }
        }

        #[test]
        fn sums_of_ones_over_the_count_are_granted_when_it_was_said(
            count in 1_u32..9,
            midnight in 0..midnights().len(),
            taken in 0_u64..20,
            more in 1_u64..60,
            lower in prop::option::of((0_u64..9, 0_u64..40 * HOUR)),
        ) {
            let sum = u64::from(count) + more;
            let wall = WallClock::new(0, i128::from(20_518 * DAY));
            let mut daily = Daily::new(count, midnights()[midnight].clone(), 0, None, wall, 0);
            daily.take(0, taken);
            if let Some((left, at)) = lower {
                daily.lower_to(0, left, Some(at));
            }
            let said = daily.wait(0, sum);
            let mut then = 0;
            for _ in 0..sum {
                then += daily.wait(then, 1);
                daily.take(then, 1);
            }
            prop_assert_eq!(then, said);
        }
    }
}

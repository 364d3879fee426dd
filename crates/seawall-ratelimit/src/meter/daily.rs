//! So much per calendar day.

use super::midnight::{Day, Midnight};
use super::quota_file::QuotaFile;
use super::wall::WallClock;

#[derive(Debug)]
pub(crate) struct Daily {
    count: u64,
    midnight: Midnight,
    wall: WallClock,
    /// The day that is counted. Only grows: a wall clock that goes back gives nothing back.
    day: Day,
    used: u64,
    /// Nothing is granted before.
    not_before: u64,
    file: Option<QuotaFile>,
}

impl Daily {
    pub(super) fn new(
        count: u32,
        midnight: Midnight,
        spent: u32,
        file: Option<QuotaFile>,
        now_ns: u64,
        wall: WallClock,
    ) -> Self {
        let mut daily = Self {
            count: count.into(),
            day: midnight.day(wall.unix_ns(now_ns)),
            midnight,
            wall,
            used: 0,
            not_before: 0,
            file,
        };
        daily.raise(spent.into());
        daily
    }

    /// Has used at least so much.
    fn raise(&mut self, used: u64) {
        self.used = self.used.max(used);
        if let Some(file) = &self.file {
            file.raise(self.day.number, used, self.count);
            self.read();
        }
    }

    /// Another limit may have used the file, or it says that a later day has begun: it was written
    /// by a clock that was ahead, and the quota of that day may be used.
    fn read(&mut self) {
        if let Some(file) = &self.file {
            (self.day.number, self.used) = file.used(self.day.number);
        }
    }

    pub(super) const fn capacity(&self) -> u64 {
        self.count
    }

    fn advance(&mut self, now_ns: u64) {
        let unix = self.wall.unix_ns(now_ns);
        // Cheap as long as the day lasts.
        if unix < self.day.ends {
            return self.read();
        }
        let today = self.midnight.day(unix);
        if today.number > self.day.number {
            self.day = today;
            self.used = 0;
        } else {
            self.day.ends = today.ends;
        }
        self.read();
    }

    /// In how many nanoseconds the last of several costs, `cost` in sum, is granted.
    pub(super) fn wait(&mut self, now_ns: u64, cost: u64) -> u64 {
        self.advance(now_ns);
        let held = self.not_before.saturating_sub(now_ns);
        let over = self.used.saturating_add(cost).saturating_sub(self.count);
        if over == 0 {
            return held;
        }
        /// Nobody waits for longer.
        const FAR: u64 = 400;
        let days = over.div_ceil(self.count);
        if days > FAR {
            return u64::MAX;
        }
        let mut ends = self.day.ends;
        for _ in 1..days {
            ends = self.midnight.day(ends).ends;
        }
        let wait = self.wall.reading(ends).saturating_sub(now_ns);
        wait.max(held).max(1)
    }

    /// Counts a departure, whether there is room for it or not.
    pub(super) fn take(&mut self, now_ns: u64, cost: u64) {
        self.advance(now_ns);
        self.used = self.used.saturating_add(cost);
        if let Some(file) = &self.file {
            file.add(self.day.number, cost, self.count);
        }
    }

    /// Takes back what departed at `taken_at` in vain.
    pub(super) fn give_back(&mut self, now_ns: u64, cost: u64, taken_at: u64) {
        self.advance(now_ns);
        let then = self.midnight.day(self.wall.unix_ns(taken_at));
        if then.number == self.day.number {
            self.used = self.used.saturating_sub(cost);
            if let Some(file) = &self.file {
                file.sub(self.day.number, cost);
            }
        }
    }

    /// Has no more than `left` until the day ends.
    pub(super) fn lower_to(&mut self, now_ns: u64, left: u64) {
        self.advance(now_ns);
        self.raise(self.count.saturating_sub(left));
    }

    pub(super) fn empty_until(&mut self, at: u64) {
        self.not_before = self.not_before.max(at);
    }

    /// Changes count and midnight; what was used of the day stays used.
    pub(super) fn set(&mut self, now_ns: u64, count: u32, midnight: Midnight) {
        self.advance(now_ns);
        self.count = count.into();
        self.day.ends = midnight.day(self.wall.unix_ns(now_ns)).ends;
        self.midnight = midnight;
    }

    pub(super) fn set_wall_clock(&mut self, now_ns: u64, wall: WallClock) {
        self.wall = wall;
        // The day stays the one that is counted, if the clock went back; its end is where the clock
        // says.
        let today = self.midnight.day(wall.unix_ns(now_ns));
        if today.number >= self.day.number {
            self.advance(now_ns);
        }
    }

    pub(super) fn available(&mut self, now_ns: u64) -> f64 {
        self.advance(now_ns);
        self.count as f64 - self.used as f64
    }

    pub(super) fn is_unused(&mut self, now_ns: u64) -> bool {
        self.advance(now_ns);
        self.used == 0 && self.not_before <= now_ns
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3_600 * SECOND;

    fn wall(hours: u64) -> WallClock {
        let days = Duration::from_secs(20_000 * 86_400 + hours * 3_600);
        WallClock::at(0, UNIX_EPOCH + days)
    }

    fn daily(count: u32, spent: u32) -> Daily {
        Daily::new(count, Midnight::utc(), spent, None, 0, wall(20))
    }

    #[test]
    fn a_day_has_its_count_and_the_next_one_again() {
        let mut daily = daily(25, 20);
        assert_eq!(daily.available(0), 5.0);
        daily.take(0, 5);
        assert_eq!(daily.wait(0, 1), 4 * HOUR);
        assert_eq!(daily.wait(0, 26), 28 * HOUR);
        assert_eq!(daily.wait(4 * HOUR - 1, 1), 1);
        assert_eq!(daily.wait(4 * HOUR, 25), 0);
        assert_eq!(daily.wait(0, u64::MAX), u64::MAX);
    }

    #[test]
    fn what_belongs_to_yesterday_is_not_given_back_today() {
        let mut daily = daily(25, 0);
        daily.take(0, 10);
        daily.take(5 * HOUR, 3);
        daily.give_back(5 * HOUR, 10, 0);
        assert_eq!(daily.available(5 * HOUR), 22.0);
        daily.give_back(5 * HOUR, 2, 5 * HOUR);
        assert_eq!(daily.available(5 * HOUR), 24.0);
        daily.lower_to(5 * HOUR, 7);
        daily.lower_to(5 * HOUR, 20);
        assert_eq!(daily.available(5 * HOUR), 7.0);
    }

    #[test]
    fn a_wall_clock_that_goes_back_gives_nothing_back() {
        let mut daily = daily(25, 25);
        daily.set_wall_clock(HOUR, wall(0));
        assert!(daily.wait(HOUR, 1) > 0);
        daily.set_wall_clock(HOUR, wall(30));
        assert_eq!(daily.wait(HOUR, 25), 0);
    }

    proptest! {
        #[test]
        fn no_day_sees_more_than_its_count(
            count in 1_u32..50, arrivals in prop::collection::vec((0_u64..5 * HOUR, 1_u64..9), 1..100),
        ) {
            let mut daily = daily(count, 0);
            let (mut now, mut seen) = (0, std::collections::BTreeMap::<u128, u64>::new());
            for (gap, cost) in arrivals {
                now += gap;
                let cost = cost.min(count.into());
                let wait = daily.wait(now, cost);
                if wait == 0 {
                    daily.take(now, cost);
                    *seen.entry(wall(20).unix_ns(now) / u128::from(24 * HOUR)).or_default() += cost;
                } else {
                    prop_assert!(daily.wait(now + wait, cost) == 0);
                    now += wait;
                }
            }
            prop_assert!(seen.values().all(|seen| *seen <= u64::from(count)));
        }
    }
}

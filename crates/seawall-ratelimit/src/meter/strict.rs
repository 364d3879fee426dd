//! Never more than so much in any stretch of time.
//!
//! A departure at `t` counts in every stretch that has `t` in it, the last of which begins at `t`.
//! So what departs at `now` is within the bound of every stretch if what departed after `now - per`
//! and it are at most the count together: a stretch that ends later has what departs later in it,
//! which is checked then, and one that ends at `now` is the one that is checked.
//!
//! For counts up to [`LOGGED`] each departure is remembered: the bound is met to the last one, and
//! nothing more is held back. For larger counts departures are summed up in slices of
//! `per / SLICES`, and a slice counts until its last instant is `per` ago. What is counted is then
//! never less than what departed in the last `per`, so the bound holds; a departure counts for
//! longer than it would by itself by less than a slice, so at full load the count is granted once
//! per `per + slice`: `SLICES / (SLICES + 1)` of the bound, 99.2 %.

use std::collections::VecDeque;

/// Up to this count each departure is remembered.
const LOGGED: u32 = 1_024;

/// How many slices a larger count is summed up in.
const SLICES: u64 = 128;

/// What departed, and when it no longer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Departure {
    /// The first instant that it does not count at.
    until: u64,
    cost: u64,
}

#[derive(Debug)]
pub(crate) struct Strict {
    count: u64,
    per_ns: u64,
    /// 1 for a log.
    slice_ns: u64,
    /// Oldest first.
    departed: VecDeque<Departure>,
    /// The sum of their costs, which is more than the count after a debit.
    used: u64,
    /// Nothing is granted before.
    not_before: u64,
}

fn slice_ns(count: u32, per_ns: u64) -> u64 {
    if count <= LOGGED {
        1
    } else {
        per_ns.div_ceil(SLICES).max(1)
    }
}

impl Strict {
    /// At most `count` in any stretch of `per_ns`, which includes the margin.
    pub(super) fn new(count: u32, per_ns: u64) -> Self {
        let entries = u64::from(count).min(SLICES + 2).max(
            // A log of small costs has as many entries as the count.
            u64::from(count.min(LOGGED)),
        );
        Self {
            count: count.into(),
            per_ns,
            slice_ns: slice_ns(count, per_ns),
            // All that it ever needs, so that no call allocates.
            departed: VecDeque::with_capacity(entries as usize + 1),
            used: 0,
            not_before: 0,
        }
    }

    pub(super) const fn capacity(&self) -> u64 {
        self.count
    }

    /// Forgets what no longer counts.
    fn prune(&mut self, now_ns: u64) {
        while let Some(first) = self.departed.front() {
            if first.until > now_ns {
                break;
            }
            self.used = self.used.saturating_sub(first.cost);
            self.departed.pop_front();
        }
    }

    /// In how many nanoseconds the last of several costs, `cost` in sum, is granted.
    pub(super) fn wait(&mut self, now_ns: u64, cost: u64) -> u64 {
        self.prune(now_ns);
        let held = self.not_before.saturating_sub(now_ns);
        if self.used.saturating_add(cost) <= self.count {
            return held;
        }
        // What departs fills the count again and again, once per turn: the rest of the division
        // is what the last turn has to find room for.
        let (turns, rest) = match cost.checked_sub(1) {
            Some(last) => (last / self.count, last % self.count + 1),
            None => (0, 0),
        };
        let mut over = self.used.saturating_add(rest).saturating_sub(self.count);
        let mut frees_at = now_ns;
        for departure in &self.departed {
            if over == 0 {
                break;
            }
            frees_at = departure.until;
            over = over.saturating_sub(departure.cost);
        }
        let turn = self.per_ns.saturating_add(self.slice_ns - 1);
        let wait = (frees_at - now_ns).saturating_add(turn.saturating_mul(turns));
        wait.max(held)
    }

    /// Counts a departure, whether there is room for it or not.
    pub(super) fn take(&mut self, now_ns: u64, cost: u64) {
        self.prune(now_ns);
        // The end of the slice, and the time that it counts from there.
        let end = (now_ns / self.slice_ns)
            .saturating_add(1)
            .saturating_mul(self.slice_ns);
        let until = end.saturating_add(self.per_ns - 1);
        self.used = self.used.saturating_add(cost);
        match self.departed.back_mut() {
            // The same slice, or a clock that went back: it counts for as long as what is newer.
            Some(last) if last.until >= until => last.cost = last.cost.saturating_add(cost),
            _ => self.departed.push_back(Departure { until, cost }),
        }
    }

    /// Takes back what departed at `taken_at` in vain.
    pub(super) fn give_back(&mut self, now_ns: u64, cost: u64, taken_at: u64) {
        self.prune(now_ns);
        let end = (taken_at / self.slice_ns)
            .saturating_add(1)
            .saturating_mul(self.slice_ns);
        let until = end.saturating_add(self.per_ns - 1);
        // What was counted then, and where that is not there any more nothing is.
        let at = self.departed.partition_point(|d| d.until < until);
        if let Some(departure) = self.departed.get_mut(at) {
            let back = cost.min(departure.cost);
            departure.cost -= back;
            self.used = self.used.saturating_sub(back);
        }
    }

    /// Has no more than `left` until `until`, or for as long as what departs now counts.
    pub(super) fn lower_to(&mut self, now_ns: u64, left: u64, until: Option<u64>) {
        self.prune(now_ns);
        let have = self.count.saturating_sub(self.used);
        let Some(missing) = have.checked_sub(left).filter(|missing| *missing > 0) else {
            return;
        };
        let longest = now_ns.saturating_add(self.per_ns);
        let until = until.unwrap_or(longest).min(longest);
        if until <= now_ns {
            return;
        }
        self.used = self.used.saturating_add(missing);
        let at = self.departed.partition_point(|d| d.until < until);
        match self.departed.get_mut(at) {
            Some(departure) if departure.until == until => departure.cost += missing,
            // Among at most as many as there are departures: rare, and said by the upstream.
            _ => self.departed.insert(
                at,
                Departure {
                    until,
                    cost: missing,
                },
            ),
        }
    }

    /// Grants nothing before `at`, and from there on as if the count had been used up evenly over
    /// the time before.
    pub(super) fn empty_until(&mut self, at: u64) {
        /// In so many steps the count comes back.
        const STEPS: u64 = 8;
        self.not_before = self.not_before.max(at);
        self.prune(at);
        let missing = self.count.saturating_sub(self.used);
        for step in 1..=STEPS {
            let until = at.saturating_add(self.per_ns / STEPS * step);
            let part = missing * step / STEPS - missing * (step - 1) / STEPS;
            if part > 0 {
                let place = self.departed.partition_point(|d| d.until < until);
                self.used = self.used.saturating_add(part);
                self.departed.insert(place, Departure { until, cost: part });
            }
        }
    }

    /// Changes count and time; what has departed counts by the new ones.
    pub(super) fn set(&mut self, now_ns: u64, count: u32, per_ns: u64) {
        self.prune(now_ns);
        let (old, new) = (self.per_ns, per_ns);
        for departure in &mut self.departed {
            departure.until = if new >= old {
                departure.until.saturating_add(new - old)
            } else {
                departure.until.saturating_sub(old - new)
            };
        }
        self.count = count.into();
        self.per_ns = per_ns;
        self.slice_ns = slice_ns(count, per_ns);
        self.prune(now_ns);
    }

    pub(super) fn refill(&mut self) {
        self.departed.clear();
        self.used = 0;
        self.not_before = 0;
    }

    pub(super) fn available(&mut self, now_ns: u64) -> f64 {
        self.prune(now_ns);
        self.count as f64 - self.used as f64
    }

    pub(super) fn is_unused(&mut self, now_ns: u64) -> bool {
        self.prune(now_ns);
        self.used == 0 && self.not_before <= now_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    /// The most that any stretch of `per` has seen; a stretch has its first instant and not its
    /// last.
    fn most(granted: &[(u64, u64)], per: u64) -> u64 {
        let from = |start: u64| -> u64 {
            let within = granted
                .iter()
                .filter(|(at, _)| (start..start + per).contains(at));
            within.map(|(_, cost)| cost).sum()
        };
        granted.iter().map(|(at, _)| from(*at)).max().unwrap_or(0)
    }

    #[test]
    fn the_count_is_granted_at_once_and_comes_back_one_by_one() {
        let mut strict = Strict::new(2, SECOND);
        strict.take(0, 1);
        assert_eq!(strict.wait(SECOND / 2, 1), 0);
        strict.take(SECOND / 2, 1);
        assert_eq!(strict.wait(SECOND / 2, 1), SECOND / 2);
        assert_eq!(strict.wait(SECOND / 2, 2), SECOND);
        // One more turn for each count that waits.
        assert_eq!(strict.wait(SECOND / 2, 3), SECOND / 2 + SECOND);
        assert_eq!(strict.wait(SECOND, 1), 0);
        assert_eq!(strict.available(SECOND), 1.0);
    }

    #[test]
    fn what_the_upstream_says_lowers_and_never_raises() {
        let mut strict = Strict::new(10, SECOND);
        strict.lower_to(0, 3, Some(SECOND / 4));
        assert_eq!(strict.available(0), 3.0);
        strict.lower_to(0, 9, Some(SECOND));
        assert_eq!(strict.available(0), 3.0);
        assert_eq!(strict.available(SECOND / 4), 10.0);
        strict.lower_to(SECOND, 0, None);
        assert_eq!(strict.wait(SECOND, 1), SECOND);
    }

    #[test]
    fn after_a_pause_the_count_comes_back_in_steps() {
        let mut strict = Strict::new(16, SECOND);
        strict.empty_until(5 * SECOND);
        assert_eq!(strict.wait(0, 1), 5 * SECOND + SECOND / 8);
        assert_eq!(strict.available(5 * SECOND + SECOND / 2), 8.0);
        assert_eq!(strict.available(6 * SECOND), 16.0);
    }

    #[test]
    fn a_large_count_is_used_to_nearly_all_of_it() {
        let mut strict = Strict::new(6_000, 60 * SECOND);
        let (mut now, mut granted) = (0, 0);
        while now < 3_600 * SECOND {
            match strict.wait(now, 10) {
                0 => {
                    strict.take(now, 10);
                    granted += 10;
                }
                wait => now += wait,
            }
        }
        assert!(granted as f64 > 0.99 * 6_000.0 * 60.0, "{granted}");
        assert!(granted <= 6_000 * 61, "{granted}");
    }

    fn case() -> impl Strategy<Value = (u32, u64, Vec<(u64, u64)>)> {
        (
            prop::sample::select(vec![1_u32, 3, 10, 1_024, 1_025, 5_000]),
            prop::sample::select(vec![1_000_u64, 999_983, SECOND]),
            prop::collection::vec((0_u64..1_000_000_000, 1_u64..50), 1..200),
        )
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_sees_more_than_the_count((count, per, arrivals) in case()) {
            let mut strict = Strict::new(count, per);
            let (mut now, mut granted) = (0, Vec::new());
            for (gap, cost) in arrivals {
                now += gap % (per / 2);
                let cost = if count > 1_000 { cost * 20 } else { cost.min(u64::from(count)) };
                if strict.wait(now, cost) == 0 {
                    strict.take(now, cost);
                    granted.push((now, cost));
                }
                prop_assert!(strict.used <= u64::from(count));
            }
            prop_assert!(most(&granted, per) <= u64::from(count));
        }

        /// And no refusal is one too many, where every departure is remembered.
        #[test]
        fn a_refusal_names_the_first_instant_that_grants((count, per, arrivals) in case()) {
            let mut strict = Strict::new(count, per);
            let (mut now, mut granted) = (0, Vec::new());
            for (gap, cost) in arrivals {
                now += gap % per;
                let cost = cost.min(u64::from(count));
                let wait = strict.wait(now, cost);
                if wait > 0 {
                    prop_assert!(strict.wait(now + wait, cost) == 0);
                    // Asked of an earlier instant, which prunes less.
                    if count <= LOGGED {
                        let mut tried = granted.clone();
                        tried.push((now + wait - 1, cost));
                        prop_assert!(most(&tried, per) > u64::from(count));
                    }
                    now += wait;
                }
                strict.take(now, cost);
                granted.push((now, cost));
            }
            prop_assert!(most(&granted, per) <= u64::from(count));
        }

        /// The forecast for a sum of ones is when the last of them departs.
        #[test]
        fn the_forecast_for_a_line_is_exact(
            count in 1_u32..20, before in prop::collection::vec(0_u64..2_000, 0..40), line in 1_u64..60,
        ) {
            let per = 1_000;
            let mut strict = Strict::new(count, per);
            let mut now = 0;
            for gap in before {
                now += gap % 300;
                if strict.wait(now, 1) == 0 {
                    strict.take(now, 1);
                }
            }
            let foreseen = strict.wait(now, line);
            let start = now;
            for _ in 0..line {
                now += strict.wait(now, 1);
                strict.take(now, 1);
            }
            prop_assert_eq!(foreseen, now - start);
        }

        #[test]
        fn nothing_panics_and_refunds_never_raise_the_count(
            steps in prop::collection::vec((0_u8..7, any::<u64>(), any::<u64>()), 1..60),
            count in 1_u32..3_000,
        ) {
            let mut strict = Strict::new(count, SECOND);
            for (step, a, b) in steps {
                match step {
                    0 => { let _ = strict.wait(a, b); }
                    1 => strict.take(a, b % 10_000),
                    2 => strict.give_back(a, b % 100, a.saturating_sub(b)),
                    3 => strict.lower_to(a, b, Some(b)),
                    4 => strict.empty_until(a),
                    5 => strict.set(a, (b % 5_000) as u32 + 1, b % SECOND + 1),
                    _ => strict.refill(),
                }
                let sum: u64 = strict.departed.iter().map(|d| d.cost).sum();
                prop_assert_eq!(sum, strict.used);
                prop_assert!(strict.departed.iter().is_sorted_by_key(|d| d.until));
            }
        }
    }
}

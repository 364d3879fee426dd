//! So much from one full minute (hour, ...) of the wall clock to the next.

use super::wall::WallClock;

/// Counts the window that is now, and the ones beside it: with a margin, what departs near an edge
/// counts on both sides of it, since the upstream's clock may see it there.
#[derive(Debug)]
pub(crate) struct Window {
    count: u64,
    per_ns: u64,
    offset_ns: u64,
    margin_ns: u64,
    wall: WallClock,
    /// The number of the window that is now, counted from 1970. Only grows: a wall clock that goes
    /// back gives nothing back.
    id: u128,
    before: u64,
    used: u64,
    next: u64,
    /// Nothing is granted before.
    not_before: u64,
}

/// What a window is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(super) count: u32,
    pub(super) per_ns: u64,
    pub(super) offset_ns: u64,
    pub(super) margin_ns: u64,
}

impl Window {
    pub(super) fn new(shape: Shape, now_ns: u64, wall: WallClock) -> Self {
        let mut window = Self {
            count: shape.count.into(),
            per_ns: shape.per_ns.max(1),
            offset_ns: shape.offset_ns,
            margin_ns: shape.margin_ns,
            wall,
            id: 0,
            before: 0,
            used: 0,
            next: 0,
            not_before: 0,
        };
        window.id = window.id_at(now_ns);
        window
    }

    pub(super) const fn capacity(&self) -> u64 {
        self.count
    }

    const fn id_at(&self, now_ns: u64) -> u128 {
        let unix = self.wall.unix_ns(now_ns);
        unix.saturating_sub(self.offset_ns as u128) / self.per_ns as u128
    }

    /// The reading at which a window begins.
    fn start(&self, id: u128) -> u64 {
        let unix = id.saturating_mul(self.per_ns.into());
        self.wall
            .reading(unix.saturating_add(self.offset_ns.into()))
    }

    fn advance(&mut self, now_ns: u64) {
        let id = self.id_at(now_ns);
        match id.checked_sub(self.id) {
            None | Some(0) => return,
            Some(1) => {
                self.before = self.used;
                self.used = self.next;
            }
            Some(_) => {
                self.before = 0;
                self.used = 0;
            }
        }
        self.next = 0;
        self.id = id;
    }

    /// Whether an instant of the window that is now is near its start, and near its end.
    fn near(&self, now_ns: u64) -> (bool, bool) {
        if self.margin_ns == 0 {
            return (false, false);
        }
        let after_start = now_ns.saturating_sub(self.start(self.id));
        let to_end = self.start(self.id + 1).saturating_sub(now_ns);
        (after_start < self.margin_ns, to_end <= self.margin_ns)
    }

    /// In how many nanoseconds the last of several costs, `cost` in sum, is granted.
    pub(super) fn wait(&mut self, now_ns: u64, cost: u64) -> u64 {
        self.advance(now_ns);
        let begins = self.not_before;
        if begins > now_ns {
            let after = self.wait_from(begins, cost);
            return (begins - now_ns).saturating_add(after);
        }
        self.wait_from(now_ns, cost)
    }

    fn wait_from(&self, now_ns: u64, cost: u64) -> u64 {
        let ahead = self.id_at(now_ns).saturating_sub(self.id);
        let (before, used, next) = match ahead {
            0 => (self.before, self.used, self.next),
            1 => (self.used, self.next, 0),
            _ => (0, 0, 0),
        };
        let id = self.id + ahead;
        let (start, end) = (self.start(id), self.start(id + 1));
        let fits = |used: u64| used.saturating_add(cost) <= self.count;
        let begun = |start: u64| start.saturating_add(self.margin_ns).saturating_sub(now_ns);
        if cost <= self.count {
            let near_end = end.saturating_sub(now_ns) <= self.margin_ns && self.margin_ns > 0;
            if fits(used) && (!near_end || fits(next)) {
                let near_start = now_ns.saturating_sub(start) < self.margin_ns;
                return if near_start && !fits(before) {
                    begun(start)
                } else {
                    0
                };
            }
            if fits(next) {
                // What is now full is near the start of the next one as well.
                return if fits(used) && self.margin_ns > 0 {
                    end.saturating_sub(now_ns)
                } else {
                    begun(end)
                };
            }
            return begun(self.start(id + 2));
        }
        let room = self.count.saturating_sub(used) + self.count.saturating_sub(next);
        let windows = cost.saturating_sub(room).div_ceil(self.count);
        begun(self.start((id + 1).saturating_add(windows.into())))
    }

    /// Counts a departure, whether there is room for it or not.
    pub(super) fn take(&mut self, now_ns: u64, cost: u64) {
        self.advance(now_ns);
        self.used = self.used.saturating_add(cost);
        let (near_start, near_end) = self.near(now_ns);
        if near_start {
            self.before = self.before.saturating_add(cost);
        }
        if near_end {
            self.next = self.next.saturating_add(cost);
        }
    }

    /// Takes back what departed at `taken_at` in vain.
    pub(super) fn give_back(&mut self, now_ns: u64, cost: u64, taken_at: u64) {
        self.advance(now_ns);
        if self.id_at(taken_at) == self.id {
            let (_, near_end) = self.near(taken_at);
            self.used = self.used.saturating_sub(cost);
            if near_end {
                self.next = self.next.saturating_sub(cost);
            }
        }
    }

    /// Has no more than `left` until `until`, or until the window ends.
    pub(super) fn lower_to(&mut self, now_ns: u64, left: u64, until: Option<u64>) {
        self.advance(now_ns);
        let used = self.count.saturating_sub(left);
        self.used = self.used.max(used);
        // The upstream's window ends later than ours.
        if until.is_some_and(|until| until > self.start(self.id + 1)) {
            self.next = self.next.max(used);
        }
    }

    pub(super) fn empty_until(&mut self, at: u64) {
        self.not_before = self.not_before.max(at);
    }

    /// Changes count and window; what was used of the one that is now stays used.
    pub(super) fn set(&mut self, now_ns: u64, shape: Shape) {
        self.advance(now_ns);
        let (used, not_before) = (self.used, self.not_before);
        *self = Self::new(shape, now_ns, self.wall);
        (self.used, self.not_before) = (used, not_before);
    }

    pub(super) fn set_wall_clock(&mut self, wall: WallClock) {
        self.wall = wall;
    }

    pub(super) fn available(&mut self, now_ns: u64) -> f64 {
        self.advance(now_ns);
        self.count as f64 - self.used as f64
    }

    pub(super) fn is_unused(&mut self, now_ns: u64) -> bool {
        self.advance(now_ns);
        self.used == 0 && self.next == 0 && self.not_before <= now_ns
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;
    const MINUTE: u64 = 60 * SECOND;

    fn shape(count: u32, margin_ns: u64) -> Shape {
        Shape {
            count,
            per_ns: MINUTE,
            offset_ns: 0,
            margin_ns,
        }
    }

    /// 20 seconds after a full minute.
    fn wall() -> WallClock {
        WallClock::at(0, UNIX_EPOCH + Duration::from_secs(60_000_020))
    }

    #[test]
    fn a_window_begins_with_the_full_minute() {
        let mut window = Window::new(shape(3, 0), 0, wall());
        window.take(0, 3);
        assert_eq!(window.wait(0, 1), 40 * SECOND);
        assert_eq!(window.wait(39 * SECOND, 3), SECOND);
        assert_eq!(window.wait(0, 4), 40 * SECOND + MINUTE);
        assert_eq!(window.wait(40 * SECOND, 3), 0);
        window.take(40 * SECOND, 1);
        assert_eq!(window.available(41 * SECOND), 2.0);
    }

    #[test]
    fn an_offset_moves_the_edge_and_a_wall_clock_that_goes_back_gives_nothing_back() {
        let mut late = shape(1, 0);
        late.offset_ns = 30 * SECOND;
        let mut window = Window::new(late, 0, wall());
        window.take(0, 1);
        assert_eq!(window.wait(0, 1), 10 * SECOND);
        window.set_wall_clock(WallClock::at(
            0,
            UNIX_EPOCH + Duration::from_secs(59_000_000),
        ));
        assert!(window.wait(0, 1) > 100 * MINUTE);
        window.set_wall_clock(wall());
        assert_eq!(window.wait(0, 1), 10 * SECOND);
    }

    #[test]
    fn near_an_edge_a_departure_counts_on_both_sides() {
        let mut window = Window::new(shape(2, SECOND), 0, wall());
        let edge = 40 * SECOND;
        window.take(edge - SECOND / 2, 2);
        // Both may be seen in the next minute.
        assert_eq!(window.wait(edge, 1), MINUTE + SECOND);
        let mut window = Window::new(shape(2, SECOND), 0, wall());
        window.take(0, 2);
        // A clock that is late sees the start of the next minute in this one.
        assert_eq!(window.wait(0, 1), edge + SECOND);
    }

    proptest! {
        /// Whatever the upstream's clock says within the margin, no window of it sees more.
        #[test]
        fn no_window_of_a_clock_within_the_margin_sees_more_than_the_count(
            count in 1_u32..20,
            margin in prop::sample::select(vec![0, SECOND, 10 * SECOND]),
            skew in -1.0_f64..1.0,
            gaps in prop::collection::vec((0_u64..10 * SECOND, 1_u64..4), 1..200),
        ) {
            let mut window = Window::new(shape(count, margin), 0, wall());
            let mut now = 0;
            let mut seen = std::collections::BTreeMap::<u128, u64>::new();
            for (gap, cost) in gaps {
                now += gap;
                let cost = cost.min(count.into());
                let wait = window.wait(now, cost);
                if wait < 5 * SECOND {
                    now += wait;
                    prop_assert_eq!(window.wait(now, cost), 0, "after a wait of {}", wait);
                    window.take(now, cost);
                    let skewed = wall().unix_ns(now) as i128 + (skew * margin as f64 * 0.999) as i128;
                    *seen.entry(skewed as u128 / u128::from(MINUTE)).or_default() += cost;
                }
            }
            prop_assert!(seen.values().all(|seen| *seen <= u64::from(count)), "{seen:?}");
        }

        #[test]
        fn a_refusal_names_the_first_instant_that_grants(
            count in 1_u32..20, before in prop::collection::vec((0_u64..30 * SECOND, 1_u64..4), 0..30), cost in 1_u64..20,
        ) {
            let mut window = Window::new(shape(count, 0), 0, wall());
            let mut now = 0;
            for (gap, cost) in before {
                now += gap;
                if window.wait(now, cost) == 0 {
                    window.take(now, cost);
                }
            }
            let cost = cost.min(count.into());
            let wait = window.wait(now, cost);
            if wait > 0 {
                prop_assert!(window.wait(now + wait - 1, cost) > 0);
                prop_assert_eq!(window.wait(now + wait, cost), 0);
            }
        }

        #[test]
        fn nothing_panics(steps in prop::collection::vec((0_u8..8, any::<u64>(), any::<u64>()), 1..60)) {
            let mut window = Window::new(shape(5, SECOND), 0, wall());
            for (step, a, b) in steps {
                match step {
                    0 => { let _ = window.wait(a, b); }
                    1 => window.take(a, b),
                    2 => window.give_back(a, b, a.saturating_sub(b)),
                    3 => window.lower_to(a, b, Some(b)),
                    4 => window.empty_until(a),
                    5 => window.set(a, shape((b % 500) as u32 + 1, b % MINUTE)),
                    6 => window.set_wall_clock(WallClock::at(a, UNIX_EPOCH + Duration::from_nanos(b))),
                    _ => { let _ = window.available(a); }
                }
            }
        }
    }
}

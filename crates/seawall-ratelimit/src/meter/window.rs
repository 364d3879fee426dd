//! A count from one full minute (hour, ...) of the wall clock to the next.
//!
//! The windows are numbered: number `k` is from `k * per + offset` to the same of `k + 1`. When the
//! wall clock is set back behind the window that was reached, that lasts until it would have ended,
//! by the running clock, and then it goes on by the wall clock. A clock that is set forward begins another
//! window, which lasts its full length and then to the next edge, whatever is set meanwhile. So each time
//! that the clock is set grants one window more at most, and nothing stops for longer than two windows
//! since it was set, where no margin blocks more.
//!
//! With a margin, a departure less than `margin` after the begin of a window counts in the one
//! before as well, and one in the last `margin` in the one after. As long as the upstream's
//! clock differs by at most that, what it counts in one of its windows is part of what is counted
//! here in the same one.

use super::wall_clock::{Carried, WallClock};
use crate::pause::Start;

/// After so many windows, what was taken before has no effect, and grants come evenly.
const SETTLED: u32 = 12;

/// A limit per window of the wall clock.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    count: u64,
    per: u64,
    offset: u64,
    margin: u64,
    wall: WallClock,
    used: Used,
    /// When this window was reached, in readings.
    began: u64,
    /// When the wall clock or the limit was last set.
    set_at: u64,
    /// The wall clock after this window.
    carried: Option<Carried>,
    /// Before, setting the clock begins no window.
    next_jump_at: u64,
}

/// What counts in the previous window, in this one, and in the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Used {
    id: i128,
    units: [u64; 3],
}

impl Used {
    /// Steps on to a later window.
    fn advance(&mut self, id: i128) {
        let [_, this, next] = self.units;
        self.units = match id.saturating_sub(self.id) {
            ..=0 => return,
            1 => [this, next, 0],
            2 => [next, 0, 0],
            _ => [0; 3],
        };
        self.id = id;
    }
}

/// A part of a window in which departures count in the same windows.
struct Phase {
    id: i128,
    /// Of the previous, this and the next window.
    counts: [bool; 3],
    /// Where it ends, by the wall clock.
    end: i128,
}

impl Window {
    /// At most `count` per window; `at_reading` is now.
    pub(crate) fn new(
        count: u32,
        per_ns: u64,
        offset_ns: u64,
        margin_ns: u64,
        wall: WallClock,
        now: u64,
    ) -> Self {
        let per = per_ns.max(1);
        let mut window = Self {
            count: count.max(1).into(),
            per,
            offset: offset_ns,
            margin: margin_ns.min(per),
            wall,
            used: Used {
                id: 0,
                units: [0; 3],
            },
            began: now,
            set_at: now,
            carried: None,
            next_jump_at: 0,
        };
        window.used.id = window.id(wall.unix_ns(now));
        window
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
        let end = if cost <= self.count {
            self.first(start.at, cost)
        } else {
            self.last(start.at, cost)
        };
        match end {
            u64::MAX => u64::MAX,
            end => end - start.now,
        }
    }

    /// The first instant from `start` that grants this cost.
    fn first(&self, start: u64, cost: u64) -> u64 {
        let mut used = self.used;
        let mut at = start;
        // Each window has three phases.
        for _ in 0..4 * SETTLED {
            let phase = self.phase(at);
            used.advance(phase.id);
            if self.left(&used, &phase) >= cost {
                return at;
            }
            at = self.next(&phase, at);
        }
        u64::MAX
    }

    /// When the last of so many costs of one is granted.
    fn last(&self, start: u64, cost: u64) -> u64 {
        let mut used = self.used;
        let (mut at, mut left) = (start, cost);
        let (mut granted_at, mut settled) = (start, 0);
        while settled < SETTLED {
            let phase = self.phase(at);
            used.advance(phase.id);
            let units = self.left(&used, &phase).min(left);
            for (window, _) in counted(&mut used.units, phase.counts) {
                *window += units;
            }
            left -= units;
            if units > 0 {
                granted_at = at;
            }
            if left == 0 {
                return at;
            }
            if units == self.count {
                settled += 1;
            }
            at = self.next(&phase, at);
            if at == u64::MAX {
                return at;
            }
        }
        // With a margin of half a window or more, grants of a full count block the one after.
        let windows = match self.margin {
            all if all == self.per => 3,
            half if u128::from(half) * 2 >= self.per.into() => 2,
            _ => 1_u128,
        };
        let more = u128::from(left.div_ceil(self.count)) * windows * u128::from(self.per);
        granted_at.saturating_add(u64::try_from(more).unwrap_or(u64::MAX))
    }

    /// Takes `cost` now, whether it is there or not. What is taken over the count is owed until
    /// the end of the window, as with the upstream.
    pub(crate) fn take(&mut self, now: u64, cost: u64) {
        self.advance(now);
        let phase = self.phase(now);
        for (window, _) in counted(&mut self.used.units, phase.counts) {
            *window = window.saturating_add(cost);
        }
    }

    /// Takes what a departure at `taken_at` used more than estimated, in the windows in which that
    /// counts.
    pub(crate) fn debit(&mut self, now: u64, cost: u64, taken_at: u64) {
        self.advance(now);
        let counts = self.counts_of(taken_at);
        for (window, _) in counted(&mut self.used.units, counts) {
            *window = window.saturating_add(cost);
        }
    }

    /// Gives back what was taken at `taken_at` and not used, to the windows in which it counted.
    pub(crate) fn give_back(&mut self, now: u64, cost: u64, taken_at: u64) {
        self.advance(now);
        let counts = self.counts_of(taken_at);
        for (window, _) in counted(&mut self.used.units, counts) {
            *window = window.saturating_sub(cost);
        }
    }

    /// In which of the previous, this and the next window an earlier departure counts.
    fn counts_of(&self, taken_at: u64) -> [bool; 3] {
        if taken_at < self.set_at {
            // What was taken since this window was reached counted in it.
            return [false, taken_at >= self.began, false];
        }
        // The windows of then are those of now, save for the number.
        let phase = self.phase_of(self.wall.unix_ns(taken_at));
        let [_, this, next] = phase.counts;
        match self.used.id.saturating_sub(phase.id) {
            ..=0 => phase.counts,
            1 => [this, next, false],
            2 => [next, false, false],
            _ => [false; 3],
        }
    }

    /// How much is there now; below zero by what is owed.
    pub(crate) fn available(&self, now: u64) -> f64 {
        let phase = self.phase(now);
        let mut used = self.used;
        used.advance(phase.id);
        let owed = self.count as f64 - used.units[1] as f64;
        owed.min(self.left(&used, &phase) as f64)
    }

    /// How much counts in the window of now.
    #[cfg(test)]
    pub(crate) fn used(&self, now: u64) -> u64 {
        let mut used = self.used;
        used.advance(self.phase(now).id);
        used.units[1]
    }

    /// When this window ends.
    pub(crate) fn renewed_at(&mut self, now: u64) -> u64 {
        self.advance(now);
        self.end(self.phase(now).id)
    }

    fn end(&self, id: i128) -> u64 {
        self.wall.reading(self.begin(id.saturating_add(1)))
    }

    /// Changes the limit. What counts in the current window counts in the new current one.
    pub(crate) fn set(
        &mut self,
        now: u64,
        count: u32,
        per_ns: u64,
        offset_ns: u64,
        margin_ns: u64,
    ) {
        self.advance(now);
        let per = per_ns.max(1);
        let moved = (per, offset_ns) != (self.per, self.offset);
        self.count = count.max(1).into();
        self.per = per;
        self.offset = offset_ns;
        self.margin = margin_ns.min(per);
        if moved {
            if let Some(carried) = self.carried.take() {
                self.wall = carried.wall;
                self.next_jump_at = 0;
            }
            self.used.id = self.id(self.wall.unix_ns(now));
        }
        // What was taken in the old windows cannot be given back in the new ones.
        self.set_at = now.saturating_add(1);
    }

    /// Whether it is like a new one.
    pub(crate) fn is_unused(&self, now: u64) -> bool {
        let mut used = self.used;
        used.advance(self.phase(now).id);
        used.units == [0; 3]
    }

    /// The wall clock was read again.
    pub(crate) fn set_wall_clock(&mut self, now: u64, wall: WallClock) {
        self.advance(now);
        self.set_at = now.saturating_add(1);
        let id = self.id(wall.unix_ns(now));
        if now < self.next_jump_at {
            return self.hold(wall);
        }
        if id < self.used.id || (id == self.used.id && self.is_held()) {
            let until = self.end(self.used.id).min(now.saturating_add(self.per));
            self.carried = Some(Carried { until, wall });
            return;
        }
        // A window of which nothing was used costs nothing.
        let is_jump = id > self.used.id && self.used.units != [0; 3];
        (self.wall, self.carried) = (wall, None);
        self.advance(now);
        if is_jump {
            self.next_jump_at = now.saturating_add(self.per);
            self.hold(wall);
        }
    }

    /// Whether a jump has begun this window.
    fn is_held(&self) -> bool {
        self.carried.is_some() && self.began.saturating_add(self.per) == self.next_jump_at
    }

    /// A window that a jump has begun lasts its full length and then to the next edge of the clock: one
    /// that began a second later would be a third within one true window.
    fn hold(&mut self, wall: WallClock) {
        let last = wall.unix_ns(self.next_jump_at).saturating_sub(1);
        let edge = self.begin(self.id(last).saturating_add(1));
        let until = wall.reading(edge).max(self.next_jump_at);
        let end = self.begin(self.used.id.saturating_add(1));
        self.wall = WallClock::new(until, end);
        self.carried = Some(Carried { until, wall });
    }

    /// Goes by the wall clock now, where a window of an earlier one goes on.
    pub(crate) fn refill(&mut self, now: u64) {
        self.advance(now);
        if let Some(carried) = &mut self.carried {
            carried.until = now;
            self.next_jump_at = 0;
            self.advance(now);
        }
    }

    fn advance(&mut self, now: u64) {
        if let Some(carried) = self.carried.filter(|carried| carried.is_over(now)) {
            self.end_carried(now, carried);
        }
        let id = self.id(self.wall.unix_ns(now));
        if id > self.used.id {
            self.used.advance(id);
            self.began = now;
        }
    }

    /// The window of an earlier wall clock is over.
    fn end_carried(&mut self, now: u64, carried: Carried) {
        let was_held = self.is_held();
        (self.wall, self.carried) = (carried.wall, None);
        self.set_at = now.saturating_add(1);
        let id = self.id(self.wall.unix_ns(carried.until));
        // The rest of the same window, where the clock was set back by less than half of it.
        let rest = self.end(id).saturating_sub(carried.until);
        if id != self.used.id || rest >= self.per / 2 || was_held {
            let [_, this, next] = self.used.units;
            self.used = Used {
                id,
                units: [this, next, 0],
            };
            self.began = now;
        }
    }

    fn id(&self, unix_ns: i128) -> i128 {
        let since = unix_ns.saturating_sub(self.offset.into());
        since.div_euclid(self.per.into())
    }

    fn begin(&self, id: i128) -> i128 {
        id.saturating_mul(self.per.into())
            .saturating_add(self.offset.into())
    }

    /// The phase of a reading. A wall time before the window that was reached counts as its begin.
    fn phase(&self, at: u64) -> Phase {
        self.phase_of(self.wall.unix_ns(at).max(self.begin(self.used.id)))
    }

    fn phase_of(&self, unix_ns: i128) -> Phase {
        let id = self.id(unix_ns);
        let (begin, end) = (self.begin(id), self.begin(id.saturating_add(1)));
        let margin = i128::from(self.margin);
        let (head, tail) = (begin.saturating_add(margin), end.saturating_sub(margin));
        let end = [head, tail, end].into_iter().filter(|end| *end > unix_ns);
        Phase {
            id,
            counts: [unix_ns < head, true, unix_ns >= tail],
            end: end.min().unwrap_or(i128::MAX),
        }
    }

    /// The first reading after this phase.
    fn next(&self, phase: &Phase, at: u64) -> u64 {
        match self.wall.reading(phase.end) {
            end if end > at => end,
            // A wall clock at the end of time stands still.
            _ => u64::MAX,
        }
    }

    fn left(&self, used: &Used, phase: &Phase) -> u64 {
        let mut units = used.units;
        let used = counted(&mut units, phase.counts).map(|(units, _)| *units);
        self.count.saturating_sub(used.max().unwrap_or(0))
    }
}

/// The windows that count.
fn counted(units: &mut [u64; 3], counts: [bool; 3]) -> impl Iterator<Item = (&mut u64, bool)> {
    units.iter_mut().zip(counts).filter(|(_, counts)| *counts)
}

#[cfg(test)]
mod tests;

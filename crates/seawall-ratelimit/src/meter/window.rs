//! A count from one full minute (hour, ...) of the clock on the wall to the next.
//!
//! The windows are numbered: number `k` is from `k * per + offset` to the same of `k + 1`. Numbers
//! only grow; when the clock on the wall is set back, time stands still at the begin of the
//! window that was reached, and nothing is granted twice.
//!
//! With a margin, what departs less than `margin` after the begin of a window counts in the one
//! before, too, and what departs in the last `margin` in the one after. As long as the upstream's
//! clock differs by at most that, what it counts in one of its windows is part of what is counted
//! here in the same one.

use super::wall::{WallClock, WallReading};

/// After so many windows, whatever was taken before is of no effect, and grants come evenly.
const SETTLED: u32 = 12;

/// A limit per window of the clock on the wall.
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
    /// When the clock on the wall was last told.
    told: u64,
    /// Nothing is granted before.
    shut: u64,
    said: Option<WallReading>,
}

/// What counts in the window before, in this one, and in the one after.
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
    /// Of before, this and next.
    counts: [bool; 3],
    /// Where it ends, on the wall.
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
            told: now,
            shut: 0,
            said: None,
        };
        window.used.id = window.id(wall.unix_ns(now));
        window
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
        let mut used = self.used;
        let mut at = start;
        // Each window has three phases, and may be cut by what the upstream said.
        for _ in 0..4 * SETTLED {
            let phase = self.phase(at);
            used.advance(phase.id);
            if self.room(&used, &phase, at, self.said) >= cost {
                return at;
            }
            at = self.next(&phase, at);
        }
        u64::MAX
    }

    /// When the last of so many ones is granted.
    fn last(&self, start: u64, cost: u64) -> u64 {
        let (mut used, mut said) = (self.used, self.said);
        let (mut at, mut left) = (start, cost);
        let (mut granted_at, mut settled) = (start, 0);
        while settled < SETTLED {
            let phase = self.phase(at);
            used.advance(phase.id);
            let units = self.room(&used, &phase, at, said).min(left);
            for (window, _) in counted(&mut used.units, phase.counts) {
                *window += units;
            }
            if let Some(said) = &mut said {
                said.take(units);
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

    /// Takes `cost` now, whether it is there or not. What is taken over the count is owed to the
    /// end of the window, as with the upstream.
    pub(crate) fn take(&mut self, now: u64, cost: u64) {
        self.advance(now);
        let phase = self.phase(now);
        for (window, _) in counted(&mut self.used.units, phase.counts) {
            *window = window.saturating_add(cost);
        }
        if let Some(said) = &mut self.said {
            said.take(cost);
        }
    }

    /// Puts back what was taken at `taken_at` and did not depart, when that was in this window.
    pub(crate) fn give_back(&mut self, now: u64, cost: u64, taken_at: u64) {
        self.advance(now);
        if let Some(said) = &mut self.said {
            said.give_back(cost, taken_at);
        }
        // Numbers only grow: what was taken since this window was reached counted in it.
        if taken_at < self.began {
            return;
        }
        let mut counts = [false, true, false];
        if taken_at >= self.told {
            counts = self.phase(taken_at).counts;
        }
        for (window, _) in counted(&mut self.used.units, counts) {
            *window = window.saturating_sub(cost);
        }
    }

    /// How much is there now; below zero by what is owed.
    pub(crate) fn available(&self, now: u64) -> f64 {
        let phase = self.phase(now);
        let mut used = self.used;
        used.advance(phase.id);
        let owed = self.count as f64 - used.units[1] as f64;
        let room = self.room(&used, &phase, now, self.said) as f64;
        if now < self.shut {
            owed.min(0.0)
        } else {
            owed.min(room)
        }
    }

    /// How much counts in the window of now.
    #[cfg(test)]
    pub(crate) fn used(&self, now: u64) -> u64 {
        let mut used = self.used;
        used.advance(self.phase(now).id);
        used.units[1]
    }

    /// The upstream says that so much is left, until it starts anew. Where more is left here, no
    /// more is granted until then, but at most for the time of one window; when it says no time,
    /// to the end of this one. A time that has passed says nothing.
    pub(crate) fn lower_to(&mut self, now: u64, remaining: u64, resets_at: Option<u64>) {
        self.advance(now);
        let phase = self.phase(now);
        if self.room(&self.used, &phase, now, None) <= remaining {
            return;
        }
        let until = match resets_at {
            Some(at) => at.min(now.saturating_add(self.per)),
            None => self.wall.reading(self.begin(phase.id.saturating_add(1))),
        };
        if until > now {
            self.said = Some(WallReading::heard(self.said, now, remaining, until));
        }
    }

    /// Grants nothing before `at`.
    pub(crate) fn empty_until(&mut self, at: u64) {
        self.shut = self.shut.max(at);
    }

    /// Changes the limit. What counts in the window of now goes on to count in that of now.
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
            self.used.id = self.id(self.wall.unix_ns(now));
        }
        // Refunds of what counted in other windows would be another's.
        self.told = now.saturating_add(1);
    }

    /// Forgets what the upstream said. The count of the window stays: its end is near, and the
    /// upstream does not forget it.
    pub(crate) fn refill(&mut self, _now: u64) {
        self.shut = 0;
        self.said = None;
    }

    /// Whether it is like a new one.
    pub(crate) fn is_unused(&self, now: u64) -> bool {
        let mut used = self.used;
        used.advance(self.phase(now).id);
        used.units == [0; 3] && now >= self.shut && self.said.is_none_or(|said| now >= said.until)
    }

    /// The clock on the wall was read anew.
    pub(crate) fn set_wall_clock(&mut self, now: u64, wall: WallClock) {
        self.advance(now);
        self.wall = wall;
        self.told = now.saturating_add(1);
        self.advance(now);
    }

    fn advance(&mut self, now: u64) {
        let id = self.id(self.wall.unix_ns(now));
        if id > self.used.id {
            self.used.advance(id);
            self.began = now;
        }
        if self.said.is_some_and(|said| now >= said.until) {
            self.said = None;
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

    /// Where a reading is. What the wall shows before the window that was reached is its begin.
    fn phase(&self, at: u64) -> Phase {
        let unix_ns = self.wall.unix_ns(at).max(self.begin(self.used.id));
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

    /// The first reading after this phase, or after what the upstream said.
    fn next(&self, phase: &Phase, at: u64) -> u64 {
        let end = self.wall.reading(phase.end).max(at.saturating_add(1));
        match self.said {
            Some(said) if at < said.until => end.min(said.until),
            _ => end,
        }
    }

    fn room(&self, used: &Used, phase: &Phase, at: u64, said: Option<WallReading>) -> u64 {
        let mut units = used.units;
        let used = counted(&mut units, phase.counts).map(|(units, _)| *units);
        let room = self.count.saturating_sub(used.max().unwrap_or(0));
        match said {
            Some(said) if at < said.until => room.min(said.left),
            _ => room,
        }
    }
}

/// Those of the windows that count.
fn counted(units: &mut [u64; 3], counts: [bool; 3]) -> impl Iterator<Item = (&mut u64, bool)> {
    units.iter_mut().zip(counts).filter(|(_, counts)| *counts)
}

#[cfg(test)]
mod tests;

//! Never more than a count in any period: a log of recent departures.
//!
//! Each departure at `t` counts until `u(t)`, which is `t + span` rounded up to a whole number of
//! grains, with `span` the period of the limit and its margin together; a cost is granted when it
//! and all that counts are at most the count.
//!
//! **The bound.** Let the departures in some half-open stretch `[s, s + span)` end with one at `d`.
//! Each of the others is at a `t >= s > d - span`, so `u(t) >= t + span > d`: it counted when the
//! last one was granted, and all of them together were at most the count. Rounding up makes
//! departures count for longer, never shorter, so the bound does not depend on the grain.
//!
//! **What the grain costs.** A departure counts for less than `span + grain`. So a rejection means
//! that the count has departed within the last `span + grain`, and under full load the count
//! departs in every stretch that long: with a grain of `span / B`, the share `B / (B + 1)` of what
//! is allowed is used.
//!
//! Up to [`EXACT`] the grain is a nanosecond: nothing is lost, and there is one entry of 16 bytes
//! per departure that counts, at most [`EXACT`] of them. Above, `B` is [`SLICES`] and the share
//! is 128/129, 99.2 %; departures within one grain are one entry, and there are at most
//! `SLICES + 2` of them. Either way the memory grows with what counts, unless it is
//! [reserved](Strict::reserve). When debits would need more entries, neighbours are merged into one
//! that counts as long as the later of the two.
//!
//! **Corrections.** What a departure at `t` did not use is removed from the entry of `t`, and what
//! it used in addition is added there: later, neither changes what counts. Where that entry was
//! merged with a later one, units of earlier entries are removed first, which errs on the safe side.

use std::collections::VecDeque;

use super::headroom::Headroom;
use crate::pause::{Pause, Start};

/// Up to this count each departure has an entry of its own.
const EXACT: u32 = 1_024;

/// Into how many grains the span is divided above.
const SLICES: u64 = 128;

/// The most that counts: far above all counts, and far from where sums overflow.
const MAX_UNITS: u64 = 1 << 62;

/// Departures that count until the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// The first instant at which they do not count any more; `u64::MAX` is never.
    until: u64,
    /// The units of this entry and of all before it, since the log was last empty.
    sum: u64,
}

/// Units that count until an instant.
type Run = (u64, u64);

/// A limit that holds in any stretch of its period.
#[derive(Clone, Debug)]
pub(crate) struct Strict {
    count: u64,
    span: u64,
    grain: u64,
    /// In the order in which entries cease to count.
    log: VecDeque<Entry>,
    /// How many entries the log may have.
    max_entries: usize,
    /// Whether their memory is allocated.
    is_reserved: bool,
    /// The sum of the last entry that was dropped.
    dropped: u64,
    /// The latest reading of the clock: time does not go back behind it.
    latest: u64,
    headroom: Headroom,
}

impl Strict {
    /// At most `count` in any half-open stretch of `per_ns + margin_ns`.
    pub(crate) fn new(count: u32, per_ns: u64, margin_ns: u64) -> Self {
        let mut strict = Self {
            count: 1,
            span: 1,
            grain: 1,
            log: VecDeque::new(),
            max_entries: 1,
            is_reserved: false,
            dropped: 0,
            latest: 0,
            headroom: Headroom::default(),
        };
        strict.shape(count, per_ns, margin_ns);
        strict
    }

    fn shape(&mut self, count: u32, per_ns: u64, margin_ns: u64) {
        self.count = count.max(1).into();
        self.span = per_ns.saturating_add(margin_ns).max(1);
        (self.grain, self.max_entries) = if count <= EXACT {
            (1, count.max(1) as usize)
        } else {
            (self.span.div_ceil(SLICES), SLICES as usize + 2)
        };
        if self.is_reserved {
            self.reserve();
        }
    }

    /// Allocates all memory that it may need, so that no call does later.
    pub(crate) fn reserve(&mut self) {
        self.is_reserved = true;
        let more = self.max_entries.saturating_sub(self.log.len());
        self.log.reserve_exact(more);
    }

    /// The memory of the log, in bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.log.capacity() * size_of::<Entry>()
    }

    /// The most that one call may cost.
    pub(crate) const fn capacity(&self) -> u64 {
        self.count
    }

    /// Nanoseconds from now until the last of several costs, `cost` in sum, is granted if each
    /// unit is taken as soon as it can be, from `start` on. Exact for one cost up to the capacity and
    /// for any sum of ones; a lower bound for sums of others.
    pub(crate) fn wait(&mut self, start: Start, cost: u64) -> u64 {
        let now = start.now;
        self.prune(now);
        if cost == 0 {
            return 0;
        }
        let time = now.max(self.latest);
        // The unit whose departure in the same round of the log comes at the same place.
        let (rounds, first) = if cost <= self.count {
            (0, cost)
        } else {
            ((cost - 1) / self.count, (cost - 1) % self.count + 1)
        };
        let free = self.nth_free(time, first);
        let earliest = start.at.max(self.paced(start.pause, first));
        let start = free.max(earliest);
        let end = match rounds {
            // A clock that has gone back is treated as standing still.
            0 if free == time => earliest,
            0 => start,
            // A departure on a full grain comes back after full grains.
            more => {
                let period = u128::from(self.span.div_ceil(self.grain)) * u128::from(self.grain);
                let rest = u128::from(more - 1).saturating_mul(period);
                let rest = u64::try_from(rest).unwrap_or(u64::MAX);
                self.until(start).saturating_add(rest)
            }
        };
        match end {
            u64::MAX => u64::MAX,
            end => end.saturating_sub(now),
        }
    }

    /// The first instant from `time` at which `units`, at most the count, fit in.
    fn nth_free(&self, time: u64, units: u64) -> u64 {
        let over = self.live().saturating_add(units);
        match over.checked_sub(self.count) {
            None | Some(0) => time,
            Some(nth) => {
                let sum = self.dropped + nth;
                let at = self.log.partition_point(|entry| entry.sum < sum);
                self.log
                    .get(at)
                    .map_or(u64::MAX, |entry| entry.until.max(time))
            }
        }
    }

    /// The first instant at which the careful start after a pause grants `units`: the count comes
    /// evenly over as long as the pause lasted, at most over the period.
    fn paced(&self, pause: Pause, units: u64) -> u64 {
        match self.span.min(pause.ease()) {
            0 => 0,
            ease => self.paced_over(ease, pause, units),
        }
    }

    #[cold]
    fn paced_over(&self, ease: u64, pause: Pause, units: u64) -> u64 {
        let units = self.since(pause).saturating_add(units);
        if units > self.count {
            return 0;
        }
        let share = (u128::from(ease) * u128::from(units)).div_ceil(self.count.into());
        let share = u64::try_from(share).unwrap_or(u64::MAX);
        pause.until().saturating_add(share)
    }

    /// What has departed since the end of a pause.
    fn since(&self, pause: Pause) -> u64 {
        let first = self.until(pause.until());
        let before = self.log.partition_point(|entry| entry.until < first);
        let sum = before
            .checked_sub(1)
            .map_or(self.dropped, |last| self.log[last].sum);
        self.live() - (sum - self.dropped)
    }

    /// Takes `cost` now, whether it is there or not. What is taken over the count is owed no
    /// longer than anything else counts: the upstream does not remember it longer either.
    pub(crate) fn take(&mut self, now: u64, cost: u64) {
        self.prune(now);
        let until = self.latest.saturating_add(self.span);
        // Within the grain of the last entry it counts as long as that: there is nothing to divide.
        let until = match self.log.back() {
            Some(last) if last.until >= until => last.until,
            _ => self.on_grain(until),
        };
        self.push(until, cost);
    }

    /// Takes what a departure at `taken_at` used more than estimated, as long as that counts.
    pub(crate) fn debit(&mut self, now: u64, cost: u64, taken_at: u64) {
        self.prune(now);
        let until = self.until(taken_at);
        if !is_past(until, self.latest) {
            let cost = self.headroom.debit(cost, taken_at);
            self.insert(until, cost);
        }
    }

    /// Gives back what was taken at `taken_at` and not used, as long as that counts.
    pub(crate) fn give_back(&mut self, now: u64, cost: u64, taken_at: u64) {
        self.prune(now);
        let until = self.until(taken_at);
        if is_past(until, self.latest) {
            return;
        }
        let mut left = self.headroom.refund(cost, taken_at);
        // It is in the last of these entries. When entries were merged or the clock stood still, it
        // is in a later one: to take from what ceases to count earlier errs on the safe side.
        let own = self.log.partition_point(|entry| entry.until <= until);
        for at in (0..own).rev().chain(own..self.log.len()) {
            if left == 0 {
                break;
            }
            left -= self.remove(at, left);
        }
        let mut before = self.dropped;
        self.log.retain(|entry| {
            let is_empty = entry.sum == before;
            before = entry.sum;
            !is_empty
        });
    }

    /// Removes units from an entry, at most those that it has, and returns how many.
    fn remove(&mut self, at: usize, units: u64) -> u64 {
        let removed = units.min(self.log[at].sum - self.sum_before(at));
        for entry in self.log.range_mut(at..) {
            entry.sum -= removed;
        }
        removed
    }

    /// The sum of all entries before this one.
    fn sum_before(&self, at: usize) -> u64 {
        let before = at.checked_sub(1);
        before.map_or(self.dropped, |before| self.log[before].sum)
    }

    /// Adds units that count until then: to the entry of that time, or to a new one, or to the next
    /// where there is no room.
    fn insert(&mut self, until: u64, units: u64) {
        let at = self.log.partition_point(|entry| entry.until < until);
        let units = units.min(MAX_UNITS.saturating_sub(self.live()));
        let Some(next) = self.log.get(at) else {
            return self.push(until, units);
        };
        if units == 0 {
            return;
        }
        if next.until > until && self.log.len() < self.max_entries {
            let sum = self.sum_before(at);
            self.log.insert(at, Entry { until, sum });
        }
        for entry in self.log.range_mut(at..) {
            entry.sum += units;
        }
    }

    /// The upstream reports without a reset that so much is left: what is missing here counts as if
    /// it departed now. It includes what departed before, so corrections of that do not count above.
    pub(crate) fn lower_to(&mut self, now: u64, left: u64) {
        self.prune(now);
        let known = self.count.saturating_sub(self.live());
        self.headroom = Headroom::new(self.latest, left, known);
        self.push(self.until(self.latest), known.saturating_sub(left));
    }

    /// How much is there now; below zero by what is owed.
    pub(crate) fn available(&self, start: Start) -> f64 {
        let left = self.count as f64 - self.used(start.now) as f64;
        let ease = self.span.min(start.pause.ease());
        let eased = start.now.saturating_sub(start.pause.until());
        if eased >= ease {
            return left;
        }
        let share = self.count as f64 * eased as f64 / ease as f64;
        left.min(share - self.since(start.pause) as f64)
    }

    /// How much counts now.
    pub(crate) fn used(&self, now: u64) -> u64 {
        let time = now.max(self.latest);
        match self.past(time).checked_sub(1) {
            None => self.live(),
            Some(last) => self.live() - (self.log[last].sum - self.dropped),
        }
    }

    /// Changes the limit. What counts now counts for the new period; what has ceased to count is
    /// forgotten, also when the period becomes longer.
    pub(crate) fn set(&mut self, now: u64, count: u32, per_ns: u64, margin_ns: u64) {
        self.prune(now);
        let old = self.span;
        let runs = self.runs();
        self.shape(count, per_ns, margin_ns);
        self.clear();
        for (until, units) in runs {
            let until = match until {
                u64::MAX => u64::MAX,
                until => self.until(until.saturating_sub(old)),
            };
            self.push(until, units);
        }
    }

    /// Forgets everything.
    pub(crate) fn refill(&mut self, _now: u64) {
        self.clear();
        self.headroom = Headroom::default();
    }

    /// Whether it is like a new one.
    pub(crate) fn is_unused(&self, now: u64) -> bool {
        self.used(now) == 0
    }

    /// Units in the log.
    fn live(&self) -> u64 {
        self.log.back().map_or(0, |last| last.sum - self.dropped)
    }

    /// How many entries do not count any more.
    fn past(&self, time: u64) -> usize {
        self.log.partition_point(|entry| is_past(entry.until, time))
    }

    /// Until when a departure counts.
    const fn until(&self, taken_at: u64) -> u64 {
        self.on_grain(taken_at.saturating_add(self.span))
    }

    /// The same instant or the next one on a full grain.
    const fn on_grain(&self, at: u64) -> u64 {
        match at.checked_next_multiple_of(self.grain) {
            Some(whole) => whole,
            None => u64::MAX,
        }
    }

    /// Advances the time to `now`, and drops entries that do not count any more.
    #[inline]
    fn prune(&mut self, now: u64) {
        self.latest = self.latest.max(now);
        let first = self.log.front();
        if first.is_some_and(|entry| is_past(entry.until, self.latest)) {
            self.drop_past();
        }
    }

    #[inline(never)]
    fn drop_past(&mut self) {
        while let Some(entry) = self.log.front() {
            if !is_past(entry.until, self.latest) {
                break;
            }
            self.dropped = entry.sum;
            self.log.pop_front();
        }
        if self.log.is_empty() {
            self.dropped = 0;
        } else if self.dropped > MAX_UNITS {
            for entry in &mut self.log {
                entry.sum -= self.dropped;
            }
            self.dropped = 0;
        }
    }

    /// Appends. Units that would cease to count before the last entry are added to it.
    fn push(&mut self, until: u64, units: u64) {
        let units = units.min(MAX_UNITS.saturating_sub(self.live()));
        if units == 0 {
            return;
        }
        let full = self.log.len() >= self.max_entries;
        match self.log.back_mut() {
            Some(last) if full || last.until >= until => {
                last.until = last.until.max(until);
                last.sum += units;
            }
            last => {
                let sum = last.map_or(self.dropped, |last| last.sum) + units;
                self.log.push_back(Entry { until, sum });
            }
        }
    }

    fn clear(&mut self) {
        self.log.clear();
        self.dropped = 0;
    }

    fn runs(&self) -> Vec<Run> {
        let mut before = self.dropped;
        let units = |entry: &Entry| {
            let units = entry.sum - before;
            before = entry.sum;
            (entry.until, units)
        };
        self.log.iter().map(units).collect()
    }
}

/// Whether what counts until then does not count any more.
const fn is_past(until: u64, time: u64) -> bool {
    until <= time && until != u64::MAX
}

#[cfg(test)]
mod tests;

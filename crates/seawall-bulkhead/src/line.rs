//! Who waits for a place, in which order, and who is told when nobody does.

use std::task::Waker;

use seawall_core::queue::{Queue, Ticket, rank};
use seawall_core::{Priority, Reason};

use crate::pace::Pace;
use crate::places::{Joined, Turned, Wish};

/// The rules of the line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) max_waiting: u32,
    /// How long a call waits at most, in nanoseconds.
    pub(crate) patience_ns: u64,
    /// What one step of priority is worth, in nanoseconds of waiting.
    pub(crate) step_ns: u64,
    pub(crate) lifo_threshold: Option<u32>,
    pub(crate) reject_doomed: bool,
}

/// How many are in line of each priority, in groups of 16: a forecast counts those who go before.
#[derive(Debug)]
struct Census {
    groups: [u32; 16],
    each: [[u32; 16]; 16],
}

impl Census {
    const fn new() -> Self {
        Self {
            groups: [0; 16],
            each: [[0; 16]; 16],
        }
    }

    const fn add(&mut self, priority: Priority) {
        let (group, at) = (priority.0 as usize / 16, priority.0 as usize % 16);
        self.groups[group] += 1;
        self.each[group][at] += 1;
    }

    const fn remove(&mut self, priority: Priority) {
        let (group, at) = (priority.0 as usize / 16, priority.0 as usize % 16);
        self.groups[group] -= 1;
        self.each[group][at] -= 1;
    }

    /// How many are of this priority or a higher one.
    fn from(&self, priority: Priority) -> u32 {
        let (group, at) = (priority.0 as usize / 16, priority.0 as usize % 16);
        let higher = self.groups[group + 1..].iter().sum::<u32>();
        higher + self.each[group][at..].iter().sum::<u32>()
    }
}

/// Everything about the line that is changed under its lock.
#[derive(Debug)]
pub(crate) struct Line {
    /// Each waiter with its priority.
    pub(crate) queue: Queue<Priority>,
    /// Those who do not stand aside.
    in_line: u32,
    /// Of the same.
    census: Census,
    /// The latest time that anybody came at, so that a late reading of the clock passes nobody.
    latest_ns: u64,
    pub(crate) limit: u32,
    pub(crate) rules: Rules,
    pub(crate) pace: Pace,
    pub(crate) watchers: Watchers,
}

impl Line {
    pub(crate) const fn new(limit: u32, rules: Rules) -> Self {
        Self {
            queue: Queue::new(),
            in_line: 0,
            census: Census::new(),
            latest_ns: 0,
            limit,
            rules,
            pace: Pace::new(),
            watchers: Watchers::new(),
        }
    }

    /// Whether nobody is in line; those who stand aside are not.
    pub(crate) const fn is_empty(&self) -> bool {
        self.in_line == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= self.rules.max_waiting as usize
    }

    /// Whether one may join.
    pub(crate) fn admit(&self, now_ns: u64, wish: &Wish) -> Result<(), Turned> {
        if now_ns >= wish.deadline_ns {
            return Err(Turned::Away(Reason::DeadlineExceeded));
        }
        if self.is_full() {
            return Err(Turned::Away(Reason::BulkheadFull));
        }
        // An empty line moves at no pace: what is known is of another time.
        if !self.rules.reject_doomed || wish.deadline_ns == u64::MAX || self.is_empty() {
            return Ok(());
        }
        let wait = self.pace.forecast(self.position(wish), self.limit);
        match wait {
            Some(wait) if wait > wish.deadline_ns - now_ns => Err(Turned::Shed),
            _ => Ok(()),
        }
    }

    /// Which turn one who joined now would have, from 1, at the earliest: those of less priority
    /// who have waited for longer than the difference is worth are left out.
    fn position(&self, wish: &Wish) -> u32 {
        if self.is_overloaded() {
            return 1;
        }
        self.census.from(wish.priority) + 1
    }

    fn is_overloaded(&self) -> bool {
        let above = self.rules.lifo_threshold;
        above.is_some_and(|above| self.queue.len() > above as usize)
    }

    pub(crate) fn join(&mut self, now_ns: u64, wish: &Wish, waker: Waker) -> Joined {
        if self.is_empty() {
            self.pace.begin(now_ns);
        }
        let rank = if self.is_overloaded() {
            self.latest_ns = now_ns.max(self.latest_ns + 1);
            newest_first(self.latest_ns, wish.priority, self.rules.step_ns)
        } else {
            self.latest_ns = now_ns.max(self.latest_ns);
            rank(self.latest_ns, wish.priority, self.rules.step_ns)
        };
        let ticket = self.queue.join_ranked(rank, wish.priority, waker);
        self.in_line += 1;
        self.census.add(wish.priority);
        Joined {
            ticket,
            patience_ns: self.rules.patience_ns,
        }
    }

    /// Waits in line; who stood aside comes back.
    pub(crate) fn wait(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        self.rejoin(ticket);
        self.queue.wait(ticket, waker)
    }

    pub(crate) fn rejoin(&mut self, ticket: Ticket) {
        if !self.queue.rejoin(ticket) {
            return;
        }
        if self.is_empty() {
            // What is known is of the line before.
            self.pace.forget();
        }
        self.in_line += 1;
        if let Some(priority) = self.queue.item(ticket) {
            self.census.add(*priority);
        }
    }

    /// `true` when it was in line until now.
    pub(crate) fn stand_aside(&mut self, ticket: Ticket) -> bool {
        if self.queue.is_aside(ticket) {
            return false;
        }
        let Some(priority) = self.queue.item(ticket) else {
            return false;
        };
        self.census.remove(*priority);
        self.in_line -= 1;
        self.queue.stand_aside(ticket);
        true
    }

    /// Hands back the waker, if it was not called; `None` when it has left before.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<Option<Waker>> {
        let was_aside = self.queue.is_aside(ticket);
        let (priority, waker) = self.queue.leave(ticket)?;
        if !was_aside {
            self.in_line -= 1;
            self.census.remove(priority);
        }
        Some(waker)
    }

    /// A place was given back.
    pub(crate) fn released(&mut self, now_ns: u64) {
        self.pace.step(now_ns, self.limit);
    }

    /// For how long a place is held on average, by the pace of the line, if it stands.
    pub(crate) fn mean_hold_ns(&self) -> Option<u64> {
        let hold = self.pace.mean_hold(self.limit);
        hold.filter(|_| !self.is_empty())
    }

    /// Tells by how much the number of places grows.
    pub(crate) fn set_limit(&mut self, limit: u32) -> i64 {
        let by = i64::from(limit) - i64::from(self.limit);
        self.pace.resized(self.limit, limit);
        self.limit = limit;
        by
    }
}

/// The rank of one who comes while the newest go first: before every [`rank`], and before those
/// who came earlier, unless they have more priority.
const fn newest_first(now_ns: u64, priority: Priority, step_ns: u64) -> i64 {
    const HALF: i64 = i64::MAX / 2;
    // 73 years, and as much handicap: the sum of both is below zero.
    const MOST: u64 = i64::MAX as u64 / 4;
    let handicap = step_ns.saturating_mul((u8::MAX - priority.0) as u64);
    let handicap = if handicap > MOST { MOST } else { handicap };
    let now = if now_ns > MOST { MOST } else { now_ns };
    handicap as i64 - now as i64 - HALF
}

/// Those who are to be woken outside of all locks.
#[must_use = "they sleep on unless they are woken"]
#[derive(Debug)]
pub(crate) struct Woken {
    pub(crate) next: Option<Waker>,
    pub(crate) watchers: Vec<Waker>,
}

impl Woken {
    pub(crate) fn wake(self) {
        wake(self.next);
        self.watchers.into_iter().for_each(Waker::wake);
    }
}

/// Outside of the lock: a waker runs code of the executor.
pub(crate) fn wake(next: Option<Waker>) {
    if let Some(waker) = next {
        waker.wake();
    }
}

/// Who waits for all places to be free.
#[derive(Debug)]
pub(crate) struct Watchers {
    drawn: u64,
    all: Vec<(u64, Waker)>,
}

impl Watchers {
    const fn new() -> Self {
        Self {
            drawn: 0,
            all: Vec::new(),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Hands back the waker that it replaces.
    pub(crate) fn put(&mut self, id: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let old = self.remove(*id);
        let id = *id.get_or_insert_with(|| {
            self.drawn += 1;
            self.drawn
        });
        self.all.push((id, waker));
        old
    }

    pub(crate) fn remove(&mut self, id: Option<u64>) -> Option<Waker> {
        let at = self.all.iter().position(|(of, _)| Some(*of) == id)?;
        Some(self.all.swap_remove(at).1)
    }

    pub(crate) fn take_all(&mut self) -> Vec<Waker> {
        let all = std::mem::take(&mut self.all);
        all.into_iter().map(|(_, waker)| waker).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(lifo_threshold: Option<u32>) -> Line {
        let rules = Rules {
            max_waiting: 9,
            patience_ns: 1,
            step_ns: 10,
            lifo_threshold,
            reject_doomed: true,
        };
        Line::new(1, rules)
    }

    const fn wish(priority: Priority) -> Wish {
        Wish {
            priority,
            deadline_ns: u64::MAX,
            reserves: false,
        }
    }

    fn noop() -> Waker {
        Waker::noop().clone()
    }

    #[test]
    fn who_reads_the_clock_early_and_joins_late_passes_nobody() {
        let mut line = line(None);
        let first = line.join(10, &wish(Priority::NORMAL), noop()).ticket;
        let second = line.join(5, &wish(Priority::NORMAL), noop()).ticket;
        assert!(line.queue.is_first(first));
        assert!(line.leave(first).is_some() && line.queue.is_first(second));
        assert!(line.leave(second).is_some() && line.is_empty());
    }

    #[test]
    fn the_newest_has_a_rank_before_all_others_at_any_time() {
        let times = [0, 1, i64::MAX as u64 / 4, u64::MAX - 1, u64::MAX];
        for now in times {
            for step in [1, 1 << 40, u64::MAX] {
                let newest = newest_first(now, Priority(0), step);
                assert!(newest < 0 && newest < rank(0, Priority(255), 1));
                assert!(newest_first(now, Priority(255), step) <= newest);
            }
        }
        assert!(newest_first(2, Priority::NORMAL, 1) < newest_first(1, Priority::NORMAL, 1));
        let mut line = line(Some(0));
        line.join(7, &wish(Priority::NORMAL), noop());
        let older = line.join(7, &wish(Priority::NORMAL), noop()).ticket;
        let newer = line.join(7, &wish(Priority::NORMAL), noop()).ticket;
        assert!(line.queue.is_first(newer), "at the same moment, too");
        assert!(line.leave(newer).is_some() && line.queue.is_first(older));
    }

    #[test]
    fn a_position_counts_those_who_are_sure_to_go_before() {
        let mut line = line(None);
        for priority in [Priority::LOW, Priority::LOW, Priority::HIGH] {
            line.join(0, &wish(priority), noop());
        }
        assert_eq!(line.position(&wish(Priority::HIGH)), 2);
        assert_eq!(line.position(&wish(Priority::NORMAL)), 2);
        assert_eq!(line.position(&wish(Priority::LOW)), 4);
        line.rules.lifo_threshold = Some(2);
        assert_eq!(line.position(&wish(Priority::LOW)), 1);
    }
}

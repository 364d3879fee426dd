//! The queue of waiters: their order, their number, and which calls may join.

use std::sync::atomic::AtomicI64;

use seawall_core::queue::{Next, Queue, Supply, WaiterId, rank};
use seawall_core::{Priority, Reason};

use super::handed::Handed;
use super::hold_time::HoldTimeEstimate;
use super::idle::IdleWaiters;
use super::packed::{DRAINING, ONE_PERMIT, QUEUED, available, grants, permits};
use super::priority_counts::PriorityCounts;
use super::sync::{AtomicU64, Ordering};

/// The settings of the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueRules {
    pub(crate) max_waiting: u32,
    pub(crate) max_wait_ns: u64,
    /// What one step of priority is worth, in nanoseconds of waiting.
    pub(crate) priority_step_ns: u64,
    pub(crate) lifo_threshold: Option<u32>,
    pub(crate) reject_doomed: bool,
}

/// What a call brings to the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitRequest {
    pub(crate) priority: Priority,
    /// `u64::MAX` when it has none.
    pub(crate) deadline_ns: u64,
    /// It waits in `poll_ready`, without bounds of time and number.
    pub(crate) reserving: bool,
}

impl WaitRequest {
    /// Whether its deadline has passed. Reads the clock only if there is one.
    pub(crate) fn is_expired(&self, now: impl FnOnce() -> u64) -> bool {
        self.deadline_ns != u64::MAX && now() >= self.deadline_ns
    }
}

/// Why a call may not join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinError {
    Rejected(Reason),
    /// Its deadline will pass before its turn comes.
    Doomed,
}

/// A call that has joined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined {
    pub(crate) id: WaiterId,
    /// When its wait ends, by the rules of this moment.
    pub(crate) deadline_ns: u64,
}

/// Everything that is changed under the lock of the queue.
// On other cache lines than the lock: a thread that spins for that reads it again and again, and every write
// beside it would wait for the line.
#[repr(align(64))]
#[derive(Debug)]
pub(crate) struct PermitQueue {
    /// Each waiter with its priority.
    pub(crate) waiters: Queue<Priority>,
    /// The priorities of the active ones.
    priorities: PriorityCounts,
    /// The latest time at which a waiter joined, so that a late reading of the clock passes none.
    latest_ns: u64,
    pub(crate) limit: u32,
    pub(crate) rules: QueueRules,
    pub(crate) hold_time: HoldTimeEstimate,
    pub(crate) idle_waiters: IdleWaiters,
}

impl PermitQueue {
    pub(crate) const fn new(limit: u32, rules: QueueRules) -> Self {
        Self {
            waiters: Queue::new(),
            priorities: PriorityCounts::new(),
            latest_ns: 0,
            limit,
            rules,
            hold_time: HoldTimeEstimate::new(),
            idle_waiters: IdleWaiters::new(),
        }
    }

    /// Whether no waiter is active: skipped, lapsed and expired ones hold nothing up.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.active() == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiters.len() >= self.rules.max_waiting as usize
    }

    /// The waiters, and the permits as they see them.
    pub(super) fn split<'a>(
        &'a mut self,
        permits: Permits<'a>,
    ) -> (&'a mut Queue<Priority>, PermitSupply<'a>) {
        let priorities = &mut self.priorities;
        let supply = PermitSupply {
            permits,
            priorities,
            spare: 0,
        };
        (&mut self.waiters, supply)
    }

    /// Whether a call may join.
    pub(crate) fn check(&self, now_ns: u64, request: &WaitRequest) -> Result<(), JoinError> {
        if now_ns >= request.deadline_ns {
            return Err(JoinError::Rejected(Reason::DeadlineExceeded));
        }
        if self.is_full() {
            return Err(JoinError::Rejected(Reason::BulkheadFull));
        }
        // An empty queue does not move: what is known is of another time.
        if !self.is_forecast_for(request) || self.is_empty() {
            return Ok(());
        }
        let wait = self.hold_time.forecast(self.position(request), self.limit);
        match wait {
            Some(wait) if wait > request.deadline_ns - now_ns => Err(JoinError::Doomed),
            _ => Ok(()),
        }
    }

    /// Whether the number of waiters decides about a call, even where the queue is not full.
    pub(super) const fn is_counted_for(&self, request: &WaitRequest) -> bool {
        self.rules.lifo_threshold.is_some() || self.is_forecast_for(request)
    }

    const fn is_forecast_for(&self, request: &WaitRequest) -> bool {
        self.rules.reject_doomed && request.deadline_ns != u64::MAX
    }

    /// Which turn a call that joins now has, from 1, at the earliest: waiters of less priority
    /// that have waited for longer than the difference is worth are left out.
    fn position(&self, request: &WaitRequest) -> u32 {
        if self.is_overloaded() {
            return 1;
        }
        self.priorities.at_least(request.priority) + 1
    }

    fn is_overloaded(&self) -> bool {
        let threshold = self.rules.lifo_threshold;
        threshold.is_some_and(|threshold| self.waiters.len() > threshold as usize)
    }

    pub(super) fn join(
        &mut self,
        now_ns: u64,
        request: &WaitRequest,
        permits: Permits<'_>,
    ) -> Joined {
        if self.is_empty() {
            self.hold_time.start(now_ns);
        }
        let step_ns = self.rules.priority_step_ns;
        let rank = if self.is_overloaded() {
            self.latest_ns = now_ns.max(self.latest_ns + 1);
            newest_first(self.latest_ns, request.priority, step_ns)
        } else {
            self.latest_ns = now_ns.max(self.latest_ns);
            rank(self.latest_ns, request.priority, step_ns)
        };
        let deadline_ns = if request.reserving {
            u64::MAX
        } else {
            // From the latest reading on: deadlines that come in order are kept for less.
            let now_ns = now_ns.max(self.waiters.latest_ns());
            let latest = now_ns.saturating_add(self.rules.max_wait_ns);
            latest.min(request.deadline_ns)
        };
        let (waiters, mut supply) = self.split(permits);
        let id = waiters.join(rank, request.priority, deadline_ns, &mut supply);
        permits.handed.prepare(id);
        Joined { id, deadline_ns }
    }

    /// For how long a permit is held on average, while the queue moves.
    pub(crate) fn mean_hold_ns(&self) -> Option<u64> {
        let hold = self.hold_time.mean(self.limit);
        hold.filter(|_| !self.is_empty())
    }

    /// Hands back by how much the limit grows.
    pub(crate) fn set_limit(&mut self, limit: u32) -> i64 {
        let by = i64::from(limit) - i64::from(self.limit);
        self.hold_time.rescale(self.limit, limit);
        self.limit = limit;
        by
    }
}

/// Where permits are, outside of the queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permits<'a> {
    pub(super) word: &'a AtomicU64,
    pub(super) lowest: &'a AtomicI64,
    pub(super) handed: &'a Handed,
}

impl Permits<'_> {
    /// Under the lock: takes a permit if one is available, or in shadow mode.
    pub(super) fn take_available(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while grants(word) {
            let less = word.wrapping_sub(ONE_PERMIT);
            match self
                .word
                .compare_exchange(word, less, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => {
                    self.note_available(available(less));
                    return true;
                }
                Err(now) => word = now,
            }
        }
        false
    }

    /// Remembers how few permits were available.
    #[inline]
    pub(super) fn note_available(&self, left: i64) {
        if left < self.lowest.load(Ordering::Relaxed) {
            self.lowest.fetch_min(left, Ordering::Relaxed);
        }
    }
}

/// The permits, as waiters see them.
#[derive(Debug)]
pub(crate) struct PermitSupply<'a> {
    pub(super) permits: Permits<'a>,
    priorities: &'a mut PriorityCounts,
    /// Permits that were released under this lock, and are not available before its end: most go to the
    /// next waiter.
    pub(super) spare: u32,
}

impl PermitSupply<'_> {
    /// Takes a permit for a waiter.
    pub(super) fn take(&mut self) -> bool {
        if self.spare > 0 {
            let word = self.permits.word.load(Ordering::Acquire);
            // As if it were available.
            if grants(word.wrapping_add(permits(self.spare.into()))) {
                self.spare -= 1;
                return true;
            }
        }
        self.permits.take_available()
    }

    /// Whether a waiter whose wait is over may have a permit. During a drain it may not: it counts
    /// no longer, so the drain may have ended.
    pub(crate) fn has_permit(&self) -> bool {
        let word = self.permits.word.load(Ordering::Acquire);
        let with_spare = word.wrapping_add(permits(self.spare.into()));
        grants(with_spare) && word & DRAINING == 0
    }
}

impl Supply<Priority> for PermitSupply<'_> {
    fn claim_next(&mut self, _: u64, next: Next<'_, Priority>) -> Result<WaiterId, u64> {
        if self.take() {
            self.permits.handed.hand(next.id);
            Ok(next.id)
        } else {
            Err(u64::MAX)
        }
    }

    fn unclaim(&mut self, id: WaiterId, priority: &Priority) -> bool {
        self.priorities.remove(*priority);
        let taken_back = self.permits.handed.take_back(id);
        self.spare += u32::from(taken_back);
        taken_back
    }

    fn answered(&mut self, id: WaiterId) {
        self.permits.handed.keep(id);
    }

    #[inline]
    fn is_taken(&self, id: WaiterId) -> bool {
        self.permits.handed.is_taken(id)
    }

    fn serves_expired(&self) -> bool {
        self.permits.word.load(Ordering::Acquire) & DRAINING == 0
    }

    fn enter(&mut self, _: WaiterId, priority: &Priority) {
        self.priorities.add(*priority);
        // Before the available permits are read: see the module.
        let word = self.permits.word;
        if word.load(Ordering::Relaxed) & QUEUED == 0 {
            word.fetch_or(QUEUED, Ordering::AcqRel);
        }
    }

    fn exit(&mut self, _: WaiterId, priority: &Priority) {
        self.priorities.remove(*priority);
    }
}

/// The rank of a waiter that joins while the newest go first: before every [`rank`], and before
/// those that joined earlier, unless they have more priority.
const fn newest_first(now_ns: u64, priority: Priority, step_ns: u64) -> i64 {
    const HALF: i64 = i64::MAX / 2;
    // 73 years, and as much handicap: the sum of both is below zero.
    const MAX: u64 = i64::MAX as u64 / 4;
    let handicap = step_ns.saturating_mul((u8::MAX - priority.0) as u64);
    let handicap = if handicap > MAX { MAX } else { handicap };
    let now = if now_ns > MAX { MAX } else { now_ns };
    handicap as i64 - now as i64 - HALF
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;

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
    }

    fn queue(lifo_threshold: Option<u32>) -> PermitQueue {
        let rules = QueueRules {
            max_waiting: 9,
            max_wait_ns: 1,
            priority_step_ns: 10,
            lifo_threshold,
            reject_doomed: true,
        };
        PermitQueue::new(1, rules)
    }

    const fn request(priority: Priority) -> WaitRequest {
        WaitRequest {
            priority,
            deadline_ns: u64::MAX,
            reserving: false,
        }
    }

    #[test]
    fn a_waiter_that_reads_the_clock_early_and_joins_late_passes_none() {
        let (word, lowest, handed) = (AtomicU64::new(0), AtomicI64::new(0), Handed::new());
        let permits = Permits {
            word: &word,
            lowest: &lowest,
            handed: &handed,
        };
        let mut queue = queue(None);
        let first = queue.join(10, &request(Priority::NORMAL), permits).id;
        let second = queue.join(5, &request(Priority::NORMAL), permits).id;
        assert!(queue.waiters.is_first(first) && first < second);
        assert_eq!(word.load(Ordering::Relaxed), QUEUED);
    }

    #[test]
    fn the_newest_goes_first_above_the_threshold_at_the_same_moment_too() {
        let (word, lowest, handed) = (AtomicU64::new(0), AtomicI64::new(0), Handed::new());
        let permits = Permits {
            word: &word,
            lowest: &lowest,
            handed: &handed,
        };
        let mut queue = queue(Some(0));
        queue.join(7, &request(Priority::NORMAL), permits);
        let older = queue.join(7, &request(Priority::NORMAL), permits).id;
        let newer = queue.join(7, &request(Priority::NORMAL), permits).id;
        assert!(queue.waiters.is_first(newer) && newer < older);
    }

    #[test]
    fn of_permits_that_come_free_together_those_within_the_limit_are_handed_out() {
        // One more is held than a lower limit allows, and two come free.
        let (word, lowest) = (AtomicU64::new(permits(-1)), AtomicI64::new(-1));
        let handed = Handed::new();
        let given = Permits {
            word: &word,
            lowest: &lowest,
            handed: &handed,
        };
        let mut queue = queue(None);
        let (_, mut supply) = queue.split(given);
        supply.spare = 2;
        assert!(supply.has_permit() && supply.take());
        assert!(!supply.has_permit() && !supply.take());
        assert_eq!(supply.spare, 1);
    }

    #[test]
    fn a_position_counts_the_waiters_that_are_sure_to_go_before() {
        let (word, lowest, handed) = (AtomicU64::new(0), AtomicI64::new(0), Handed::new());
        let permits = Permits {
            word: &word,
            lowest: &lowest,
            handed: &handed,
        };
        let mut queue = queue(None);
        for priority in [
            Priority::LOW,
            Priority::LOW,
            Priority::NORMAL,
            Priority::HIGH,
        ] {
            queue.join(0, &request(priority), permits);
        }
        assert_eq!(queue.position(&request(Priority::HIGH)), 2);
        assert_eq!(queue.position(&request(Priority::NORMAL)), 3);
        assert_eq!(queue.position(&request(Priority::LOW)), 5);
        queue.rules.lifo_threshold = Some(2);
        assert_eq!(queue.position(&request(Priority::LOW)), 1);
    }
}

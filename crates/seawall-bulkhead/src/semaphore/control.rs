//! Changing the number of permits and the settings, and reading what is in use.

use std::sync::atomic::Ordering::Relaxed;

use seawall_core::queue::Wakers;

use super::packed::{BYPASS, DRAINING, PAUSED, SHADOW, available, permits};
use super::permits::Semaphore;
use super::queue::{PermitQueue, QueueRules};
use super::sync::Ordering;

impl Semaphore {
    /// Changes the limit. No call waits for it and none loses its permit: while more are held
    /// than there are, none is handed out.
    /// The wakers are for callers that hold a lock of their own meanwhile.
    pub(crate) fn set_limit(&self, limit: u32, now_ns: u64) -> Wakers {
        let mut queue = self.lock();
        let before = queue.limit;
        self.set_limit_locked(&mut queue, limit);
        if limit < before {
            self.dispatch_again(&mut queue, now_ns)
        } else {
            self.dispatch(&mut queue, now_ns)
        }
    }

    fn set_limit_locked(&self, queue: &mut PermitQueue, limit: u32) {
        let by = queue.set_limit(limit);
        // Both before the permits: an estimate may be too high for a moment, never below zero.
        self.lowest.fetch_add(by, Relaxed);
        self.limit.store(limit, Relaxed);
        self.word.fetch_add(permits(by), Ordering::AcqRel);
    }

    /// There is something else to hand out than before: less, or nothing until the end of a pause.
    fn dispatch_again(&self, queue: &mut PermitQueue, now_ns: u64) -> Wakers {
        let ((), wakers) = self.change_locked(queue, |queue, permits, wakers| {
            queue.take_back_claims(permits, wakers);
            queue.dispatch(now_ns, permits, wakers);
        });
        wakers
    }

    /// Other rules for the calls that come from now on. Without a limit, that stays.
    pub(crate) fn configure(
        &self,
        limit: Option<u32>,
        rules: QueueRules,
        shadow: bool,
        now_ns: u64,
    ) -> Wakers {
        let mut queue = self.lock();
        queue.rules = rules;
        self.set_flag(SHADOW, shadow);
        let limit = limit.unwrap_or(queue.limit);
        self.set_limit_locked(&mut queue, limit);
        self.dispatch_again(&mut queue, now_ns)
    }

    /// Ends every command and forgets the peak and the hold time.
    pub(crate) fn reset(&self, limit: u32, shadow: bool, now_ns: u64) -> Wakers {
        let mut queue = self.lock();
        self.set_flag(PAUSED | DRAINING | BYPASS, false);
        self.set_flag(SHADOW, shadow);
        queue.hold_time.clear();
        self.set_limit_locked(&mut queue, limit);
        let wakers = self.dispatch_again(&mut queue, now_ns);
        self.reset_peak_locked();
        wakers
    }

    /// Sets some flags and clears others; wakes the waiters that may go by that.
    pub(crate) fn command(&self, set: u64, clear: u64, now_ns: u64) {
        let mut queue = self.lock();
        self.set_flag(set, true);
        self.set_flag(clear, false);
        if clear & PAUSED != 0 {
            // The queue has stood still: that is no time for which a permit was held.
            queue.hold_time.clear();
        }
        let wakers = self.dispatch_again(&mut queue, now_ns);
        drop(queue);
        wakers.wake();
    }

    pub(crate) fn has(&self, flag: u64) -> bool {
        self.word.load(Ordering::Acquire) & flag != 0
    }

    /// The numbers of one moment. Waiters whose wait is over do not count, whatever has looked after
    /// them.
    pub(crate) fn usage(&self, now_ns: u64) -> Usage {
        let mut queue = self.lock();
        let ((), wakers) = self.change_locked(&mut queue, |queue, permits, wakers| {
            queue.forget_all_taken(permits, wakers);
            queue.dispatch(now_ns, permits, wakers);
        });
        let limit = i64::from(queue.limit);
        let word = self.word.load(Ordering::Acquire);
        let claims = queue.waiters.claims() as i64;
        let count = |held: i64| u32::try_from(held.max(0)).unwrap_or(u32::MAX);
        let usage = Usage {
            // Those that were handed a permit still wait.
            in_flight: count(limit - available(word) - claims),
            limit: queue.limit,
            queue_depth: queue.waiters.len(),
            peak: count(limit - self.lowest.load(Relaxed)),
            mean_hold_ns: queue.mean_hold_ns(),
        };
        drop(queue);
        wakers.wake();
        usage
    }

    /// Counts the most permits that were held at once from now on.
    pub(crate) fn reset_peak(&self) {
        let _queue = self.lock();
        self.reset_peak_locked();
    }

    fn reset_peak_locked(&self) {
        let available = available(self.word.load(Ordering::Acquire));
        self.lowest.store(available, Relaxed);
    }

    /// The limit, as far as it is known without the lock.
    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Relaxed)
    }
}

/// The numbers of a semaphore at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) in_flight: u32,
    pub(crate) limit: u32,
    pub(crate) queue_depth: usize,
    pub(crate) peak: u32,
    pub(crate) mean_hold_ns: Option<u64>,
}

impl Usage {
    pub(crate) const fn available(&self) -> u32 {
        self.limit.saturating_sub(self.in_flight)
    }
}

//! The moves between the states of a waiter.

use super::state::{Aside, Entry, LATE_VOTES, LONGEST_GRACE};
use super::{GRACE, Next, Queue, Supply, WaiterId, Wakers};

impl<T> Queue<T> {
    /// Lets waiters expire and lapse, and notifies the next ones as long as there is something for
    /// them. Every other operation does so too; call it when the supply has changed.
    pub fn dispatch(&mut self, now_ns: u64, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        self.latest_ns = self.latest_ns.max(now_ns);
        let now_ns = self.latest_ns;
        self.expire(now_ns, supply, wakers);
        self.lapse_unanswered(now_ns, supply, wakers);
        while self.notify_next(now_ns, supply, wakers) {}
        self.settle();
        self.call_watchdog(wakers);
    }

    /// How late waiters came says nothing about the next ones that come to an empty queue.
    pub(super) fn settle(&mut self) {
        if self.is_empty() {
            self.grace_ns = GRACE;
            self.late = 0;
        }
    }

    /// Wakes the watchdog if it would look too late.
    pub(super) fn call_watchdog(&mut self, wakers: &mut Wakers) {
        let next_check_ns = self.next_check_ns();
        self.watchdogs.call(next_check_ns, wakers);
    }

    fn notify_next(
        &mut self,
        now_ns: u64,
        supply: &mut impl Supply<T>,
        wakers: &mut Wakers,
    ) -> bool {
        let Some((id, first)) = self.waiting.first_mut() else {
            return false;
        };
        let next = Next {
            id,
            item: &first.item,
            claims: self.notified.len(),
        };
        let id = match supply.claim_next(now_ns, next) {
            Ok(id) => id,
            Err(due_ns) => {
                if due_ns < first.due_ns {
                    // It has no timer yet, or one for a later time. If it does not come to set one,
                    // it lapses as if it had.
                    wakers.add(first.waker.take());
                    first.due_ns = due_ns;
                } else if first.due_ns <= now_ns {
                    // There was nothing for it after all.
                    first.due_ns = due_ns;
                }
                return false;
            }
        };
        let Some(mut entry) = self.waiting.remove(id) else {
            return false;
        };
        if entry.due_ns.saturating_add(self.grace_ns) <= now_ns {
            // Its own timer should have made it come.
            supply.unclaim(id, &entry.item);
            self.set_aside(id, Aside::Lapsed, entry, supply, wakers);
            return true;
        }
        entry.notified_ns = now_ns;
        wakers.add(entry.waker.take());
        self.unanswered.insert((now_ns, id), ());
        self.notified.insert(id, entry);
        true
    }

    fn expire(&mut self, now_ns: u64, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        while let Some(((at, id), ())) = self.deadlines.first()
            && at <= now_ns
        {
            self.deadlines.pop_first();
            let entry = self.take_active(id, supply);
            if let Some(entry) = entry.or_else(|| self.remove_aside(id, supply)) {
                self.set_aside(id, Aside::Expired, entry, supply, wakers);
            }
        }
    }

    fn lapse_unanswered(&mut self, now_ns: u64, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        while let Some(((since, id), ())) = self.unanswered.first()
            && since.saturating_add(self.grace_ns) <= now_ns
        {
            self.unanswered.pop_first();
            if let Some(entry) = self.take_active(id, supply) {
                self.set_aside(id, Aside::Lapsed, entry, supply, wakers);
            }
        }
    }

    pub(super) fn set_aside(
        &mut self,
        id: WaiterId,
        why: Aside,
        mut entry: Entry<T>,
        supply: &mut impl Supply<T>,
        wakers: &mut Wakers,
    ) {
        if entry.is_uncounted(why) {
            self.uncounted += 1;
            supply.uncounted(&entry.item);
        }
        entry.aside_ns = self.latest_ns;
        if why != Aside::Skipped {
            wakers.add(entry.on_lapse.take());
        }
        self.aside.insert(id, (why, entry));
    }

    pub(super) fn remove_aside(
        &mut self,
        id: WaiterId,
        supply: &mut impl Supply<T>,
    ) -> Option<Entry<T>> {
        let (why, entry) = self.aside.remove(id)?;
        if entry.is_uncounted(why) {
            self.uncounted -= 1;
            supply.counted(&entry.item);
        }
        Some(entry)
    }

    /// Out of those that wait for their turn or have a claim.
    pub(super) fn take_active(
        &mut self,
        id: WaiterId,
        supply: &mut impl Supply<T>,
    ) -> Option<Entry<T>> {
        if let Some(mut entry) = self.notified.remove(id) {
            if entry.notified_ns != u64::MAX {
                self.unanswered.remove((entry.notified_ns, id));
            }
            entry.notified_ns = u64::MAX;
            supply.unclaim(id, &entry.item);
            return Some(entry);
        }
        let entry = self.waiting.remove(id)?;
        supply.exit(id, &entry.item);
        Some(entry)
    }

    /// A waiter is polled: it has come if it was notified, and need not be woken.
    /// `true` when it had been notified before.
    pub(super) fn answered(&mut self, id: WaiterId, wakers: &mut Wakers) -> bool {
        if let Some(entry) = self.notified.get_mut(id) {
            let since = std::mem::replace(&mut entry.notified_ns, u64::MAX);
            return since != u64::MAX && self.unanswered.remove((since, id)).is_some();
        }
        if let Some(entry) = self.waiting.get_mut(id) {
            wakers.discard(entry.waker.take());
            entry.due_ns = u64::MAX;
        }
        false
    }

    /// A waiter that has lapsed is polled: it waits again, at its old rank.
    pub(super) fn come_back(&mut self, id: WaiterId, now_ns: u64, supply: &mut impl Supply<T>) {
        if !matches!(self.aside.get(id), Some((Aside::Lapsed, _))) {
            return;
        }
        if let Some(mut entry) = self.remove_aside(id, supply) {
            if now_ns < entry.aside_ns.saturating_add(LONGEST_GRACE) {
                self.vote(true);
            }
            entry.due_ns = u64::MAX;
            self.wait(id, entry, supply);
        }
    }

    /// A waiter came late, or in time: what most do decides how long all may take.
    pub(super) fn vote(&mut self, late: bool) {
        self.late += if late { 1 } else { -1 };
        if self.late >= LATE_VOTES {
            self.late = 0;
            self.grace_ns = (2 * self.grace_ns).min(LONGEST_GRACE);
        } else if self.late <= -LATE_VOTES {
            self.late = 0;
            self.grace_ns = (self.grace_ns / 2).max(GRACE);
        }
    }
}

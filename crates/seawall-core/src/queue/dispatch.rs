//! The moves between the states of a waiter.

use super::entry::{Aside, Stand};
use super::state::{LATE_VOTES, LONGEST_GRACE};
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
        if !self.watchdogs.is_empty() {
            let next_check_ns = self.next_check_ns();
            self.watchdogs.call(next_check_ns, wakers);
        }
    }

    fn notify_next(
        &mut self,
        now_ns: u64,
        supply: &mut impl Supply<T>,
        wakers: &mut Wakers,
    ) -> bool {
        let Some(first) = self.waiting.first() else {
            return false;
        };
        let Some(first) = self.entries.get_mut(first) else {
            return false;
        };
        let next = Next {
            id: first.id,
            item: &first.item,
            claims: self.claims,
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
        let Some(entry) = self.entries.get_mut(id) else {
            return false;
        };
        if !self.waiting.remove(id) {
            return false;
        }
        self.active -= 1;
        if entry.due_ns.saturating_add(self.grace_ns) <= now_ns {
            // Its own timer should have made it come.
            supply.unclaim(id, &entry.item);
            self.set_aside(id, Aside::Lapsed, supply, wakers);
            return true;
        }
        entry.stand = Stand::Notified;
        entry.notified_ns = now_ns;
        wakers.add(entry.waker.take());
        self.active += 1;
        self.claims += 1;
        self.last_notified = id.rank();
        self.unanswered.insert((now_ns, id));
        true
    }

    fn expire(&mut self, now_ns: u64, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        while let Some((at, id)) = self.deadlines.first()
            && at <= now_ns
        {
            self.deadlines.pop_first();
            if self.take_active(id, supply) || self.remove_aside(id, supply) {
                self.set_aside(id, Aside::Expired, supply, wakers);
            }
        }
    }

    fn lapse_unanswered(&mut self, now_ns: u64, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        while let Some((since, id)) = self.unanswered.first()
            && since.saturating_add(self.grace_ns) <= now_ns
        {
            self.unanswered.pop_first();
            if self.take_active(id, supply) {
                self.set_aside(id, Aside::Lapsed, supply, wakers);
            }
        }
    }

    /// One that is not active any more stays in the queue nevertheless.
    pub(super) fn set_aside(
        &mut self,
        id: WaiterId,
        why: Aside,
        supply: &mut impl Supply<T>,
        wakers: &mut Wakers,
    ) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        if entry.is_uncounted(why) {
            self.uncounted += 1;
            supply.uncounted(&entry.item);
        }
        entry.stand = Stand::Aside(why);
        entry.aside_ns = self.latest_ns;
        if why != Aside::Skipped {
            wakers.add(entry.on_lapse.take());
        }
    }

    /// `false` when it is not aside. Otherwise it waits, leaves or is set aside again next.
    pub(super) fn remove_aside(&mut self, id: WaiterId, supply: &mut impl Supply<T>) -> bool {
        let Some(entry) = self.entries.get(id) else {
            return false;
        };
        let Stand::Aside(why) = entry.stand else {
            return false;
        };
        if entry.is_uncounted(why) {
            self.uncounted -= 1;
            supply.counted(&entry.item);
        }
        true
    }

    /// Ends its wait for its turn, or its claim: `false` when it is aside. Otherwise it waits again,
    /// leaves or is set aside next.
    pub(super) fn take_active(&mut self, id: WaiterId, supply: &mut impl Supply<T>) -> bool {
        let Some(entry) = self.entries.get_mut(id) else {
            return false;
        };
        match entry.stand {
            Stand::Waiting => {
                self.waiting.remove(id);
                supply.exit(id, &entry.item);
            }
            Stand::Notified => {
                let since = std::mem::replace(&mut entry.notified_ns, u64::MAX);
                if since != u64::MAX {
                    self.unanswered.remove((since, id));
                }
                self.claims -= 1;
                supply.unclaim(id, &entry.item);
            }
            Stand::Aside(_) => return false,
        }
        self.active -= 1;
        true
    }

    /// A waiter is polled: it has come if it was notified, and need not be woken.
    /// `true` when it had been notified before.
    pub(super) fn answered(&mut self, id: WaiterId, wakers: &mut Wakers) -> bool {
        let Some(entry) = self.entries.get_mut(id) else {
            return false;
        };
        match entry.stand {
            Stand::Notified => {
                let since = std::mem::replace(&mut entry.notified_ns, u64::MAX);
                since != u64::MAX && self.unanswered.remove((since, id))
            }
            Stand::Waiting => {
                wakers.discard(entry.waker.take());
                entry.due_ns = u64::MAX;
                false
            }
            Stand::Aside(_) => false,
        }
    }

    /// A waiter that has lapsed is polled: it waits again, at its old rank.
    pub(super) fn come_back(&mut self, id: WaiterId, now_ns: u64, supply: &mut impl Supply<T>) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        if entry.stand != Stand::Aside(Aside::Lapsed) {
            return;
        }
        entry.due_ns = u64::MAX;
        let late = now_ns < entry.aside_ns.saturating_add(LONGEST_GRACE);
        self.remove_aside(id, supply);
        if late {
            self.vote(true);
        }
        self.wait(id, supply);
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

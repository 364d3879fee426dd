//! The moves between the states of a waiter.

use super::entry::{Aside, Ended, Stand};
use super::rank::Arrival;
use super::state::{FORGET_AT, LATE_VOTES, LONGEST_GRACE, MANY_CLAIMS};
use super::{GRACE, Next, Queue, Supply, WaiterId, Wakers};

impl<T> Queue<T> {
    /// Lets waiters expire and lapse, and notifies the next ones as long as there is something for
    /// them. Every other operation does so too; call it when the supply has changed.
    pub fn dispatch(&mut self, now_ns: u64, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        self.end_waits(now_ns, supply, wakers);
        if self.claims >= FORGET_AT || !self.has_waiting() {
            self.forget_taken(supply, wakers);
        }
        self.notify_all(supply, wakers);
    }

    /// The same for a waiter that has joined. Those that have left are found by whichever operation comes
    /// next: what is known of them was written by other threads, and looking at it here as well would hold
    /// the lock for longer.
    pub(super) fn dispatch_joined(
        &mut self,
        now_ns: u64,
        supply: &mut impl Supply<T>,
        wakers: &mut Wakers,
    ) {
        self.end_waits(now_ns, supply, wakers);
        self.notify_all(supply, wakers);
    }

    /// Lets waiters expire and lapse.
    fn end_waits(&mut self, now_ns: u64, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        self.latest_ns = self.latest_ns.max(now_ns);
        let now_ns = self.latest_ns;
        if now_ns >= self.quiet_ns {
            self.expire(now_ns, supply, wakers);
            self.lapse_unanswered(now_ns, supply, wakers);
            self.quiet_ns = self.next_end_ns();
        }
    }

    fn notify_all(&mut self, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        while self.notify_next(self.latest_ns, supply, wakers) {}
        self.settle();
        self.call_watchdog(wakers);
    }

    /// How late waiters came says nothing about the next ones that come to an empty queue.
    pub(super) fn settle(&mut self) {
        if self.is_empty() {
            self.grace_ns = GRACE;
            self.late = 0;
            self.many_claims = MANY_CLAIMS;
        }
    }

    /// When the first waiter expires or lapses.
    fn next_end_ns(&self) -> u64 {
        let unanswered = self.first_unanswered();
        let lapse = unanswered.map_or(u64::MAX, |first| {
            first.notified_ns.saturating_add(self.grace_ns)
        });
        let deadline = self.deadlines.first();
        lapse.min(deadline.map_or(u64::MAX, |(at, _)| at))
    }

    /// Wakes the watchdog if it would look too late.
    pub(super) fn call_watchdog(&mut self, wakers: &mut Wakers) {
        if self.unchecked_ns < self.watchdogs.armed_ns() {
            self.unchecked_ns = self.next_check_ns();
            self.watchdogs.call(self.unchecked_ns, wakers);
        }
    }

    /// Something may have to be done after this moment, if nothing happens before.
    pub(super) fn check_after(&mut self, at_ns: u64) {
        let check_ns = at_ns.saturating_add(self.grace_ns);
        self.unchecked_ns = self.unchecked_ns.min(check_ns);
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
                let due_ns = first.due_ns;
                self.check_after(due_ns);
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
            entry.stand = Stand::Aside(Aside::Lapsed);
            if supply.unclaim(id, &entry.item) {
                self.set_aside(id, Aside::Lapsed, supply, wakers);
            } else {
                self.forget(id, supply, wakers);
            }
            return true;
        }
        entry.stand = Stand::Notified;
        entry.notified_ns = now_ns;
        entry.notification = self.notifications;
        wakers.add(entry.waker.take());
        self.active += 1;
        self.claims += 1;
        self.unanswered.insert((self.notifications, id.arrival()));
        // They will not be 2^64.
        self.notifications += 1;
        self.quiet_ns = self.quiet_ns.min(now_ns.saturating_add(self.grace_ns));
        self.check_after(now_ns);
        true
    }

    /// Those that took their claims without the lock have left. Mostly those that were notified first come
    /// first; when many have left behind one that does not come, all are looked through.
    ///
    /// Until then they count. Operations look for them when nobody waits for its turn, or when there are
    /// some: call it where their number matters.
    pub fn forget_taken(&mut self, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        while let Some(first) = self.first_unanswered()
            && supply.is_taken(first.id)
        {
            let id = first.id;
            self.forget(id, supply, wakers);
        }
        if self.claims >= self.many_claims {
            self.forget_all_taken(supply, wakers);
        }
    }

    /// The same for all of them, so that the queue is as long as it says.
    pub fn forget_all_taken(&mut self, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        let all = self.unanswered.range((0, Arrival::MIN), LAST);
        let ids = all.filter_map(|(_, of)| self.entries.at(of).map(|entry| entry.id));
        let taken: Vec<_> = ids.filter(|id| supply.is_taken(*id)).collect();
        for id in taken {
            self.forget(id, supply, wakers);
        }
        // So that each notification pays a constant share of this.
        self.many_claims = (2 * self.claims).max(MANY_CLAIMS);
    }

    /// One has taken its claim without the lock.
    fn forget(&mut self, id: WaiterId, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        self.vote(false);
        self.remove(id, supply, wakers);
    }

    /// Nobody has a claim any more: what there is to hand out has changed. Those that had one wait for
    /// their turn, at their rank.
    pub fn take_back_claims(&mut self, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        let all = self.entries.iter_mut();
        let claimed = all.filter(|entry| entry.stand == Stand::Notified);
        let claimed: Vec<_> = claimed.map(|entry| entry.id).collect();
        for id in claimed {
            match self.end_active(id, supply) {
                Ended::Active => self.wait(id, supply),
                Ended::Left => self.forget(id, supply, wakers),
                Ended::Aside => {}
            }
        }
    }

    fn expire(&mut self, now_ns: u64, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        while let Some((at, of)) = self.deadlines.first()
            && at <= now_ns
        {
            self.deadlines.pop_first();
            let Some(id) = self.entries.at(of).map(|entry| entry.id) else {
                continue;
            };
            match self.end_active(id, supply) {
                Ended::Left => self.forget(id, supply, wakers),
                Ended::Aside if !self.remove_aside(id, supply) => {}
                _ => self.set_aside(id, Aside::Expired, supply, wakers),
            }
        }
    }

    fn lapse_unanswered(&mut self, now_ns: u64, supply: &mut impl Supply<T>, wakers: &mut Wakers) {
        while let Some(first) = self.first_unanswered()
            && first.notified_ns.saturating_add(self.grace_ns) <= now_ns
        {
            let id = first.id;
            match self.end_active(id, supply) {
                Ended::Active => self.set_aside(id, Aside::Lapsed, supply, wakers),
                Ended::Left => self.forget(id, supply, wakers),
                // Those that were notified are active.
                Ended::Aside => drop(self.unanswered.pop_first()),
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

    /// Ends its wait for its turn, or its claim. It waits again, leaves or is set aside next.
    pub(super) fn end_active(&mut self, id: WaiterId, supply: &mut impl Supply<T>) -> Ended {
        let Some(entry) = self.entries.get_mut(id) else {
            return Ended::Aside;
        };
        let mut ended = Ended::Active;
        match entry.stand {
            Stand::Waiting => {
                self.waiting.remove(id);
                supply.exit(id, &entry.item);
            }
            Stand::Notified => {
                let number = std::mem::replace(&mut entry.notification, u64::MAX);
                if number != u64::MAX {
                    self.unanswered.remove((number, id.arrival()));
                }
                self.claims -= 1;
                if !supply.unclaim(id, &entry.item) {
                    ended = Ended::Left;
                }
            }
            Stand::Aside(_) => return Ended::Aside,
        }
        // It is in none of the lists any more.
        entry.stand = Stand::Aside(Aside::Skipped);
        self.active -= 1;
        ended
    }

    /// A waiter is polled: it has come if it was notified, and need not be woken.
    /// `true` when it had been notified before.
    pub(super) fn answered(
        &mut self,
        id: WaiterId,
        supply: &mut impl Supply<T>,
        wakers: &mut Wakers,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(id) else {
            return false;
        };
        match entry.stand {
            Stand::Notified => {
                let number = std::mem::replace(&mut entry.notification, u64::MAX);
                if number == u64::MAX {
                    return false;
                }
                supply.answered(id);
                self.unanswered.remove((number, id.arrival()))
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
            if self.grace_ns > GRACE {
                self.grace_ns /= 2;
                // All lapse earlier.
                self.quiet_ns = 0;
                self.unchecked_ns = 0;
            }
        }
    }
}

/// After every key of a set of numbers and arrivals.
const LAST: (u64, Arrival) = (u64::MAX, Arrival::MIN);

//! The steps of a waiter: it joins, asks for its turn, acquires or is skipped, and leaves.

use std::task::Waker;

use seawall_core::Reason;
use seawall_core::queue::{Standing, Taking, Turn, WaiterId, Wakers};

use super::packed::{BYPASS, DRAINING, IDLE_AWAITED, PAUSED, SHADOW};
use super::permits::Semaphore;
use super::queue::{JoinError, Joined, PermitQueue, WaitRequest};
use super::sync::Ordering;

/// A turn, and the generation of the watchdog that is to be started.
pub(crate) type TurnAndWatchdog = (Turn, Option<u64>);

impl Semaphore {
    /// Joins the queue, and asks for its [turn](Self::turn) under the same lock. The wakers are to be
    /// woken once the caller has noted that it has joined.
    ///
    /// # Errors
    ///
    /// Why the call may not.
    pub(crate) fn join(
        &self,
        now_ns: u64,
        request: &WaitRequest,
        waker: Waker,
    ) -> Result<(Joined, TurnAndWatchdog, Wakers), JoinError> {
        // Dropped after the lock.
        let mut gone = Wakers::new();
        let mut queue = self.lock();
        let word = self.word.load(Ordering::Acquire);
        let admitted = if word & DRAINING != 0 {
            Err(JoinError::Rejected(Reason::Draining))
        } else if request.reserving {
            Ok(())
        } else if word & PAUSED != 0 {
            Err(JoinError::Rejected(Reason::Paused))
        } else if word & (SHADOW | BYPASS) != 0 {
            Ok(())
        } else {
            let is_full = queue.is_full();
            if is_full || queue.is_counted_for(request) {
                let (waiters, mut permits) = queue.split(self.permits());
                if is_full {
                    waiters.forget_all_taken(&mut permits, &mut gone);
                } else {
                    waiters.forget_taken(&mut permits, &mut gone);
                }
            }
            queue.check(now_ns, request)
        };
        admitted?;
        let joined = queue.join(now_ns, request, self.permits());
        let (turn, wakers) = self.turn_locked(&mut queue, joined.id, now_ns, waker);
        Ok((joined, turn, wakers))
    }

    /// Whether the turn of a waiter has come; when its wait is over, whether there is a permit at
    /// all. A waiter that goes to sleep may have to start a watchdog, of the generation that is
    /// handed back.
    pub(crate) fn turn(&self, id: WaiterId, now_ns: u64, waker: Waker) -> TurnAndWatchdog {
        let mut queue = self.lock();
        if queue.is_empty() {
            // It was skipped or has lapsed: what is known is of the queue before.
            queue.hold_time.clear();
        }
        let (out, wakers) = self.turn_locked(&mut queue, id, now_ns, waker);
        drop(queue);
        wakers.wake();
        out
    }

    fn turn_locked(
        &self,
        queue: &mut PermitQueue,
        id: WaiterId,
        now_ns: u64,
        waker: Waker,
    ) -> (TurnAndWatchdog, Wakers) {
        self.change_locked(queue, |queue, permits, wakers| {
            match queue.turn(id, now_ns, waker, permits, wakers) {
                Standing::Wait => (Turn::Wait, queue.start_watchdog(now_ns, wakers)),
                Standing::Expired if !permits.has_permit() => (Turn::Wait, None),
                Standing::Go | Standing::Expired => (Turn::Go, None),
            }
        })
    }

    /// Takes the permit that the waiter has a claim on, and leaves the queue. The wakers are to be woken
    /// once the permit is in something that releases it when it is dropped: waking may panic.
    pub(crate) fn take_claim(&self, id: WaiterId) -> Option<Wakers> {
        let (claimed, wakers) = self.change(|queue, permits, wakers| {
            queue.take_claim(id, permits, wakers, |permits, _| {
                permits.permits.handed.take_back(id)
            })
        });
        claimed.map(|()| wakers)
    }

    /// The same for one that may have no claim any more: it gets a permit as well if its wait is over.
    /// Otherwise it waits, with a clone of its waker registered.
    pub(crate) fn acquire(&self, id: WaiterId, now_ns: u64, waker: &Waker) -> (bool, Wakers) {
        let waker = waker.clone();
        let (taking, wakers) = self.change(|queue, permits, wakers| {
            queue.take(id, now_ns, waker, permits, wakers, |permits, _, _| {
                if permits.permits.handed.take_back(id) || permits.take() {
                    Taking::Taken
                } else {
                    Taking::Missing
                }
            })
        });
        (taking == Taking::Taken, wakers)
    }

    /// Lets others pass, since the waiter's own service is not ready.
    pub(crate) fn skip(&self, id: WaiterId, now_ns: u64) -> Option<u64> {
        let (generation, wakers) = self.change(|queue, permits, wakers| {
            queue.skip(id, now_ns, permits, wakers);
            queue.start_watchdog(now_ns, wakers)
        });
        wakers.wake();
        generation
    }

    /// Leaves without a permit.
    pub(crate) fn leave(&self, id: WaiterId, now_ns: u64) {
        let (_, wakers) =
            self.change(|queue, permits, wakers| queue.leave(id, now_ns, permits, wakers));
        wakers.wake();
    }

    /// The watchdog of this generation looks, and looks again at the time that is handed back.
    pub(crate) fn watch(&self, generation: u64, now_ns: u64, waker: Waker) -> Option<u64> {
        let (next, wakers) = self.change(|queue, permits, wakers| {
            queue.watch(generation, now_ns, waker, permits, wakers)
        });
        wakers.wake();
        next
    }

    pub(crate) fn watch_ended(&self, generation: u64) {
        let mut wakers = Wakers::new();
        let mut queue = self.lock();
        queue.waiters.watch_ended(generation, &mut wakers);
        drop(queue);
        wakers.wake();
    }

    /// Whether no permit is held and no call waits; if not, the waker is woken when that is so.
    /// `id` is the caller's, and is to be given to [`forget_idle`](Self::forget_idle).
    pub(crate) fn poll_idle(&self, id: &mut Option<u64>, waker: &Waker, now_ns: u64) -> bool {
        let waker = waker.clone();
        let mut queue = self.lock();
        // Set before the look: a release of the last permit from then on comes here.
        self.set_flag(IDLE_AWAITED, true);
        let wakers = self.dispatch(&mut queue, now_ns);
        let is_idle = self.is_idle(&queue);
        let old = if is_idle {
            let old = queue.idle_waiters.remove(id.take());
            self.set_flag(IDLE_AWAITED, !queue.idle_waiters.is_empty());
            old
        } else {
            self.set_flag(IDLE_AWAITED, true);
            queue.idle_waiters.register(id, waker)
        };
        drop(queue);
        drop(old);
        wakers.wake();
        is_idle
    }

    pub(crate) fn forget_idle(&self, id: Option<u64>) {
        let mut queue = self.lock();
        let old = queue.idle_waiters.remove(id);
        self.set_flag(IDLE_AWAITED, !queue.idle_waiters.is_empty());
        drop(queue);
        drop(old);
    }
}

//! The steps of a waiter: it joins, asks for its turn, acquires or is skipped, and leaves.

use std::task::Waker;

use seawall_core::Reason;
use seawall_core::queue::WaiterId;

use super::packed::{DRAINING, IDLE_AWAITED, ONE_PERMIT, PAUSED, SHADOW, available, grants};
use super::permits::{Semaphore, wake};
use super::queue::{JoinError, Joined, WaitRequest};
use super::sync::Ordering;

/// What a waiter does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Sleep: its waker is registered.
    Wait,
    /// Poll its service, then acquire the permit, or be skipped if the service is not ready.
    Go,
}

impl Semaphore {
    /// Joins the queue.
    ///
    /// # Errors
    ///
    /// Why the call may not.
    pub(crate) fn join(
        &self,
        now_ns: u64,
        request: &WaitRequest,
        waker: &Waker,
    ) -> Result<Joined, JoinError> {
        let waker = waker.clone();
        let mut queue = self.lock();
        let word = self.word.load(Ordering::Acquire);
        let admitted = if word & SHADOW != 0 {
            Ok(())
        } else if word & DRAINING != 0 {
            Err(JoinError::Rejected(Reason::Draining))
        } else if request.reserving {
            Ok(())
        } else if word & PAUSED != 0 {
            Err(JoinError::Rejected(Reason::Paused))
        } else {
            queue.check(now_ns, request)
        };
        if let Err(error) = admitted {
            drop(queue);
            drop(waker);
            return Err(error);
        }
        let joined = queue.join(now_ns, request, waker);
        self.mark(&queue);
        drop(queue);
        Ok(joined)
    }

    /// Whether the turn of a waiter has come. At its `last_chance`, at the end of its wait, its
    /// rank does not matter.
    pub(crate) fn turn(&self, id: WaiterId, last_chance: bool, waker: &Waker) -> Turn {
        let mut queue = self.lock();
        let is_next = last_chance || queue.waiters.is_first(id);
        if queue.waiters.is_skipped(id) || (is_next && grants(self.word.load(Ordering::Acquire))) {
            return Turn::Go;
        }
        let old = queue.wait(id, waker);
        drop(queue);
        drop(old);
        Turn::Wait
    }

    /// Acquires a permit and leaves the queue, if it is this waiter's turn or its `last_chance`;
    /// otherwise it waits, with its waker registered. `acquired` makes of the permit what releases
    /// it when it is dropped, before any task is woken: waking may panic.
    pub(crate) fn acquire<T>(
        &self,
        id: WaiterId,
        last_chance: bool,
        waker: &Waker,
        acquired: impl FnOnce() -> T,
    ) -> Option<T> {
        let mut queue = self.lock();
        queue.rejoin(id);
        // Marked before the available permits are read: see the module.
        self.mark(&queue);
        let has_permit = if last_chance || queue.waiters.is_first(id) {
            let word = self
                .word
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
                    grants(word).then(|| word.wrapping_sub(ONE_PERMIT))
                });
            word.inspect(|word| self.note_available(available(*word) - 1))
                .is_ok()
        } else {
            false
        };
        let (old, next) = if has_permit {
            let mine = queue.leave(id).flatten();
            self.mark(&queue);
            (mine, self.next(&mut queue))
        } else {
            // A release from now on needs the lock to wake a waiter.
            (queue.wait(id, waker), None)
        };
        drop(queue);
        let acquired = has_permit.then(acquired);
        drop(old);
        wake(next);
        acquired
    }

    /// Lets others pass, since the waiter's own service is not ready.
    pub(crate) fn skip(&self, id: WaiterId) {
        let mut queue = self.lock();
        if !queue.skip(id) {
            return;
        }
        self.mark(&queue);
        // It may have been woken for a permit that it does not acquire now.
        let next = self.next(&mut queue);
        drop(queue);
        wake(next);
    }

    /// Leaves without a permit.
    pub(crate) fn leave(&self, id: WaiterId) {
        let mut queue = self.lock();
        let was_first = queue.waiters.is_first(id);
        let Some(mine) = queue.leave(id) else {
            return;
        };
        self.mark(&queue);
        // It may have been woken for a permit that it does not acquire now, if it was the first.
        let next = if was_first {
            self.next(&mut queue)
        } else {
            None
        };
        let idle = self.idle(&mut queue);
        drop(queue);
        drop(mine);
        wake(next);
        idle.into_iter().for_each(Waker::wake);
    }

    /// Whether no permit is held and no call waits; if not, the waker is woken when that is so.
    /// `id` is the caller's, and is to be given to [`forget_idle`](Self::forget_idle).
    pub(crate) fn poll_idle(&self, id: &mut Option<u64>, waker: &Waker) -> bool {
        let waker = waker.clone();
        let mut queue = self.lock();
        // Set before the look: a release of the last permit from then on comes here.
        self.set_flag(IDLE_AWAITED, true);
        if self.is_idle(&queue) {
            let old = queue.idle_waiters.remove(id.take());
            self.set_flag(IDLE_AWAITED, !queue.idle_waiters.is_empty());
            drop(queue);
            drop(old);
            return true;
        }
        let old = queue.idle_waiters.register(id, waker);
        drop(queue);
        drop(old);
        false
    }

    pub(crate) fn forget_idle(&self, id: Option<u64>) {
        let mut queue = self.lock();
        let old = queue.idle_waiters.remove(id);
        self.set_flag(IDLE_AWAITED, !queue.idle_waiters.is_empty());
        drop(queue);
        drop(old);
    }
}

//! What is done for a waiter that is not polled any more.

use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use seawall_core::queue::{WaiterId, Wakers, Watched};
use tokio::time::Instant;

use crate::limiter::Limiter;
use crate::limiter_ref::LimiterRef;
use crate::state::LocalState;

/// The claim of a waiter on the tokens of its key, while it waits for the account. Woken when it is
/// not polled there any more: otherwise nobody would take the claim from it.
pub(crate) struct Claim {
    limiter: LimiterRef,
    id: WaiterId,
}

impl Claim {
    pub(crate) const fn new(limiter: LimiterRef, id: WaiterId) -> Self {
        Self { limiter, id }
    }
}

impl Wake for Claim {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut wakers = Wakers::new();
        let limiter = self.limiter.limiter();
        limiter.lapse(self.id, self.limiter.now(), &mut wakers);
        wakers.wake();
    }
}

/// The queue of a limiter, or of its account, for its watchdog.
pub(crate) struct WatchedQueue {
    state: LocalState,
    /// Weak: a key that nobody uses any more may be evicted while its watchdog lingers.
    key: Option<Weak<Limiter>>,
    of_account: bool,
}

impl WatchedQueue {
    /// The queue of the limiter itself, or that of its account.
    pub(crate) fn new(limiter: &LimiterRef, of_account: bool) -> Self {
        let (state, key) = limiter.weak();
        Self {
            state,
            key,
            of_account,
        }
    }

    fn with<R>(&self, use_it: impl FnOnce(&Limiter) -> R) -> Option<R> {
        let state = self.state.common();
        match &self.key {
            Some(_) if self.of_account => state.account().map(use_it),
            Some(key) => key.upgrade().map(|key| use_it(&key)),
            None => Some(use_it(&state.limiter)),
        }
    }
}

impl Watched for WatchedQueue {
    fn watch(&self, generation: u64, waker: Waker) -> Option<Instant> {
        let clock = &self.state.common().clock;
        let now_ns = clock.now();
        let next = self.with(|limiter| limiter.watch(generation, now_ns, waker))?;
        next.map(|at_ns| clock.instant(at_ns))
    }

    fn watch_ended(&self, generation: u64) {
        self.with(|limiter| limiter.watch_ended(generation));
    }
}

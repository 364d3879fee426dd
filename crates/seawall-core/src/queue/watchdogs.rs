//! What a queue knows of its watchdogs.

use std::task::Waker;

use tokio::runtime;

use super::Wakers;

/// How long a watchdog stays after the last waiter has left, for the next one. It looks at least
/// that often.
pub(super) const LINGER: u64 = 1_000_000_000;

/// What a queue knows of its watchdogs: one for each runtime whose tasks have waited in it, so that
/// none depends on the runtime of another.
#[derive(Debug)]
pub(super) struct Watchdogs {
    pub(super) running: Vec<Watchdog>,
    pub(super) last_generation: u64,
    /// How many have ended in a row that were never polled.
    pub(super) never_polled: u8,
}

#[derive(Debug)]
pub(super) struct Watchdog {
    pub(super) runtime: runtime::Id,
    pub(super) generation: u64,
    pub(super) armed_ns: u64,
    pub(super) waker: Option<Waker>,
}

impl Watchdogs {
    pub(super) const fn new() -> Self {
        Self {
            running: Vec::new(),
            last_generation: 0,
            never_polled: 0,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Wakes those that would look too late.
    pub(super) fn call(&mut self, next_check_ns: u64, wakers: &mut Wakers) {
        for watchdog in &mut self.running {
            if next_check_ns < watchdog.armed_ns {
                watchdog.armed_ns = next_check_ns;
                wakers.add_first(watchdog.waker.take());
            }
        }
    }

    pub(super) fn remove(&mut self, generation: u64) -> Option<Watchdog> {
        let all = &mut self.running;
        let at = all.iter().position(|w| w.generation == generation)?;
        Some(all.swap_remove(at))
    }
}

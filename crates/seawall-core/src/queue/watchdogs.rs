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
    /// When the last one looks; 0 while there is none.
    armed_ns: u64,
    /// How many have ended in a row that were never polled.
    pub(super) never_polled: u8,
}

#[derive(Debug)]
pub(super) struct Watchdog {
    pub(super) runtime: runtime::Id,
    pub(super) generation: u64,
    pub(super) armed_ns: u64,
    /// How many waiters had been notified when it looked last.
    pub(super) notifications: u64,
    pub(super) waker: Option<Waker>,
}

impl Watchdogs {
    pub(super) const fn new() -> Self {
        Self {
            running: Vec::new(),
            last_generation: 0,
            armed_ns: 0,
            never_polled: 0,
        }
    }

    /// When the one that looks last does so; 0 while there is none.
    #[inline]
    pub(super) const fn armed_ns(&self) -> u64 {
        self.armed_ns
    }

    /// Wakes those that would look too late.
    pub(super) fn call(&mut self, next_check_ns: u64, wakers: &mut Wakers) {
        for watchdog in &mut self.running {
            if next_check_ns < watchdog.armed_ns {
                watchdog.armed_ns = next_check_ns;
                wakers.add_first(watchdog.waker.take());
            }
        }
        self.changed();
    }

    pub(super) fn add(&mut self, watchdog: Watchdog) {
        self.running.push(watchdog);
        self.changed();
    }

    pub(super) fn remove(&mut self, generation: u64) -> Option<Watchdog> {
        let all = &mut self.running;
        let at = all.iter().position(|w| w.generation == generation)?;
        let removed = all.swap_remove(at);
        self.changed();
        Some(removed)
    }

    fn changed(&mut self) {
        let armed = self.running.iter().map(|watchdog| watchdog.armed_ns);
        self.armed_ns = armed.max().unwrap_or(0);
    }
}

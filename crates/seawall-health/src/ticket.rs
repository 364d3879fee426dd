//! What a call counts into, and the ticket by which it is counted exactly once.

use std::sync::atomic::{AtomicU64, Ordering};

use seawall_core::striped::Local;
use seawall_core::{Clock, Complete, EventKind, EventSource, Outcome, Vote, ns};
use tokio::time::Instant;

use crate::HealthConfig;
use crate::window::Window;

#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) observer: EventSource,
    pub(crate) config: HealthConfig,
    pub(crate) clock: Clock,
}

impl Common {
    /// The number of the tenth of a window that `now` lies in.
    pub(crate) fn period(&self, now: Instant) -> u64 {
        self.clock.at(now) / (ns(self.config.window()) / 10).max(1)
    }
}

#[derive(Debug)]
pub(crate) struct Stripe {
    pub(crate) window: Window,
    pub(crate) failures: AtomicU64,
    pub(crate) slow: AtomicU64,
    pub(crate) abandoned: AtomicU64,
}

impl Stripe {
    pub(crate) fn new() -> Self {
        Self {
            window: Window::new(),
            failures: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
        }
    }
}

/// One call under observation. Dropped without an outcome, it counts as abandoned.
#[derive(Debug)]
pub struct Observation {
    local: Option<Local<Common, Stripe>>,
    started: Option<Instant>,
}

impl Observation {
    pub(crate) const fn new(local: Local<Common, Stripe>) -> Self {
        Self {
            local: Some(local),
            started: None,
        }
    }

    /// Starts the call's time, if it does not run yet.
    pub(crate) fn start(&mut self) {
        if self.started.is_none() {
            self.started = Some(Instant::now());
        }
    }
}

impl Complete for Observation {
    fn complete(mut self, outcome: Outcome) {
        let Some(local) = self.local.take() else {
            return;
        };
        let failed = match outcome.vote() {
            Vote::Success => false,
            Vote::Failure => true,
            Vote::Abstain => return,
        };
        let (common, stripe) = (local.common(), local.stripe());
        let now = Instant::now();
        let took = self.started.map(|at| now.saturating_duration_since(at));
        let slow = took.is_some_and(|took| took > common.config.slow_after());
        stripe.window.count(common.period(now), failed, slow);
        if failed {
            stripe.failures.fetch_add(1, Ordering::Relaxed);
        }
        if slow {
            stripe.slow.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if let Some(local) = self.local.take() {
            local.stripe().abandoned.fetch_add(1, Ordering::Relaxed);
            local.common().observer.emit(|| EventKind::Abandoned);
        }
    }
}

//! One call that is observed, and counted exactly once.

use seawall_core::striped::Local;
use seawall_core::{Complete, EventKind, Outcome, Vote};

use crate::state::{Common, Stripe};

/// One call under observation. Dropped without an outcome, it counts as abandoned.
#[derive(Debug)]
pub struct Observation {
    local: Option<Local<Common, Stripe>>,
    /// A reading of the clock of `Common`.
    started: Option<u64>,
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
        if let (None, Some(local)) = (self.started, &self.local) {
            self.started = Some(local.common().now());
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
            Vote::Abstain => {
                // It says nothing about the upstream, and something about what callers get.
                if matches!(outcome, Outcome::Degraded) {
                    let common = local.common();
                    let period = common.period(common.now());
                    local.stripe().window.count_degraded(period);
                }
                return;
            }
        };
        let (common, stripe) = (local.common(), local.stripe());
        let now = common.now();
        let took = self.started.map(|at| now.saturating_sub(at));
        let slow = took.is_some_and(|took| common.is_slow(took));
        stripe.window.count(common.period(now), failed, slow);
        if failed {
            stripe.counters.failure.add();
        }
        if slow {
            stripe.counters.slow.add();
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if let Some(local) = self.local.take() {
            local.stripe().counters.abandoned.add();
            local.common().source.emit_call(|| EventKind::Abandoned);
        }
    }
}

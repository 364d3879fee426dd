//! What one outcome means to a circuit.

use std::time::Duration;

use seawall_core::{Outcome, Vote, ns};

use crate::cause::Cause;
use crate::config::{AbandonedPolicy, BreakerConfig};

/// What an outcome says of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Success,
    Failure,
    Ignored,
}

/// An answer that opens the circuit at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    /// [`Cause::Banned`] or [`Cause::Throttled`].
    pub(crate) cause: Cause,
    /// For how long, in nanoseconds, already bounded by the settings.
    pub(crate) wait: Option<u64>,
}

/// The outcome of one call as the circuit takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) verdict: Verdict,
    pub(crate) slow: bool,
    pub(crate) hint: Option<Hint>,
    /// How long the call took in nanoseconds, if it was measured.
    pub(crate) took: Option<u64>,
}

impl Settled {
    /// An answered call. One that is ignored is never slow: it may be a local rejection, whose
    /// time says nothing of the upstream.
    pub(crate) fn of(config: &BreakerConfig, outcome: &Outcome, took: Option<u64>) -> Self {
        let verdict = match outcome.vote() {
            Vote::Success => Verdict::Success,
            Vote::Failure => Verdict::Failure,
            Vote::Abstain => Verdict::Ignored,
        };
        let bounded = |wait: Duration, at_most: Duration| ns(wait.min(at_most));
        let hint = match *outcome {
            Outcome::Banned { lasts } => config.ban.map(|at_most| Hint {
                cause: Cause::Banned,
                wait: lasts.map(|wait| bounded(wait, at_most.get())),
            }),
            Outcome::Throttled {
                retry_after: Some(wait),
                scope,
            } if !wait.is_zero() => {
                let throttle = config.throttle.filter(|t| t.covers(scope));
                throttle.map(|t| Hint {
                    cause: Cause::Throttled,
                    wait: Some(bounded(wait, t.at_most.get())),
                })
            }
            _ => None,
        };
        Self {
            verdict,
            slow: !matches!(outcome, Outcome::Ignored) && is_slow(config, took),
            hint,
            took,
        }
    }

    /// A call that was dropped before it was answered. Slow all the same if it was: it was
    /// counted as overdue already.
    pub(crate) fn abandoned(config: &BreakerConfig, took: Option<u64>) -> Self {
        let failed = match config.abandoned_policy {
            AbandonedPolicy::Ignored => false,
            AbandonedPolicy::FailureAfter(time) => took.is_some_and(|took| took >= ns(time)),
        };
        Self {
            verdict: if failed {
                Verdict::Failure
            } else {
                Verdict::Ignored
            },
            slow: is_slow(config, took),
            hint: None,
            took,
        }
    }

    /// Whether it failed, if it votes.
    pub(crate) fn failed(self) -> Option<bool> {
        match self.verdict {
            Verdict::Success => Some(false),
            Verdict::Failure => Some(true),
            Verdict::Ignored => None,
        }
    }

    /// Whether rules must judge it: a success that is not slow is counted without the lock.
    pub(crate) fn is_judged(self) -> bool {
        self.verdict == Verdict::Failure || self.slow || self.hint.is_some()
    }
}

fn is_slow(config: &BreakerConfig, took: Option<u64>) -> bool {
    took.is_some_and(|took| took >= config.slow_after_ns() && config.slow_after.is_some())
}

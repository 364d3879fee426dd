//! What one outcome means to a circuit.

use seawall_core::{CircuitCause, Outcome, Vote, ns};

use crate::config::{AbandonedPolicy, BreakerConfig};

/// A result that opens the circuit at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenHint {
    /// [`CircuitCause::Banned`] or [`CircuitCause::Throttled`].
    pub(crate) cause: CircuitCause,
    /// For how long, in nanoseconds, already bounded by the settings.
    pub(crate) wait: Option<u64>,
}

/// The outcome of one call as the circuit counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) vote: Vote,
    pub(crate) slow: bool,
    pub(crate) hint: Option<OpenHint>,
    /// How long the call took in nanoseconds, if it was measured.
    pub(crate) took: Option<u64>,
    /// Until when a failure asks to stay away, already bounded by the settings; 0 if it does not.
    pub(crate) asked_until: u64,
}

impl Settled {
    /// A call with a result. One that is ignored is never slow: it may be a local rejection, whose
    /// duration says nothing about the upstream.
    pub(crate) fn new(config: &BreakerConfig, outcome: &Outcome, took: Option<u64>) -> Self {
        let hint = match *outcome {
            Outcome::Banned { lasts } => config.open_on_ban.map(|max| OpenHint {
                cause: CircuitCause::Banned,
                wait: lasts.map(|wait| ns(wait.min(max))),
            }),
            Outcome::Throttled {
                retry_after: Some(wait),
                scope,
            } if !wait.is_zero() => config.open_on_throttle(scope).map(|max| OpenHint {
                cause: CircuitCause::Throttled,
                wait: Some(ns(wait.min(max))),
            }),
            _ => None,
        };
        Self {
            vote: outcome.vote(),
            slow: !matches!(outcome, Outcome::Ignored | Outcome::Degraded) && is_slow(config, took),
            hint,
            took,
            asked_until: 0,
        }
    }

    /// The same, of a call that asks to stay away until then if it is a failure.
    pub(crate) fn asking(self, until: u64) -> Self {
        let asked_until = if self.failed() == Some(true) {
            until
        } else {
            0
        };
        Self {
            asked_until,
            ..self
        }
    }

    /// A call that was dropped before it responded. It is slow all the same if it took so long: it
    /// was counted as overdue already.
    pub(crate) fn abandoned(config: &BreakerConfig, took: Option<u64>) -> Self {
        let vote = match config.abandoned_policy {
            AbandonedPolicy::FailureAfter(time) if took.is_some_and(|took| took >= ns(time)) => {
                Vote::Failure
            }
            _ => Vote::Abstain,
        };
        Self {
            vote,
            slow: is_slow(config, took),
            hint: None,
            took,
            asked_until: 0,
        }
    }

    /// Whether it failed, if it votes.
    pub(crate) fn failed(self) -> Option<bool> {
        match self.vote {
            Vote::Success => Some(false),
            Vote::Failure => Some(true),
            Vote::Abstain => None,
        }
    }

    /// Whether rules must be evaluated: a success that is not slow never opens a circuit.
    pub(crate) fn may_open(self) -> bool {
        self.vote == Vote::Failure || self.slow || self.hint.is_some()
    }
}

fn is_slow(config: &BreakerConfig, took: Option<u64>) -> bool {
    config.slow_after.is_some() && took.is_some_and(|took| took >= config.slow_after_ns())
}

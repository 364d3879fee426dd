//! The parts of the settings.

use std::time::Duration;

use seawall_core::Scope;

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
/// The greatest age at which a call counts, unless set.
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// Fewer calls in a time window are no sample; Hystrix' `requestVolumeThreshold`.
pub(super) const MIN_CALLS_OVER_TIME: u32 = 20;

/// After how long probes are given up, unless set.
pub(super) fn default_probe_timeout(open_for: Duration) -> Duration {
    match open_for {
        time if time <= DAY => time,
        _ => Duration::from_secs(60),
    }
}

/// A rule about a share of the calls, over a count of calls or a time.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateRule<Over> {
    /// The share that opens the circuit: above 0, at most 1.
    pub share: f64,
    /// The last calls, or the last time, that it is taken over.
    pub over: Over,
    /// From how many calls on the rule is evaluated.
    pub min_calls: u32,
}

impl<Over> RateRule<Over> {
    /// Whether so many bad calls are too many. Of no bad calls no share is too large.
    pub(crate) fn is_reached(&self, bad: u64, calls: u64) -> bool {
        // Compared as counts: a share of 0.3 of 10 calls is 3, not 2.999...
        let too_many = bad > 0 && bad as f64 >= self.share * calls as f64 - 1e-9;
        too_many && calls >= self.min_calls.into()
    }
}

/// What closes a half-open circuit.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClosePolicy {
    /// So many probes that succeed; the first that fails opens the circuit again.
    Successes(u32),
    /// At least this share of so many probes.
    Rate {
        /// The share that must succeed: above 0, at most 1.
        share: f64,
        /// The probes that it is taken of.
        calls: u32,
    },
}

impl ClosePolicy {
    /// Probes that must succeed.
    pub(crate) fn needed(self) -> u32 {
        match self {
            Self::Successes(n) => n,
            Self::Rate { share, calls } => {
                // A share of 0.7 of 10 is 7, not 7.000...1 rounded up. The cast saturates.
                let needed = (share * f64::from(calls) - 1e-9).ceil() as u32;
                needed.clamp(1, calls)
            }
        }
    }

    /// Probes that may fail.
    pub(crate) fn spare(self) -> u32 {
        match self {
            Self::Successes(_) => 0,
            Self::Rate { calls, .. } => calls - self.needed(),
        }
    }
}

/// The way from half-open to closed: a share of the calls that doubles from step to step.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// Steps, 1 to 16; in the first one a share of 1/2^steps of the calls passes.
    pub steps: u32,
    /// How long each step lasts.
    pub step: Duration,
}

/// What happens to calls that find every probe slot taken.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HalfOpenPolicy {
    /// They are rejected.
    #[default]
    Reject,
    /// They wait until the circuit closes or opens or a slot is free, and are rejected after
    /// `max_wait`.
    Wait {
        /// The longest wait, longer than zero.
        max_wait: Duration,
    },
}

/// How a call counts that was dropped before it responded.
///
/// A dropped call mostly says something of its caller: a client that hung up, a race that another
/// attempt won, a deadline of its own. Counted as failures, such calls open circuits to healthy
/// upstreams; so they are ignored unless they were dropped late.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AbandonedPolicy {
    /// It does not vote; a probe slot is given back.
    #[default]
    Ignored,
    /// As a failure of the upstream, if it had been in flight for at least so long.
    FailureAfter(Duration),
}

/// How a call counts that panicked.
///
/// It panicked if the inner service did, in its `call` or while its future was polled. A future that
/// is dropped while its caller unwinds from another panic is a dropped call.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PanicPolicy {
    /// As a failure of the upstream: its response was one that the client could not take.
    #[default]
    Failure,
    /// As a call that was dropped before it responded: by the [`AbandonedPolicy`].
    Abandoned,
}

/// Throttles that open the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThrottleRule {
    /// A bit per scope.
    pub(crate) scopes: u8,
    pub(crate) max: Duration,
}

impl ThrottleRule {
    pub(crate) const fn bit(scope: Scope) -> u8 {
        match scope {
            Scope::Upstream => 1,
            Scope::Endpoint => 2,
            Scope::Account => 4,
            _ => 8,
        }
    }

    pub(crate) const fn covers(self, scope: Scope) -> bool {
        self.scopes & Self::bit(scope) != 0
    }
}

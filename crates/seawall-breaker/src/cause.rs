//! Why a circuit changed, with the figures that decided.

use std::fmt;
use std::time::Duration;

use seawall_core::{CircuitCause, Clock, InstanceName};
use tokio::time::Instant;

use crate::word::State;

/// Why a circuit changed its state.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// So many calls in a row failed.
    ConsecutiveFailures,
    /// Too large a share of the last calls failed.
    FailureRate,
    /// Too large a share of the calls of the last time failed.
    FailureRateOverTime,
    /// Too large a share of the last calls was slow, those still under way included.
    SlowRate,
    /// Too large a share of the calls of the last time was slow, those still under way included.
    SlowRateOverTime,
    /// The upstream has shut this client out.
    Banned,
    /// The upstream asked for a pause.
    Throttled,
    /// An own rule of this name.
    Own(&'static str),
    /// The open time is over.
    OpenTimeOver,
    /// A probe failed, or more of them than may.
    ProbeFailed,
    /// Enough probes succeeded.
    ProbesSucceeded,
    /// Probes did not answer in time; their places are dealt again.
    ProbesLost,
    /// The last step of the ramp is over.
    RampDone,
    /// An operator said so.
    Operator,
    /// The time for which an operator had forced the circuit open is over.
    ForceOver,
}

impl Cause {
    /// The cause as a label value of metrics and logs; an own rule's is its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRate => "failure_rate",
            Self::FailureRateOverTime => "failure_rate_over_time",
            Self::SlowRate => "slow_rate",
            Self::SlowRateOverTime => "slow_rate_over_time",
            Self::Banned => "banned",
            Self::Throttled => "throttled",
            Self::Own(name) => name,
            Self::OpenTimeOver => "open_time_over",
            Self::ProbeFailed => "probe_failed",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::ProbesLost => "probes_lost",
            Self::RampDone => "ramp_done",
            Self::Operator => "operator",
            Self::ForceOver => "force_over",
        }
    }
}

/// What was counted, among how many, and what the limit was.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Calls that failed or were slow, or probes that failed or succeeded.
    pub of: u64,
    /// The calls that they were counted among.
    pub among: u64,
    /// The limit: a share from 0 to 1, or a count where calls in a row or probes are counted.
    pub limit: f64,
}

impl Figures {
    pub(crate) const NONE: Self = Self {
        of: 0,
        among: 0,
        limit: 0.0,
    };

    /// The share in percent, rounded down.
    fn percent(self) -> u8 {
        let share = self.of.saturating_mul(100).checked_div(self.among);
        u8::try_from(share.unwrap_or(0).min(100)).unwrap_or(100)
    }
}

/// A cause and its figures in words.
fn tell(f: &mut fmt::Formatter<'_>, cause: Cause, figures: Figures) -> fmt::Result {
    let Figures { of, among, limit } = figures;
    let percent = limit * 100.0;
    match cause {
        Cause::ConsecutiveFailures => write!(f, "{of} calls in a row failed, limit {limit}"),
        Cause::FailureRate => write!(
            f,
            "failure rate, {of} of {among} calls failed, limit {percent}%"
        ),
        Cause::FailureRateOverTime => write!(
            f,
            "failure rate over time, {of} of {among} calls failed, limit {percent}%"
        ),
        Cause::SlowRate => write!(
            f,
            "slow rate, {of} of {among} calls were slow, limit {percent}%"
        ),
        Cause::SlowRateOverTime => write!(
            f,
            "slow rate over time, {of} of {among} calls were slow, limit {percent}%"
        ),
        Cause::Banned => f.write_str("the upstream has shut this client out"),
        Cause::Throttled => f.write_str("the upstream asked for a pause"),
        Cause::Own(name) => write!(f, "rule `{name}`"),
        Cause::OpenTimeOver => f.write_str("the open time is over"),
        Cause::ProbeFailed => write!(f, "{of} of {among} probes failed"),
        Cause::ProbesSucceeded => write!(f, "{of} of {among} probes succeeded, needed {limit}"),
        Cause::ProbesLost => f.write_str("the probes did not answer in time"),
        Cause::RampDone => f.write_str("the ramp is done"),
        Cause::Operator => f.write_str("an operator said so"),
        Cause::ForceOver => f.write_str("the forced time is over"),
    }
}

/// One transition, in the clock's nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) from: State,
    pub(crate) to: State,
    pub(crate) cause: Cause,
    pub(crate) figures: Figures,
    pub(crate) at: u64,
    /// When an open circuit probes; `u64::MAX` for never, or where nothing is open.
    pub(crate) until: u64,
}

impl Change {
    /// What a rejection of the circuit that this change opened says.
    pub(crate) fn cause(&self) -> CircuitCause {
        match self.cause {
            Cause::ConsecutiveFailures => {
                CircuitCause::FailuresInARow(u16::try_from(self.figures.of).unwrap_or(u16::MAX))
            }
            Cause::FailureRate | Cause::FailureRateOverTime => CircuitCause::FailureShare {
                percent: self.figures.percent(),
            },
            Cause::SlowRate | Cause::SlowRateOverTime => CircuitCause::SlowShare {
                percent: self.figures.percent(),
            },
            Cause::Banned => CircuitCause::Banned,
            Cause::Throttled => CircuitCause::Throttled,
            Cause::Own(name) => CircuitCause::Rule(InstanceName::new(name)),
            Cause::ProbeFailed => CircuitCause::ProbeFailed,
            Cause::Operator => CircuitCause::Operator,
            // These open nothing.
            Cause::OpenTimeOver
            | Cause::ProbesSucceeded
            | Cause::ProbesLost
            | Cause::RampDone
            | Cause::ForceOver => CircuitCause::Probing,
        }
    }

    /// The change as the handle shows it.
    pub(crate) fn on(&self, clock: &Clock) -> Transition {
        let opens = matches!(self.to, State::Open | State::ForcedOpen) && self.until != u64::MAX;
        Transition {
            from: self.from,
            to: self.to,
            cause: self.cause,
            figures: self.figures,
            at: clock.instant(self.at),
            open_for: opens.then(|| Duration::from_nanos(self.until.saturating_sub(self.at))),
        }
    }
}

/// One transition of a circuit.
///
/// Its text says why with the figures that decided: `closed -> open: failure rate, 12 of 20 calls
/// failed, limit 50%`.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state since.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// The figures that decided.
    pub figures: Figures,
    /// When, on tokio's clock.
    pub at: Instant,
    /// How long the circuit was to stay open, if it opened with an end.
    pub open_for: Option<Duration>,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}: ", self.from.as_str(), self.to.as_str())?;
        tell(f, self.cause, self.figures)
    }
}

/// Why a circuit is in its state, and until when.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Explanation {
    /// The state.
    pub state: State,
    /// What brought the circuit into it, if it ever changed.
    pub cause: Option<Cause>,
    /// The figures that decided.
    pub figures: Figures,
    /// How long it will reject at least, if that is known.
    pub wait: Option<Duration>,
    /// The share of the calls that pass, from 0 to 1, while the circuit ramps up.
    pub ramp: Option<f64>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.as_str())?;
        if let Some(cause) = self.cause {
            f.write_str(": ")?;
            tell(f, cause, self.figures)?;
        }
        if let Some(share) = self.ramp {
            write!(f, "; {}% of the calls pass", share * 100.0)?;
        }
        match self.wait {
            Some(wait) => write!(f, "; for another {wait:?}"),
            None => Ok(()),
        }
    }
}

#[cfg(all(test, not(seawall_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_transition_says_why_with_its_figures() {
        let change = Change {
            from: State::Closed,
            to: State::Open,
            cause: Cause::FailureRate,
            figures: Figures {
                of: 12,
                among: 20,
                limit: 0.5,
            },
            at: 5,
            until: 1_000_000_005,
        };
        let told = change.on(&Clock::start());
        assert_eq!(
            told.to_string(),
            "closed -> open: failure rate, 12 of 20 calls failed, limit 50%"
        );
        assert_eq!(told.open_for, Some(Duration::from_secs(1)));
        assert_eq!(change.cause(), CircuitCause::FailureShare { percent: 60 });
        let endless = Change {
            until: u64::MAX,
            ..change
        };
        assert_eq!(endless.on(&Clock::start()).open_for, None);
    }

    #[test]
    fn an_explanation_says_why_and_until_when() {
        let explanation = Explanation {
            state: State::Open,
            cause: Some(Cause::ConsecutiveFailures),
            figures: Figures {
                of: 5,
                among: 5,
                limit: 5.0,
            },
            wait: Some(Duration::from_secs(3)),
            ramp: None,
        };
        assert_eq!(
            explanation.to_string(),
            "open: 5 calls in a row failed, limit 5; for another 3s"
        );
    }

    #[test]
    fn shares_are_percents_whatever_the_figures() {
        let share = |of, among| {
            Figures {
                of,
                among,
                limit: 0.0,
            }
            .percent()
        };
        assert_eq!(share(0, 0), 0);
        assert_eq!(share(2, 3), 66);
        assert_eq!(share(u64::MAX, 1), 100);
        assert_eq!(share(5, 0), 0);
    }
}

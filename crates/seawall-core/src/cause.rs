//! Why a circuit changed or rejects, with its figure, in the bits that a rejection has left.

use std::fmt;

use crate::{InstanceName, commander};

/// Why a circuit is in its state or rejects: the rule that decided, or what the circuit is doing
/// now, with the figure.
///
/// Transitions of a circuit and its rejections have the same causes. A
/// [`Rejection`](crate::Rejection) carries one in bits that it has to spare, so it costs nothing.
/// Figures are rounded: counts stop at 65,535, rates are whole percents. The exact ones are in the
/// snapshot of the circuit's handle.
///
/// ```
/// use seawall_core::{CircuitCause, Reason, Rejection};
///
/// let rejected = Rejection::new(Reason::CircuitOpen, "alpaca")
///     .with_cause(CircuitCause::FailureRate { percent: 62 });
/// assert_eq!(rejected.cause(), Some(CircuitCause::FailureRate { percent: 62 }));
/// assert_eq!(
///     rejected.to_string(),
///     "circuit breaker `alpaca`: the circuit is open (62% of the calls failed); nothing was sent",
/// );
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CircuitCause {
    /// So many calls in a row failed; 65,535 stands for that many or more.
    ConsecutiveFailures(u16),
    /// This share of the last calls failed.
    FailureRate {
        /// The share in percent from 0 to 100, rounded down.
        percent: u8,
    },
    /// This share of the calls of a period failed.
    FailureRateOverTime {
        /// The share in percent from 0 to 100, rounded down.
        percent: u8,
    },
    /// This share of the last calls was slow, those still in flight included.
    SlowRate {
        /// The share in percent from 0 to 100, rounded down.
        percent: u8,
    },
    /// This share of the calls of a period was slow, those still in flight included.
    SlowRateOverTime {
        /// The share in percent from 0 to 100, rounded down.
        percent: u8,
    },
    /// The upstream has banned this client.
    Banned,
    /// The upstream asked for a pause.
    Throttled,
    /// A custom rule of this name opened the circuit.
    Rule(InstanceName),
    /// An operator changed the circuit.
    Operator,
    /// The recovery of a health check blocks the circuit, or lets it go.
    Recovery,
    /// A probe failed, or more probes than may.
    ProbeFailed,
    /// Probes are in flight, and every slot for one is taken. Of rejections only.
    Probing,
    /// The circuit lets only a share of the calls pass while it recovers. Of rejections only.
    Recovering {
        /// The share in percent from 0 to 100, rounded down.
        percent: u8,
    },
    /// The open time is over. Of transitions only, as are those below.
    OpenTimeOver,
    /// The time for which an operator had forced the circuit open is over.
    ForcedTimeOver,
    /// Enough probes succeeded.
    ProbesSucceeded,
    /// Probes did not respond in time; their slots are used again.
    ProbesLost,
    /// The last step of the ramp is over.
    RampCompleted,
}

const KIND_BITS: u32 = 5;
const FIGURE_BITS: u32 = 18;

impl CircuitCause {
    /// The bits that a [`Rejection`](crate::Rejection) has left for a cause.
    pub(crate) const BITS: u32 = KIND_BITS + FIGURE_BITS;

    /// Why a command changes a circuit: because of an operator, or of a recovery within
    /// [`as_recovery`](crate::as_recovery).
    #[must_use]
    pub fn of_command() -> Self {
        match commander::recovery() {
            Some(_) => Self::Recovery,
            None => Self::Operator,
        }
    }

    /// As a number from 1 and below 2^23, to be kept in an atomic word. It means something to the
    /// same version of this crate only.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        let (kind, figure) = match self {
            Self::ConsecutiveFailures(failures) => (1, failures as u32),
            Self::FailureRate { percent } => (2, percent as u32),
            Self::SlowRate { percent } => (3, percent as u32),
            Self::Banned => (4, 0),
            Self::Throttled => (5, 0),
            Self::ProbeFailed => (6, 0),
            Self::Probing => (7, 0),
            Self::Recovering { percent } => (8, percent as u32),
            Self::Operator => (9, 0),
            // A process with more names than fit loses the name, not the kind.
            Self::Rule(name) if name.id() < NO_NAME => (10, name.id()),
            Self::Rule(_) => (10, NO_NAME),
            Self::FailureRateOverTime { percent } => (11, percent as u32),
            Self::SlowRateOverTime { percent } => (12, percent as u32),
            Self::OpenTimeOver => (13, 0),
            Self::ForcedTimeOver => (14, 0),
            Self::ProbesSucceeded => (15, 0),
            Self::ProbesLost => (16, 0),
            Self::RampCompleted => (17, 0),
            Self::Recovery => (18, 0),
        };
        (figure << KIND_BITS) | kind
    }

    /// What [`to_bits`](Self::to_bits) made a number of; `None` for a number that it never makes.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        let figure = bits >> KIND_BITS;
        let percent = figure as u8;
        Some(match bits & ((1 << KIND_BITS) - 1) {
            1 => Self::ConsecutiveFailures(figure as u16),
            2 => Self::FailureRate { percent },
            3 => Self::SlowRate { percent },
            4 => Self::Banned,
            5 => Self::Throttled,
            6 => Self::ProbeFailed,
            7 => Self::Probing,
            8 => Self::Recovering { percent },
            9 => Self::Operator,
            10 => Self::Rule(InstanceName::from_id(figure)),
            11 => Self::FailureRateOverTime { percent },
            12 => Self::SlowRateOverTime { percent },
            13 => Self::OpenTimeOver,
            14 => Self::ForcedTimeOver,
            15 => Self::ProbesSucceeded,
            16 => Self::ProbesLost,
            17 => Self::RampCompleted,
            18 => Self::Recovery,
            _ => return None,
        })
    }

    /// The cause as a label value of metrics and logs, without its figure; a custom rule's is its
    /// name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures(_) => "consecutive_failures",
            Self::FailureRate { .. } => "failure_rate",
            Self::FailureRateOverTime { .. } => "failure_rate_over_time",
            Self::SlowRate { .. } => "slow_rate",
            Self::SlowRateOverTime { .. } => "slow_rate_over_time",
            Self::Banned => "banned",
            Self::Throttled => "throttled",
            Self::Rule(name) => name.as_str(),
            Self::Operator => "operator",
            Self::Recovery => "recovery",
            Self::ProbeFailed => "probe_failed",
            Self::Probing => "probing",
            Self::Recovering { .. } => "recovering",
            Self::OpenTimeOver => "open_time_over",
            Self::ForcedTimeOver => "forced_time_over",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::ProbesLost => "probes_lost",
            Self::RampCompleted => "ramp_completed",
        }
    }
}

/// Stands for a name whose number does not fit.
const NO_NAME: u32 = (1 << FIGURE_BITS) - 1;

impl fmt::Display for CircuitCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConsecutiveFailures(1) => f.write_str("1 call failed"),
            Self::ConsecutiveFailures(failures) => write!(f, "{failures} calls in a row failed"),
            Self::FailureRate { percent } | Self::FailureRateOverTime { percent } => {
                write!(f, "{percent}% of the calls failed")
            }
            Self::SlowRate { percent } | Self::SlowRateOverTime { percent } => {
                write!(f, "{percent}% of the calls were slow")
            }
            Self::Banned => f.write_str("the upstream has banned this client"),
            Self::Throttled => f.write_str("the upstream asked for a pause"),
            Self::Rule(rule) => write!(f, "rule `{rule}`"),
            Self::Operator => f.write_str("by an operator"),
            Self::Recovery => f.write_str("by the recovery of a health check"),
            Self::ProbeFailed => f.write_str("a probe failed"),
            Self::Probing => f.write_str("probes are in flight"),
            Self::Recovering { percent } => write!(f, "{percent}% of the calls pass for now"),
            Self::OpenTimeOver => f.write_str("the open time is over"),
            Self::ForcedTimeOver => f.write_str("the forced time is over"),
            Self::ProbesSucceeded => f.write_str("enough probes succeeded"),
            Self::ProbesLost => f.write_str("the probes did not respond in time"),
            Self::RampCompleted => f.write_str("the ramp is completed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_survives_packing() {
        for cause in [
            CircuitCause::ConsecutiveFailures(0),
            CircuitCause::ConsecutiveFailures(u16::MAX),
            CircuitCause::FailureRate { percent: 100 },
            CircuitCause::FailureRateOverTime { percent: 99 },
            CircuitCause::SlowRate { percent: 7 },
            CircuitCause::SlowRateOverTime { percent: 0 },
            CircuitCause::Banned,
            CircuitCause::Throttled,
            CircuitCause::ProbeFailed,
            CircuitCause::Probing,
            CircuitCause::Recovering { percent: 25 },
            CircuitCause::Operator,
            CircuitCause::Recovery,
            CircuitCause::OpenTimeOver,
            CircuitCause::ForcedTimeOver,
            CircuitCause::ProbesSucceeded,
            CircuitCause::ProbesLost,
            CircuitCause::RampCompleted,
            CircuitCause::Rule(InstanceName::new("a_rule")),
        ] {
            let bits = cause.to_bits();
            assert!(bits != 0 && bits < 1 << CircuitCause::BITS);
            assert_eq!(CircuitCause::from_bits(bits), Some(cause));
        }
        assert_eq!(CircuitCause::from_bits(0), None);
        assert_eq!(CircuitCause::from_bits(31), None);
    }

    #[test]
    fn a_name_too_many_loses_its_name_only() {
        let bits = CircuitCause::Rule(InstanceName::from_id(u32::MAX)).to_bits();
        assert!(bits < 1 << CircuitCause::BITS);
        assert!(matches!(
            CircuitCause::from_bits(bits),
            Some(CircuitCause::Rule(_))
        ));
    }
}

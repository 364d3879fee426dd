//! What made a layer reject, with its figure, in the bits that a rejection has left.

use std::fmt;

use crate::InstanceName;

/// What made a circuit reject: the rule that opened it, or what it is doing now, with the figure
/// that decided.
///
/// Carried by a [`Rejection`](crate::Rejection) of a circuit in bits that it has to spare, so it
/// costs nothing. Figures are rounded: counts stop at 65,535, shares are whole percents. The
/// exact ones are in the snapshot of the circuit's handle.
///
/// ```
/// use seawall_core::{CircuitCause, Reason, Rejection};
///
/// let rejected = Rejection::new(Reason::CircuitOpen, "alpaca")
///     .with_cause(CircuitCause::FailureShare { percent: 62 });
/// assert_eq!(rejected.cause(), Some(CircuitCause::FailureShare { percent: 62 }));
/// assert_eq!(
///     rejected.to_string(),
///     "circuit breaker `alpaca`: the circuit is open (62% of the calls failed); nothing was sent",
/// );
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CircuitCause {
    /// So many calls in a row failed; 65,535 stands for that many or more.
    FailuresInARow(u16),
    /// This share of the calls in the window failed, in percent from 0 to 100.
    FailureShare {
        /// The share in percent, rounded down.
        percent: u8,
    },
    /// This share of the calls in the window was slow, in percent from 0 to 100.
    SlowShare {
        /// The share in percent, rounded down.
        percent: u8,
    },
    /// The upstream has shut this client out.
    Banned,
    /// The upstream asked for a pause.
    Throttled,
    /// A probe failed.
    ProbeFailed,
    /// Probes are under way, and every place for one is taken.
    Probing,
    /// The circuit lets only this share of the calls pass while it recovers, in percent.
    Recovering {
        /// The share in percent, rounded down.
        percent: u8,
    },
    /// An operator opened the circuit.
    Operator,
    /// A rule of the user's opened the circuit.
    Rule(InstanceName),
}

const KIND_BITS: u32 = 5;
const FIGURE_BITS: u32 = 18;

impl CircuitCause {
    /// The bits that a [`Rejection`](crate::Rejection) has room for.
    pub(crate) const BITS: u32 = KIND_BITS + FIGURE_BITS;

    /// As a number from 1 and below 2^23, to be kept in an atomic word. It means something to the
    /// same version of this crate only.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        let (kind, figure) = match self {
            Self::FailuresInARow(failures) => (1, failures as u32),
            Self::FailureShare { percent } => (2, percent as u32),
            Self::SlowShare { percent } => (3, percent as u32),
            Self::Banned => (4, 0),
            Self::Throttled => (5, 0),
            Self::ProbeFailed => (6, 0),
            Self::Probing => (7, 0),
            Self::Recovering { percent } => (8, percent as u32),
            Self::Operator => (9, 0),
            // A process with more names than fit loses the name, not the kind.
            Self::Rule(name) if name.id() < NO_NAME => (10, name.id()),
            Self::Rule(_) => (10, NO_NAME),
        };
        (figure << KIND_BITS) | kind
    }

    /// What [`to_bits`](Self::to_bits) made a number of; `None` for a number that it never makes.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        let figure = bits >> KIND_BITS;
        Some(match bits & ((1 << KIND_BITS) - 1) {
            1 => Self::FailuresInARow(figure as u16),
            2 => Self::FailureShare {
                percent: figure as u8,
            },
            3 => Self::SlowShare {
                percent: figure as u8,
            },
            4 => Self::Banned,
            5 => Self::Throttled,
            6 => Self::ProbeFailed,
            7 => Self::Probing,
            8 => Self::Recovering {
                percent: figure as u8,
            },
            9 => Self::Operator,
            10 => Self::Rule(InstanceName::from_id(figure)),
            _ => return None,
        })
    }
}

/// Stands for a name whose number does not fit.
const NO_NAME: u32 = (1 << FIGURE_BITS) - 1;

impl fmt::Display for CircuitCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailuresInARow(failures) => write!(f, "{failures} calls in a row failed"),
            Self::FailureShare { percent } => write!(f, "{percent}% of the calls failed"),
            Self::SlowShare { percent } => write!(f, "{percent}% of the calls were slow"),
            Self::Banned => f.write_str("the upstream has shut this client out"),
            Self::Throttled => f.write_str("the upstream asked for a pause"),
            Self::ProbeFailed => f.write_str("a probe failed"),
            Self::Probing => f.write_str("probes are under way"),
            Self::Recovering { percent } => write!(f, "{percent}% of the calls pass for now"),
            Self::Operator => f.write_str("an operator opened it"),
            Self::Rule(rule) => write!(f, "rule `{rule}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_survives_packing() {
        for cause in [
            CircuitCause::FailuresInARow(0),
            CircuitCause::FailuresInARow(u16::MAX),
            CircuitCause::FailureShare { percent: 100 },
            CircuitCause::SlowShare { percent: 7 },
            CircuitCause::Banned,
            CircuitCause::Throttled,
            CircuitCause::ProbeFailed,
            CircuitCause::Probing,
            CircuitCause::Recovering { percent: 25 },
            CircuitCause::Operator,
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

//! How much it was that made a layer reject, in the bits that a rejection has left for its cause.

use std::fmt;
use std::time::Duration;

use crate::InstanceName;
use crate::human::Wait;

/// How much it was that made a layer reject, or what it was: what a circuit's
/// [`CircuitCause`](crate::CircuitCause) is to a timeout, a deadline, a retry and a router. It lies in the same bits, so a rejection has one of the two, and
/// it costs nothing.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{Figure, Reason, Rejection, Sent};
///
/// let late = Rejection::new(Reason::AttemptTimeout, "alpaca")
///     .with_sent(Sent::Maybe)
///     .with_figure(Figure::Limit(Duration::from_secs(5)));
/// assert_eq!(late.figure(), Some(Figure::Limit(Duration::from_secs(5))));
/// assert_eq!(
///     late.to_string(),
///     "attempt timeout `alpaca`: the attempt timed out (after 5 s); the request may have been sent",
/// );
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Figure {
    /// The time that something may take, and took. Kept in whole microseconds up to 65 ms, in whole
    /// milliseconds up to 65 s, in whole seconds up to 18 hours and in whole hours up to seven
    /// years, rounded down; seven years stand for what is longer.
    Limit(Duration),
    /// So many attempts were made; 65,535 stand for more.
    Attempts(u32),
    /// So many attempts were made, and the [`Budget`](crate::Budget) has not enough for another one.
    Budget {
        /// The attempts that were made; 63 stand for more.
        attempts: u32,
        /// What is left in the budget, in tenths of a token, rounded down; 4,095 stand for more.
        tenths_left: u32,
    },
    /// What stood in the way, in words that are part of the program. A process with more than
    /// 262,143 names loses it.
    Because(InstanceName),
}

// Numbers of kinds that no cause of a circuit has, and not those of a rejection's cost, 31,
// and reference, 26.
const LIMIT: u32 = 30;
const ATTEMPTS: u32 = 29;
const BUDGET: u32 = 28;
const BECAUSE: u32 = 27;
const KIND_BITS: u32 = 5;
const VALUE_BITS: u32 = 16;
const LARGEST: u64 = (1 << VALUE_BITS) - 1;
// A budget's 18 bits: 6 of attempts, and what is left.
const LEFT_BITS: u32 = 12;
const MOST_LEFT: u32 = (1 << LEFT_BITS) - 1;
const MOST_ATTEMPTS: u32 = 63;
/// Names from this number on do not fit.
const NO_WORDS: u32 = (1 << 18) - 1;
/// Nanoseconds of the units of a limit.
const UNITS: [u64; 4] = [1_000, 1_000_000, 1_000_000_000, 3_600_000_000_000];

impl Figure {
    pub(crate) fn to_bits(self) -> u32 {
        let (kind, unit, value) = match self {
            Self::Budget {
                attempts,
                tenths_left,
            } => {
                let attempts = attempts.min(MOST_ATTEMPTS) << LEFT_BITS;
                return (attempts | tenths_left.min(MOST_LEFT)) << KIND_BITS | BUDGET;
            }
            Self::Because(words) if words.id() < NO_WORDS => {
                return words.id() << KIND_BITS | BECAUSE;
            }
            Self::Because(_) => return 0,
            Self::Attempts(attempts) => (ATTEMPTS, 0, u64::from(attempts).min(LARGEST)),
            Self::Limit(limit) => {
                let ns = crate::ns(limit);
                let fits = |unit: &u64| ns / unit <= LARGEST;
                let index = UNITS.iter().position(fits).unwrap_or(UNITS.len() - 1);
                (LIMIT, index as u32, (ns / UNITS[index]).min(LARGEST))
            }
        };
        (unit << VALUE_BITS | value as u32) << KIND_BITS | kind
    }

    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        let value = bits >> KIND_BITS & LARGEST as u32;
        let unit = bits >> (KIND_BITS + VALUE_BITS);
        match bits & ((1 << KIND_BITS) - 1) {
            ATTEMPTS => Some(Self::Attempts(value)),
            BECAUSE => Some(Self::Because(InstanceName::from_id(bits >> KIND_BITS))),
            BUDGET => Some(Self::Budget {
                attempts: bits >> (KIND_BITS + LEFT_BITS),
                tenths_left: bits >> KIND_BITS & MOST_LEFT,
            }),
            LIMIT => {
                let ns = UNITS.get(unit as usize)?.saturating_mul(u64::from(value));
                Some(Self::Limit(Duration::from_nanos(ns)))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Limit(limit) => write!(f, "after {}", Wait(limit)),
            Self::Because(words) => f.write_str(words.as_str()),
            Self::Attempts(1) => f.write_str("after 1 attempt"),
            Self::Attempts(attempts) => write!(f, "after {attempts} attempts"),
            Self::Budget {
                attempts,
                tenths_left: left,
            } => {
                let attempts = Self::Attempts(attempts);
                write!(f, "{attempts}, {}.{} tokens left", left / 10, left % 10)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CircuitCause;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_limit_survives_packing_to_one_part_in_a_thousand(ns in any::<u64>()) {
            let limit = Duration::from_nanos(ns);
            let bits = Figure::Limit(limit).to_bits();
            prop_assert!(bits < 1 << CircuitCause::BITS);
            prop_assert_eq!(CircuitCause::from_bits(bits), None, "no cause of a circuit");
            let Some(Figure::Limit(kept)) = Figure::from_bits(bits) else {
                return Err(TestCaseError::fail("no limit"));
            };
            prop_assert!(kept <= limit);
            let most = Duration::from_secs(65_535 * 3_600);
            if ns >= 1_000_000 && limit <= most {
                prop_assert!(limit - kept <= limit / 55, "{limit:?} became {kept:?}");
            }
        }

        #[test]
        fn causes_of_circuits_are_no_figures(failures in any::<u16>(), percent in any::<u8>()) {
            for cause in [
                CircuitCause::ConsecutiveFailures(failures),
                CircuitCause::SlowRate { percent },
                CircuitCause::RampCompleted,
            ] {
                prop_assert_eq!(Figure::from_bits(cause.to_bits()), None);
            }
        }
    }

    #[test]
    fn usual_limits_are_exact_and_counts_saturate() {
        for ms in [1, 50, 250, 999, 5_000, 30_000, 65_535, 120_000, 3_600_000] {
            let limit = Figure::Limit(Duration::from_millis(ms));
            assert_eq!(Figure::from_bits(limit.to_bits()), Some(limit));
        }
        for (attempts, kept) in [(0, 0), (3, 3), (u32::MAX, 65_535)] {
            let bits = Figure::Attempts(attempts).to_bits();
            assert_eq!(Figure::from_bits(bits), Some(Figure::Attempts(kept)));
        }
        let costly = crate::Rejection::new(crate::Reason::TooExpensive, "x").with_cost(9, 7);
        assert_eq!(costly.figure(), None, "its cost is elsewhere");
        let none = costly.with_figure(Figure::Attempts(0));
        assert_eq!(
            (none.figure(), none.cost_and_capacity()),
            (Some(Figure::Attempts(0)), None)
        );
        assert!(Figure::from_bits(Figure::Limit(Duration::MAX).to_bits()).is_some());
        assert_eq!(Figure::Attempts(3).to_string(), "after 3 attempts");
    }

    #[test]
    fn words_survive_packing() {
        let figure = Figure::Because("the rate limit is reached".into());
        let bits = figure.to_bits();
        assert!(bits < 1 << CircuitCause::BITS);
        assert_eq!(CircuitCause::from_bits(bits), None);
        assert_eq!(Figure::from_bits(bits), Some(figure));
        let rejection = crate::Rejection::new(crate::Reason::NoRoute, "x").with_figure(figure);
        assert_eq!(
            rejection.to_string(),
            "router `x`: no route is available (the rate limit is reached); nothing was sent"
        );
        assert_eq!(Figure::from_bits(0), None, "what does not fit is nothing");
    }

    #[test]
    fn what_is_left_in_a_budget_and_the_attempts_saturate() {
        for (attempts, left, kept) in [
            (0, 0, (0, 0)),
            (2, 4, (2, 4)),
            (63, 4_095, (63, 4_095)),
            (64, 4_096, (63, 4_095)),
            (u32::MAX, u32::MAX, (63, 4_095)),
        ] {
            let figure = Figure::Budget {
                attempts,
                tenths_left: left,
            };
            let bits = figure.to_bits();
            assert!(bits < 1 << CircuitCause::BITS);
            assert_eq!(CircuitCause::from_bits(bits), None);
            let (attempts, tenths_left) = kept;
            let kept = Figure::Budget {
                attempts,
                tenths_left,
            };
            assert_eq!(Figure::from_bits(bits), Some(kept));
        }
        let figure = Figure::Budget {
            attempts: 1,
            tenths_left: 4,
        };
        assert_eq!(figure.to_string(), "after 1 attempt, 0.4 tokens left");
    }
}

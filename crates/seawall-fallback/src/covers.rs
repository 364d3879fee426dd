//! Which failures a step answers for.

use seawall_core::{FailureKind, InvalidConfig, Outcome, Reason, Rejection};

/// Which failures a step answers for.
///
/// The default is everything that is not the caller's own mistake: failures of the upstream, throttles, bans,
/// exhausted quotas, calls of unknown outcome, and rejections by layers. What no step ever covers: a success,
/// [`Outcome::Ignored`] of the upstream (a 400, a 404), rejections of what is wrong with the request
/// ([`InvalidRequest`](Reason::InvalidRequest), [`TooExpensive`](Reason::TooExpensive)), and those of order
/// safety.
///
/// ```
/// use seawall_fallback::{Covers, FailureKind, Reason};
///
/// // While the circuit is open, and when the upstream says that it is overloaded.
/// let covers = Covers::nothing()
///     .and_reason(Reason::CircuitOpen)
///     .and_failure(FailureKind::Overloaded);
/// assert!(covers != Covers::default());
/// // All but what is over in a moment.
/// let covers = Covers::default().but_reason(Reason::RateLimited);
/// # let _ = covers;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covers {
    /// By the number of the kind, then [`THROTTLED`] and those after it.
    outcomes: u16,
    /// By the number of the reason.
    reasons: u32,
    /// What was asked for and can never be covered.
    never: Option<Never>,
}

/// What can never be covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Never {
    Reason(Reason),
    /// An outcome that is no failure of the upstream.
    Outcome(&'static str),
}

const THROTTLED: u16 = 1 << FailureKind::ALL.len();
const BANNED: u16 = THROTTLED << 1;
const QUOTA: u16 = THROTTLED << 2;
const UNKNOWN: u16 = THROTTLED << 3;
const ALL_OUTCOMES: u16 = (THROTTLED << 4) - 1;

const fn bit(reason: Reason) -> u32 {
    1 << reason as u32
}

/// What is wrong with the request itself, and what order safety decides.
const NEVER: u32 = bit(Reason::TooExpensive)
    | bit(Reason::InvalidRequest)
    | bit(Reason::NotExecuted)
    | bit(Reason::TradingMode)
    | bit(Reason::Guarded);

const fn all_reasons() -> u32 {
    let mut all = 0;
    let mut index = 0;
    while index < Reason::ALL.len() {
        all |= bit(Reason::ALL[index]);
        index += 1;
    }
    all & !NEVER
}

const fn outcome_bit(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Failure(kind) => kind_bit(*kind),
        Outcome::Throttled { .. } => THROTTLED,
        Outcome::Banned { .. } => BANNED,
        Outcome::QuotaExhausted { .. } => QUOTA,
        Outcome::Unknown => UNKNOWN,
        _ => 0,
    }
}

const fn kind_bit(kind: FailureKind) -> u16 {
    let mut index = 0;
    while index < FailureKind::ALL.len() {
        if FailureKind::ALL[index] as u8 == kind as u8 {
            return 1 << index;
        }
        index += 1;
    }
    0
}

impl Default for Covers {
    fn default() -> Self {
        Self {
            outcomes: ALL_OUTCOMES,
            reasons: all_reasons(),
            never: None,
        }
    }
}

impl Covers {
    /// Nothing yet.
    pub const fn nothing() -> Self {
        Self {
            outcomes: 0,
            reasons: 0,
            never: None,
        }
    }

    /// Every rejection by a layer, and no result of the upstream.
    pub const fn rejections() -> Self {
        Self {
            outcomes: 0,
            reasons: all_reasons(),
            never: None,
        }
    }

    /// Also rejections for `reason`.
    #[must_use]
    pub const fn and_reason(mut self, reason: Reason) -> Self {
        if NEVER & bit(reason) != 0 {
            self.never = Some(Never::Reason(reason));
        }
        self.reasons |= bit(reason);
        self
    }

    /// No rejections for `reason`.
    #[must_use]
    pub const fn but_reason(mut self, reason: Reason) -> Self {
        self.reasons &= !bit(reason);
        self
    }

    /// Also failures of that kind.
    #[must_use]
    pub const fn and_failure(mut self, kind: FailureKind) -> Self {
        self.outcomes |= kind_bit(kind);
        self
    }

    /// No failures of that kind.
    #[must_use]
    pub const fn but_failure(mut self, kind: FailureKind) -> Self {
        self.outcomes &= !kind_bit(kind);
        self
    }

    /// Also results of the upstream that mean the same as `outcome`, whatever its times and scopes. A success
    /// and what says nothing of the upstream are never covered: to ask for them is an error of the layer.
    #[must_use]
    pub const fn and_outcome(mut self, outcome: Outcome) -> Self {
        if outcome_bit(&outcome) == 0 {
            self.never = Some(Never::Outcome(outcome.as_str()));
        }
        self.outcomes |= outcome_bit(&outcome);
        self
    }

    /// No results of the upstream that mean the same as `outcome`.
    #[must_use]
    pub const fn but_outcome(mut self, outcome: Outcome) -> Self {
        self.outcomes &= !outcome_bit(&outcome);
        self
    }

    /// Whether a call that failed so is covered.
    pub const fn covers(&self, outcome: &Outcome, rejection: Option<&Rejection>) -> bool {
        match rejection {
            Some(rejection) => {
                !rejection.is_final() && self.reasons & !NEVER & bit(rejection.reason()) != 0
            }
            None => self.outcomes & outcome_bit(outcome) != 0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        match self.never {
            Some(Never::Reason(reason)) => {
                let accepted =
                    "a reason that is not the caller's own mistake and not of order safety";
                return Err(InvalidConfig::new("covers", reason.as_str(), accepted));
            }
            Some(Never::Outcome(outcome)) => {
                let accepted = "an outcome that is a failure of the upstream";
                return Err(InvalidConfig::new("covers", outcome, accepted));
            }
            None => {}
        }
        if self.outcomes == 0 && self.reasons == 0 {
            return Err(InvalidConfig::new(
                "covers",
                "nothing",
                "at least one failure",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mistakes_of_a_caller_are_never_covered() {
        let all = Covers::default();
        for outcome in [Outcome::Success, Outcome::Ignored, Outcome::Degraded] {
            assert!(!all.covers(&outcome, None));
            assert!(!all.and_outcome(outcome).covers(&outcome, None));
            let never = all.and_outcome(outcome).check().unwrap_err();
            assert_eq!((never.field(), never.value()), ("covers", outcome.as_str()));
        }
        let of = |reason, pattern| Rejection::new(reason, "x").with_pattern(pattern);
        for reason in Reason::ALL {
            let own = NEVER & bit(reason) != 0;
            let rejection = of(reason, "breaker");
            assert_eq!(
                all.covers(&rejection.outcome(), Some(&rejection)),
                !own,
                "{reason:?}"
            );
            assert_eq!(all.and_reason(reason).check().is_err(), own);
        }
        // In doubt: order safety has to say, and nothing else.
        let in_doubt = of(Reason::OutcomeUnknown, "orders");
        assert!(!all.covers(&in_doubt.outcome(), Some(&in_doubt)));
    }

    #[test]
    fn what_is_left_out_is_not_covered() {
        for kind in FailureKind::ALL {
            let failure = Outcome::Failure(kind);
            assert!(Covers::default().covers(&failure, None));
            assert!(!Covers::default().but_failure(kind).covers(&failure, None));
            let alone = Covers::nothing().and_failure(kind);
            for other in FailureKind::ALL {
                assert_eq!(alone.covers(&Outcome::Failure(other), None), other == kind);
            }
        }
        let open = Rejection::new(Reason::CircuitOpen, "x");
        let ignored = Outcome::Ignored;
        assert!(Covers::rejections().covers(&ignored, Some(&open)));
        assert!(
            !Covers::rejections()
                .but_reason(Reason::CircuitOpen)
                .covers(&ignored, Some(&open))
        );
        assert!(!Covers::rejections().covers(&Outcome::Unknown, None));
        let banned = Outcome::Banned { lasts: None };
        assert!(!Covers::default().but_outcome(banned).covers(&banned, None));
        assert_eq!(Covers::nothing().check().unwrap_err().field(), "covers");
    }
}

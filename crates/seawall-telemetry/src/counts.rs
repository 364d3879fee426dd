//! What calls and attempts are counted by.

use seawall_core::counters::OutcomeCounts;
use seawall_core::{FailureKind, Outcome, Reason, Rejection, Sent};

/// How many ways a call can end.
pub(crate) const ENDS: usize = 10;
/// How many types of error there are.
pub(crate) const ERRORS: usize = FIRST_REASON as usize + Reason::ALL.len();

const FIRST_OUTCOME: u8 = FailureKind::ALL.len() as u8;
const OUTCOMES: [&str; 5] = [
    "throttled",
    "banned",
    "quota_exhausted",
    "ignored",
    "unknown",
];
const FIRST_REASON: u8 = FIRST_OUTCOME + OUTCOMES.len() as u8;

/// How a call ended: the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum End {
    Success,
    Failure,
    Throttled,
    Banned,
    QuotaExhausted,
    Ignored,
    Unknown,
    Rejected,
    Abandoned,
    Degraded,
}

impl End {
    pub(crate) const ALL: [Self; ENDS] = [
        Self::Success,
        Self::Failure,
        Self::Throttled,
        Self::Banned,
        Self::QuotaExhausted,
        Self::Ignored,
        Self::Unknown,
        Self::Rejected,
        Self::Abandoned,
        Self::Degraded,
    ];

    #[inline]
    pub(crate) const fn of(outcome: Outcome, rejected: bool) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::Failure(_) => Self::Failure,
            Outcome::Throttled { .. } => Self::Throttled,
            Outcome::Banned { .. } => Self::Banned,
            Outcome::QuotaExhausted { .. } => Self::QuotaExhausted,
            Outcome::Unknown => Self::Unknown,
            Outcome::Degraded => Self::Degraded,
            Outcome::Ignored if rejected => Self::Rejected,
            _ => Self::Ignored,
        }
    }

    /// How a call with an error ended.
    pub(crate) fn of_error(outcome: Outcome, rejection: Option<&Rejection>) -> Self {
        let was_sent = rejection.is_some_and(|rejection| rejection.sent() == Sent::Maybe);
        match Self::of(outcome, rejection.is_some()) {
            // What was rejected is another attempt, or the wait for an answer: the call has failed.
            Self::Rejected if was_sent => Self::Unknown,
            end => end,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Throttled => "throttled",
            Self::Banned => "banned",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Ignored => "ignored",
            Self::Unknown => "unknown",
            Self::Rejected => "rejected",
            Self::Abandoned => "abandoned",
            Self::Degraded => "degraded",
        }
    }
}

/// The type of an error, as a number into all of them; `None` for a success and for a degraded answer,
/// whose reason is in the event and in the mark.
pub(crate) fn error_type(outcome: Outcome, rejection: Option<&Rejection>) -> Option<u8> {
    if let Some(rejection) = rejection {
        return Some(FIRST_REASON + rejection.reason() as u8 - 1);
    }
    let outcome = match outcome {
        Outcome::Success | Outcome::Degraded => return None,
        Outcome::Failure(kind) => {
            let index = FailureKind::ALL.iter().position(|k| *k == kind);
            return index.map(|index| index as u8);
        }
        other => other.as_str(),
    };
    let index = OUTCOMES.iter().position(|word| *word == outcome);
    index.map(|index| FIRST_OUTCOME + index as u8)
}

/// The label `error_type`: the kind of a failure, another outcome, or the reason of a rejection.
pub(crate) fn error_word(index: usize) -> &'static str {
    let kinds = FailureKind::ALL.iter().map(|kind| kind.as_str());
    let reasons = Reason::ALL.iter().map(|reason| reason.as_str());
    let mut all = kinds.chain(OUTCOMES).chain(reasons);
    all.nth(index).unwrap_or("failure")
}

/// How many calls and attempts there were.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TelemetryCounts {
    /// Calls by their outcome.
    pub calls: OutcomeCounts,
    /// Calls that were dropped before they were over.
    pub abandoned: u64,
    /// Calls that succeeded and took longer than they may.
    pub slow: u64,
    /// Attempts by their outcome; until the head of the response, where it has a body.
    pub attempts: OutcomeCounts,
    /// Attempts that were dropped before they were over.
    pub abandoned_attempts: u64,
}

/// Adds calls that ended so; returns the abandoned ones.
pub(crate) fn add(counts: &mut OutcomeCounts, end: End, calls: u64) -> u64 {
    let sum = match end {
        End::Success => &mut counts.success,
        End::Failure => &mut counts.failure,
        End::Throttled => &mut counts.throttled,
        End::Banned => &mut counts.banned,
        End::QuotaExhausted => &mut counts.quota_exhausted,
        End::Ignored => &mut counts.ignored,
        End::Unknown => &mut counts.unknown,
        End::Rejected => &mut counts.rejected,
        End::Degraded => &mut counts.degraded,
        End::Abandoned => return calls,
    };
    *sum = sum.wrapping_add(calls);
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_core::Scope;

    #[test]
    fn every_error_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = (0..ERRORS).map(error_word).collect();
        // The quota of a provider and that of a limit are one word.
        assert_eq!(words.len(), ERRORS - 1, "{words:?}");
        let scope = Scope::Upstream;
        let throttled = Outcome::Throttled {
            retry_after: None,
            scope,
        };
        for (outcome, rejection, word) in [
            (Outcome::Failure(FailureKind::Server), None, "server"),
            (throttled, None, "throttled"),
            (Outcome::Unknown, None, "unknown"),
            (Outcome::Ignored, Some(Reason::CircuitOpen), "circuit_open"),
            (
                Outcome::Unknown,
                Some(Reason::AttemptTimeout),
                "attempt_timeout",
            ),
            (Outcome::Ignored, Some(Reason::Guarded), "guarded"),
        ] {
            let rejection = rejection.map(|reason| Rejection::new(reason, "x"));
            let index = error_type(outcome, rejection.as_ref()).unwrap();
            assert_eq!(error_word(usize::from(index)), word);
        }
        assert_eq!(error_type(Outcome::Success, None), None);
        assert_eq!(error_type(Outcome::Degraded, None), None);
    }

    #[test]
    fn ends_have_the_words_of_outcomes() {
        for end in End::ALL {
            let mut counts = OutcomeCounts::default();
            let abandoned = add(&mut counts, end, 1);
            let counted = counts
                .by_label()
                .iter()
                .any(|(label, n)| *label == end.as_str() && *n == 1);
            assert!(counted ^ (abandoned == 1), "{end:?}");
        }
    }
}

//! Whether the upstream accepted a request: pure.

use seawall_core::{Classify, FailureKind, Outcome, Rejectable, Rejection};

/// What a result says about whether the upstream accepted the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acceptance {
    /// The upstream processed the request.
    Accepted,
    /// It did not, or that is unknown.
    NotAccepted,
    /// A layer below rejected the request, which says nothing about the upstream.
    RejectedBelow,
}

impl Acceptance {
    pub(crate) const fn of(outcome: Outcome, count_failures: bool) -> Self {
        match outcome {
            Outcome::Success | Outcome::Ignored | Outcome::Degraded => Self::Accepted,
            // It accepted the request and failed while processing it.
            Outcome::Failure(FailureKind::Server | FailureKind::Timeout | FailureKind::Body)
                if !count_failures =>
            {
                Self::Accepted
            }
            _ => Self::NotAccepted,
        }
    }

    /// Classifies a result. A rejection of a layer below says nothing about the upstream, unless
    /// the request may have been sent.
    #[inline]
    pub(crate) fn of_result<C, Res, Err>(
        classifier: &C,
        result: &Result<Res, Err>,
        count_failures: bool,
    ) -> Self
    where
        C: Classify<Res, Err>,
        Err: Rejectable,
    {
        let outcome = match result {
            Ok(response) => classifier.classify(Ok(response)),
            Err(error) => match error.rejection().map(Rejection::outcome) {
                Some(Outcome::Ignored) => return Self::RejectedBelow,
                Some(outcome) => outcome,
                None => classifier.classify(Err(error)),
            },
        };
        Self::of(outcome, count_failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_core::{Error, Reason, Scope, Sent};

    #[test]
    fn the_outcomes_count_as_documented() {
        use Acceptance::{Accepted, NotAccepted};
        let throttled = Outcome::Throttled {
            retry_after: None,
            scope: Scope::Upstream,
        };
        let failure = Outcome::Failure;
        let table = [
            (Outcome::Success, Accepted, Accepted),
            (Outcome::Ignored, Accepted, Accepted),
            (Outcome::Degraded, Accepted, Accepted),
            (failure(FailureKind::Server), Accepted, NotAccepted),
            (failure(FailureKind::Timeout), Accepted, NotAccepted),
            (failure(FailureKind::Body), Accepted, NotAccepted),
            (failure(FailureKind::Overloaded), NotAccepted, NotAccepted),
            (failure(FailureKind::NotSent), NotAccepted, NotAccepted),
            (failure(FailureKind::Other), NotAccepted, NotAccepted),
            (Outcome::Unknown, NotAccepted, NotAccepted),
            (throttled, NotAccepted, NotAccepted),
            (Outcome::Banned { lasts: None }, NotAccepted, NotAccepted),
            (
                Outcome::QuotaExhausted { renews_in: None },
                NotAccepted,
                NotAccepted,
            ),
        ];
        for (outcome, plain, strict) in table {
            assert_eq!(Acceptance::of(outcome, false), plain, "{outcome:?}");
            assert_eq!(Acceptance::of(outcome, true), strict, "{outcome:?}");
        }
    }

    #[test]
    fn a_rejection_of_a_layer_below_counts_only_if_the_request_may_have_been_sent() {
        let acceptance = |rejected: Rejection| {
            let unused = |_: Result<&(), &Error<()>>| -> Outcome { panic!("classified") };
            Acceptance::of_result(&unused, &Err(Error::from(rejected)), true)
        };
        for reason in Reason::ALL {
            let expected = match reason {
                Reason::AttemptTimeout | Reason::OutcomeUnknown | Reason::BodyTimeout => {
                    Acceptance::NotAccepted
                }
                _ => Acceptance::RejectedBelow,
            };
            assert_eq!(
                acceptance(Rejection::new(reason, "below")),
                expected,
                "{reason:?}"
            );
        }
        let panicked = Rejection::new(Reason::Panicked, "below").with_sent(Sent::Maybe);
        assert_eq!(acceptance(panicked), Acceptance::NotAccepted);
    }
}

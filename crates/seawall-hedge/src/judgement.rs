//! What a result is worth.

use seawall_core::{FailureKind, Outcome, Rejectable, Rejection, Sent};

/// What a result is worth.
#[derive(Clone, Copy)]
pub(crate) struct Judgement {
    pub(crate) outcome: Outcome,
    pub(crate) rejection: Option<Rejection>,
}

impl Judgement {
    #[inline]
    pub(crate) fn new<T, E: Rejectable>(outcome: Outcome, result: &Result<T, E>) -> Self {
        let rejection = match result {
            Ok(_) => None,
            Err(error) => error.rejection().copied(),
        };
        Self { outcome, rejection }
    }

    /// Whether it can be the call's result while other attempts are under way. A local rejection
    /// never can.
    pub(crate) const fn is_good(&self) -> bool {
        matches!(
            self.outcome,
            Outcome::Success | Outcome::Ignored | Outcome::Degraded
        ) && self.rejection.is_none()
    }

    pub(crate) fn is_rejected_unsent(&self) -> bool {
        self.rejection.is_some_and(|r| r.sent() == Sent::No)
    }

    /// Whether nothing of the attempt can have reached the upstream.
    pub(crate) fn is_unsent(&self) -> bool {
        self.is_rejected_unsent() || self.outcome == NOT_SENT
    }

    /// Whether a wait ended, and not the attempt.
    pub(crate) fn is_timeout(&self) -> bool {
        match self.rejection {
            Some(rejection) => rejection.sent() == Sent::Maybe,
            None => matches!(
                self.outcome,
                Outcome::Unknown | Outcome::Failure(FailureKind::Timeout)
            ),
        }
    }
}

pub(crate) const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);

//! What an answer is worth.

use seawall_core::{FailureKind, Outcome, Rejection, Sent};

use crate::observe::Kind;

/// What an answer is worth.
#[derive(Clone, Copy)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) rejection: Option<Rejection>,
}

impl Verdict {
    /// Whether it can be the answer of the call while other attempts are under way. A local
    /// rejection never can.
    pub(crate) const fn is_good(&self) -> bool {
        matches!(self.outcome, Outcome::Success | Outcome::Ignored) && self.rejection.is_none()
    }

    pub(crate) fn is_rejected_unsent(&self) -> bool {
        self.rejection.is_some_and(|r| r.sent() == Sent::No)
    }

    /// Whether nothing of the attempt can have reached the upstream.
    pub(crate) fn is_unsent(&self) -> bool {
        self.is_rejected_unsent() || self.outcome == NOT_SENT
    }

    /// Whether patience ended, and not the attempt.
    pub(crate) fn is_timeout(&self) -> bool {
        match self.rejection {
            Some(rejection) => rejection.sent() == Sent::Maybe,
            None => matches!(
                self.outcome,
                Outcome::Unknown | Outcome::Failure(FailureKind::Timeout)
            ),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        Kind::of(self.outcome, self.rejection.is_some())
    }
}

pub(crate) const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);

//! One error, classified.

use std::time::Duration;

use http::StatusCode;
use seawall_core::{FailureKind, Outcome, Scope};

use crate::error_class::ErrorClass;

/// An error that an AI API has reported, and what to do about it; an [`ErrorTable`] makes it.
///
/// [`ErrorTable`]: crate::ErrorTable
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// What kind of error it is.
    pub class: ErrorClass,
    /// The status of the response; of an error in a stream, the status that the API gives it where
    /// it is known before the stream begins.
    pub status: StatusCode,
    /// How long the response asks to wait, bounded as
    /// [`HttpClassifier`](seawall_http::HttpClassifier) bounds it.
    pub retry_after: Option<Duration>,
    /// What the API says for itself: `x-should-retry`.
    pub should_retry: Option<bool>,
    /// Whether the body says what it is. Otherwise the status alone does.
    pub is_explained: bool,
}

impl ApiError {
    /// Whether the same request may be sent again with the same key, after a wait: what the API says
    /// for itself or, where it says nothing, the class.
    pub fn may_retry(&self) -> bool {
        self.should_retry.unwrap_or(self.class.is_transient())
    }

    /// What it means for the upstream, for the layers of a stack.
    ///
    /// Errors of the request, the key and the model are [`Outcome::Ignored`]: no vote, no retry. A
    /// rate limit is a throttle of the endpoint, which is the model that was called, or an exhausted
    /// quota, that of the account, where the API says that no retry helps; an error that says that one
    /// does is a throttle of the endpoint, too.
    pub fn outcome(&self) -> Outcome {
        match self.class {
            ErrorClass::QuotaExhausted => self.exhausted(),
            ErrorClass::RateLimit if self.should_retry == Some(false) => self.exhausted(),
            ErrorClass::RateLimit => self.throttled(),
            ErrorClass::Overload => Outcome::Failure(FailureKind::Overloaded),
            ErrorClass::Server => Outcome::Failure(FailureKind::Server),
            ErrorClass::Network => Outcome::Failure(FailureKind::Timeout),
            _ if self.should_retry == Some(true) => self.throttled(),
            _ => Outcome::Ignored,
        }
    }

    const fn exhausted(&self) -> Outcome {
        Outcome::QuotaExhausted {
            renews_in: self.retry_after,
        }
    }

    const fn throttled(&self) -> Outcome {
        Outcome::Throttled {
            retry_after: self.retry_after,
            scope: Scope::Endpoint,
        }
    }
}

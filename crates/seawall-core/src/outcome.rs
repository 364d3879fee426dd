//! What a result means, in one vocabulary for breaker, retry, limiter and health.

use std::time::Duration;

use crate::Rejectable;

/// What one response says about the upstream.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The upstream did what it was asked to do.
    Success,
    /// The upstream failed.
    Failure(FailureKind),
    /// The upstream asks for fewer requests; it is healthy, this client is too fast.
    Throttled {
        /// How long the upstream asks to wait, if it says so.
        retry_after: Option<Duration>,
        /// What the throttle covers.
        scope: Scope,
    },
    /// The upstream has banned this client; every further request is wasted or prolongs the ban.
    Banned {
        /// How long the ban lasts from now, if known.
        lasts: Option<Duration>,
    },
    /// A quota of hours, days or money is used up; waiting for seconds does not help.
    QuotaExhausted {
        /// When the quota is renewed, from now, if known.
        renews_in: Option<Duration>,
    },
    /// The response says nothing about the upstream: a bad request, a local rejection.
    Ignored,
    /// The request may have been executed: it timed out or was cut off after it was sent.
    Unknown,
}

/// In what way the upstream failed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The request certainly did not leave: no connection, no name, no handshake.
    NotSent,
    /// The upstream reported that it failed (HTTP 5xx, gRPC `INTERNAL`).
    Server,
    /// The upstream reported that it is overloaded or down for now (HTTP 503, 529).
    Overloaded,
    /// The upstream reported that it waited too long (HTTP 408, 504).
    Timeout,
    /// The response began and broke off.
    Body,
    /// Anything else.
    Other,
}

/// What a throttle covers.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything that this client sends to this upstream.
    #[default]
    Upstream,
    /// The endpoint that was called.
    Endpoint,
    /// The account or key that was used.
    Account,
}

/// How an outcome counts for the health of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vote {
    /// The upstream is healthy.
    Success,
    /// The upstream is unhealthy.
    Failure,
    /// It says nothing about the upstream.
    Abstain,
}

impl Outcome {
    /// How this outcome counts for the health of the upstream.
    ///
    /// Throttles and used-up quotas abstain: the upstream is healthy, this client is too fast. A
    /// ban, and a request of unknown fate, count as failures.
    pub const fn vote(&self) -> Vote {
        match self {
            Self::Success => Vote::Success,
            Self::Failure(_) | Self::Banned { .. } | Self::Unknown => Vote::Failure,
            Self::Throttled { .. } | Self::QuotaExhausted { .. } | Self::Ignored => Vote::Abstain,
        }
    }

    /// How long the upstream asks to stay away, if it says so.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } => *retry_after,
            Self::Banned { lasts } => *lasts,
            Self::QuotaExhausted { renews_in } => *renews_in,
            _ => None,
        }
    }

    /// The outcome as a label value of metrics and logs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure(_) => "failure",
            Self::Throttled { .. } => "throttled",
            Self::Banned { .. } => "banned",
            Self::QuotaExhausted { .. } => "quota_exhausted",
            Self::Ignored => "ignored",
            Self::Unknown => "unknown",
        }
    }
}

/// Says what a result means.
///
/// Closures and `fn` pointers of the right shape are classifiers; a `fn` pointer keeps the type
/// of the stack nameable.
///
/// ```
/// use seawall_core::{Classify, FailureKind, Outcome};
///
/// fn by_status(result: Result<&u16, &std::io::Error>) -> Outcome {
///     match result {
///         Ok(500..) | Err(_) => Outcome::Failure(FailureKind::Server),
///         Ok(400..) => Outcome::Ignored,
///         Ok(_) => Outcome::Success,
///     }
/// }
/// assert_eq!(by_status.classify(Ok(&404)), Outcome::Ignored);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not classify results of type `Result<&{Res}, &{Err}>`",
    label = "not a classifier of this service's results",
    note = "a classifier is a `fn(Result<&Response, &Error>) -> Outcome`, a closure of that shape, or a type that implements `Classify`",
    note = "the error type is the one at this layer: above `WrapErrorLayer` it is `seawall_core::Error<E>`"
)]
pub trait Classify<Res, Err> {
    /// What `result` says about the upstream. Called once per response, never for a local rejection.
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome;

    /// How long the upstream asks to stay away in a result whose outcome does not carry it, as a
    /// `Retry-After` with a 503 has none; `None` unless implemented.
    ///
    /// [`Duration::MAX`] means that the request must not be repeated, and names no time. Asked when
    /// another attempt is considered, by a breaker for a failure, and in a stack once per result that
    /// is no success; never for a local rejection.
    fn retry_after(&self, result: Result<&Res, &Err>) -> Option<Duration> {
        let _ = result;
        None
    }
}

impl<F, Res, Err> Classify<Res, Err> for F
where
    F: Fn(Result<&Res, &Err>) -> Outcome,
{
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome {
        self(result)
    }
}

/// The default classifier: `Ok` is a success, every error is a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorIsFailure;

impl<Res, Err> Classify<Res, Err> for ErrorIsFailure {
    fn classify(&self, result: Result<&Res, &Err>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure(FailureKind::Other),
        }
    }
}

/// Classifies a result as a layer does: a rejection by what it says of the upstream (mostly
/// nothing, see [`Rejection::outcome`](crate::Rejection::outcome)), anything else by the classifier.
pub fn classify_result<C, Res, Err>(classifier: &C, result: &Result<Res, Err>) -> Outcome
where
    C: Classify<Res, Err>,
    Err: Rejectable,
{
    match result {
        Ok(response) => classifier.classify(Ok(response)),
        Err(error) => classify_error(classifier, error),
    }
}

/// As [`classify_result`], of an error, for a layer that has separated responses and errors already.
#[inline]
pub fn classify_error<C, Res, Err>(classifier: &C, error: &Err) -> Outcome
where
    C: Classify<Res, Err>,
    Err: Rejectable,
{
    match error.rejection() {
        Some(rejection) => rejection.outcome(),
        None => classifier.classify(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Reason, Rejection};

    #[test]
    fn a_local_rejection_never_reaches_the_classifier() {
        let nobody = |_: Result<&(), &Error<()>>| -> Outcome { panic!("asked about a rejection") };
        let rejected = Err(Rejection::new(Reason::RateLimited, "x").into());
        assert_eq!(classify_result(&nobody, &rejected), Outcome::Ignored);
        let timeout = Err(Rejection::new(Reason::AttemptTimeout, "x").into());
        assert_eq!(classify_result(&nobody, &timeout), Outcome::Unknown);
    }

    #[test]
    fn throttles_abstain_and_bans_count() {
        let throttled = Outcome::Throttled {
            retry_after: None,
            scope: Scope::Upstream,
        };
        assert_eq!(throttled.vote(), Vote::Abstain);
        assert_eq!(Outcome::Banned { lasts: None }.vote(), Vote::Failure);
        assert_eq!(Outcome::Unknown.vote(), Vote::Failure);
    }
}

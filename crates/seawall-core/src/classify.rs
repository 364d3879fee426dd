//! What finds the outcome of a result.

use std::time::Duration;

use crate::{FailureKind, Outcome, Rejectable};

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
    note = "the error type is the one at this layer: above `WrapErrorLayer` it is `seawall_core::Error<E>`",
    note = "an `HttpClassifier` needs `seawall_http::TransportError` of the client's error, or a function for it: `HttpClassifier::with_errors(..)`",
    note = "a `GrpcClassifier` needs a `GrpcError`: put `seawall_grpc::WrapStatusLayer` right around the channel"
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

#[diagnostic::do_not_recommend]
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
}

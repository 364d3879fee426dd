//! Errors that show whether the request was sent.

#[cfg(feature = "hyper")]
use seawall_core::FailureKind;
use seawall_core::Outcome;

#[cfg(feature = "http2")]
pub(crate) use crate::http2::was_not_processed;

#[cfg(feature = "hyper")]
pub(crate) const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);

#[cfg(all(feature = "hyper", not(feature = "http2")))]
pub(crate) const fn was_not_processed(_: &hyper::Error) -> bool {
    false
}

/// An error of an HTTP client that shows whether the request was sent.
///
/// It decides whether an order may be sent again, so it is
/// [`FailureKind::NotSent`](seawall_core::FailureKind::NotSent) only where that is certain, and
/// [`Outcome::Unknown`] otherwise. The errors of common clients implement it.
///
/// A client that follows redirects proves nothing: an order is executed, its response is "see
/// other", and the connection to that address cannot be made; the error looks as if nothing had
/// been sent. So turn redirects off in a client that sends orders. `reqwest` follows them by
/// default, so its errors are of unknown outcome; `ReqwestClient` (feature `reqwest`) turns
/// redirects off, and its errors are exact. Around hyper's client it is a layer that follows
/// redirects (tower-http's `FollowRedirect`), whose errors look like the client's own: leave it
/// out.
///
/// Implement it for an error of your own where you know which step failed, and by [`outcome_of`](crate::outcome_of)
/// otherwise:
///
/// ```
/// use seawall_core::{FailureKind, Outcome};
/// use seawall_http::{TransportError, outcome_of};
///
/// #[derive(Debug)]
/// enum FeedError {
///     Connect(std::io::Error),
///     Talk(std::io::Error),
/// }
/// impl TransportError for FeedError {
///     fn outcome(&self) -> Outcome {
///         match self {
///             Self::Connect(_) => Outcome::Failure(FailureKind::NotSent),
///             Self::Talk(error) => outcome_of(error),
///         }
///     }
/// }
///
/// let rejected = || std::io::ErrorKind::ConnectionRefused.into();
/// assert_eq!(FeedError::Connect(rejected()).outcome(), Outcome::Failure(FailureKind::NotSent));
/// assert_eq!(FeedError::Talk(rejected()).outcome(), Outcome::Unknown);
/// ```
#[diagnostic::on_unimplemented(
    message = "it is not known whether a request that failed with `{Self}` was sent",
    label = "this error does not show whether the request was sent",
    note = "implement `seawall_http::TransportError` for it; `seawall_http::outcome_of` does the work",
    note = "or classify errors with `HttpClassifier::with_errors`"
)]
pub trait TransportError {
    /// What this error means for the upstream and the request.
    fn outcome(&self) -> Outcome;
}

//! What an error of reqwest means.

use std::error::Error as StdError;

use seawall_core::Outcome;

use super::error::ReqwestError;
use super::reqwest;
use crate::transport_error::{NOT_SENT, TransportError, was_not_processed};

/// The error may be of the first request or of one after a redirect, so no connection that failed
/// proves anything.
pub(crate) fn by_reqwest(error: &reqwest::Error) -> Outcome {
    // The request could not even be built: that means nothing for the upstream.
    if error.is_builder() {
        return Outcome::Ignored;
    }
    let mut next = error.source();
    while let Some(source) = next {
        if let Some(source) = source.downcast_ref::<hyper::Error>() {
            return if source.is_user() {
                Outcome::Ignored
            } else {
                Outcome::Unknown
            };
        }
        next = source.source();
    }
    Outcome::Unknown
}

/// What an error of a `reqwest` client that follows no redirects means: "not sent" when the
/// connection could not be made or, with the feature `http2`, when the server refused or disowned
/// the stream.
///
/// Only for clients that were built with `redirect(reqwest::redirect::Policy::none())` and
/// without a retry policy of their own. With redirects, the connection that could not be made may
/// be the second one, after the order was executed. A [`ReqwestClient`](super::ReqwestClient) is
/// built so, and its errors are classified so by themselves; use this function around a
/// `reqwest::Client` of your own.
///
/// ```
/// use seawall_http::{HttpClassifier, reqwest_without_redirects};
///
/// let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
/// let classifier = HttpClassifier::new()
///     .with_errors(|error: &seawall_core::Error<reqwest::Error>| match error {
///         seawall_core::Error::Inner(error) => reqwest_without_redirects(error),
///         seawall_core::Error::Rejected(rejected) => rejected.outcome(),
///     });
/// # let _ = (client, classifier);
/// ```
pub fn reqwest_without_redirects(error: &reqwest::Error) -> Outcome {
    use hyper_util::client::legacy::Error as LegacyError;

    let direct = error
        .source()
        .and_then(|source| source.downcast_ref::<LegacyError>());
    if error.is_request() && direct.is_some_and(is_not_sent) {
        NOT_SENT
    } else {
        by_reqwest(error)
    }
}

fn is_not_sent(error: &hyper_util::client::legacy::Error) -> bool {
    let inner = error.source().and_then(|source| source.downcast_ref());
    error.is_connect() || inner.is_some_and(|error: &hyper::Error| was_not_processed(error))
}

impl TransportError for ReqwestError {
    fn outcome(&self) -> Outcome {
        if self.follows_redirects() {
            by_reqwest(self.get_ref())
        } else {
            reqwest_without_redirects(self.get_ref())
        }
    }
}

impl TransportError for reqwest::Error {
    fn outcome(&self) -> Outcome {
        by_reqwest(self)
    }
}

/// What an error means by itself, if it is one of this version of reqwest.
pub(crate) fn known(error: &(dyn StdError + 'static)) -> Option<Outcome> {
    if let Some(error) = error.downcast_ref::<ReqwestError>() {
        return Some(error.outcome());
    }
    error.downcast_ref().map(by_reqwest)
}

//! What an error of a client means: certainly not sent, or of unknown outcome.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;

#[cfg(feature = "hyper")]
use seawall_core::FailureKind;
use seawall_core::{Outcome, Rejection};

#[cfg(feature = "http2")]
use crate::http2::was_not_processed;

#[cfg(feature = "reqwest")]
use crate::reqwest_error::ReqwestError;

#[cfg(feature = "hyper")]
const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);

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
/// Implement it for an error of your own where you know which step failed, and by [`outcome_of`]
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

/// What an error means by itself or by the chain of its sources; the outermost error that is
/// known decides, and [`Outcome::Unknown`] when there is none.
///
/// Known are:
///
/// * rejections of Seawall's layers;
/// * [`io::Error`], always of unknown outcome: a socket that has sent reports "connection refused"
///   as well, when an ICMP message comes back;
/// * with the feature `hyper`, the errors of `hyper` and of `hyper-util`'s legacy client. Not
///   sent: the connection could not be made, or the request was cancelled before it was handed to
///   one. [`Outcome::Ignored`], which is not retried: the request's own body failed;
/// * with the feature `http2`, also not sent: the server refused the stream, or its `GOAWAY` says
///   that it was not processed (`was_not_processed`);
/// * with the feature `reqwest`, the error of a `ReqwestClient`, and reqwest's own: of unknown
///   outcome, since it follows redirects, unless the request could not be built or its own body
///   failed.
pub fn outcome_of(error: &(dyn StdError + 'static)) -> Outcome {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(outcome) = known(error) {
            return outcome;
        }
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            // `source` of an `io::Error` leaves out the error that it wraps.
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    Outcome::Unknown
}

fn known(error: &(dyn StdError + 'static)) -> Option<Outcome> {
    if let Some(rejection) = error.downcast_ref::<Rejection>() {
        return Some(rejection.outcome());
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        // A wrapper, mostly: the error that it wraps is more exact.
        let wraps = error.kind() == io::ErrorKind::Other && error.get_ref().is_some();
        return (!wraps).then_some(Outcome::Unknown);
    }
    #[cfg(feature = "reqwest")]
    {
        if let Some(error) = error.downcast_ref::<ReqwestError>() {
            return Some(error.outcome());
        }
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            return Some(by_reqwest(error));
        }
    }
    #[cfg(feature = "hyper")]
    {
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            // Otherwise hyper's own error, which is its source, is more exact.
            return error.is_connect().then_some(NOT_SENT);
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return Some(by_hyper(error));
        }
    }
    None
}

/// hyper reports "canceled" for a request that it never began to write, and "closed" for one that
/// found no connection. Everything else happens while writing or later.
#[cfg(feature = "hyper")]
fn by_hyper(error: &hyper::Error) -> Outcome {
    if error.is_canceled() || error.is_closed() || was_not_processed(error) {
        NOT_SENT
    } else if error.is_user() {
        // The caller's own body failed: that is no fault of the upstream, and a retry would fail
        // as well. A part of it may have been sent.
        Outcome::Ignored
    } else {
        Outcome::Unknown
    }
}

#[cfg(all(feature = "hyper", not(feature = "http2")))]
const fn was_not_processed(_: &hyper::Error) -> bool {
    false
}

/// The error may be of the first request or of one after a redirect, so no connection that failed
/// proves anything.
#[cfg(feature = "reqwest")]
fn by_reqwest(error: &reqwest::Error) -> Outcome {
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
/// be the second one, after the order was executed. A [`ReqwestClient`](crate::ReqwestClient) is
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
#[cfg(feature = "reqwest")]
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

#[cfg(feature = "reqwest")]
fn is_not_sent(error: &hyper_util::client::legacy::Error) -> bool {
    let inner = error.source().and_then(|source| source.downcast_ref());
    error.is_connect() || inner.is_some_and(|error: &hyper::Error| was_not_processed(error))
}

#[cfg(feature = "reqwest")]
impl TransportError for ReqwestError {
    fn outcome(&self) -> Outcome {
        if self.follows_redirects() {
            by_reqwest(self.get_ref())
        } else {
            reqwest_without_redirects(self.get_ref())
        }
    }
}

impl TransportError for Box<dyn StdError + Send + Sync> {
    fn outcome(&self) -> Outcome {
        outcome_of(&**self)
    }
}

impl TransportError for Box<dyn StdError> {
    fn outcome(&self) -> Outcome {
        outcome_of(&**self)
    }
}

impl<E: TransportError> TransportError for seawall_core::Error<E> {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Rejected(rejection) => rejection.outcome(),
            Self::Inner(error) => error.outcome(),
        }
    }
}

impl TransportError for Infallible {
    fn outcome(&self) -> Outcome {
        match *self {}
    }
}

impl TransportError for Rejection {
    fn outcome(&self) -> Outcome {
        Rejection::outcome(self)
    }
}

macro_rules! by_chain {
    ($($error:ty),*) => {$(
        impl TransportError for $error {
            fn outcome(&self) -> Outcome {
                outcome_of(self)
            }
        }
    )*};
}

by_chain!(io::Error);
#[cfg(feature = "hyper")]
by_chain!(hyper::Error, hyper_util::client::legacy::Error);
#[cfg(feature = "reqwest")]
by_chain!(reqwest::Error);

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_core::{Error, Reason};

    type BoxError = Box<dyn StdError + Send + Sync>;

    #[test]
    fn an_io_error_proves_nothing_whatever_its_kind() {
        use io::ErrorKind as Kind;
        for kind in [
            Kind::ConnectionRefused,
            Kind::AddrNotAvailable,
            Kind::ConnectionReset,
            Kind::ConnectionAborted,
            Kind::BrokenPipe,
            Kind::UnexpectedEof,
            Kind::TimedOut,
            Kind::NetworkUnreachable,
            Kind::Other,
        ] {
            assert_eq!(
                io::Error::from(kind).outcome(),
                Outcome::Unknown,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn the_outermost_error_that_is_known_decides() {
        let open = || Rejection::new(Reason::CircuitOpen, "x");
        let wrapped: BoxError = Box::new(io::Error::other(Error::<io::Error>::from(open())));
        assert_eq!(Error::Inner(wrapped).outcome(), Outcome::Ignored);

        let reset = io::Error::new(io::ErrorKind::ConnectionReset, open());
        assert_eq!(reset.outcome(), Outcome::Unknown);
        let nothing: BoxError = "no idea".into();
        assert_eq!(nothing.outcome(), Outcome::Unknown);
    }

    #[test]
    fn rejections_mean_what_they_always_mean() {
        let boxed = |reason| -> BoxError {
            Box::new(Error::<io::Error>::from(Rejection::new(reason, "x")))
        };
        assert_eq!(boxed(Reason::RateLimited).outcome(), Outcome::Ignored);
        assert_eq!(boxed(Reason::AttemptTimeout).outcome(), Outcome::Unknown);
        let typed: Error<Infallible> = Rejection::new(Reason::CircuitOpen, "x").into();
        assert_eq!(TransportError::outcome(&typed), Outcome::Ignored);
    }
}

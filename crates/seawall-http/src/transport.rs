//! What an error of a client means: certainly not sent, or of unknown outcome.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;

use seawall_core::{Outcome, Rejection};

use crate::transport_error::TransportError;
#[cfg(feature = "hyper")]
use crate::transport_error::{NOT_SENT, was_not_processed};

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
    #[cfg(feature = "chaos")]
    if let Some(injected) = error.downcast_ref::<seawall_chaos::InjectedError>() {
        return Some(injected.outcome());
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        // A wrapper, mostly: the error that it wraps is more exact.
        let wraps = error.kind() == io::ErrorKind::Other && error.get_ref().is_some();
        return (!wraps).then_some(Outcome::Unknown);
    }
    #[cfg(feature = "reqwest")]
    if let Some(outcome) = crate::reqwest_client::known(error) {
        return Some(outcome);
    }
    #[cfg(feature = "reqwest-0-12")]
    if let Some(outcome) = crate::reqwest_0_12::known(error) {
        return Some(outcome);
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

//! What an error of a client says: certainly not sent, or of unknown fate.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;

use seawall_core::{FailureKind, Outcome, Rejection};

const NOT_SENT: Outcome = Outcome::Failure(FailureKind::NotSent);

/// An error of an HTTP client that can say whether the request left.
///
/// It decides whether an order may be sent again, so the answer is [`FailureKind::NotSent`] only
/// where that is certain, and [`Outcome::Unknown`] otherwise. The errors of common clients have
/// it; give it to an error of your own with [`outcome_of`]:
///
/// ```
/// use seawall_core::{FailureKind, Outcome};
/// use seawall_http::{TransportError, outcome_of};
///
/// #[derive(Debug)]
/// struct Down(std::io::Error);
/// # impl std::fmt::Display for Down {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("down") }
/// # }
/// impl std::error::Error for Down {
///     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> { Some(&self.0) }
/// }
/// impl TransportError for Down {
///     fn outcome(&self) -> Outcome { outcome_of(self) }
/// }
///
/// let refused = Down(std::io::ErrorKind::ConnectionRefused.into());
/// assert_eq!(refused.outcome(), Outcome::Failure(FailureKind::NotSent));
/// let reset = Down(std::io::ErrorKind::ConnectionReset.into());
/// assert_eq!(reset.outcome(), Outcome::Unknown);
/// ```
#[diagnostic::on_unimplemented(
    message = "it is not known whether a request that failed with `{Self}` was sent",
    label = "this error does not say whether the request left",
    note = "implement `seawall_http::TransportError` for it; `seawall_http::outcome_of` does the work",
    note = "or judge errors with `HttpClassifier::with_errors`"
)]
pub trait TransportError {
    /// What this error says about the upstream and the request.
    fn outcome(&self) -> Outcome;
}

/// What an error says by itself or by the chain of its sources; the outermost error that is
/// understood decides, and [`Outcome::Unknown`] when there is none.
///
/// Understood are refusals of Seawall's layers, [`io::Error`] (a refused connection and an
/// address that cannot be had were not sent), with the feature `hyper` the errors of `hyper` and
/// of `hyper-util`'s legacy client (not sent: the connection failed, or the request was cancelled
/// before it was handed to one), and with the feature `reqwest` its error likewise. Turn the
/// feature of your client on: without it, an `io::Error` deep in the chain is taken at its word
/// wherever it came from, be it from the stream of the request's own body.
pub fn outcome_of(error: &(dyn StdError + 'static)) -> Outcome {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(outcome) = understood(error) {
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

fn understood(error: &(dyn StdError + 'static)) -> Option<Outcome> {
    if let Some(rejection) = error.downcast_ref::<Rejection>() {
        return Some(rejection.outcome());
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return by_io(error);
    }
    #[cfg(feature = "reqwest")]
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        return by_reqwest(error);
    }
    #[cfg(feature = "hyper")]
    {
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            // Otherwise hyper's own error, which is its source, tells more.
            return error.is_connect().then_some(NOT_SENT);
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return Some(by_hyper(error));
        }
    }
    None
}

fn by_io(error: &io::Error) -> Option<Outcome> {
    match error.kind() {
        // Only connecting ends with these two.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::AddrNotAvailable => Some(NOT_SENT),
        // A wrapper, mostly: what it wraps tells more.
        io::ErrorKind::Other if error.get_ref().is_some() => None,
        _ => Some(Outcome::Unknown),
    }
}

/// hyper says "canceled" of a request that it never began to write, and "closed" of one that
/// found no connection to be handed to. Everything else happens while writing or later.
#[cfg(feature = "hyper")]
fn by_hyper(error: &hyper::Error) -> Outcome {
    if error.is_canceled() || error.is_closed() {
        NOT_SENT
    } else {
        Outcome::Unknown
    }
}

#[cfg(feature = "reqwest")]
fn by_reqwest(error: &reqwest::Error) -> Option<Outcome> {
    if error.is_connect() {
        return Some(NOT_SENT);
    }
    if error.is_builder() {
        // The request could not even be built: that says nothing about the upstream.
        return Some(Outcome::Ignored);
    }
    // A request that failed while it was sent: hyper's error, which is its source, tells more.
    (!error.is_request() || error.is_timeout()).then_some(Outcome::Unknown)
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
    fn only_a_connection_that_was_never_made_proves_that_nothing_was_sent() {
        use io::ErrorKind as Kind;
        for kind in [Kind::ConnectionRefused, Kind::AddrNotAvailable] {
            assert_eq!(io::Error::from(kind).outcome(), NOT_SENT, "{kind:?}");
        }
        for kind in [
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
    fn the_outermost_error_that_is_understood_decides() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let wrapped: BoxError = Box::new(io::Error::other(Error::Inner(refused)));
        assert_eq!(Error::Inner(wrapped).outcome(), NOT_SENT);

        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let reset = io::Error::new(io::ErrorKind::ConnectionReset, refused);
        assert_eq!(reset.outcome(), Outcome::Unknown);
        let nothing: BoxError = "no idea".into();
        assert_eq!(nothing.outcome(), Outcome::Unknown);
    }

    #[test]
    fn refusals_say_what_they_always_say() {
        let boxed = |reason| -> BoxError {
            Box::new(Error::<io::Error>::from(Rejection::new(reason, "x")))
        };
        assert_eq!(boxed(Reason::RateLimited).outcome(), Outcome::Ignored);
        assert_eq!(boxed(Reason::AttemptTimeout).outcome(), Outcome::Unknown);
        let typed: Error<Infallible> = Rejection::new(Reason::CircuitOpen, "x").into();
        assert_eq!(TransportError::outcome(&typed), Outcome::Ignored);
    }
}

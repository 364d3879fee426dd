//! The error model: layers keep the error type of the service and ask one bound of it.

use std::error::Error as StdError;
use std::fmt;

use crate::Rejection;

/// An error that can carry a [`Rejection`] and give it back.
///
/// This is the one bound that every layer asks of `S::Error`. It holds for
/// [`Error<E>`](Error), for boxed errors (`Box<dyn std::error::Error + Send + Sync>`), for
/// [`Rejection`] itself, and for your own enum by two small impls or by [`rejectable!`].
///
/// A service whose error knows nothing of rejections is wrapped once, at the bottom of the stack,
/// by [`WrapErrorLayer`](crate::WrapErrorLayer).
///
/// [`rejectable!`]: crate::rejectable
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot carry a rejection of a Seawall layer",
    label = "the error of this service is not `Rejectable`",
    note = "put `seawall_core::WrapErrorLayer` at the bottom of the stack: the error becomes `seawall_core::Error<{Self}>`",
    note = "or give your own enum a variant for it: `seawall_core::rejectable!(MyError::Rejected)`",
    note = "in an axum router put the layers into `seawall_http::RejectionResponseLayer::new(..)`",
    note = "around a tonic channel use `seawall_grpc::WrapStatusLayer`, in a tonic server `seawall_grpc::GrpcRejectionLayer`"
)]
pub trait Rejectable: From<Rejection> {
    /// The rejection in this error, if a layer of Seawall made it.
    fn rejection(&self) -> Option<&Rejection>;

    /// The same, for a layer around the one that rejected to add what it knows; `None`, unless
    /// implemented, and where the rejection cannot be changed.
    fn rejection_mut(&mut self) -> Option<&mut Rejection> {
        None
    }
}

/// The error of a typed stack: a rejection of one of its layers, or the inner service's own error.
///
/// ```
/// use seawall_core::{Error, Reason, Rejectable, Rejection};
///
/// let rejected: Error<std::io::Error> = Rejection::new(Reason::CircuitOpen, "alpaca").into();
/// assert_eq!(rejected.rejection().map(|r| r.reason()), Some(Reason::CircuitOpen));
/// assert!(rejected.inner().is_none());
/// assert_eq!(
///     rejected.to_string(),
///     "circuit breaker `alpaca`: the circuit is open; nothing was sent",
/// );
/// ```
///
/// It prints as what it holds, and [`source`](std::error::Error::source) is what it holds, so that
/// [`find_rejection`] and `downcast_ref` find it: a reporter of whole chains prints the text twice.
// Exhaustive: an error is ours or the inner service's, there is no third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// A layer rejected.
    Rejected(Rejection),
    /// The inner service failed.
    Inner(E),
}

impl<E> Error<E> {
    /// The inner service's error, if it is one.
    pub const fn inner(&self) -> Option<&E> {
        match self {
            Self::Inner(error) => Some(error),
            Self::Rejected(_) => None,
        }
    }

    /// The inner service's error by value, if it is one.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            Self::Rejected(_) => None,
        }
    }
}

impl<E> Error<E> {
    /// Into any error that a rejection and the inner service's error both convert to: a boxed
    /// error, `anyhow::Error`, an enum of your own.
    ///
    /// `Error<E>` is an [`Error`](std::error::Error) itself only where `E` is, which boxed errors
    /// and `anyhow::Error` are not; and a chain of sources is printed without saying a text twice.
    ///
    /// ```
    /// use seawall_core::{Error, LayerExt};
    ///
    /// type BoxError = Box<dyn std::error::Error + Send + Sync>;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), BoxError> {
    /// # let guard = tower_layer::Identity::new();
    /// // `guard` is a layer or a stack; with `anyhow::Error` it is the same.
    /// let rows: u32 = guard
    ///     .run(|| async { Ok::<_, BoxError>(7) })
    ///     .await
    ///     .map_err(Error::into_error::<BoxError>)?;
    /// # assert_eq!(rows, 7);
    /// # Ok(()) }
    /// ```
    pub fn into_error<F>(self) -> F
    where
        F: From<Rejection> + From<E>,
    {
        match self {
            Self::Rejected(rejection) => rejection.into(),
            Self::Inner(error) => error.into(),
        }
    }
}

impl<E> From<Rejection> for Error<E> {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl<E> Rejectable for Error<E> {
    fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            Self::Inner(_) => None,
        }
    }

    fn rejection_mut(&mut self) -> Option<&mut Rejection> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            Self::Inner(_) => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    /// The text of what it holds: the rejection, or the inner service's error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Inner(error) => error.fmt(f),
        }
    }
}

impl<E: StdError + 'static> StdError for Error<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            Self::Inner(error) => Some(error),
        }
    }
}

impl Rejectable for Rejection {
    fn rejection(&self) -> Option<&Rejection> {
        Some(self)
    }

    fn rejection_mut(&mut self) -> Option<&mut Rejection> {
        Some(self)
    }
}

impl Rejectable for Box<dyn StdError + Send + Sync> {
    fn rejection(&self) -> Option<&Rejection> {
        find_rejection(&**self)
    }

    /// A rejection below other errors cannot be changed.
    fn rejection_mut(&mut self) -> Option<&mut Rejection> {
        self.downcast_mut()
    }
}

/// Finds the rejection in an error or in the chain of its sources.
///
/// ```
/// use seawall_core::{Error, Reason, Rejection, find_rejection};
///
/// let typed: Error<std::io::Error> = Rejection::new(Reason::RateLimited, "polygon").into();
/// let boxed: Box<dyn std::error::Error + Send + Sync> = typed.into();
/// assert_eq!(find_rejection(&*boxed).map(|r| r.reason()), Some(Reason::RateLimited));
/// ```
pub fn find_rejection<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Rejection> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rejection) = error.downcast_ref::<Rejection>() {
            return Some(rejection);
        }
        // An I/O error made of another error skips it in `source`.
        next = match error
            .downcast_ref::<std::io::Error>()
            .and_then(|e| e.get_ref())
        {
            Some(custom) => Some(custom),
            None => error.source(),
        };
    }
    None
}

/// Makes your own error enum [`Rejectable`](crate::Rejectable): name the variant that holds the
/// [`Rejection`](crate::Rejection).
///
/// ```
/// use seawall_core::{Reason, Rejectable, Rejection, rejectable};
///
/// #[derive(Debug)]
/// enum BrokerError {
///     Rejected(Rejection),
///     Broker { code: u32 },
/// }
/// rejectable!(BrokerError::Rejected);
///
/// let error = BrokerError::from(Rejection::new(Reason::BulkheadFull, "orders"));
/// assert!(error.rejection().is_some());
/// assert!(BrokerError::Broker { code: 40_310_000 }.rejection().is_none());
/// ```
#[macro_export]
macro_rules! rejectable {
    ($error:ident :: $variant:ident) => {
        impl ::core::convert::From<$crate::Rejection> for $error {
            fn from(rejection: $crate::Rejection) -> Self {
                $error::$variant(rejection)
            }
        }

        impl $crate::Rejectable for $error {
            fn rejection(&self) -> ::core::option::Option<&$crate::Rejection> {
                match self {
                    $error::$variant(rejection) => ::core::option::Option::Some(rejection),
                    #[allow(unreachable_patterns, reason = "an enum of one variant has no other")]
                    _ => ::core::option::Option::None,
                }
            }

            fn rejection_mut(&mut self) -> ::core::option::Option<&mut $crate::Rejection> {
                match self {
                    $error::$variant(rejection) => ::core::option::Option::Some(rejection),
                    #[allow(unreachable_patterns, reason = "an enum of one variant has no other")]
                    _ => ::core::option::Option::None,
                }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reason;

    #[test]
    fn a_boxed_rejection_is_found_below_other_errors() {
        let io = std::io::Error::other(Error::<std::io::Error>::from(Rejection::new(
            Reason::QueueTimeout,
            "q",
        )));
        let boxed: Box<dyn StdError + Send + Sync> = Box::new(Error::Inner(io));
        assert_eq!(
            boxed.rejection().map(Rejection::reason),
            Some(Reason::QueueTimeout)
        );
        let io = std::io::Error::other(Rejection::new(Reason::NotReady, "io"));
        assert!(find_rejection(&io).is_some());
        let mut boxed = boxed;
        assert!(boxed.rejection_mut().is_none(), "it lies below others");
        boxed = Rejection::new(Reason::NotReady, "q").into();
        assert!(boxed.rejection_mut().is_some());
        let other: Box<dyn StdError + Send + Sync> = "no rejection".into();
        assert!(other.rejection().is_none());
    }

    #[test]
    fn the_inner_error_is_reachable_by_source_and_by_type() {
        let error = Error::Inner(std::io::Error::other("down"));
        assert_eq!(error.source().unwrap().to_string(), "down");
        assert_eq!(error.inner().unwrap().to_string(), "down");
        assert_eq!(error.into_inner().unwrap().to_string(), "down");
    }
}

//! The error that stands in for one of the client.

use std::fmt;
use std::io;

use seawall_core::carry::Classified;
use seawall_core::{Error, FailureKind, InstanceName, Outcome, Rejectable, Rejection, Sent};

use crate::FaultKind;

/// An error that a fault made, in place of one of the client.
///
/// It becomes the error of the service: by [`From`] (boxed errors, [`io::Error`],
/// [`seawall_core::Error`] around those, [`ChaosError`]), or by a function
/// ([`ChaosLayer::errors`](crate::ChaosLayer::errors)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InjectedError {
    kind: FaultKind,
    name: InstanceName,
}

impl InjectedError {
    pub(crate) const fn new(kind: FaultKind, name: InstanceName) -> Self {
        Self { kind, name }
    }

    seawall_core::getters! {
        /// The fault that made it.
        pub const fn kind -> FaultKind;
        /// The name of the layer.
        pub const fn name -> InstanceName;
    }

    /// Whether the request may have been sent.
    pub const fn sent(&self) -> Sent {
        match self.kind {
            FaultKind::LostResponse | FaultKind::TruncatedBody => Sent::Maybe,
            _ => Sent::No,
        }
    }

    /// What it means: certainly not sent, of unknown outcome, or a body that broke off.
    pub const fn outcome(&self) -> Outcome {
        match self.kind {
            FaultKind::LostResponse => Outcome::Unknown,
            FaultKind::TruncatedBody => Outcome::Failure(FailureKind::Body),
            _ => Outcome::Failure(FailureKind::NotSent),
        }
    }
}

impl fmt::Display for InjectedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, what) = (self.name, self.kind.as_str());
        write!(f, "chaos `{name}`: injected {what}")?;
        f.write_str(match self.sent() {
            Sent::No => "; nothing was sent",
            Sent::Maybe => "; the request was sent",
        })
    }
}

impl std::error::Error for InjectedError {}

impl From<InjectedError> for io::Error {
    /// Of the kind [`Other`](io::ErrorKind::Other), with the injected error inside: other kinds would
    /// hide whether the request was sent.
    fn from(injected: InjectedError) -> Self {
        Self::other(injected)
    }
}

impl<E: From<InjectedError>> From<InjectedError> for Error<E> {
    fn from(injected: InjectedError) -> Self {
        Self::Inner(injected.into())
    }
}

impl<E: From<InjectedError>> From<InjectedError> for Classified<E> {
    /// With what it [means](InjectedError::outcome): no classifier is asked.
    fn from(injected: InjectedError) -> Self {
        Self::new(injected.into(), injected.outcome(), None)
    }
}

/// The error of a client, or an injected one in its place: for clients whose error cannot be made of
/// an [`InjectedError`]. Wrap theirs by `map_err(ChaosError::Client)` below the layer.
///
/// ```
/// use seawall_chaos::{ChaosConfig, ChaosError, ChaosLayer};
/// use seawall_core::WrapErrorLayer;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// #[derive(Debug)]
/// struct FeedError;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let client = ServiceBuilder::new()
///     .layer(ChaosLayer::new("feed", ChaosConfig::default()))
///     .layer(WrapErrorLayer)
///     .map_err(ChaosError::Client)
///     .service(service_fn(|symbol: &'static str| async move { Ok::<_, FeedError>(symbol.len()) }));
/// assert_eq!(client.oneshot("SPY").await.unwrap(), 3);
/// # }
/// ```
// Exhaustive: an error is the client's or ours, there is no third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChaosError<E> {
    /// A fault made it.
    Injected(InjectedError),
    /// The client made it.
    Client(E),
}

impl<E> From<InjectedError> for ChaosError<E> {
    fn from(injected: InjectedError) -> Self {
        Self::Injected(injected)
    }
}

impl<E: From<Rejection>> From<Rejection> for ChaosError<E> {
    fn from(rejection: Rejection) -> Self {
        Self::Client(rejection.into())
    }
}

impl<E: Rejectable> Rejectable for ChaosError<E> {
    fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Injected(_) => None,
            Self::Client(error) => error.rejection(),
        }
    }

    fn rejection_mut(&mut self) -> Option<&mut Rejection> {
        match self {
            Self::Injected(_) => None,
            Self::Client(error) => error.rejection_mut(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for ChaosError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Injected(injected) => injected.fmt(f),
            Self::Client(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for ChaosError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Injected(injected) => Some(injected),
            Self::Client(error) => Some(error),
        }
    }
}

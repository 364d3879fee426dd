//! The layer.

use std::fmt;
use std::time::Duration;

use seawall_core::{InvalidConfig, Name, Undescribed};
use tower_layer::Layer;

use super::{AttemptTimeout, AttemptTimeoutHandle};
use crate::observe::{ATTEMPT, Common, State, positive};

/// Limits how long one attempt may take, from the first poll of its future.
///
/// It stands next to the client, inside retry and breaker, so that each attempt has the limit to
/// itself and the waits of the layers above do not count.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{LiftLayer, Reason, Refusable, Sent};
/// use seawall_timeout::AttemptTimeoutLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = ServiceBuilder::new()
///     .layer(AttemptTimeoutLayer::new("alpaca", Duration::from_secs(5))?)
///     .layer(LiftLayer)
///     .service(service_fn(|_: &str| std::future::pending::<Result<(), std::io::Error>>()));
///
/// let error = client.ready().await?.call("GET /v2/account").await.unwrap_err();
/// let refused = error.rejection().expect("the layer spoke");
/// assert_eq!(refused.reason(), Reason::AttemptTimeout);
/// assert_eq!(refused.sent(), Sent::Maybe);
/// # Ok(()) }
/// ```
pub struct AttemptTimeoutLayer<D = Undescribed> {
    state: State,
    describe: D,
}

impl AttemptTimeoutLayer {
    /// A layer of that name whose attempts may take `timeout`; [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `timeout` when it is zero.
    pub fn new(name: impl Into<Name>, timeout: Duration) -> Result<Self, InvalidConfig> {
        let timeout = positive("timeout", timeout)?;
        Ok(Self {
            state: Common::share(ATTEMPT, name.into(), timeout),
            describe: Undescribed,
        })
    }
}

impl<D> AttemptTimeoutLayer<D> {
    /// Reads the deadline of each request with `describe`: an attempt is then cut off at the
    /// request's deadline when that comes first, and not even begun when it has passed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_core::Meta;
    /// use seawall_timeout::AttemptTimeoutLayer;
    ///
    /// struct Request { meta: Meta }
    ///
    /// let layer = AttemptTimeoutLayer::new("alpaca", Duration::from_secs(5))?
    ///     .describe(|request: &Request| request.meta);
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> AttemptTimeoutLayer<D2> {
        AttemptTimeoutLayer {
            state: self.state,
            describe,
        }
    }

    /// A handle to read the counters and to change the timeout.
    pub fn handle(&self) -> AttemptTimeoutHandle {
        AttemptTimeoutHandle::new(self.state.clone())
    }
}

impl<S, D: Clone> Layer<S> for AttemptTimeoutLayer<D> {
    type Service = AttemptTimeout<S, D>;

    fn layer(&self, inner: S) -> Self::Service {
        AttemptTimeout::new(inner, self.state.anchor(), self.describe.clone())
    }
}

impl<D: Clone> Clone for AttemptTimeoutLayer<D> {
    /// Shares the timeout and the counters.
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            describe: self.describe.clone(),
        }
    }
}

impl<D> fmt::Debug for AttemptTimeoutLayer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptTimeoutLayer")
            .field("name", &self.state.common().name())
            .field("timeout", &self.state.common().after())
            .finish_non_exhaustive()
    }
}

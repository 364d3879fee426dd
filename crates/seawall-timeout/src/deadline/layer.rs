//! The layer.

use std::fmt;
use std::time::Duration;

use seawall_core::{InstanceName, InvalidConfig};
use tower_layer::Layer;

use super::{Deadline, DeadlineHandle, NoPropagation};
use crate::observe::{Common, DEADLINE, State, positive};

/// Limits how long a whole call may take: the wait for readiness, every wait and every attempt.
///
/// It is the outermost layer of a stack.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{WrapErrorLayer, Reason, Rejectable, Sent};
/// use seawall_timeout::DeadlineLayer;
/// use tower::limit::ConcurrencyLimitLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = ServiceBuilder::new()
///     .layer(DeadlineLayer::new("alpaca", Duration::from_secs(10))?)
///     .layer(ConcurrencyLimitLayer::new(1))
///     .layer(WrapErrorLayer)
///     .service(service_fn(|_: &str| std::future::pending::<Result<(), std::io::Error>>()));
///
/// // The first call takes the only place, the second one waits for it in vain.
/// let mut second = client.clone();
/// let first = tokio::spawn(client.ready().await?.call("GET /v2/account"));
/// tokio::task::yield_now().await;
///
/// let error = second.ready().await?.call("GET /v2/positions").await.unwrap_err();
/// let rejected = error.rejection().expect("the layer spoke");
/// assert_eq!((rejected.reason(), rejected.sent()), (Reason::DeadlineExceeded, Sent::No));
/// # drop(first); Ok(()) }
/// ```
pub struct DeadlineLayer<P = NoPropagation> {
    state: State,
    propagate: P,
}

impl DeadlineLayer {
    /// A layer of that name whose calls may take `timeout`; [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `timeout` when it is zero.
    pub fn new(name: impl Into<InstanceName>, timeout: Duration) -> Result<Self, InvalidConfig> {
        let total = positive("total", timeout)?;
        Ok(Self {
            state: Common::share(DEADLINE, name.into(), total),
            propagate: NoPropagation,
        })
    }
}

impl<P> DeadlineLayer<P> {
    /// Writes the deadline of each call into its request with `propagate`, so that layers below
    /// begin nothing that cannot end before it. A stamp that answers an earlier deadline of the
    /// request's own makes that one the limit of the call. Costs one reading of the clock per
    /// call.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_core::RequestMeta;
    /// use seawall_timeout::DeadlineLayer;
    /// use tokio::time::Instant;
    ///
    /// struct Request { meta: RequestMeta }
    ///
    /// let layer = DeadlineLayer::new("alpaca", Duration::from_secs(10))?
    ///     .propagate(|request: &mut Request, at: Instant| request.meta.deadline = Some(at));
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn propagate<P2>(self, propagate: P2) -> DeadlineLayer<P2> {
        DeadlineLayer {
            state: self.state,
            propagate,
        }
    }

    /// A handle to read the counters and to change the limit.
    pub fn handle(&self) -> DeadlineHandle {
        DeadlineHandle::new(self.state.clone())
    }
}

impl<S, P: Clone> Layer<S> for DeadlineLayer<P> {
    type Service = Deadline<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadline::new(inner, self.state.anchor(), self.propagate.clone())
    }
}

impl<P: Clone> Clone for DeadlineLayer<P> {
    /// Shares the limit and the counters.
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            propagate: self.propagate.clone(),
        }
    }
}

impl<P> fmt::Debug for DeadlineLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineLayer")
            .field("name", &self.state.common().name())
            .field("total", &self.state.common().after())
            .finish_non_exhaustive()
    }
}

//! The layer.

use seawall_core::InstanceName;
use seawall_core::carry::Carried;
use seawall_core::striped::{Shared, Stripes};
use tower_layer::Layer;

use super::state::State;
use super::{Deadline, DeadlineConfig, DeadlineHandle, NoPropagation};

/// Limits how long a whole call may take: the wait for readiness, every wait and every attempt.
///
/// It is the outermost layer of a stack.
///
/// ```
/// use std::time::Duration;
/// use seawall_timeout::{DeadlineConfig, DeadlineLayer, Reason, Rejectable, Sent, WrapErrorLayer};
/// use tower::limit::ConcurrencyLimitLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ten_seconds = DeadlineConfig::new(Duration::from_secs(10))?;
/// let mut client = ServiceBuilder::new()
///     .layer(DeadlineLayer::new("alpaca", ten_seconds))
///     .layer(ConcurrencyLimitLayer::new(1))
///     .layer(WrapErrorLayer)
///     .service(service_fn(|_: &str| std::future::pending::<Result<(), std::io::Error>>()));
///
/// // The first call takes the only permit, and the second one times out waiting for it.
/// let mut second = client.clone();
/// let first = tokio::spawn(client.ready().await?.call("GET /v2/account"));
/// tokio::task::yield_now().await;
///
/// let error = second.ready().await?.call("GET /v2/positions").await.unwrap_err();
/// let rejection = error.rejection().expect("it timed out");
/// assert_eq!((rejection.reason(), rejection.sent()), (Reason::DeadlineExceeded, Sent::No));
/// # drop(first); Ok(()) }
/// ```
///
/// Clones share the settings and the counters.
#[derive(Clone)]
pub struct DeadlineLayer<P = NoPropagation> {
    shared: Shared<State, ()>,
    propagate: P,
}

impl DeadlineLayer {
    /// A layer of that name.
    pub fn new(name: impl Into<InstanceName>, config: DeadlineConfig) -> Self {
        let state = State::new(name.into(), config);
        Self {
            // Without stripes of their own: only their reference counts are wanted, so that cloning
            // a service per request scales.
            shared: Shared::new(state, Stripes::auto(), || ()),
            propagate: NoPropagation,
        }
    }
}

impl<P> DeadlineLayer<P> {
    /// The same layer below a [`DescribeLayer`](seawall_core::carry::DescribeLayer): writes the
    /// deadline into what a request carries, and into the request as the propagation of the service
    /// itself does.
    #[must_use]
    pub fn carry_deadline(self) -> DeadlineLayer<Carried<P>> {
        DeadlineLayer {
            shared: self.shared,
            propagate: Carried(self.propagate),
        }
    }

    /// Writes the deadline of each call into its request with `propagate`, so that layers below
    /// begin nothing that cannot end before it. When `propagate` returns an earlier deadline of the
    /// request's own, that one is the limit of the call. Costs one reading of the clock per call.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_timeout::{DeadlineConfig, DeadlineLayer, RequestMeta};
    /// use tokio::time::Instant;
    ///
    /// struct Request { meta: RequestMeta }
    ///
    /// let layer = DeadlineLayer::new("alpaca", DeadlineConfig::new(Duration::from_secs(10))?)
    ///     .propagate(|request: &mut Request, at: Instant| request.meta.deadline = Some(at));
    /// # Ok::<(), seawall_timeout::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn propagate<P2>(self, propagate: P2) -> DeadlineLayer<P2> {
        DeadlineLayer {
            shared: self.shared,
            propagate,
        }
    }

    /// A handle to read and control the layer.
    pub fn handle(&self) -> DeadlineHandle {
        DeadlineHandle::new(self.shared.clone())
    }
}

impl<S, P: Clone> Layer<S> for DeadlineLayer<P> {
    type Service = Deadline<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadline::new(inner, self.shared.anchor(), self.propagate.clone())
    }
}

seawall_core::impl_debug!(DeadlineLayer<P>: |this| handle = this.handle());

//! The layer.

use std::marker::PhantomData;

use seawall_core::striped::{Shared, Stripes};
use seawall_core::{InstanceName, Policy};
use tower_layer::Layer;

use super::state::State;
use super::{AttemptTimeout, AttemptTimeoutConfig, AttemptTimeoutHandle, Fixed, NoOverride};

/// Limits how long one attempt may take, from the first poll of its future.
///
/// It stands next to the client, inside retry and breaker, so that each attempt has the limit to
/// itself and the waits of the layers above do not count.
///
/// ```
/// use std::time::Duration;
/// use seawall_timeout::{AttemptTimeoutConfig, AttemptTimeoutLayer, Reason, Rejectable, Sent};
/// use seawall_timeout::WrapErrorLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let five_seconds = AttemptTimeoutConfig::fixed(Duration::from_secs(5))?;
/// let mut client = ServiceBuilder::new()
///     .layer(AttemptTimeoutLayer::new("alpaca", five_seconds))
///     .layer(WrapErrorLayer)
///     .service(service_fn(|_: &str| std::future::pending::<Result<(), std::io::Error>>()));
///
/// let error = client.ready().await?.call("GET /v2/account").await.unwrap_err();
/// let rejection = error.rejection().expect("it timed out");
/// assert_eq!(rejection.reason(), Reason::AttemptTimeout);
/// assert_eq!(rejection.sent(), Sent::Maybe);
/// # Ok(()) }
/// ```
///
/// `describe` reads the deadline of each request: an attempt then ends at the request's deadline
/// when that comes first, and is not even begun when it has passed. `classify` decides which
/// results a timeout is learned from. `M` is [`Fixed`] or
/// [`Learned`](crate::Learned), after the settings.
///
/// Clones share the settings, what was learned, and the counters.
#[derive(Clone)]
pub struct AttemptTimeoutLayer<X = Policy, O = NoOverride, M = Fixed> {
    shared: Shared<State, ()>,
    policy: X,
    per_request: O,
    mode: PhantomData<M>,
}

impl<M> AttemptTimeoutLayer<Policy, NoOverride, M> {
    /// A layer of that name, with a fixed timeout, or with one that is learned:
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_timeout::{AttemptTimeoutConfig, AttemptTimeoutLayer, LearnedConfig};
    /// use seawall_timeout::WrapErrorLayer;
    /// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let learned = LearnedConfig::builder().warm_up(100).build()?;
    /// let layer = AttemptTimeoutLayer::new("polygon", AttemptTimeoutConfig::learned(learned));
    /// let handle = layer.handle();
    /// let mut client = ServiceBuilder::new()
    ///     .layer(layer)
    ///     .layer(WrapErrorLayer)
    ///     .service(service_fn(|_: &str| async {
    ///         tokio::time::sleep(Duration::from_millis(80)).await;
    ///         Ok::<_, std::io::Error>("a quote")
    ///     }));
    ///
    /// for _ in 0..100 {
    ///     assert_eq!(handle.timeout(), Some(Duration::from_secs(30)));
    ///     client.ready().await?.call("GET /v2/last/SPY").await?;
    /// }
    /// // Three times 80 ms, and at most a sixteenth more.
    /// let ms = handle.timeout().unwrap().as_millis();
    /// assert!((240..=258).contains(&ms), "{ms}");
    /// # Ok(()) }
    /// ```
    pub fn new(name: impl Into<InstanceName>, config: AttemptTimeoutConfig<M>) -> Self {
        let state = State::new(name.into(), config.into_source());
        Self {
            // Without stripes of their own: only their reference counts are wanted, so that cloning
            // a service per request scales.
            shared: Shared::new(state, Stripes::auto(), || ()),
            policy: Policy::new(),
            per_request: NoOverride,
            mode: PhantomData,
        }
    }
}

impl<X, O, M> AttemptTimeoutLayer<X, O, M> {
    /// Asks each request with `per_request` for a timeout of its own, which then counts in place
    /// of the layer's, whether shorter or longer, fixed or learned. Zero lets only a response pass
    /// that is ready at once.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_timeout::{AttemptTimeoutConfig, AttemptTimeoutLayer};
    ///
    /// struct Request { timeout: Option<Duration> }
    ///
    /// let half_a_minute = AttemptTimeoutConfig::fixed(Duration::from_secs(30))?;
    /// let layer = AttemptTimeoutLayer::new("openai", half_a_minute)
    ///     .per_request(|request: &Request| request.timeout);
    /// # Ok::<(), seawall_timeout::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn per_request<O2>(self, per_request: O2) -> AttemptTimeoutLayer<X, O2, M> {
        AttemptTimeoutLayer {
            shared: self.shared,
            policy: self.policy,
            per_request,
            mode: PhantomData,
        }
    }

    /// A handle to read and control the layer.
    pub fn handle(&self) -> AttemptTimeoutHandle<M> {
        AttemptTimeoutHandle::new(self.shared.clone())
    }
}

seawall_core::policy_setters!(
    AttemptTimeoutLayer[O, M] { shared, per_request, mode }: classify, describe
);

impl<S, X: Clone, O: Clone, M> Layer<S> for AttemptTimeoutLayer<X, O, M> {
    type Service = AttemptTimeout<S, X, O, M>;

    fn layer(&self, inner: S) -> Self::Service {
        let state = self.shared.anchor();
        if state.common().learner.is_some() {
            let source = state.common().common.source();
            source.check_classifier::<S, X>();
        }
        AttemptTimeout::new(inner, state, self.policy.clone(), self.per_request.clone())
    }
}

seawall_core::impl_debug!(AttemptTimeoutLayer<X, O, M>: |this| handle = this.handle());

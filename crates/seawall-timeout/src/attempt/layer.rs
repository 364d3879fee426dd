//! The layer.

use std::fmt;
use std::time::Duration;

use seawall_core::{DefaultMeta, InstanceName, InvalidConfig};
use tower_layer::Layer;

use super::learner::Learner;
use super::{AttemptTimeout, AttemptTimeoutHandle, Fixed, Learned, LearnedConfig, NoOverride};
use crate::observe::{ATTEMPT, Common, State, positive};

/// Limits how long one attempt may take, from the first poll of its future.
///
/// It stands next to the client, inside retry and breaker, so that each attempt has the limit to
/// itself and the waits of the layers above do not count.
///
/// ```
/// use std::time::Duration;
/// use seawall_core::{WrapErrorLayer, Reason, Rejectable, Sent};
/// use seawall_timeout::AttemptTimeoutLayer;
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = ServiceBuilder::new()
///     .layer(AttemptTimeoutLayer::new("alpaca", Duration::from_secs(5))?)
///     .layer(WrapErrorLayer)
///     .service(service_fn(|_: &str| std::future::pending::<Result<(), std::io::Error>>()));
///
/// let error = client.ready().await?.call("GET /v2/account").await.unwrap_err();
/// let rejected = error.rejection().expect("the layer spoke");
/// assert_eq!(rejected.reason(), Reason::AttemptTimeout);
/// assert_eq!(rejected.sent(), Sent::Maybe);
/// # Ok(()) }
/// ```
pub struct AttemptTimeoutLayer<D = DefaultMeta, T = NoOverride, L = Fixed> {
    state: State,
    describe: D,
    own: T,
    mode: L,
}

impl AttemptTimeoutLayer {
    /// A layer of that name whose attempts may take `timeout`; [`Duration::MAX`] is for ever.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] that names `timeout` when it is zero.
    pub fn new(name: impl Into<InstanceName>, timeout: Duration) -> Result<Self, InvalidConfig> {
        let timeout = positive("timeout", timeout)?;
        Ok(Self {
            state: Common::share(ATTEMPT, name.into(), timeout),
            describe: DefaultMeta,
            own: NoOverride,
            mode: Fixed,
        })
    }
}

impl AttemptTimeoutLayer<DefaultMeta, NoOverride, Learned> {
    /// A layer of that name that learns from recent answers how long an attempt may take.
    ///
    /// The timeout is a quantile of what they took, times a factor, within bounds; see
    /// [`LearnedConfig`]. Attempts that were cut off, that the caller gave up, or that failed
    /// slowly are learned from as what they are: answers that would have taken at least so long.
    /// Without them the timeout would sink until it cuts off most answers. Failures that come
    /// fast teach nothing. What counts as a failure is said by [`classify`](Self::classify).
    ///
    /// While too few answers are known, at the start or after a pause, attempts may take the
    /// initial timeout. Two readings of the clock per call and 15 kB per layer.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_core::WrapErrorLayer;
    /// use seawall_timeout::{AttemptTimeoutLayer, LearnedConfig};
    /// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let learned = LearnedConfig::builder().warm_up(100).build()?;
    /// let layer = AttemptTimeoutLayer::learned("polygon", learned);
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
    ///     assert_eq!(handle.timeout(), Duration::from_secs(30));
    ///     client.ready().await?.call("GET /v2/last/SPY").await?;
    /// }
    /// // Three times 80 ms, and at most a sixteenth more.
    /// let ms = handle.timeout().as_millis();
    /// assert!((240..=258).contains(&ms), "{ms}");
    /// # Ok(()) }
    /// ```
    pub fn learned(name: impl Into<InstanceName>, config: LearnedConfig) -> Self {
        let learner = Learner::new(config);
        Self {
            state: Common::share_with(ATTEMPT, name.into(), config.initial, Some(learner)),
            describe: DefaultMeta,
            own: NoOverride,
            mode: Learned::default(),
        }
    }
}

impl<D, T, C> AttemptTimeoutLayer<D, T, Learned<C>> {
    /// Judges with `classify` what is learned from: an `Ok` that is a success or none of the
    /// upstream's fault is an answer, everything else is a failure. A 429 that comes at once must
    /// not pass for a fast answer.
    ///
    /// ```
    /// use seawall_core::{Outcome, Rejection};
    /// use seawall_timeout::{AttemptTimeoutLayer, LearnedConfig};
    ///
    /// let layer = AttemptTimeoutLayer::learned("polygon", LearnedConfig::default()).classify(
    ///     |result: Result<&u16, &Rejection>| match result {
    ///         Ok(200..300) => Outcome::Success,
    ///         Ok(429) => Outcome::Throttled {
    ///             retry_after: None,
    ///             scope: seawall_core::Scope::Upstream,
    ///         },
    ///         _ => Outcome::Unknown,
    ///     },
    /// );
    /// ```
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> AttemptTimeoutLayer<D, T, Learned<C2>> {
        AttemptTimeoutLayer {
            state: self.state,
            describe: self.describe,
            own: self.own,
            mode: Learned { classify },
        }
    }
}

impl<D, T, L> AttemptTimeoutLayer<D, T, L> {
    /// Reads the deadline of each request with `describe`: an attempt is then cut off at the
    /// request's deadline when that comes first, and not even begun when it has passed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_core::RequestMeta;
    /// use seawall_timeout::AttemptTimeoutLayer;
    ///
    /// struct Request { meta: RequestMeta }
    ///
    /// let layer = AttemptTimeoutLayer::new("alpaca", Duration::from_secs(5))?
    ///     .describe(|request: &Request| request.meta);
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> AttemptTimeoutLayer<D2, T, L> {
        AttemptTimeoutLayer {
            state: self.state,
            describe,
            own: self.own,
            mode: self.mode,
        }
    }

    /// Asks each request with `own` for a timeout of its own, which then counts in place of the
    /// layer's, be it shorter or longer, fixed or learned. Zero lets only an answer pass that is
    /// ready at once.
    ///
    /// ```
    /// use std::time::Duration;
    /// use seawall_timeout::AttemptTimeoutLayer;
    ///
    /// struct Request { patience: Option<Duration> }
    ///
    /// let layer = AttemptTimeoutLayer::new("openai", Duration::from_secs(30))?
    ///     .per_request(|request: &Request| request.patience);
    /// # Ok::<(), seawall_core::InvalidConfig>(())
    /// ```
    #[must_use]
    pub fn per_request<T2>(self, own: T2) -> AttemptTimeoutLayer<D, T2, L> {
        AttemptTimeoutLayer {
            state: self.state,
            describe: self.describe,
            own,
            mode: self.mode,
        }
    }

    /// A handle to read the counters and to change the timeout.
    pub fn handle(&self) -> AttemptTimeoutHandle {
        AttemptTimeoutHandle::new(self.state.clone())
    }
}

impl<S, D: Clone, T: Clone, L: Clone> Layer<S> for AttemptTimeoutLayer<D, T, L> {
    type Service = AttemptTimeout<S, D, T, L>;

    fn layer(&self, inner: S) -> Self::Service {
        AttemptTimeout::new(
            inner,
            self.state.anchor(),
            self.describe.clone(),
            self.own.clone(),
            self.mode.clone(),
        )
    }
}

impl<D: Clone, T: Clone, L: Clone> Clone for AttemptTimeoutLayer<D, T, L> {
    /// Shares the timeout, what was learned, and the counters.
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            describe: self.describe.clone(),
            own: self.own.clone(),
            mode: self.mode.clone(),
        }
    }
}

impl<D, T, L> fmt::Debug for AttemptTimeoutLayer<D, T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptTimeoutLayer")
            .field("name", &self.state.common().name())
            .field("timeout", &self.handle().timeout())
            .finish_non_exhaustive()
    }
}

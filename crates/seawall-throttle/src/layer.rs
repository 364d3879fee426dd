//! The layer.

use seawall_core::{InstanceName, Policy, policy_setters};
use tower_layer::Layer;

use crate::state::{State, inspect, state};
use crate::{AdaptiveThrottle, AdaptiveThrottleConfig, AdaptiveThrottleHandle};

/// Rejects the share of the calls that the upstream would reject; see the [crate](crate).
///
/// Its clones and every service that they make count together. Without a classifier every error
/// counts as not accepted. Without a describer every request has normal priority.
///
/// ```
/// use seawall_core::{ConstMeta, FailureKind, Outcome, Priority, Replay, RequestMeta};
/// use seawall_throttle::{AdaptiveThrottleConfig, AdaptiveThrottleLayer};
///
/// // A function, so that the type of the layer has a name.
/// fn by_status<E>(result: Result<&u16, &E>) -> Outcome {
///     match result {
///         Ok(503 | 529) => Outcome::Failure(FailureKind::Overloaded),
///         Ok(500..) => Outcome::Failure(FailureKind::Server),
///         Ok(_) => Outcome::Success,
///         Err(_) => Outcome::Failure(FailureKind::NotSent),
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let cancels = ConstMeta(RequestMeta::new(Replay::Safe).with_priority(Priority::HIGH));
/// let layer = AdaptiveThrottleLayer::new("orders", AdaptiveThrottleConfig::default())
///     .classify(by_status::<seawall_core::Error<std::io::Error>> as fn(_) -> _)
///     .describe(cancels);
/// assert_eq!(layer.handle().rejection_probability(), 0.0);
/// # }
/// ```
#[derive(Clone)]
pub struct AdaptiveThrottleLayer<X = Policy> {
    state: State,
    policy: X,
}

impl AdaptiveThrottleLayer {
    /// A layer with counters of its own, all of them zero. `name` is in its rejections, events and
    /// metrics.
    pub fn new(name: impl Into<InstanceName>, config: AdaptiveThrottleConfig) -> Self {
        Self {
            state: state(name, config),
            policy: Policy::new(),
        }
    }
}

impl<X> AdaptiveThrottleLayer<X> {
    fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> AdaptiveThrottleLayer<Y> {
        AdaptiveThrottleLayer {
            state: self.state,
            policy: change(self.policy),
        }
    }

    /// A handle to read and to control the throttle from outside.
    pub fn handle(&self) -> AdaptiveThrottleHandle {
        AdaptiveThrottleHandle::new(self.state.clone())
    }
}

policy_setters!(AdaptiveThrottleLayer: classify, describe);

impl<S, X: Clone> Layer<S> for AdaptiveThrottleLayer<X> {
    type Service = AdaptiveThrottle<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        self.state.common().events.check_classifier::<S, X>();
        AdaptiveThrottle::new(inner, self.state.anchor(), self.policy.clone())
    }
}

seawall_core::impl_debug!(AdaptiveThrottleLayer<X>: |this|
    name = this.state.common().events.name(),
    config = inspect(&this.state).config,
);

//! The layer: owner of what was counted.

use std::fmt;

use seawall_core::{DefaultMeta, ErrorIsFailure, InstanceName};
use tower_layer::Layer;

use super::state::{State, inspect, state};
use super::{AdaptiveThrottle, AdaptiveThrottleConfig, AdaptiveThrottleHandle};

/// Rejects the share of the calls that the upstream would reject anyway; see the
/// [module](crate::throttle).
///
/// Its clones and every service that they make count together. `C` says what an answer means: by
/// default every error is a rejection, since nobody has said that it is not. `D` says what a
/// request is: by default one of normal priority.
///
/// ```
/// use seawall_core::{ConstMeta, FailureKind, RequestMeta, Outcome, Priority, Replay};
/// use seawall_ratelimit::{AdaptiveThrottleConfig, AdaptiveThrottleLayer};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
///
/// // A function, so that the type of the layer has a name.
/// fn by_status<E>(answer: Result<&u16, &E>) -> Outcome {
///     match answer {
///         Ok(503 | 529) => Outcome::Failure(FailureKind::Overloaded),
///         Ok(500..) => Outcome::Failure(FailureKind::Server),
///         Ok(_) => Outcome::Success,
///         Err(_) => Outcome::Failure(FailureKind::NotSent),
///     }
/// }
/// let cancels = ConstMeta(RequestMeta::new(Replay::Safe).with_priority(Priority::HIGH));
/// let layer = AdaptiveThrottleLayer::new("orders", AdaptiveThrottleConfig::default())
///     .classify(by_status::<seawall_core::Error<std::io::Error>> as fn(_) -> _)
///     .describe(cancels);
/// assert_eq!(layer.handle().rejection_probability(), 0.0);
/// # }
/// ```
#[derive(Clone)]
pub struct AdaptiveThrottleLayer<C = ErrorIsFailure, D = DefaultMeta> {
    state: State,
    classify: C,
    describe: D,
}

impl AdaptiveThrottleLayer {
    /// A layer with counters of its own, all of them zero. `name` is what rejections and metrics
    /// call it.
    pub fn new(name: impl Into<InstanceName>, config: AdaptiveThrottleConfig) -> Self {
        Self {
            state: state(name, config),
            classify: ErrorIsFailure,
            describe: DefaultMeta,
        }
    }
}

impl<C, D> AdaptiveThrottleLayer<C, D> {
    /// Says what an answer means. Asked once per answer, and never about a rejection of a layer
    /// below.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> AdaptiveThrottleLayer<C2, D> {
        AdaptiveThrottleLayer {
            state: self.state,
            classify,
            describe: self.describe,
        }
    }

    /// Says what a request is: its priority. Asked once per call.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> AdaptiveThrottleLayer<C, D2> {
        AdaptiveThrottleLayer {
            state: self.state,
            classify: self.classify,
            describe,
        }
    }

    /// A handle to read and to control the throttle from outside.
    pub fn handle(&self) -> AdaptiveThrottleHandle {
        AdaptiveThrottleHandle::new(self.state.clone())
    }
}

impl<S, C: Clone, D: Clone> Layer<S> for AdaptiveThrottleLayer<C, D> {
    type Service = AdaptiveThrottle<S, C, D>;

    fn layer(&self, inner: S) -> Self::Service {
        let (classify, describe) = (self.classify.clone(), self.describe.clone());
        AdaptiveThrottle::new(inner, self.state.anchor(), classify, describe)
    }
}

impl<C, D> fmt::Debug for AdaptiveThrottleLayer<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottleLayer")
            .field("name", &self.state.common().observer.name())
            .field("config", &inspect(&self.state).config)
            .finish_non_exhaustive()
    }
}

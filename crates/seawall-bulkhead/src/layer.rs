//! The layer: owner of the state.

use seawall_core::{InstanceName, Policy, policy_setters};
use tower_layer::Layer;

use crate::config::BulkheadConfig;
use crate::handle::BulkheadHandle;
use crate::limit_algorithm::{InstalledAlgorithm, LimitAlgorithm};
use crate::reserving::ReservingBulkheadLayer;
use crate::service::Bulkhead;
use crate::state::{SharedState, State};

/// Limits how many calls run at once; see the [crate](crate).
///
/// Its clones and every service that they make share one set of permits. Of the policy `X` it uses
/// the completion (how long a permit is held; default: until the response), the describer (priority
/// and deadline of a request; default: all the same, without deadline) and the classifier (what a
/// result means; default: an error is a failure).
///
/// ```
/// use seawall_bulkhead::{BulkheadConfig, BulkheadLayer, Priority, Replay, RequestMeta};
///
/// let config = BulkheadConfig::builder().max_concurrent(5).max_waiting(50).build()?;
/// let layer = BulkheadLayer::new("orders", config).describe(|order: &&str| {
///     let meta = RequestMeta::new(Replay::Never);
///     // In the queue, cancels go first.
///     if order.starts_with("cancel") { meta.with_priority(Priority::HIGH) } else { meta }
/// });
/// assert_eq!(layer.handle().in_flight(), 0);
/// # Ok::<(), seawall_bulkhead::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct BulkheadLayer<X = Policy> {
    state: SharedState,
    policy: X,
}

impl BulkheadLayer {
    /// A layer with permits of its own. `name` is what rejections and metrics call it.
    pub fn new(name: impl Into<InstanceName>, config: BulkheadConfig) -> Self {
        Self {
            state: State::shared(name.into(), config),
            policy: Policy::new(),
        }
    }
}

policy_setters!(BulkheadLayer: classify, describe, track_completion);

impl<X> BulkheadLayer<X> {
    /// Changes the policy as a whole; for layers that wrap this one.
    #[must_use]
    pub fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> BulkheadLayer<Y> {
        BulkheadLayer {
            state: self.state,
            policy: change(self.policy),
        }
    }

    /// Lets `algorithm` change the limit by what it sees of the calls. It costs each call two
    /// readings of the clock. It sees the calls of services that are made after it, and the first
    /// algorithm of a layer and its clones stays.
    #[must_use]
    pub fn limit_algorithm(self, algorithm: impl LimitAlgorithm + 'static) -> Self {
        let installed = InstalledAlgorithm::new(algorithm);
        self.state.common().install(installed);
        self
    }

    /// A layer over the same permits, whose services wait for one in `poll_ready` and not in the
    /// future of a call; see [`ReservingBulkheadLayer`].
    pub fn reserving(&self) -> ReservingBulkheadLayer<X>
    where
        X: Clone,
    {
        ReservingBulkheadLayer::new(self.state.clone(), self.policy.clone())
    }

    /// A handle to read and to control the bulkhead from outside.
    pub fn handle(&self) -> BulkheadHandle {
        BulkheadHandle::new(self.state.clone())
    }
}

impl<S, X: Clone> Layer<S> for BulkheadLayer<X> {
    type Service = Bulkhead<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        let measured = self.state.common().is_measured::<S, X>();
        Bulkhead::new(inner, self.state.anchor(), self.policy.clone(), measured)
    }
}

seawall_core::impl_debug!(BulkheadLayer<X>:
    |this| name = this.state.common().source.name(), config = this.state.common().config());

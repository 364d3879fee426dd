//! The layer: owner of the state.

use seawall_core::{Describe, InstanceName, PartitionKey, Policy, RequestMeta, policy_setters};
use tower_layer::Layer;

use super::config::PartitionConfig;
use super::handle::PartitionHandle;
use super::service::PartitionedBulkhead;
use super::state::{PartitionState, SharedPartitions};

/// Limits how many calls run at once, and shares the permits fairly between keys; see the
/// [module](super).
///
/// Its clones and every service that they make share one set of permits. Of the policy `X` it uses
/// the describer (key and deadline of a request), the completion and the classifier.
#[derive(Clone)]
pub struct PartitionedBulkheadLayer<X = Policy> {
    state: SharedPartitions,
    policy: X,
}

impl PartitionedBulkheadLayer {
    /// A layer with permits of its own. `name` is what rejections and metrics call it.
    pub fn new(name: impl Into<InstanceName>, config: PartitionConfig) -> Self {
        Self {
            state: PartitionState::shared(name.into(), config),
            policy: Policy::new(),
        }
    }
}

policy_setters!(PartitionedBulkheadLayer { state }: classify, describe, track_completion);

impl<C, D, T, P, K> PartitionedBulkheadLayer<Policy<C, D, T, P, K>> {
    /// As [`describe`](Self::describe), where requests differ in their key alone.
    #[must_use]
    pub fn key_by<F>(self, key: F) -> PartitionedBulkheadLayer<Policy<C, KeyFn<F>, T, P, K>> {
        self.describe(KeyFn(key))
    }
}

impl<X> PartitionedBulkheadLayer<X> {
    /// A handle to read and to control the bulkhead from outside.
    pub fn handle(&self) -> PartitionHandle {
        PartitionHandle::new(self.state.clone())
    }
}

impl<S, X: Clone> Layer<S> for PartitionedBulkheadLayer<X> {
    type Service = PartitionedBulkhead<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        PartitionedBulkhead::new(inner, self.state.anchor(), self.policy.clone())
    }
}

seawall_core::impl_debug!(PartitionedBulkheadLayer<X>: |this| name = this.state.common().source.name());

/// Describes requests by their key alone; see [`PartitionedBulkheadLayer::key_by`].
#[derive(Clone, Copy, Debug)]
pub struct KeyFn<F>(F);

impl<Req: ?Sized, F: Fn(&Req) -> PartitionKey> Describe<Req> for KeyFn<F> {
    fn describe(&self, request: &Req) -> RequestMeta {
        RequestMeta::default().with_key((self.0)(request))
    }
}

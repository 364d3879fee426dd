//! The layer: owner of the state.

use std::sync::Arc;

use seawall_core::{InstanceName, Policy, policy_setters};
use tower_layer::Layer;

use super::config::ConnectionLimitConfig;
use super::service::ConnectionLimit;
use crate::pool::{PoolHandle, PoolState};

/// Limits how many connections a connector has open; see the [module](super).
///
/// Its clones and every service that they make share one set of permits. Of the policy `X` it uses
/// the describer, for the key of a target.
///
/// ```
/// use seawall_bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
/// use seawall_bulkhead::{PartitionKey, RequestMeta};
///
/// let config = ConnectionLimitConfig::builder().max_connections(20).max_per_key(8).build()?;
/// let layer = ConnectionLimitLayer::new("upstreams", config)
///     .describe(|host: &String| RequestMeta::default().with_key(PartitionKey::of(host)));
/// assert_eq!(layer.handle().in_flight(), 0);
/// # Ok::<(), seawall_bulkhead::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct ConnectionLimitLayer<X = Policy> {
    state: Arc<PoolState>,
    policy: X,
}

impl ConnectionLimitLayer {
    /// A layer with permits of its own. `name` is what rejections and metrics call it.
    pub fn new(name: impl Into<InstanceName>, config: ConnectionLimitConfig) -> Self {
        Self {
            state: PoolState::new("connections", name.into(), config.limits()),
            policy: Policy::new(),
        }
    }
}

policy_setters!(ConnectionLimitLayer { state }: describe);

impl<X> ConnectionLimitLayer<X> {
    /// A handle to read and to control the limit from outside.
    pub fn handle(&self) -> PoolHandle<ConnectionLimitConfig> {
        PoolHandle::new(Arc::clone(&self.state), None)
    }
}

impl<S, X: Clone> Layer<S> for ConnectionLimitLayer<X> {
    type Service = ConnectionLimit<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        ConnectionLimit::new(inner, Arc::clone(&self.state), self.policy.clone())
    }
}

seawall_core::impl_debug!(ConnectionLimitLayer<X>: |this| name = this.state.source.name());

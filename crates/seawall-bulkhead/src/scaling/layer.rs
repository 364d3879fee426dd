//! The layer: a bulkhead with the scaling algorithm installed.

use seawall_core::{InstanceName, Policy, policy_setters};
use tower_layer::Layer;

use super::algorithm::Scaler;
use super::config::ScalingConfig;
use super::handle::ScalingHandle;
use crate::config::BulkheadConfig;
use crate::layer::BulkheadLayer;
use crate::service::Bulkhead;

/// A bulkhead whose limit follows how many of its permits are held; see the [module](super).
#[derive(Clone, Debug)]
pub struct ScalingBulkheadLayer<X = Policy> {
    bulkhead: BulkheadLayer<X>,
    scaler: Scaler,
}

impl ScalingBulkheadLayer {
    /// A layer with permits of its own; see [`BulkheadLayer::new`]. The limit starts with the
    /// `max_concurrent` of `bulkhead`, as far as the bounds of `scaling` allow.
    pub fn new(
        name: impl Into<InstanceName>,
        bulkhead: BulkheadConfig,
        scaling: ScalingConfig,
    ) -> Self {
        let scaler = Scaler::new(scaling);
        let bulkhead = BulkheadLayer::new(name, bulkhead).limit_algorithm(scaler.clone());
        Self { bulkhead, scaler }
    }
}

policy_setters!(ScalingBulkheadLayer: classify, describe, track_completion);

impl<X> ScalingBulkheadLayer<X> {
    fn map_policy<Y>(self, change: impl FnOnce(X) -> Y) -> ScalingBulkheadLayer<Y> {
        ScalingBulkheadLayer {
            bulkhead: self.bulkhead.map_policy(change),
            scaler: self.scaler,
        }
    }

    /// A handle to read and to control it from outside.
    pub fn handle(&self) -> ScalingHandle {
        ScalingHandle::new(self.bulkhead.handle(), self.scaler.clone())
    }
}

impl<S, X: Clone> Layer<S> for ScalingBulkheadLayer<X> {
    type Service = Bulkhead<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        self.bulkhead.layer(inner)
    }
}

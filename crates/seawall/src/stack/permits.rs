//! The bulkhead of a stack: with a fixed limit, or an adaptive one.

use seawall_adaptive::{AdaptiveBulkheadHandle, AdaptiveBulkheadLayer};
use seawall_bulkhead::{BulkheadConfig, BulkheadHandle, BulkheadLayer, BulkheadState};
use seawall_core::{AlreadyRegistered, InvalidConfig, Policies, Policy, Registry};
use tower_layer::Layer;

use super::slot::{Configure, Holding, Learning, Slot, slot, slot_handle};

/// The bulkhead of a stack, with a fixed or an adaptive limit.
pub trait Permits: Slot<Handle: PermitHandle> {}

/// The handle of a bulkhead.
pub trait PermitHandle: Configure<BulkheadConfig> {
    /// The handle of the permits and their queue, whatever moves their number.
    fn permits(&self) -> &BulkheadHandle;
}

slot!(BulkheadLayer<Holding> => BulkheadHandle,
    describer = describe: Describer, completion = track_completion: Completion);
slot_handle!(BulkheadHandle => bulkhead, BulkheadConfig: BulkheadState::Bypassed;);

impl<X> Permits for BulkheadLayer<X> {}

impl PermitHandle for BulkheadHandle {
    fn permits(&self) -> &BulkheadHandle {
        self
    }
}

// The algorithm classifies the responses.
slot!(AdaptiveBulkheadLayer<Learning> => AdaptiveBulkheadHandle,
    classifier = classify: Classifier, describer = describe: Describer,
    completion = track_completion: Completion);
slot_handle!(AdaptiveBulkheadHandle => adaptive optional;);

impl<X> Permits for AdaptiveBulkheadLayer<X> {}

impl PermitHandle for AdaptiveBulkheadHandle {
    fn permits(&self) -> &BulkheadHandle {
        self.bulkhead()
    }
}

impl Configure<BulkheadConfig> for AdaptiveBulkheadHandle {
    fn config(&self) -> BulkheadConfig {
        self.bulkhead().config()
    }

    fn configure(&self, config: BulkheadConfig) -> Result<(), InvalidConfig> {
        self.bulkhead().configure(config)
    }

    fn is_bypassed(&self) -> bool {
        self.bulkhead().is_bypassed()
    }
}

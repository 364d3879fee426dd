//! What every service of a layer shares.

use seawall_core::striped::{Local, Shared, Stripes};
use seawall_core::{EventSource, InstanceName};

use super::config::PartitionConfig;
use super::permits::PartitionPermits;
use crate::counts::BulkheadStripe;
use crate::keyed::KeyedPermits;

#[derive(Debug)]
pub(crate) struct PartitionState {
    pub(crate) source: EventSource,
    pub(crate) permits: KeyedPermits<PartitionPermits>,
}

pub(crate) type SharedPartitions = Shared<PartitionState, BulkheadStripe>;
pub(crate) type PartitionCallState = Local<PartitionState, BulkheadStripe>;

impl PartitionState {
    pub(crate) fn shared(name: InstanceName, config: PartitionConfig) -> SharedPartitions {
        let state = Self {
            source: EventSource::new("bulkhead", name),
            permits: KeyedPermits::new(PartitionPermits::new(config)),
        };
        Shared::new(state, Stripes::auto(), BulkheadStripe::default)
    }
}

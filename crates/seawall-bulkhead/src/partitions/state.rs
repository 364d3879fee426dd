//! What every service of a layer shares.

use seawall_core::striped::{Local, Shared, Stripes};
use seawall_core::{EventSource, InstanceName, PartitionKey};

use super::config::PartitionConfig;
use super::permit::PartitionPermit;
use super::permits::PartitionPermits;
use crate::counts::BulkheadStripe;
use crate::keyed::{KeyedGate, KeyedPermits, KeyedState};

#[derive(Debug)]
pub(crate) struct PartitionState {
    pub(crate) source: EventSource,
    pub(crate) permits: KeyedPermits<PartitionPermits>,
}

pub(crate) type SharedPartitions = Shared<PartitionState, BulkheadStripe>;
pub(crate) type PartitionCallState = Local<PartitionState, BulkheadStripe>;
/// A call that waits for a permit of its key.
pub(crate) type PartitionGate = KeyedGate<PartitionCallState>;

impl PartitionState {
    pub(crate) fn shared(name: InstanceName, config: PartitionConfig) -> SharedPartitions {
        let state = Self {
            source: EventSource::new("bulkhead", name),
            permits: KeyedPermits::new(PartitionPermits::new(config)),
        };
        Shared::new(state, Stripes::auto(), BulkheadStripe::default)
    }
}

impl KeyedState for PartitionCallState {
    type Supply = PartitionPermits;
    type Permit = PartitionPermit;

    fn permits(&self) -> &KeyedPermits<PartitionPermits> {
        &self.common().permits
    }

    fn permit(&self, key: PartitionKey) -> PartitionPermit {
        PartitionPermit::new(self.clone(), key)
    }

    fn counters(&self) -> &BulkheadStripe {
        self.stripe()
    }

    fn source(&self) -> &EventSource {
        &self.common().source
    }

    fn abandoned(&self) {
        self.stripe().abandon(&self.common().source);
    }
}

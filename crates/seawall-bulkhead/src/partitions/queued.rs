//! A call of a key that waits for a permit.

use seawall_core::{EventSource, PartitionKey};

use super::permit::PartitionPermit;
use super::permits::PartitionPermits;
use super::state::PartitionCallState;
use crate::counts::BulkheadStripe;
use crate::keyed::{KeyedCall, KeyedPermits, KeyedState};

/// A call that waits for a permit of its key.
pub(crate) type PartitionCall = KeyedCall<PartitionCallState>;

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

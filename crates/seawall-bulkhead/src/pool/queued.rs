//! A call that waits for a permit of a pool.

use std::sync::Arc;

use seawall_core::{EventSource, PartitionKey};

use super::call::PoolPermit;
use super::queue::PoolSupply;
use super::state::PoolState;
use crate::counts::BulkheadStripe;
use crate::keyed::{KeyedCall, KeyedPermits, KeyedState};

/// A call that waits for a permit of a pool.
pub(crate) type PoolCall = KeyedCall<Arc<PoolState>>;

impl KeyedState for Arc<PoolState> {
    type Supply = PoolSupply;
    type Permit = PoolPermit;

    fn permits(&self) -> &KeyedPermits<PoolSupply> {
        &self.permits
    }

    fn permit(&self, key: PartitionKey) -> PoolPermit {
        PoolPermit::new(Self::clone(self), key)
    }

    fn counters(&self) -> &BulkheadStripe {
        &self.counters
    }

    fn source(&self) -> &EventSource {
        &self.source
    }

    // The guard of the call counts that.
    fn abandoned(&self) {}
}

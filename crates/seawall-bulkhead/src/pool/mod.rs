//! Permits of what costs a thousand times what a lock does: connections and tasks of a thread pool.
//!
//! `queue` decides who may have one (see [`keyed`](crate::keyed)), `state` is what the services of a
//! layer share, `call` what a call has of it, `handle` reads and controls it from outside.

mod call;
mod handle;
mod queue;
mod queued;
mod state;

pub(crate) use call::{CallGuard, PoolPermit};
#[cfg(feature = "isolated")]
pub(crate) use handle::Threads;
pub use handle::{PoolHandle, PoolSnapshot};
pub(crate) use queue::PoolLimits;
#[cfg(test)]
pub(crate) use queue::PoolSupply;
pub(crate) use queued::PoolCall;
pub(crate) use state::PoolState;

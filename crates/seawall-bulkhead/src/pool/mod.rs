//! Permits of what costs a thousand times what a lock does: connections and tasks of a thread pool.
//!
//! One short lock decides everything, so there is no order of atomics to argue about. `queue` is
//! the pure core, `permits` its lock, `state` what the services of a layer share, `waiter` and
//! `call` what a call has of it, `handle` reads and controls it from outside.

mod call;
mod handle;
mod permits;
mod queue;
mod state;
mod waiter;

pub(crate) use call::{CallGuard, PoolPermit};
#[cfg(feature = "isolated")]
pub(crate) use handle::Threads;
pub use handle::{PoolHandle, PoolSnapshot};
pub(crate) use queue::PoolLimits;
pub(crate) use state::PoolState;
pub(crate) use waiter::{NoPermit, PoolWaiter, Readiness};

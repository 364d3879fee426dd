//! Permits of what costs a thousand times what a lock does: connections and tasks of a thread pool.
//!
//! One short lock decides everything, so there is no order of atomics to argue about. `queue` is
//! the pure core, `permits` its lock, `state` what the services of a layer share, `waiter` and
//! `call` what a call has of it.

mod call;
mod permits;
mod queue;
mod state;
mod waiter;

pub(crate) use call::{CallGuard, PoolPermit};
pub(crate) use queue::PoolLimits;
pub(crate) use state::PoolState;
pub(crate) use waiter::{NoPermit, PoolWaiter, Readiness};

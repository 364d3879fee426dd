//! Permits per key under one lock: what partitions, connections and pools of threads share.
//!
//! One short lock decides everything, so there is no order of atomics to argue about. A
//! [`KeyedSupply`] decides who may have a permit, without clock, lock and executor; `permits` is the
//! lock around it and its queue, `queued` a call that waits there.

mod permits;
mod queued;
#[cfg(test)]
mod tests;

pub(crate) use permits::{KeyedPermits, KeyedSupply};
pub(crate) use queued::{KeyedCall, KeyedState};

//! The layer around a broker in memory that fails on demand.
#![allow(clippy::unwrap_used, reason = "tests")]

mod admission;
mod any_faults;
mod cancels;
mod common;
mod contract;
mod doubts;
mod dropped;
mod exhausted;
mod journals;
mod lists;
mod many;
mod odd_lists;
mod outcomes;
mod positions;
mod readings;
mod restarts;
mod runtimes;
mod settled;
mod stacks;
mod standstill;

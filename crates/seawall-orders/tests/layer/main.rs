//! The layer around a broker in memory that fails on demand.
#![allow(clippy::unwrap_used, reason = "tests")]

mod admission;
mod cancels;
mod common;
mod doubts;
mod dropped;
mod outcomes;
mod restarts;

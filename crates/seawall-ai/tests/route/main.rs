//! What a user of a router sees.
#![allow(
    clippy::unwrap_used,
    reason = "a test shows what is wrong by panicking there"
)]

mod cancel;
mod classes;
mod contract;
mod cool_downs;
mod faults;
mod handle;
mod model;
mod picks;
mod support;
mod waits;

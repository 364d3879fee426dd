//! What a user sees of the journals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod calls;
#[cfg(feature = "durable")]
mod common;
#[cfg(feature = "durable")]
mod durable;
mod memory;
mod model;
#[cfg(all(feature = "durable", unix))]
mod processes;
#[cfg(feature = "durable")]
mod snapshot;

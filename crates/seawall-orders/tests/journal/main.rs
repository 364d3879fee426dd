//! What a user sees of the journals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod calls;
mod memory;
mod model;

//! Experiments as a user sees them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod files;
mod recommendations;
mod refused;
mod reports;
mod runs;
mod scheduled;
mod stopped;
mod support;

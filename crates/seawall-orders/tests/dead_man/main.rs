//! The dead man's switch beside a venue's timer.
#![allow(clippy::unwrap_used, reason = "tests")]

mod driver;
mod socket;
mod venue;
mod venues;

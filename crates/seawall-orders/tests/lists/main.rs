//! Our own view beside the broker's lists.
#![allow(clippy::unwrap_used, reason = "tests")]

mod broker;
mod compare;
mod confirm;
mod model;

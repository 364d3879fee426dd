//! What a monitor shows and which alerts it raises, as a user sees it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod alerts;
mod figures;
mod history;
mod judged;
mod layers;
mod outputs;
mod running;
mod support;

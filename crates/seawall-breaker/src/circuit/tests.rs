//! The laws of the state machine, one by one, and two models of it.

mod laws;
mod model;

//! The behavior of the state machine, one test each, and two models of it.

mod behavior;
mod model;

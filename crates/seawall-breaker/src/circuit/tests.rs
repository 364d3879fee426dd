//! The behavior of the state machine, one test each, and models of it.

mod aging;
mod behavior;
mod model;

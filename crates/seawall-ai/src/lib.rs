//! What is particular to clients of AI APIs.
//!
//! | question | part |
//! |---|---|
//! | what does an error mean, and what may help? | [`ErrorTable`], [`ErrorClass`], [`ApiError`] |
//! | what if a stream reports an error, stalls, or is cut off? | [`stream`] |
//! | how many tokens does a call take of a limit? | [`estimate`] |
//! | what does a call cost, and may it? | [`spend`] |
//! | which key, deployment or model is asked, and which one next? | [`route`] |
//!
//! The stacks of `seawall` take them: a table as the inspector of bodies, the layer of streams around
//! the client, estimates and budgets outside, a router over several. `seawall::model` has them together.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bound;
mod delivered;
mod error_class;
mod error_table;
pub mod estimate;
mod measured_body;
mod peek;
mod prompt;
pub mod route;
pub mod spend;
pub mod stream;
mod text;

pub use error_class::{ErrorClass, Fault};
pub use error_table::{ApiError, ErrorRule, ErrorTable};
pub use seawall_http::NoteDeparture;

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! What is particular to clients of AI APIs.
//!
//! | question | part |
//! |---|---|
//! | what does an error mean, and what may help? | [`ErrorTable`], [`ErrorClass`], [`ApiError`] |
//! | what if a stream reports an error, stalls, or is cut off? | [`stream`] |
//!
//! The stacks of `seawall` take both: a table as the inspector of bodies, the layer of streams around
//! the client.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod delivered;
mod departure;
mod error_class;
mod error_table;
pub mod stream;
pub mod estimate;
mod measured_body;
mod peek;
mod prompt;
pub mod spend;
mod text;
pub mod route;

pub use departure::NoteDeparture;
pub use error_class::{ErrorClass, Fault};
pub use error_table::{ApiError, ErrorRule, ErrorTable};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

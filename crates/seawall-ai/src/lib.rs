//! What is particular to clients of AI APIs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error_class;
mod error_table;

pub use error_class::{ErrorClass, Fault};
pub use error_table::{ApiError, ErrorRule, ErrorTable};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

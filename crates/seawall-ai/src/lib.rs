//! What is particular to clients of AI APIs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error_class;

pub use error_class::{ErrorClass, Fault};

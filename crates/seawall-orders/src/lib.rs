//! Orders that are never sent twice and never lost.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod broker;
pub mod journal;
pub mod protocol;
pub mod safety;

pub use protocol::Operation;

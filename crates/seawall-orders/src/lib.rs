//! Orders that are never sent twice and never lost.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod body;
pub mod broker;
pub mod client;
pub mod dead_man;
pub mod ids;
pub mod journal;
mod layer;
pub mod lists;
pub mod protocol;
mod records;
pub mod safety;
pub mod switch;

pub use layer::{
    Cancelled, ComparedSnapshot, DifferenceNotice, IntendedAgain, OrderBody, OrderConfig,
    OrderConfigBuilder, OrderCounts, OrderError, OrderFuture, OrderHandle, OrderLayer,
    OrderLayerBuilder, OrderNotice, OrderNotices, OrderService, OrderSnapshot, OrdersSnapshot,
    ReceivedNotice, Reconciled, ReconciledHow, Resend,
};
pub use protocol::Operation;

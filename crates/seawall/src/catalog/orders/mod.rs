//! What is known of the orders of a broker.

#[cfg(feature = "orders")]
mod build;
mod data;
mod page;
mod read;

#[cfg(feature = "orders")]
pub(super) use build::builder;
pub(super) use data::OrdersData;
pub(super) use page::{Style, orders};
pub(super) use read::mistakes;

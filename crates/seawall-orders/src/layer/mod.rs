//! The Tower side: the layer, its service, its handle.

mod body;
mod book;
mod builder;
mod compare;
mod compared;
mod config;
mod counts;
mod handle;
mod look_up;
mod marks;
mod notices;
mod order;
mod place;
mod prepare;
mod readings;
mod recover;
mod response;
mod runtime;
mod service;
mod settled;
mod shared;
mod start;
mod tasks;
mod template;
mod tracked;
mod unwritten;
mod watch;

pub use body::OrderBody;
pub use builder::OrderLayerBuilder;
pub use compared::ComparedSnapshot;
pub use config::{OrderConfig, OrderConfigBuilder};
pub use counts::OrderCounts;
pub use handle::{Cancelled, OrderError, OrderHandle, OrderSnapshot, OrdersSnapshot};
pub use marks::{IntendedAgain, Reconciled, ReconciledHow, Resend};
pub use notices::{DifferenceNotice, OrderNotice, OrderNotices, ReceivedNotice};
pub use service::{OrderFuture, OrderLayer, OrderService};

//! What admits an order request before it may be written to the journal: the trading mode, the caps,
//! and no order twice by mistake.
//!
//! [`TradingControl`] is all of it in one object, which the layer and its handle share. Cancels and
//! queries pass in every mode and are not counted.
//!
//! # Where its knowledge comes from
//!
//! | what | how |
//! |---|---|
//! | the circuit, limits, the kill switch | closures, called at each admission and by [`refresh`](TradingControl::refresh) |
//! | intents in doubt, exhausted, of an earlier process; the journal | set by the layer when they change |
//! | a mode at least | set by a person |
//! | whether a query succeeded | reported by the layer: [`queried`](TradingControl::queried) |
//! | orders of an earlier process | read from the journal at start: [`restore`](TradingControl::restore) |
//!
//! # When it gets better
//!
//! A mode gets worse at once, and better when as many queries in sequence have succeeded as
//! [`ModePolicy::clean_queries`](crate::protocol::ModePolicy::clean_queries) says. While
//! [`is_validating`](TradingControl::is_validating) holds, somebody has to make queries: the layer lists
//! open orders then.

mod admission;
mod builder;
mod control;
mod hooks;
mod snapshot;

pub use admission::{Admission, OrderRejection};
pub use builder::TradingControlBuilder;
pub use control::TradingControl;
pub use snapshot::TradingSnapshot;

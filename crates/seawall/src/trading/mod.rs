//! Stacks for orders: what a broker needs beside the stack of its tier, so that no order is sent twice and
//! none is lost.
//!
//! An [`OrderStack`] is the [`ProviderStack`](crate::catalog::ProviderStack) of a broker's tier with the
//! layer of [`seawall_orders`] around it:
//!
//! ```text
//!            +-> deadline -> retry -> gate -> bulkhead ---+                +-> breaker -> ... -+
//! orders  -->|                                            +-> rate limit --|                   +-> client
//!            +-> deadline -> retry -> gate -> bulkhead ---+                +-> breaker -> ... -+
//!                cancels and look-ups
//! ```
//!
//! * Every order is written to a [journal](seawall_orders::journal) before it may leave, and leaves once.
//! * Where its outcome is unknown it is looked up, by the rules of its broker.
//! * Cancels and look-ups have **reserved** permits and a circuit of their own: orders that queue do not hold
//!   them up, nor does the circuit that orders have opened. Limits are shared, since the broker counts all
//!   calls; cancels go first in their queue.
//! * Reads are sent again as ever, and so is an order that was certainly not sent.
//! * The trading mode follows the circuit, the limits, and what is in doubt.

mod builder;
#[cfg(feature = "client")]
mod client;
mod stack;

pub use builder::OrderStackBuilder;
#[cfg(feature = "client")]
pub use client::{OrderClient, OrderClientBuilder};
pub use stack::{OrderHandles, OrderStack, TradeHandles, TradeSlots, TradeStack};

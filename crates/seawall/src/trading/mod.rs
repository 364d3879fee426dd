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
//! * Cancels and look-ups have **reserved** permits, tokens and a circuit of their own: orders that queue or
//!   have used up a limit do not hold them up, nor does the circuit that orders have opened. Limits are shared,
//!   since the broker counts all calls: [a share](OrderStackBuilder::reserved_share) of them is reserved, a
//!   tenth unless set, and cancels go first in their queue.
//! * Reads are sent again as ever, and so is an order that was certainly not sent.
//! * Our own orders, and [positions](OrderStackBuilder::positions) where they are kept, are compared with the
//!   broker's lists at the start and periodically.
//! * The trading mode follows the circuit, the limits, and what is in doubt.
//!
//! # Which requests are orders
//!
//! Those whose method and path are in the broker's part of the [catalogue](crate::catalog), as its own
//! documentation has them. Reads pass as they are, and so do other requests that the catalogue has a route for.
//! What is left is rejected before it leaves: a `POST`, `PUT`, `PATCH` or `DELETE` of a path that nobody knows
//! may be an order, as it is behind the prefix of a gateway or with a slash more. One that is none is
//! let through by [`other_route`](seawall_orders::broker::BrokerTableBuilder::other_route), of
//! [`Provider::broker_table_builder`](crate::catalog::Provider::broker_table_builder).
//!
//! # Which responses to believe
//!
//! | result | the order |
//! |---|---|
//! | a success of the broker | exists; with the extension [`Reconciled`](seawall_orders::Reconciled) it was found, and the body is the broker's own view |
//! | 422 with that extension, or the broker's own 4xx | was rejected |
//! | `NotExecuted` | was certainly not executed |
//! | any other rejection or error with `Sent::No` | was not sent |
//! | `OutcomeUnknown` | is looked up in the background; its number leads to it: [`by_reference`](seawall_orders::OrderHandle::by_reference) |
//!
//! The layer needs a Tokio runtime with time. Where its runtime ends, what is in doubt stays open in the journal and
//! is looked up at the next start.

mod builder;
#[cfg(feature = "client")]
mod client;
mod stack;

pub use builder::OrderStackBuilder;
#[cfg(feature = "client")]
pub use client::{OrderClient, OrderClientBuilder};
pub use stack::{OrderHandles, OrderStack, TradeHandles, TradeSlots, TradeStack};

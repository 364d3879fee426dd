//! What the responses of a broker say of orders.

use bytes::Bytes;
use http::Request;

use crate::protocol::{Decimal, OrderFigures, Reply, Side};

/// An order as a broker reports it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundOrder {
    /// The client order id; `None` for an order without one.
    pub id: Option<Box<str>>,
    /// The broker's own id.
    pub broker_id: Box<str>,
    /// The symbol, where it is reported.
    pub symbol: Option<Box<str>>,
    /// The side, where it is reported.
    pub side: Option<Side>,
    /// The state and the quantities.
    pub figures: OrderFigures,
    /// The order as the broker wrote it: JSON.
    pub body: Bytes,
    /// Nothing but its id was read: its figures say nothing, and neither does it say whether the order that is
    /// looked up is there. `false`, unless it is set: a look-up meets such orders of others in a list.
    pub unread: bool,
}

impl FoundOrder {
    /// An order with these ids and figures, and the broker's own text of it.
    pub fn new(
        id: Option<Box<str>>,
        broker_id: impl Into<Box<str>>,
        figures: OrderFigures,
        body: Bytes,
    ) -> Self {
        let broker_id = broker_id.into();
        Self {
            id,
            broker_id,
            symbol: None,
            side: None,
            figures,
            body,
            unread: false,
        }
    }
}

/// What a response to an order request means.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderReply {
    /// For the protocol. The report of an accepted one may be without the broker's id: the layer adds
    /// it from `order`.
    pub reply: Reply,
    /// The order in the response, if there is one.
    pub order: Option<FoundOrder>,
}

impl OrderReply {
    /// A reply without an order.
    pub const fn of(reply: Reply) -> Self {
        Self { reply, order: None }
    }

    /// The same with the order that the response has.
    #[must_use]
    pub fn with_order(mut self, order: FoundOrder) -> Self {
        self.order = Some(order);
        self
    }
}

/// What one query says of an order.
#[non_exhaustive]
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "made once per query, and moved little"
)]
pub enum LookedUp {
    /// The orders of that id: none, one, or several.
    Orders(Vec<FoundOrder>),
    /// What is listed so far has these orders of that id, and there is a further page.
    Page(Vec<FoundOrder>, Request<Bytes>),
    /// The query failed, in these words.
    Failed(&'static str),
}

/// What a list has.
#[non_exhaustive]
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "made once per query, and moved little"
)]
pub enum Listed<T> {
    /// All of it.
    All(Vec<T>),
    /// A part of it, and the request of the next page.
    Page(Vec<T>, Request<Bytes>),
    /// It cannot be read, in these words.
    Failed(&'static str),
}

/// A position as a broker lists it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerPosition {
    /// The symbol.
    pub symbol: Box<str>,
    /// The quantity, below zero for a short one.
    pub quantity: Decimal,
}

impl BrokerPosition {
    /// A position of this quantity.
    pub fn new(symbol: impl Into<Box<str>>, quantity: Decimal) -> Self {
        let symbol = symbol.into();
        Self { symbol, quantity }
    }
}

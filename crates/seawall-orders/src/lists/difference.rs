//! What differs, as values of their own.

use std::fmt;

use crate::broker::FoundOrder;
use crate::protocol::{Decimal, OrderFigures, Side};

/// An order as the broker lists it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ListedOrder {
    /// The client order id; `None` for one that was placed without.
    pub id: Option<Box<str>>,
    /// The broker's own id.
    pub broker_id: Box<str>,
    /// The symbol, where it is listed.
    pub symbol: Option<Box<str>>,
    /// The side, where it is listed.
    pub side: Option<Side>,
    /// The figures.
    pub figures: OrderFigures,
}

impl From<&FoundOrder> for ListedOrder {
    fn from(found: &FoundOrder) -> Self {
        Self {
            id: found.id.clone(),
            broker_id: found.broker_id.clone(),
            symbol: found.symbol.clone(),
            side: found.side,
            figures: found.figures,
        }
    }
}

/// What differs between our own view and the broker's lists.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum OwnedDifference {
    /// The broker has an order that we do not know: placed by hand or by another program.
    UnknownToUs(ListedOrder),
    /// We know an order that the broker should have, and has not.
    UnknownToBroker {
        /// The client order id.
        id: Box<str>,
        /// What we know.
        ours: OrderFigures,
    },
    /// We know an order that works, the broker has no such open order, and no list says what became of it:
    /// it may have fills.
    NotOpen {
        /// The client order id.
        id: Box<str>,
        /// What we know.
        ours: OrderFigures,
    },
    /// Both have it, with different figures.
    Figures {
        /// What we know.
        ours: OrderFigures,
        /// What the broker has.
        broker: ListedOrder,
    },
    /// The broker has several orders of one client order id that work at the same time.
    Several {
        /// The client order id.
        id: Box<str>,
        /// How many work.
        live: usize,
    },
    /// A position differs. A side that has none has zero.
    Position {
        /// The symbol.
        symbol: Box<str>,
        /// What we think it is.
        ours: Decimal,
        /// What the broker has.
        broker: Decimal,
    },
}

impl OwnedDifference {
    /// The word in metrics and events.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::UnknownToUs(_) => "unknown_to_us",
            Self::UnknownToBroker { .. } => "unknown_to_broker",
            Self::NotOpen { .. } => "not_open",
            Self::Figures { .. } => "figures",
            Self::Several { .. } => "several",
            Self::Position { .. } => "position",
        }
    }
}

/// State, and what of the quantity is filled.
struct Shown<'a>(&'a OrderFigures);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OrderFigures {
            state,
            quantity,
            filled,
        } = self.0;
        write!(f, "{}, {filled} of {quantity} filled", state.as_str())
    }
}

impl fmt::Display for ListedOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order `{}`", self.broker_id)?;
        if let Some(id) = &self.id {
            write!(f, " with the client order id `{id}`")?;
        }
        if let Some(symbol) = &self.symbol {
            write!(f, ", {symbol}")?;
        }
        if let Some(side) = self.side {
            write!(f, ", {}", side.as_str())?;
        }
        write!(f, ", {}", Shown(&self.figures))
    }
}

impl fmt::Display for OwnedDifference {
    /// With the figures of both sides.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownToUs(broker) => write!(f, "the broker has what we do not know: {broker}"),
            Self::UnknownToBroker { id, ours } => {
                write!(f, "the broker does not know `{id}`: {}", Shown(ours))
            }
            Self::NotOpen { id, ours } => {
                write!(f, "`{id}` is not open at the broker: {}", Shown(ours))
            }
            Self::Figures { ours, broker } => {
                write!(f, "we know {}, the broker has {broker}", Shown(ours))
            }
            Self::Several { id, live } => {
                write!(f, "{live} orders with the client order id `{id}` work")
            }
            Self::Position {
                symbol,
                ours,
                broker,
            } => write!(f, "{symbol}: we have {ours}, the broker has {broker}"),
        }
    }
}

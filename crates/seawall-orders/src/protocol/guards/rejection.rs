//! Why a guard rejected an order.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::protocol::decimal::Decimal;

/// Why a guard rejected an order, with the cap that decided.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardRejection {
    /// As many orders as may leave in a minute have left.
    OrdersPerMinute {
        /// How many may leave.
        cap: u32,
        /// When the next one may.
        after: Duration,
    },
    /// As many orders as may leave on a day have left.
    OrdersPerDay {
        /// How many may leave.
        cap: u32,
    },
    /// As many orders of the symbol as may leave in a minute have left.
    SymbolPerMinute {
        /// How many may leave.
        cap: u32,
        /// When the next one may.
        after: Duration,
    },
    /// As many orders of the symbol as may leave on a day have left.
    SymbolPerDay {
        /// How many may leave.
        cap: u32,
    },
    /// The order is worth more than one may be.
    NotionalPerOrder {
        /// What one may be worth.
        cap: Decimal,
        /// What it is worth.
        value: Decimal,
    },
    /// With the order, those of the day are worth more than they may be.
    NotionalPerDay {
        /// What they may be worth.
        cap: Decimal,
        /// What they would be worth with it.
        value: Decimal,
    },
    /// There is a cap on the value, and the value is not known.
    NotionalUnknown,
    /// An order of the same symbol, side and quantity was admitted a short time ago.
    Duplicate {
        /// For how long it counts as a mistake.
        within: Duration,
        /// How long ago.
        age: Duration,
    },
}

impl fmt::Display for GuardRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OrdersPerMinute { cap, after } => write!(
                f,
                "{cap} orders in a minute have left, the next may leave in {after:?}"
            ),
            Self::OrdersPerDay { cap } => write!(f, "{cap} orders have left on this day"),
            Self::SymbolPerMinute { cap, after } => write!(
                f,
                "{cap} orders of the symbol in a minute have left, the next may leave in {after:?}"
            ),
            Self::SymbolPerDay { cap } => {
                write!(f, "{cap} orders of the symbol have left on this day")
            }
            Self::NotionalPerOrder { cap, value } => {
                write!(f, "the order is worth {value} of at most {cap}")
            }
            Self::NotionalPerDay { cap, value } => write!(
                f,
                "the orders of the day would be worth {value} of at most {cap}"
            ),
            Self::NotionalUnknown => {
                f.write_str("the value of the order is not known, and there is a cap on it")
            }
            Self::Duplicate { within, age } => write!(
                f,
                "an order of the same symbol, side and quantity was sent {age:?} ago, which is \
                 less than {within:?}: mark it as intended"
            ),
        }?;
        f.write_str("; nothing was sent")
    }
}

impl StdError for GuardRejection {}

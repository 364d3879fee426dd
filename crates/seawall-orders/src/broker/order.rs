//! An order as its request has it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::protocol::{Decimal, Operation, Side};

/// Which order a replace or a cancel is about.
// Exhaustive: an order has two ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The one of this client order id.
    Client(Box<str>),
    /// The one of this id of the broker's own.
    Broker(Box<str>),
}

/// What a request to a broker says of an order.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderRequest {
    /// The client order id of the order that it creates; `None` if it has none.
    pub id: Option<Arc<str>>,
    /// The order that a replace or a cancel is about.
    pub target: Option<Target>,
    /// The symbol.
    pub symbol: Option<Box<str>>,
    /// The side.
    pub side: Option<Side>,
    /// The quantity.
    pub quantity: Option<Decimal>,
    /// The price per unit, of orders that have a limit.
    pub price: Option<Decimal>,
    /// The value in the currency of the account, where the request says so.
    pub notional: Option<Decimal>,
    /// Whether the request says that it can only make a position smaller.
    pub reduces: bool,
    /// What the broker has in the paths of an account.
    pub account: Option<Box<str>>,
}

/// An order that was sent, as a look-up needs it.
// Exhaustive: what is known of an order after a restart.
#[derive(Clone, Copy, Debug)]
pub struct SavedOrder<'a> {
    /// What the request did.
    pub operation: Operation,
    /// The client order id.
    pub id: &'a str,
    /// The broker's own id, where it is known.
    pub broker_id: Option<&'a str>,
    /// What the request says.
    pub request: &'a OrderRequest,
    /// When it was first written to the journal: lists need not reach further back. Orders share a query whose
    /// requests are the same, so an implementation whose lists reach back to a rounded time saves requests.
    pub since: SystemTime,
}

/// An order request that is not sent, since it breaks a rule.
///
/// The field and what is accepted are words of the program and of its settings, the value is the
/// request's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrder {
    field: &'static str,
    value: Box<str>,
    accepted: Cow<'static, str>,
}

/// How long the words of a rejection may be.
const LONGEST_NAME: usize = 64;

impl InvalidOrder {
    /// The `value` of `field` is not what is `accepted`.
    pub fn new(
        field: &'static str,
        value: impl Into<Box<str>>,
        accepted: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (value, accepted) = (value.into(), accepted.into());
        Self {
            field,
            value,
            accepted,
        }
    }

    /// The field.
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// Its value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The field and what is accepted, in words of the program: for a
    /// [`Rejection`](seawall_core::Rejection), which has no room for the value.
    pub fn words(&self) -> String {
        let words = format!("`{}` must be {}", self.field, self.accepted);
        // A longer one would be cut.
        if words.len() <= LONGEST_NAME {
            return words;
        }
        format!("`{}` is not what the broker accepts", self.field)
    }

    /// What is accepted.
    pub fn accepted(&self) -> &str {
        &self.accepted
    }
}

impl fmt::Display for InvalidOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, value) = (self.field, &self.value);
        let accepted = &self.accepted;
        write!(f, "`{field}` is {value:?}, accepted is {accepted}")
    }
}

impl StdError for InvalidOrder {}

//! What is known of a broker, as it is written: texts, which
//! [`build`](super::BrokerTableBuilder::build) checks.

use std::borrow::Cow;
use std::time::Duration;

use crate::protocol::{Operation, OrderState};

/// A text of a program or of a file.
pub(super) type Text = Cow<'static, str>;

macro_rules! paths {
    ($($(#[$meta:meta])* $field:ident;)+) => {$(
        $(#[$meta])*
        #[must_use]
        pub fn $field(mut self, path: impl Into<Cow<'static, str>>) -> Self {
            self.$field = Some(path.into());
            self
        }
    )+};
}

/// Where a request has what about an order.
///
/// A path such as `order.clientExtensions.id` or `orders[0].cOID` is one of a JSON body, in which `*`
/// is any key; in a form and in the query of the address it is the name of a field, as it is written.
/// `a | b` is `a`, or else `b`.
#[derive(Clone, Debug, Default)]
pub struct RequestFields {
    pub(super) id: Option<Text>,
    pub(super) target_id: Option<Text>,
    pub(super) target_broker_id: Option<Text>,
    pub(super) symbol: Option<Text>,
    pub(super) side: Option<Text>,
    pub(super) quantity: Option<Text>,
    pub(super) price: Option<Text>,
    pub(super) notional: Option<Text>,
    pub(super) account: Option<Text>,
    pub(super) reduces: Option<(Text, Text)>,
}

impl RequestFields {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    paths! {
        /// Sets where the client order id is.
        id;
        /// Sets where a replace or a cancel has the client order id of the order that it is about.
        target_id;
        /// Sets where it has the broker's own id of that order.
        target_broker_id;
        /// Sets where the symbol is.
        symbol;
        /// Sets where the side is: a word that begins with `buy` or `sell`. Without it a quantity
        /// below zero is one to sell.
        side;
        /// Sets where the quantity is.
        quantity;
        /// Sets where the price per unit is.
        price;
        /// Sets where the value is.
        notional;
        /// Sets where the account is, unless the path of the route has it.
        account;
    }

    /// Sets where, and with which word, a request says that it can only make a position smaller.
    #[must_use]
    pub fn reduces(
        mut self,
        path: impl Into<Cow<'static, str>>,
        word: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.reduces = Some((path.into(), word.into()));
        self
    }
}

/// Where a response has what about an order: paths as in [`RequestFields`], and `@key` for the
/// key of an order in an object of orders.
#[derive(Clone, Debug, Default)]
pub struct OrderFields {
    pub(super) broker_id: Option<Text>,
    pub(super) id: Option<Text>,
    pub(super) symbol: Option<Text>,
    pub(super) side: Option<Text>,
    pub(super) state: Option<Text>,
    pub(super) quantity: Option<Text>,
    pub(super) filled: Option<Text>,
    pub(super) state_unless_set: Option<OrderState>,
}

impl OrderFields {
    /// The broker's own id alone.
    #[must_use]
    pub fn new(broker_id: impl Into<Cow<'static, str>>) -> Self {
        Self::default().broker_id(broker_id)
    }

    paths! {
        /// Sets where the broker's own id is. A list may be without: fills of some brokers are.
        broker_id;
        /// Sets where the client order id is.
        id;
        /// Sets where the symbol is.
        symbol;
        /// Sets where the side is.
        side;
        /// Sets where the word of the state is.
        state;
        /// Sets where the quantity is that was ordered.
        quantity;
        /// Sets where the filled quantity is.
        filled;
    }

    /// Sets the state of an order that has none in the response. Unless set, such a response cannot
    /// be read; one to a create is about an open order.
    #[must_use]
    pub const fn state_unless_set(mut self, state: OrderState) -> Self {
        self.state_unless_set = Some(state);
        self
    }
}

/// What a response means.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// The broker took the request; its order is in this state. Of a query: its response is a list, also with a
    /// status other than 200 that the rule names.
    Accepted(OrderState),
    /// The broker did not execute the request, and will not.
    Rejected,
    /// The broker knows the client order id already.
    Duplicate,
    /// The broker throttled.
    Throttled,
    /// The request may have been executed. Of a query: it failed.
    Unknown,
    /// There is no such order. Of a cancel: there is none that is open.
    NotFound,
}

/// What responses of a kind mean; the first rule counts that fits.
///
/// ```
/// use seawall_orders::broker::{Meaning, ReplyRule};
///
/// let duplicate = ReplyRule::new(Meaning::Duplicate)
///     .statuses([422])
///     .at("message")
///     .contains(["client_order_id must be unique"]);
/// # let _ = duplicate;
/// ```
#[derive(Clone, Debug)]
pub struct ReplyRule {
    pub(super) means: Meaning,
    pub(super) operation: Option<Operation>,
    pub(super) queries: bool,
    pub(super) statuses: Vec<u16>,
    pub(super) at: Option<Text>,
    pub(super) equals: Vec<Text>,
    pub(super) contains: Vec<Text>,
}

impl ReplyRule {
    /// All responses: to every operation, and to queries.
    #[must_use]
    pub const fn new(means: Meaning) -> Self {
        Self {
            means,
            operation: None,
            queries: true,
            statuses: Vec::new(),
            at: None,
            equals: Vec::new(),
            contains: Vec::new(),
        }
    }

    paths! {
        /// Only those that have something at this path: not `null`, no empty text or list.
        at;
    }

    /// Only responses to this operation.
    #[must_use]
    pub const fn of(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self.queries = false;
        self
    }

    /// Only responses of these statuses.
    #[must_use]
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.statuses.extend(statuses);
        self
    }

    /// Only where what is at the path is one of these words.
    #[must_use]
    pub fn equals<T: Into<Cow<'static, str>>>(
        mut self,
        words: impl IntoIterator<Item = T>,
    ) -> Self {
        self.equals.extend(words.into_iter().map(Into::into));
        self
    }

    /// Only where what is at the path contains one of these texts.
    #[must_use]
    pub fn contains<T: Into<Cow<'static, str>>>(
        mut self,
        texts: impl IntoIterator<Item = T>,
    ) -> Self {
        self.contains.extend(texts.into_iter().map(Into::into));
        self
    }
}

/// A request that lists orders or positions, and where its response has them.
///
/// The request is a text such as `GET /v2/orders?status=open&limit=500`, with a body behind a second
/// space. `{id}`, `{broker_id}`, `{symbol}`, `{account}` and `{since}` (a time as in RFC 3339: the last full
/// minute at least five minutes before the order was written to the journal) are places; where one is not
/// known, there is no such request.
///
/// A response is a list with the status 200, or one that a [`ReplyRule`] with [`Meaning::Accepted`] names. Where a
/// member whose name begins with `error` stands beside the list or further up, and is not `null`, `false`, 0 or
/// empty, the query failed; so it has where an order cannot be read, unless it has another client order id than the
/// one that is looked up. An id that is the same but for spaces, the case of its letters or the spelling of a
/// number is neither that order nor a proof that it does not exist.
///
/// Orders whose look-ups make the same request share one reading of the list, with all its pages: with
/// `{since}` alone, those of one minute do.
#[derive(Clone, Debug)]
pub struct ListRequest {
    pub(super) request: Text,
    pub(super) at: Text,
    pub(super) is_keyed: bool,
    pub(super) fields: Option<OrderFields>,
    pub(super) most: Option<usize>,
    pub(super) page: Option<Page>,
    pub(super) times: Option<Text>,
    pub(super) reach: Option<Duration>,
}

/// How the next page is asked for.
#[derive(Clone, Debug)]
pub(super) enum Page {
    /// By a value of the response, while another one says that there is more.
    Cursor {
        parameter: Text,
        at: Text,
        more: Option<Text>,
    },
    /// By a value of the last order, while the page is full.
    Last { parameter: Text, field: Text },
}

impl ListRequest {
    /// A request whose response is a list, or one order.
    #[must_use]
    pub fn new(request: impl Into<Cow<'static, str>>) -> Self {
        Self {
            request: request.into(),
            at: Cow::Borrowed("."),
            is_keyed: false,
            fields: None,
            most: None,
            page: None,
            times: None,
            reach: None,
        }
    }

    /// Sets the path of the list.
    #[must_use]
    pub fn at(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.at = path.into();
        self
    }

    /// The list is an object: `@key` is the key of each order.
    #[must_use]
    pub const fn keyed(mut self) -> Self {
        self.is_keyed = true;
        self
    }

    /// Sets where an order in the list has what; as the table has it unless set.
    #[must_use]
    pub fn fields(mut self, fields: OrderFields) -> Self {
        self.fields = Some(fields);
        self
    }

    /// Sets how many orders a page has at most. A full one is followed by another page; where there
    /// are no pages, it is a list that cannot be read to its end.
    #[must_use]
    pub const fn most(mut self, orders: usize) -> Self {
        self.most = Some(orders);
        self
    }

    /// Orders come with the latest first, and have a time as in RFC 3339 at `path`: a page that
    /// reaches back to before the order that is looked up is the last one.
    #[must_use]
    pub fn latest_first(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.times = Some(path.into());
        self
    }

    /// Sets how far back the list reaches at least, where it does not have all orders: that it does
    /// not have an order from before then says nothing.
    #[must_use]
    pub const fn reach(mut self, time: Duration) -> Self {
        self.reach = Some(time);
        self
    }

    /// The next page is asked for with `parameter`, whose value is at `at` of the response, while
    /// there is one, and while `true` is at `more`, until `false` is: anything else there is a query that failed.
    #[must_use]
    pub fn cursor(
        mut self,
        parameter: impl Into<Cow<'static, str>>,
        at: impl Into<Cow<'static, str>>,
        more: Option<Cow<'static, str>>,
    ) -> Self {
        let (parameter, at) = (parameter.into(), at.into());
        self.page = Some(Page::Cursor {
            parameter,
            at,
            more,
        });
        self
    }

    /// The next page is asked for with `parameter`, whose value is that of `field` of the last order,
    /// while a page has as many orders as there can be.
    #[must_use]
    pub fn after_last(
        mut self,
        parameter: impl Into<Cow<'static, str>>,
        field: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (parameter, field) = (parameter.into(), field.into());
        self.page = Some(Page::Last { parameter, field });
        self
    }
}

/// Where a list of positions has what: paths as in [`OrderFields`].
#[derive(Clone, Debug)]
pub struct PositionFields {
    pub(super) symbol: Text,
    pub(super) quantity: Text,
    pub(super) side: Option<Text>,
}

impl PositionFields {
    /// Where a position has its symbol and its quantity: of several, as in
    /// `long.units | short.units`, the sum is meant.
    #[must_use]
    pub fn new(
        symbol: impl Into<Cow<'static, str>>,
        quantity: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            symbol: symbol.into(),
            quantity: quantity.into(),
            side: None,
        }
    }

    paths! {
        /// Sets where the side is: with the word `short`, a quantity is below zero.
        side;
    }
}

//! A broker as a table of data.

mod build;
mod found;
mod pick;
mod request;
mod route;
mod rules;
mod spec;
mod template;
mod value;
mod write;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use seawall_core::InvalidConfig;

use self::found::{ListReader, OrderReader, PositionReader, States, UNREADABLE};
use self::pick::Paths;
use self::request::RequestReader;
use self::route::{Captures, Handling, Route};
use self::rules::{Meanings, by_status, cause};
use self::spec::Text;
use self::template::{Known, Place, Template};
use self::value::{decimal, rfc3339};
use super::{
    Broker, BrokerPosition, FoundOrder, InvalidOrder, Listed, LookedUp, OrderReply, OrderRequest,
    SavedOrder,
};
use crate::ids::OrderIds;
use crate::protocol::{Decimal, Operation, OrderState, Query, Reply, Report, Rules};

pub use build::BrokerTableBuilder;
pub use spec::{ListRequest, Meaning, OrderFields, PositionFields, ReplyRule, RequestFields};

/// A [`Broker`] that is nothing but data: its routes, where requests and responses have what, what
/// responses mean, and the requests of look-ups.
///
/// Those of the catalogue are in the crate `seawall`; this makes another one:
///
/// ```
/// use bytes::Bytes;
/// use http::Request;
/// use seawall_orders::broker::{
///     Broker, BrokerTable, ListRequest, Meaning, OrderFields, ReplyRule, RequestFields,
/// };
/// use seawall_orders::ids::{IdRules, OrderIds};
/// use seawall_orders::protocol::{Duplicates, Operation, OrderState, Query, Rules};
///
/// let rules = Rules::builder(Duplicates::RejectWhileOpen).build()?;
/// let ids = OrderIds::text(IdRules::text(64)?.with_characters("-"), "desk1-")?;
/// let broker = BrokerTable::builder("example", rules, ids)
///     .route(Operation::Create, "POST /orders")
///     .route(Operation::Cancel, "DELETE /orders/{order}")
///     .request(Operation::Create, RequestFields::new().id("tag").symbol("symbol").quantity("qty"))
///     .reply(OrderFields::new("order.id"))
///     .order(OrderFields::new("id").id("tag").state("status").filled("filled"))
///     .state("working", OrderState::Open)
///     .state("done", OrderState::Filled)
///     .rule(ReplyRule::new(Meaning::Duplicate).statuses([409]).at("error").contains(["tag"]))
///     .query(Query::ById, ListRequest::new("GET /orders?tag={id}").at("orders"))
///     .cancel("DELETE /orders/{broker_id}")
///     .build()?;
///
/// let mut order = Request::post("/orders").body(Bytes::from(r#"{"symbol":"X","qty":"2"}"#))?;
/// assert_eq!(broker.operation(order.method(), order.uri()), Some(Operation::Create));
/// assert_eq!(broker.read(Operation::Create, &order)?.id, None);
/// broker.write_id(&mut order, "desk1-1")?;
/// assert_eq!(order.body(), &r#"{"tag":"desk1-1","symbol":"X","qty":"2"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct BrokerTable {
    name: Text,
    routes: Vec<Route>,
    /// Those of other requests, by methods that are not safe.
    others: Vec<Route>,
    requests: [RequestReader; 3],
    replies: [ReplyReader; 3],
    states: States,
    queries: [Option<OrderListReader>; 4],
    lists: [Option<OrderListReader>; 4],
    cancels: Vec<Template>,
    positions: Option<PositionReader>,
    rules: [Option<Rules>; 3],
    ids: OrderIds,
    client_prefix: Option<Text>,
    signatures: Vec<Text>,
    account: Option<Text>,
}

/// Reads the responses to an operation.
#[derive(Clone, Debug)]
struct ReplyReader {
    paths: Paths,
    meanings: Meanings,
    order: OrderReader,
}

/// A list of orders, with a reader of its own where its orders are unlike others.
#[derive(Clone, Debug)]
struct OrderListReader {
    list: ListReader,
    order: OrderReader,
}

const fn index(operation: Operation) -> usize {
    match operation {
        Operation::Create => 0,
        Operation::Replace => 1,
        Operation::Cancel => 2,
    }
}

const fn place(query: Query) -> usize {
    match query {
        Query::ById => 0,
        Query::Open => 1,
        Query::Closed => 2,
        Query::Fills => 3,
    }
}

impl BrokerTable {
    /// The same with ids of another prefix, so that each process has its own.
    ///
    /// # Errors
    ///
    /// As [`OrderIds::with_prefix`].
    pub fn with_id_prefix(self, prefix: &str) -> Result<Self, InvalidConfig> {
        let ids = self.ids.with_prefix(prefix)?;
        Ok(Self { ids, ..self })
    }

    /// The same with an account, for lists that are asked for without one.
    #[must_use]
    pub fn with_account(self, account: impl Into<Cow<'static, str>>) -> Self {
        let account = Some(account.into());
        Self { account, ..self }
    }

    /// The same with other rules for orders: another window, or other times of look-ups.
    #[must_use]
    pub const fn with_rules(mut self, rules: Rules) -> Self {
        self.rules[index(Operation::Create)] = Some(rules);
        self
    }

    /// The ids that it makes.
    pub const fn ids(&self) -> &OrderIds {
        &self.ids
    }

    fn route<'a>(&self, method: &Method, uri: &'a Uri) -> Option<(&Route, Captures<'a>)> {
        let mut routes = self.routes.iter();
        routes.find_map(|route| Some((route, route.captures(method, uri)?)))
    }

    fn known<'a>(&'a self, order: &SavedOrder<'a>, since: &'a str) -> Known<'a> {
        Known {
            since: Some(since),
            id: Some(order.id),
            broker_id: order.broker_id,
            symbol: order.request.symbol.as_deref(),
            account: self.account(order.request.account.as_deref()),
        }
    }

    /// For lists without an order.
    fn of_all<'a>(&'a self, account: Option<&'a str>, since: &'a str) -> Known<'a> {
        Known {
            account: self.account(account),
            since: Some(since),
            ..Known::default()
        }
    }

    fn account<'a>(&'a self, account: Option<&'a str>) -> Option<&'a str> {
        account.or(self.account.as_deref())
    }

    /// What the response of a query lists.
    fn read_page(
        &self,
        query: Query,
        order: &SavedOrder<'_>,
        response: &Response<Bytes>,
    ) -> Listed<FoundOrder> {
        let Some(reader) = &self.queries[place(query)] else {
            return Listed::Failed(NO_QUERY);
        };
        let since = since(order.since);
        self.orders(reader, response, &self.known(order, &since))
    }

    /// The orders that a response lists, and the next page.
    fn orders(
        &self,
        reader: &OrderListReader,
        response: &Response<Bytes>,
        known: &Known<'_>,
    ) -> Listed<FoundOrder> {
        let page = reader.list.read(response, known, |key, picked, body| {
            reader.order.listed(key, picked, &self.states, body)
        });
        let next = page.and_then(|page| Ok((reader.list.next_page(&page, known)?, page.items)));
        match next {
            Ok((Some(next), orders)) => Listed::Page(orders, next),
            Ok((None, orders)) => Listed::All(orders),
            Err(reason) => Listed::Failed(reason),
        }
    }
}

impl Broker for BrokerTable {
    fn name(&self) -> &str {
        &self.name
    }

    fn operation(&self, method: &Method, uri: &Uri) -> Option<Operation> {
        let (route, _) = self.route(method, uri)?;
        (route.handling != Handling::Passes).then_some(route.operation)
    }

    fn is_no_order(&self, method: &Method, uri: &Uri) -> bool {
        let is_of = |route: &Route| route.captures(method, uri).is_some();
        self.route(method, uri).is_some() || self.others.iter().any(is_of)
    }

    fn read(
        &self,
        operation: Operation,
        request: &Request<Bytes>,
    ) -> Result<OrderRequest, InvalidOrder> {
        let (route, captures) = self.route(request.method(), request.uri()).unzip();
        if let Some(route) = route.filter(|route| route.handling == Handling::Rejected) {
            let accepted = "routes whose orders can be looked up: this one only if it is passed on \
                purpose, without a journal";
            return Err(InvalidOrder::new("route", &*route.text, accepted));
        }
        let prefix = self.client_prefix.as_deref();
        let captures = captures.unwrap_or_default();
        let reader = &self.requests[index(operation)];
        reader.read(operation, captures, request, self.ids.rules(), prefix)
    }

    fn new_id(&self) -> String {
        self.ids.next_id()
    }

    fn write_id(&self, request: &mut Request<Bytes>, id: &str) -> Result<(), InvalidOrder> {
        self.ids.rules().check(id)?;
        if let Some(name) = self
            .signatures
            .iter()
            .find(|name| RequestReader::has(request, name))
        {
            let accepted = "none where there is no client order id: sign inside the stack, which \
                writes the id, or set the id before";
            return Err(InvalidOrder::new("signature", name.as_ref(), accepted));
        }
        let route = self.route(request.method(), request.uri());
        let operation = route.map_or(Operation::Create, |(route, _)| route.operation);
        self.requests[index(operation)].write_id(request, id)
    }

    fn rules(&self, operation: Operation) -> Option<&Rules> {
        self.rules[index(operation)].as_ref()
    }

    fn reply(&self, operation: Operation, response: &Response<Bytes>) -> OrderReply {
        let reader = &self.replies[index(operation)];
        let (status, body) = (response.status(), response.body());
        let picked = reader.paths.body(body);
        let meaning = reader.meanings.of(status, picked.as_ref());
        let meaning = meaning.or_else(|| by_status(status, is_page(body)));
        let known = match (meaning, operation) {
            (Some(Meaning::Accepted(state)), _) => Some(state),
            (None, Operation::Cancel) => Some(OrderState::Cancelled),
            (None, _) => None,
            (Some(meaning), _) => return OrderReply::of(failed(meaning, status)),
        };
        let order = picked.as_ref().and_then(|picked| {
            let key = Cow::Borrowed("");
            let body = body.clone();
            reader.order.read(&key, picked, &self.states, known, body)
        });
        let state = match (&order, known) {
            (Some(order), _) => order.figures.state,
            (None, Some(state)) => state,
            (None, None) => return OrderReply::of(failed(Meaning::Unknown, status)),
        };
        let reply = OrderReply::of(Reply::Accepted(Report::of(state)));
        order.into_iter().fold(reply, OrderReply::with_order)
    }

    fn query(&self, query: Query, order: &SavedOrder<'_>) -> Option<Request<Bytes>> {
        let reader = self.queries[place(query)].as_ref()?;
        let since = since(order.since);
        reader.list.request.request(&self.known(order, &since))
    }

    fn looked_up(
        &self,
        query: Query,
        order: &SavedOrder<'_>,
        response: &Response<Bytes>,
    ) -> LookedUp {
        let page = self.read_page(query, order, response);
        self.in_page(query, order, &page)
    }

    fn page(
        &self,
        query: Query,
        order: &SavedOrder<'_>,
        response: &Response<Bytes>,
    ) -> Option<Listed<FoundOrder>> {
        let reader = self.queries[place(query)].as_ref()?;
        // Which page is the last one depends on the order there.
        let is_alike = !reader.list.has_times();
        is_alike.then(|| self.read_page(query, order, response))
    }

    fn in_page(&self, query: Query, order: &SavedOrder<'_>, page: &Listed<FoundOrder>) -> LookedUp {
        let Some(reader) = &self.queries[place(query)] else {
            return LookedUp::Failed(NO_QUERY);
        };
        let by_broker_id = !reader.order.has_id();
        if by_broker_id && order.broker_id.is_none() {
            return LookedUp::Failed(
                "the list has no client order ids, and the broker's is not known",
            );
        }
        let (listed, next) = match page {
            Listed::All(listed) => (listed, None),
            Listed::Page(listed, next) => (listed, Some(next)),
            Listed::Failed(reason) => return LookedUp::Failed(reason),
        };
        let wanted = match by_broker_id {
            true => order.broker_id.unwrap_or_default(),
            false => order.id,
        };
        let ids = listed.iter().map(|found| match by_broker_id {
            true => Some(&*found.broker_id),
            false => found.id.as_deref(),
        });
        let ids = || ids.clone().zip(listed);
        let mut orders = Vec::new();
        for (_, found) in ids().filter(|(id, _)| *id == Some(wanted)) {
            if found.unread {
                return LookedUp::Failed(UNREADABLE);
            }
            orders.push(found.clone());
        }
        if listed.len() > orders.len() && reader.list.request.has(Place::Id) {
            return LookedUp::Failed("the broker answered with an order of another id");
        }
        let number = decimal(wanted);
        let alike = ids().filter(|(id, _)| id.is_some_and(|id| is_almost(id, wanted, number)));
        let age = SystemTime::now().duration_since(order.since);
        let is_out_of_reach = |reach| age.is_ok_and(|age| age > reach);
        if orders.is_empty() && next.is_none() {
            if alike.clone().next().is_some() {
                return LookedUp::Failed(ALMOST);
            }
            if reader.list.reach.is_some_and(is_out_of_reach) {
                return LookedUp::Failed("the list does not reach back to the order");
            }
        }
        if query == Query::Fills {
            orders = merged(orders, order.request.quantity);
        }
        for found in &mut orders {
            if found.figures.quantity == Decimal::ZERO {
                found.figures.quantity = order.request.quantity.unwrap_or_default();
            }
        }
        // Whether it is there, a later page says; without it, these are no proof that it is not.
        if !orders.iter().any(|found| found.figures.state.is_accepted()) {
            orders.extend(alike.map(|(_, found)| FoundOrder {
                unread: true,
                ..found.clone()
            }));
        }
        match next {
            Some(next) => LookedUp::Page(orders, next.clone()),
            None => LookedUp::Orders(orders),
        }
    }

    fn cancel(&self, order: &SavedOrder<'_>) -> Option<Request<Bytes>> {
        let since = since(order.since);
        let known = self.known(order, &since);
        self.cancels
            .iter()
            .find_map(|cancel| cancel.request(&known))
    }

    fn list(&self, query: Query, account: Option<&str>) -> Option<Request<Bytes>> {
        let reader = self.lists[place(query)].as_ref()?;
        let day = since_a_day();
        reader.list.request.request(&self.of_all(account, &day))
    }

    fn listed(
        &self,
        query: Query,
        account: Option<&str>,
        response: &Response<Bytes>,
    ) -> Listed<FoundOrder> {
        let Some(reader) = &self.lists[place(query)] else {
            return Listed::Failed("the broker has no such list");
        };
        let day = since_a_day();
        let listed = self.orders(reader, response, &self.of_all(account, &day));
        match &listed {
            Listed::All(orders) | Listed::Page(orders, _) if orders.iter().any(|it| it.unread) => {
                Listed::Failed(UNREADABLE)
            }
            _ => listed,
        }
    }

    fn positions(&self, account: Option<&str>) -> Option<Request<Bytes>> {
        let list = &self.positions.as_ref()?.list;
        list.request.request(&self.of_all(account, ""))
    }

    fn listed_positions(
        &self,
        account: Option<&str>,
        response: &Response<Bytes>,
    ) -> Listed<BrokerPosition> {
        match &self.positions {
            Some(positions) => positions.read(response, &self.of_all(account, "")),
            None => Listed::Failed("the broker has no list of positions"),
        }
    }
}

const NO_QUERY: &str = "the broker has no such query";

/// Why an order is not absent that is not there.
const ALMOST: &str = "an order has almost the id, in other letters or as another number";

/// Whether an id is another one than the `wanted` one, and may be meant to be the same: with spaces, in other
/// letters, or as the same `number`.
fn is_almost(id: &str, wanted: &str, number: Option<Decimal>) -> bool {
    let is_same = |id: &str| id.eq_ignore_ascii_case(wanted.trim());
    let is_number = || number.is_some() && decimal(id) == number;
    id != wanted && (is_same(id.trim()) || is_number())
}

/// A time for lists: five minutes earlier, for clocks that differ, and the full minute before that, so that
/// look-ups of orders of one minute send the same requests.
fn since(time: SystemTime) -> String {
    let margin = Duration::from_secs(300);
    let time = time.checked_sub(margin).unwrap_or(time);
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH);
    let minutes = seconds.unwrap_or_default().as_secs() / 60;
    rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(minutes * 60))
}

/// What lists without an order need not have is older than a day.
fn since_a_day() -> String {
    let now = SystemTime::now();
    since(now.checked_sub(Duration::from_secs(86_400)).unwrap_or(now))
}

/// Whether a body is a page for people, which a proxy wrote.
fn is_page(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
}

const fn failed(meaning: Meaning, status: StatusCode) -> Reply {
    match meaning {
        Meaning::Rejected | Meaning::NotFound => Reply::Rejected,
        Meaning::Duplicate => Reply::Duplicate,
        Meaning::Throttled => Reply::Throttled,
        Meaning::Accepted(_) | Meaning::Unknown => Reply::Unknown(cause(status)),
    }
}

/// One order for all fills of it.
fn merged(fills: Vec<FoundOrder>, ordered: Option<Decimal>) -> Vec<FoundOrder> {
    let mut orders: Vec<FoundOrder> = Vec::new();
    for fill in fills {
        match orders
            .iter_mut()
            .find(|order| order.broker_id == fill.broker_id)
        {
            Some(order) => order.figures.filled = order.figures.filled + fill.figures.filled,
            None => orders.push(fill),
        }
    }
    for order in &mut orders {
        if ordered.is_some_and(|ordered| order.figures.filled < ordered) {
            order.figures.state = OrderState::PartiallyFilled;
        }
    }
    orders
}

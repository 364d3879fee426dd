//! Makes a table of a broker.

use std::borrow::Cow;

use seawall_core::InvalidConfig;

use super::found::{ListReader, OrderReader, PositionReader, States};
use super::pick::Paths;
use super::request::RequestReader;
use super::route::{Handling, Route};
use super::rules::Meanings;
use super::spec::{ListRequest, OrderFields, PositionFields, ReplyRule, RequestFields, Text};
use super::template::{Place, Template};
use super::{BrokerTable, OrderListReader, ReplyReader, index, place};
use crate::ids::OrderIds;
use crate::journal::check_name;
use crate::protocol::{Operation, OrderState, Query, Rules};

/// Makes a [`BrokerTable`]. Its texts are checked when it is built.
#[derive(Debug)]
pub struct BrokerTableBuilder {
    name: Text,
    ids: OrderIds,
    rules: [Option<Rules>; 3],
    routes: Vec<(Operation, Handling, Text)>,
    others: Vec<Text>,
    requests: [RequestFields; 3],
    reply: OrderFields,
    orders: OrderFields,
    states: Vec<(Text, OrderState)>,
    reply_rules: Vec<ReplyRule>,
    queries: [Option<ListRequest>; 4],
    lists: [Option<ListRequest>; 4],
    cancels: Vec<Text>,
    positions: Option<(ListRequest, PositionFields)>,
    client_prefix: Option<Text>,
    signatures: Vec<Text>,
    account: Option<Text>,
}

impl BrokerTable {
    /// A builder of the table of a broker: its name, what may be done about a create whose outcome is
    /// unknown, and its ids.
    pub fn builder(
        name: impl Into<Cow<'static, str>>,
        rules: Rules,
        ids: OrderIds,
    ) -> BrokerTableBuilder {
        BrokerTableBuilder {
            name: name.into(),
            ids,
            rules: [Some(rules), None, None],
            routes: Vec::new(),
            others: Vec::new(),
            requests: Default::default(),
            reply: OrderFields::default(),
            orders: OrderFields::default(),
            states: Vec::new(),
            reply_rules: Vec::new(),
            queries: Default::default(),
            lists: Default::default(),
            cancels: Vec::new(),
            positions: None,
            client_prefix: None,
            signatures: Vec::new(),
            account: None,
        }
    }
}

impl BrokerTableBuilder {
    /// Adds a route such as `PUT /accounts/{account}/orders/{order}`, where `{order}` is the broker's
    /// own id of an order that is there, `*` is any segment, and `**` is the rest. The first one counts
    /// that fits.
    #[must_use]
    pub fn route(self, operation: Operation, route: impl Into<Cow<'static, str>>) -> Self {
        self.add(operation, Handling::Orders, route.into())
    }

    /// Adds a route that places orders which cannot be looked up, since their requests have no place
    /// for a client order id: they are rejected.
    #[must_use]
    pub fn rejected_route(self, operation: Operation, route: impl Into<Cow<'static, str>>) -> Self {
        self.add(operation, Handling::Rejected, route.into())
    }

    /// Adds a route whose requests pass as they are, without a journal and without limits. It counts
    /// before all others.
    #[must_use]
    pub fn unprotected_route(mut self, route: impl Into<Cow<'static, str>>) -> Self {
        let route = (Operation::Create, Handling::Passes, route.into());
        self.routes.insert(0, route);
        self
    }

    /// Adds a route that does nothing to orders, of a method that is not safe: `POST /margins`. Requests of
    /// such methods that no route has are rejected, since they may be orders under a path that the table does
    /// not know. Those of safe methods pass without a route.
    #[must_use]
    pub fn other_route(mut self, route: impl Into<Cow<'static, str>>) -> Self {
        self.others.push(route.into());
        self
    }

    fn add(mut self, operation: Operation, handling: Handling, route: Text) -> Self {
        self.routes.push((operation, handling, route));
        self
    }

    /// Sets what may be done about a replace or a cancel whose outcome is unknown. Unless set,
    /// repeating it is safe, and it is not journalled.
    #[must_use]
    pub const fn rules(mut self, rules: Rules) -> Self {
        self.rules[index(rules.operation())] = Some(rules);
        self
    }

    /// Sets where the requests of an operation have what.
    #[must_use]
    pub fn request(mut self, operation: Operation, fields: RequestFields) -> Self {
        self.requests[index(operation)] = fields;
        self
    }

    /// Sets where the responses to requests have what.
    #[must_use]
    pub fn reply(mut self, fields: OrderFields) -> Self {
        self.reply = fields;
        self
    }

    /// Sets where the orders of lists have what, unless the list has its own fields.
    #[must_use]
    pub fn order(mut self, fields: OrderFields) -> Self {
        self.orders = fields;
        self
    }

    /// Adds a word of the broker for a state, in capitals or not.
    #[must_use]
    pub fn state(mut self, word: impl Into<Cow<'static, str>>, state: OrderState) -> Self {
        self.states.push((word.into(), state));
        self
    }

    /// Adds a rule of what responses mean; the first one that fits counts. Without one, a success has
    /// an order that can be read, 429 is a throttle, other statuses of 4xx reject the request except for
    /// 408, 409, 425 and 499, and everything else is unknown.
    #[must_use]
    pub fn rule(mut self, rule: ReplyRule) -> Self {
        self.reply_rules.push(rule);
        self
    }

    /// Adds a query of a look-up.
    #[must_use]
    pub fn query(mut self, query: Query, list: ListRequest) -> Self {
        self.queries[place(query)] = Some(list);
        self
    }

    /// Adds a list of all orders of a query; the query itself unless set, where it needs no order.
    #[must_use]
    pub fn list(mut self, query: Query, list: ListRequest) -> Self {
        self.lists[place(query)] = Some(list);
        self
    }

    /// Adds a request that cancels an order; the first one counts whose places are known.
    #[must_use]
    pub fn cancel(mut self, request: impl Into<Cow<'static, str>>) -> Self {
        self.cancels.push(request.into());
        self
    }

    /// Sets the list of positions.
    #[must_use]
    pub fn positions(mut self, list: ListRequest, fields: PositionFields) -> Self {
        self.positions = Some((list, fields));
        self
    }

    /// An order in a path that begins so is one of the client order id that follows.
    #[must_use]
    pub fn client_prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.client_prefix = Some(prefix.into());
        self
    }

    /// Adds the header or the parameter of a signature: no id is written into a request that has it.
    #[must_use]
    pub fn signature(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.signatures.push(name.into());
        self
    }

    /// Sets the account of lists that are asked for without one.
    #[must_use]
    pub fn account(mut self, account: impl Into<Cow<'static, str>>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// The table.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] for a text that cannot be read, with its field; for a name, account, prefix or
    /// signature that is empty or longer than 255 bytes; where no route creates orders,
    /// requests have no client order id, or responses no id of the broker's; and for a query that the
    /// rules need and the table has not.
    pub fn build(self) -> Result<BrokerTable, InvalidConfig> {
        self.check_names()?;
        let routes = self.routes()?;
        let others = self.others.iter();
        let other =
            |text: &Text| Route::new("other_route", text, Operation::Create, Handling::Passes);
        let others = others.map(other).collect::<Result<_, _>>()?;
        let requests = self.requests.each_ref().map(RequestReader::new);
        let [create, replace, cancel] = requests;
        let requests = [create?, replace?, cancel?];
        self.check(&requests)?;
        let reply = |operation| self.reply_reader(operation);
        let lists = |lists: &[Option<ListRequest>; 4]| {
            let [by_id, open, closed, fills] = lists.each_ref().map(|list| match list {
                Some(list) => self.list_reader(list).map(Some),
                None => Ok(None),
            });
            Ok::<_, InvalidConfig>([by_id?, open?, closed?, fills?])
        };
        let queries = lists(&self.queries)?;
        let mut lists = lists(&self.lists)?;
        for (list, query) in lists.iter_mut().zip(&queries) {
            let needs_no_order = |query: &&OrderListReader| {
                let places = [Place::Id, Place::BrokerId, Place::Symbol];
                !places.iter().any(|place| query.list.request.has(*place))
            };
            if list.is_none() {
                *list = query.as_ref().filter(needs_no_order).cloned();
            }
        }
        let cancels = self.cancels.iter();
        let positions = self.positions.as_ref();
        let positions = positions.map(|(list, fields)| match list.fields {
            Some(_) => Err(InvalidConfig::new("positions", "fields of orders", "none")),
            None => PositionReader::new(list, fields, &self.reply_rules),
        });
        Ok(BrokerTable {
            routes,
            others,
            requests,
            replies: [
                reply(Operation::Create)?,
                reply(Operation::Replace)?,
                reply(Operation::Cancel)?,
            ],
            queries,
            lists,
            cancels: cancels
                .map(|cancel| Template::new("cancel", cancel))
                .collect::<Result<_, _>>()?,
            positions: positions.transpose()?,
            states: States(self.states),
            name: self.name,
            rules: self.rules,
            ids: self.ids,
            client_prefix: self.client_prefix,
            signatures: self.signatures,
            account: self.account,
        })
    }

    fn routes(&self) -> Result<Vec<Route>, InvalidConfig> {
        let routes = self.routes.iter();
        let routes = routes
            .map(|(operation, handling, text)| Route::new("route", text, *operation, *handling));
        routes.collect()
    }

    fn check_names(&self) -> Result<(), InvalidConfig> {
        check_name("name", &self.name)?;
        let account = self.account.iter().map(|text| ("account", text));
        let prefix = self
            .client_prefix
            .iter()
            .map(|text| ("client_prefix", text));
        let signatures = self.signatures.iter().map(|text| ("signature", text));
        let mut names = account.chain(prefix).chain(signatures);
        names.try_for_each(|(field, text)| check_name(field, text))
    }

    fn check(&self, requests: &[RequestReader; 3]) -> Result<(), InvalidConfig> {
        let missing = |field: &'static str, accepted: String| {
            Err(InvalidConfig::new(field, "not set", accepted))
        };
        let creates = |(operation, handling, _): &(Operation, Handling, Text)| {
            *operation == Operation::Create && *handling == Handling::Orders
        };
        if !self.routes.iter().any(creates) {
            return missing("route", "at least one that creates orders".to_owned());
        }
        for (rules, request) in self.rules.iter().zip(requests) {
            let Some(rules) = rules else {
                continue;
            };
            if rules.operation() == Operation::Cancel {
                let accepted = "nothing for a cancel: repeating it is safe";
                return Err(InvalidConfig::new("rules", "cancel", accepted));
            }
            if !request.writes_id() {
                let operation = rules.operation().as_str();
                return missing("id", format!("where a {operation} has the client order id"));
            }
            for query in rules.coverage().queries() {
                if self.queries[place(*query)].is_none() {
                    let coverage = rules.coverage().as_str();
                    let accepted = format!("a request, since `coverage` is `{coverage}`");
                    return missing(query_field(*query), accepted);
                }
            }
        }
        if self.reply.broker_id.is_none() {
            return missing(
                "reply.broker_id",
                "where a response has the broker's id".to_owned(),
            );
        }
        Ok(())
    }

    fn reply_reader(&self, operation: Operation) -> Result<ReplyReader, InvalidConfig> {
        let mut paths = Paths::default();
        let meanings = Meanings::new(&self.reply_rules, Some(operation), &mut paths)?;
        let mut fields = self.reply.clone();
        fields.state_unless_set = fields.state_unless_set.or(Some(OrderState::Open));
        Ok(ReplyReader {
            order: OrderReader::new(&fields, &mut paths)?,
            meanings,
            paths,
        })
    }

    fn list_reader(&self, list: &ListRequest) -> Result<OrderListReader, InvalidConfig> {
        let fields = list.fields.as_ref().unwrap_or(&self.orders);
        let is_fill = fields.id.is_some() && fields.filled.is_some();
        if fields.broker_id.is_none() && !is_fill {
            let accepted = "where an order of a list has the broker's id, or a fill has the client's \
                and its quantity";
            return Err(InvalidConfig::new("order.broker_id", "not set", accepted));
        }
        let mut items = Paths::default();
        let order = OrderReader::new(fields, &mut items)?;
        let list = ListReader::new("query", list, &self.reply_rules, items)?;
        Ok(OrderListReader { list, order })
    }
}

/// What the error of a missing query names.
const fn query_field(query: Query) -> &'static str {
    match query {
        Query::ById => "query.by_id",
        Query::Open => "query.open",
        Query::Closed => "query.closed",
        Query::Fills => "query.fills",
    }
}

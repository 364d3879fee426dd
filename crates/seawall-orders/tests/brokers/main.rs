//! The brokers of the catalogue as tables: what their documentation shows of requests and responses.
#![allow(clippy::unwrap_used, reason = "what is wrong fails the test")]

mod alpaca;
mod binance;
mod coinbase;
mod ibkr;
mod kite;
mod kraken;
mod oanda;
mod tradier;

use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response};
use seawall_orders::broker::{
    Broker, BrokerTable, FoundOrder, Listed, LookedUp, OrderReply, OrderRequest, SavedOrder,
};
use seawall_orders::ids::{IdRules, OrderIds};
use seawall_orders::protocol::{
    Coverage, Decimal, Duplicates, Operation, OrderState, Query, Reply, Rules,
};

const CREATE: Operation = Operation::Create;
const REPLACE: Operation = Operation::Replace;
const CANCEL: Operation = Operation::Cancel;

fn rules(duplicates: Duplicates, coverage: Coverage) -> Rules {
    let rules = Rules::builder(duplicates).coverage(coverage);
    rules.build().unwrap()
}

fn ids(longest: usize, characters: &'static str) -> OrderIds {
    let rules = IdRules::text(longest).unwrap().with_characters(characters);
    OrderIds::text(rules, "").unwrap()
}

fn request(line: &str, body: &'static str) -> Request<Bytes> {
    let (method, target) = line.split_once(' ').unwrap();
    let request = Request::builder().method(method).uri(target);
    request.body(Bytes::from_static(body.as_bytes())).unwrap()
}

fn response(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .body(body.into())
        .unwrap()
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// A request of a route, read.
fn read(broker: &BrokerTable, request: &Request<Bytes>) -> OrderRequest {
    let operation = broker.operation(request.method(), request.uri()).unwrap();
    broker.read(operation, request).unwrap()
}

/// The same request, with an id written into it, has this body or query; reading it finds the id.
fn written(broker: &BrokerTable, mut request: Request<Bytes>, id: &str) -> String {
    assert_eq!(read(broker, &request).id, None);
    broker.write_id(&mut request, id).unwrap();
    assert_eq!(read(broker, &request).id.as_deref(), Some(id));
    let query = request.uri().query().unwrap_or_default().to_owned();
    match &request.body()[..] {
        [] => query,
        body => String::from_utf8(body.to_vec()).unwrap(),
    }
}

/// What is looked up: an order of two of a symbol.
struct Saved {
    id: &'static str,
    broker_id: Option<&'static str>,
    request: OrderRequest,
}

impl Saved {
    fn new(broker: &BrokerTable, id: &'static str, request: &Request<Bytes>) -> Self {
        let request = read(broker, request);
        Self {
            id,
            broker_id: None,
            request,
        }
    }

    fn order(&self) -> SavedOrder<'_> {
        SavedOrder {
            operation: CREATE,
            id: self.id,
            broker_id: self.broker_id,
            request: &self.request,
            since: SystemTime::now(),
        }
    }

    /// The request of a query, as `GET /path?query` and its body.
    fn query(&self, broker: &BrokerTable, query: Query) -> String {
        line(&broker.query(query, &self.order()).unwrap())
    }

    fn found(
        &self,
        broker: &BrokerTable,
        query: Query,
        status: u16,
        body: &str,
    ) -> Vec<FoundOrder> {
        let response = response(status, body.to_owned());
        match broker.looked_up(query, &self.order(), &response) {
            LookedUp::Orders(orders) => orders,
            other => panic!("{other:?}"),
        }
    }

    fn page(&self, broker: &BrokerTable, query: Query, body: &str) -> (Vec<FoundOrder>, String) {
        match broker.looked_up(query, &self.order(), &response(200, body.to_owned())) {
            LookedUp::Page(orders, next) => (orders, line(&next)),
            other => panic!("{other:?}"),
        }
    }

    /// What every broker has in common: responses that say nothing of an order.
    fn check_unreadable(&self, broker: &BrokerTable, query: Query, good: &str) {
        let page = "<html><body>502 Bad Gateway</body></html>";
        let truncated = &good[..good.len() - 1];
        for (status, body) in [
            (500, good),
            (502, page),
            (200, page),
            (404, page),
            (200, truncated),
            (200, ""),
            (200, "{}"),
            (429, good),
            (401, "{}"),
            (403, good),
            (302, good),
        ] {
            let response = response(status, body.to_owned());
            let looked_up = broker.looked_up(query, &self.order(), &response);
            let is_failure = matches!(looked_up, LookedUp::Failed(_));
            assert!(is_failure, "{status} {body}: {looked_up:?}");
        }
    }
}

fn line(request: &Request<Bytes>) -> String {
    let body = std::str::from_utf8(request.body()).unwrap();
    let line = format!("{} {}", request.method(), request.uri());
    if body.is_empty() {
        line
    } else {
        format!("{line} {body}")
    }
}

fn reply(broker: &BrokerTable, operation: Operation, status: u16, body: &str) -> OrderReply {
    broker.reply(operation, &response(status, body.to_owned()))
}

/// The broker's own id of an accepted order, and its state.
fn accepted(broker: &BrokerTable, status: u16, body: &str) -> (String, OrderState) {
    let reply = reply(broker, CREATE, status, body);
    let Reply::Accepted(report) = reply.reply else {
        panic!("{reply:?}");
    };
    let order = reply.order.unwrap();
    assert_eq!(order.figures.state, report.state);
    assert_eq!(order.body, body.as_bytes());
    (order.broker_id.into(), report.state)
}

fn is(broker: &BrokerTable, status: u16, body: &str) -> Reply {
    reply(broker, CREATE, status, body).reply
}

/// What every broker has in common: responses to a create by their status alone.
fn check_statuses(broker: &BrokerTable, good: &str) {
    for status in [408, 409, 425, 499, 500, 502, 503, 504, 520, 302] {
        let reply = is(broker, status, "<html>error</html>");
        assert!(matches!(reply, Reply::Unknown(_)), "{status}: {reply:?}");
    }
    for status in [400, 401, 403, 404, 405, 422] {
        assert_eq!(is(broker, status, ""), Reply::Rejected, "{status}");
        let reply = is(broker, status, "<html>blocked</html>");
        assert!(matches!(reply, Reply::Unknown(_)), "{status}: {reply:?}");
    }
    assert_eq!(is(broker, 429, ""), Reply::Throttled);
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "<html>ok</html>",
        &good[..good.len() - 1],
    ] {
        let reply = is(broker, 200, body);
        assert!(matches!(reply, Reply::Unknown(_)), "{body}: {reply:?}");
    }
}

fn listed(broker: &BrokerTable, query: Query, body: &str) -> Vec<FoundOrder> {
    match broker.listed(query, None, &response(200, body.to_owned())) {
        Listed::All(orders) => orders,
        other => panic!("{other:?}"),
    }
}

fn positions(broker: &BrokerTable, body: &str) -> Vec<(String, String)> {
    match broker.listed_positions(None, &response(200, body.to_owned())) {
        Listed::All(positions) => positions
            .into_iter()
            .map(|position| (position.symbol.into(), position.quantity.to_string()))
            .collect(),
        other => panic!("{other:?}"),
    }
}

//! Orders by the tables of the catalogue: what each broker's documents and clients show of requests,
//! responses and look-ups. `docs/providers.md` has the sources.

mod brokers;
mod exchanges;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response};
use seawall::catalog::{Catalog, Provider};
use seawall::orders::broker::{
    Broker, BrokerTable, Listed, LookedUp, OrderRequest, SavedOrder, Target,
};
use seawall::orders::protocol::{Duplicates, Operation, OrderState, Query, Reply};

use Operation::{Cancel, Create, Replace};

/// What a response means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    /// Accepted: the broker's own id, and the state.
    Taken(&'static str, OrderState),
    /// The same without an id in the response.
    Done(OrderState),
    Rejected,
    Duplicate,
    Throttled,
    Unknown,
}
use Means::{Done, Duplicate, Rejected, Taken, Throttled, Unknown};

type Responses = &'static [(u16, &'static str, Says)];

/// What a query says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// One order: the broker's own id, and the state.
    Found(&'static str, OrderState),
    Absent,
    /// So many orders.
    Several(usize),
    /// There is a further page, whose request ends so.
    Next(&'static str),
    Nothing,
}
use Says::{Absent, Found, Next, Nothing, Several};

/// A broker, and what it shows. The order is one of 2.
struct Shown {
    broker: &'static str,
    class: Duplicates,
    /// A request that creates an order, and how it begins or ends with an id.
    create: (&'static str, &'static str),
    id: &'static str,
    written: &'static str,
    replies: &'static [(Operation, u16, &'static str, Means)],
    queries: &'static [(Query, &'static str, Responses)],
    /// The request of a cancel by the broker's own id, which is 7.
    cancel: &'static str,
    /// A route that places orders without a client order id.
    rejected: &'static str,
    /// A list of no positions.
    none: &'static str,
    /// A list of positions, and what it has.
    positions: (&'static str, &'static [(&'static str, &'static str)]),
}

const SHOWN: [Shown; 8] = [
    brokers::ALPACA,
    exchanges::BINANCE,
    exchanges::COINBASE,
    brokers::IBKR,
    brokers::KITE,
    exchanges::KRAKEN,
    exchanges::OANDA,
    brokers::TRADIER,
];

fn table(name: &str) -> BrokerTable {
    let provider = seawall::provider(name).expect("it is in the catalogue");
    provider.broker_table().expect("it takes orders")
}

fn request((line, body): (&str, &'static str)) -> Request<Bytes> {
    let (method, target) = line.split_once(' ').expect("a method");
    let request = Request::builder().method(method).uri(target);
    request
        .body(Bytes::from_static(body.as_bytes()))
        .expect("valid")
}

fn response(status: u16, body: &str) -> Response<Bytes> {
    let response = Response::builder().status(status);
    response.body(Bytes::from(body.to_owned())).expect("valid")
}

fn line(request: &Request<Bytes>) -> String {
    let body = String::from_utf8_lossy(request.body());
    let line = format!("{} {} {body}", request.method(), request.uri());
    line.trim_end().to_owned()
}

fn means(
    broker: &BrokerTable,
    operation: Operation,
    status: u16,
    body: &str,
) -> (Reply, Option<String>) {
    let reply = broker.reply(operation, &response(status, body));
    (reply.reply, reply.order.map(|order| order.broker_id.into()))
}

fn fits_reply(seen: &(Reply, Option<String>), expected: Means) -> bool {
    match (&seen.0, expected) {
        (Reply::Accepted(report), Taken(id, state)) => {
            report.state == state && seen.1.as_deref() == Some(id)
        }
        (Reply::Accepted(report), Done(state)) => report.state == state && seen.1.is_none(),
        (Reply::Rejected, Rejected)
        | (Reply::Duplicate, Duplicate)
        | (Reply::Throttled, Throttled)
        | (Reply::Unknown(_), Unknown) => true,
        _ => false,
    }
}

fn fits_query(seen: &LookedUp, expected: Says) -> bool {
    match (seen, expected) {
        (LookedUp::Orders(orders), Found(id, state)) => {
            orders.len() == 1 && *orders[0].broker_id == *id && orders[0].figures.state == state
        }
        (LookedUp::Orders(orders), Absent) => orders.is_empty(),
        (LookedUp::Orders(orders), Several(count)) => orders.len() == count,
        (LookedUp::Page(_, next), Next(end)) => line(next).ends_with(end),
        (LookedUp::Failed(_), Nothing) => true,
        _ => false,
    }
}

/// What a table reads otherwise than it is shown.
fn mistaken(broker: &BrokerTable, shown: &Shown) -> Vec<String> {
    let mut mistaken = Vec::new();
    for (operation, status, body, expected) in shown.replies {
        let seen = means(broker, *operation, *status, body);
        if !fits_reply(&seen, *expected) {
            mistaken.push(format!("{operation:?} {status} {body}: {seen:?}"));
        }
    }
    let order = broker.read(Create, &request(shown.create));
    let order = order.expect("it can be read");
    for (query, expected, responses) in shown.queries {
        let saved = saved(shown, &order, None);
        let asked = broker.query(*query, &saved).expect("there is one");
        let asked = line(&asked);
        if !asked.starts_with(expected) {
            mistaken.push(asked);
        }
        for (status, body, says) in *responses {
            let seen = broker.looked_up(*query, &saved, &response(*status, body));
            if !fits_query(&seen, *says) {
                mistaken.push(format!("{query:?} {status} {body}: {seen:?}"));
            }
        }
    }
    let none = broker.listed_positions(None, &response(200, shown.none));
    if !matches!(&none, Listed::All(held) if held.is_empty()) {
        mistaken.push(format!("{none:?}"));
    }
    let list = broker.listed_positions(None, &response(200, shown.positions.0));
    let Listed::All(held) = &list else {
        mistaken.push(format!("{list:?}"));
        return mistaken;
    };
    let held: Vec<_> = held
        .iter()
        .map(|p| (p.symbol.to_string(), p.quantity.to_string()))
        .collect();
    let expected = shown
        .positions
        .1
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
    if !held.iter().cloned().eq(expected) {
        mistaken.push(format!("{held:?}"));
    }
    mistaken
}

fn saved<'a>(
    shown: &'a Shown,
    request: &'a OrderRequest,
    broker_id: Option<&'a str>,
) -> SavedOrder<'a> {
    SavedOrder {
        operation: Create,
        id: shown.id,
        broker_id,
        request,
        since: SystemTime::now(),
    }
}

#[test]
fn orders_are_read_and_get_an_id() {
    for shown in &SHOWN {
        let broker = table(shown.broker);
        let name = shown.broker;
        let mut create = request(shown.create);
        assert_eq!(
            broker.operation(create.method(), create.uri()),
            Some(Create),
            "{name}"
        );
        let order = broker.read(Create, &create).expect("it can be read");
        assert_eq!(order.id, None, "{name}");
        assert!(
            order.symbol.is_some() && order.side.is_some(),
            "{name}: {order:?}"
        );
        assert_eq!(
            order.quantity,
            Some("2".parse().expect("a number")),
            "{name}"
        );
        broker
            .write_id(&mut create, shown.id)
            .expect("it can be written");
        let written = line(&create);
        assert!(written.contains(shown.written), "{written}");
        let again = broker.read(Create, &create).expect("it can be read");
        assert_eq!(again.id.as_deref(), Some(shown.id), "{name}");
        for _ in 0..100 {
            let id = broker.new_id();
            broker.ids().rules().check(&id).expect("it fits");
        }
        assert!(
            broker
                .write_id(&mut request(shown.create), &"x".repeat(300))
                .is_err()
        );
    }
}

#[test]
fn what_a_broker_sends_is_known_by_its_table() {
    for shown in &SHOWN {
        let mistaken = mistaken(&table(shown.broker), shown);
        assert!(
            mistaken.is_empty(),
            "{}: {}",
            shown.broker,
            mistaken.join("\n")
        );
    }
}

/// A query that cannot be answered is never an order that does not exist.
#[test]
fn a_response_that_says_nothing_is_a_failed_query() {
    for shown in &SHOWN {
        let broker = table(shown.broker);
        let order = broker
            .read(Create, &request(shown.create))
            .expect("it can be read");
        for (query, _, responses) in shown.queries {
            let saved = saved(shown, &order, None);
            let says =
                |status, body: &str| broker.looked_up(*query, &saved, &response(status, body));
            let found = responses
                .iter()
                .find(|(_, _, says)| matches!(says, Found(..)));
            let good = found.map_or("[]", |(_, body, _)| body);
            let cut = &good[..good.len() - 1];
            for (status, body) in [
                (200, ""),
                (200, "{}"),
                (200, "<html>"),
                (200, "null"),
                (200, cut),
                (408, good),
                (429, good),
                (500, good),
                (503, "<html>"),
            ] {
                let seen = says(status, body);
                let name = shown.broker;
                assert!(
                    matches!(seen, LookedUp::Failed(_)),
                    "{name} {status} {body}: {seen:?}"
                );
            }
        }
    }
}

/// A response that broke off proves nothing, wherever it did.
#[test]
fn a_part_of_a_response_says_nothing() {
    for shown in &SHOWN {
        let broker = table(shown.broker);
        let order = broker
            .read(Create, &request(shown.create))
            .expect("it can be read");
        let name = shown.broker;
        for (query, _, responses) in shown.queries {
            let saved = saved(shown, &order, None);
            for (_, body, _) in *responses {
                for end in 0..body.len() {
                    let part = response(200, &body[..end]);
                    let seen = broker.looked_up(*query, &saved, &part);
                    let part = part.body();
                    assert!(matches!(seen, LookedUp::Failed(_)), "{name} {part:?}");
                }
            }
        }
        let creates = shown.replies.iter().filter(|reply| reply.0 == Create);
        for (_, status, body, _) in creates.filter(|reply| reply.1 < 300) {
            for end in 0..body.len() {
                let part = &body[..end];
                let seen = means(&broker, Create, *status, part);
                assert!(fits_reply(&seen, Unknown), "{name} {part}: {seen:?}");
            }
        }
    }
}

#[test]
fn cancels_and_targets() {
    for shown in &SHOWN {
        let broker = table(shown.broker);
        let order = broker
            .read(Create, &request(shown.create))
            .expect("it can be read");
        let cancel = broker
            .cancel(&saved(shown, &order, Some("7")))
            .expect("there is one");
        assert_eq!(line(&cancel), shown.cancel);
        // It is one that the table knows: of that order.
        let operation = broker.operation(cancel.method(), cancel.uri());
        assert_eq!(operation, Some(Cancel), "{}", shown.broker);
        let target = broker.read(Cancel, &cancel).expect("it can be read").target;
        let known = [Target::Broker("7".into()), Target::Client(shown.id.into())];
        assert!(
            target.is_some_and(|target| known.contains(&target)),
            "{}",
            shown.broker
        );
    }
}

#[test]
fn orders_without_an_id_are_rejected_or_pass_on_purpose() {
    for shown in SHOWN.iter().filter(|shown| !shown.rejected.is_empty()) {
        let broker = table(shown.broker);
        let request = request((shown.rejected, ""));
        let operation = broker.operation(request.method(), request.uri());
        let operation = operation.expect("it places orders");
        let rejected = broker.read(operation, &request).expect_err("it has no id");
        assert_eq!(rejected.field(), "route", "{}", shown.broker);

        let provider = seawall::provider(shown.broker).expect("known");
        let table = provider.broker_table_builder().expect("it takes orders");
        let table = table
            .unprotected_route(shown.rejected.to_owned())
            .build()
            .expect("valid");
        assert_eq!(table.operation(request.method(), request.uri()), None);
    }
}

#[test]
fn the_rules_are_those_of_the_class() {
    for shown in &SHOWN {
        let broker = table(shown.broker);
        let rules = broker.rules(Create).expect("creates have rules");
        assert_eq!(rules.duplicates(), shown.class, "{}", shown.broker);
        if shown.class == Duplicates::Accept {
            assert_eq!(rules.resends(), 0, "{}", shown.broker);
        }
        assert!(broker.rules(Cancel).is_none(), "{}", shown.broker);
        let replaces = matches!(shown.broker, "alpaca" | "binance" | "oanda");
        assert_eq!(
            broker.rules(Replace).is_some(),
            replaces,
            "{}",
            shown.broker
        );
    }
}

#[test]
fn every_broker_of_the_catalogue_is_shown() {
    let catalog = Catalog::embedded().expect("valid");
    let takes = catalog.providers().filter(Provider::takes_orders);
    let takes: BTreeSet<_> = takes.map(|provider| provider.name().to_owned()).collect();
    let shown: BTreeSet<_> = SHOWN.iter().map(|shown| shown.broker.to_owned()).collect();
    assert_eq!(takes, shown);
    let polygon = seawall::provider("polygon").expect("known");
    let rejected = polygon.broker_table().expect_err("it takes no orders");
    assert_eq!(rejected.field(), "orders");
}

/// The texts of a file in each of which one rule of replies means something else.
fn with_a_wrong_reply(text: &str) -> Vec<String> {
    let rules = text.match_indices("[[orders.replies]]").map(|(at, _)| at);
    let changed = rules.map(|at| {
        let (before, rule) = text.split_at(at);
        let end = rule.find("\n\n").unwrap_or(rule.len());
        let (rule, after) = rule.split_at(end);
        let kept = rule.lines().filter(|line| !line.starts_with("state ="));
        let lines: Vec<_> = kept
            .map(|line| match line.strip_prefix("means = ") {
                Some("\"unknown\"") => "means = \"not-found\"",
                Some(_) => "means = \"unknown\"",
                None => line,
            })
            .collect();
        format!("{before}{}{after}", lines.join("\n"))
    });
    changed.collect()
}

/// Where a rule of a file is wrong, something is read otherwise than it is shown.
#[test]
fn every_rule_of_the_catalogue_is_shown() {
    let catalog = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/seawall/catalog");
    let folder = std::env::temp_dir().join(format!("seawall-replies-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("writable");
    let (mut rules, mut unseen) = (0, Vec::new());
    for shown in &SHOWN {
        let text = fs::read_to_string(catalog.join(shown.broker).with_extension("toml"));
        for (nth, wrong) in with_a_wrong_reply(&text.expect("there")).iter().enumerate() {
            rules += 1;
            fs::write(folder.join("wrong.toml"), wrong).expect("writable");
            let known = Catalog::embedded().expect("valid").clone();
            let wrong = known
                .with_folder(&folder)
                .expect("valid")
                .provider(shown.broker);
            let table = wrong.expect("known").broker_table().expect("valid");
            if mistaken(&table, shown).is_empty() {
                unseen.push(format!("{} {nth}", shown.broker));
            }
        }
    }
    fs::remove_dir_all(&folder).expect("there");
    assert!(rules > 25, "{rules}");
    assert!(unseen.is_empty(), "{unseen:?}");
}

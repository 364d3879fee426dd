use super::*;
use seawall_orders::broker::{
    ListRequest, Meaning, OrderFields, PositionFields, ReplyRule, RequestFields,
};

fn alpaca() -> BrokerTable {
    let rules = rules(Duplicates::RejectWhileOpen, Coverage::ById);
    let order = RequestFields::new()
        .id("client_order_id")
        .symbol("symbol")
        .side("side")
        .quantity("qty")
        .price("limit_price")
        .notional("notional");
    let found = OrderFields::new("id")
        .id("client_order_id")
        .symbol("symbol")
        .side("side")
        .state("status")
        .quantity("qty")
        .filled("filled_qty");
    let list = |status| {
        ListRequest::new(format!("GET /v2/orders?status={status}&limit=500"))
            .most(500)
            .after_last("until", "submitted_at")
    };
    BrokerTable::builder("alpaca", rules, ids(128, "-_."))
        .rules(
            Rules::builder(Duplicates::RejectWhileOpen)
                .operation(REPLACE)
                .build()
                .unwrap(),
        )
        .route(CREATE, "POST /v2/orders")
        .route(REPLACE, "PATCH /v2/orders/{order}")
        .route(CANCEL, "DELETE /v2/orders/{order}")
        .rejected_route(CREATE, "DELETE /v2/positions/**")
        .request(CREATE, order.clone())
        .request(REPLACE, order)
        .reply(found.clone())
        .order(found)
        .state("new", OrderState::Open)
        .state("accepted", OrderState::Open)
        .state("partially_filled", OrderState::PartiallyFilled)
        .state("filled", OrderState::Filled)
        .state("canceled", OrderState::Cancelled)
        .state("rejected", OrderState::Rejected)
        .rule(
            ReplyRule::new(Meaning::Duplicate)
                .statuses([422])
                .at("message")
                .contains(["must be unique"]),
        )
        .rule(
            ReplyRule::new(Meaning::NotFound)
                .statuses([404])
                .at("code")
                .equals(["40410000"]),
        )
        .query(
            Query::ById,
            ListRequest::new("GET /v2/orders:by_client_order_id?client_order_id={id}"),
        )
        .query(Query::Open, list("open"))
        .cancel("DELETE /v2/orders/{broker_id}")
        .positions(
            ListRequest::new("GET /v2/positions"),
            PositionFields::new("symbol", "qty").side("side"),
        )
        .build()
        .unwrap()
}

const ORDER: &str = r#"{"symbol":"AAPL","qty":"2","side":"buy","type":"limit","limit_price":187.5,"time_in_force":"day"}"#;
const REPLY: &str = r#"{"id":"904837e3-3b76-47ec-b432-046db621571b","client_order_id":"desk-1","symbol":"AAPL","qty":"2","filled_qty":"0","side":"buy","status":"accepted"}"#;

fn saved(broker: &BrokerTable) -> Saved {
    Saved::new(broker, "desk-1", &request("POST /v2/orders", ORDER))
}

#[test]
fn an_order_is_read_and_gets_an_id() {
    let broker = alpaca();
    let order = read(&broker, &request("POST /v2/orders", ORDER));
    assert_eq!(order.symbol.as_deref(), Some("AAPL"));
    assert_eq!(order.quantity, Some(decimal("2")));
    assert_eq!(order.price, Some(decimal("187.5")));
    assert!(!order.reduces);
    let body = written(&broker, request("POST /v2/orders", ORDER), "desk-1");
    assert!(
        body.starts_with(r#"{"client_order_id":"desk-1","symbol""#),
        "{body}"
    );
    let by_notional = request(
        "POST /v2/orders",
        r#"{"symbol":"X","notional":1e2,"client_order_id":null}"#,
    );
    assert_eq!(read(&broker, &by_notional).notional, Some(decimal("100")));
    let body = written(&broker, by_notional, "desk-1");
    assert_eq!(
        body,
        r#"{"symbol":"X","notional":1e2,"client_order_id":"desk-1"}"#
    );
}

/// Its body is JSON: an id beside it is not the order's.
#[test]
fn an_id_in_the_query_is_none() {
    let beside = request("POST /v2/orders?client_order_id=zz", ORDER);
    assert_eq!(read(&alpaca(), &beside).id, None);
}

#[test]
fn a_replace_names_the_order() {
    let broker = alpaca();
    let replace = request("PATCH /v2/orders/904837e3", r#"{"qty":"3"}"#);
    let read = read(&broker, &replace);
    assert_eq!(
        read.target,
        Some(seawall_orders::broker::Target::Broker("904837e3".into()))
    );
    assert!(broker.rules(REPLACE).is_some());
    assert!(broker.rules(CANCEL).is_none());
}

#[test]
fn what_is_no_order_passes() {
    let broker = alpaca();
    for line in [
        "GET /v2/orders",
        "POST /v2/orders/1",
        "POST /v2/watchlists",
        "DELETE /v2/orders",
    ] {
        let request = request(line, "");
        assert_eq!(
            broker.operation(request.method(), request.uri()),
            None,
            "{line}"
        );
    }
}

#[test]
fn a_bad_order_is_an_error() {
    let broker = alpaca();
    for (body, field) in [
        ("", "body"),
        ("{", "body"),
        ("{\"symbol\":\"A\"} x", "body"),
        (r#"{"symbol":"A","symbol":"B"}"#, "body"),
        ("<order/>", "body"),
        (r#"{"symbol":"A","qty":"many"}"#, "quantity"),
        (r#"{"symbol":"A","limit_price":[1]}"#, "price"),
        (r#"{"symbol":"A","side":"up"}"#, "side"),
        (
            r#"{"symbol":"A","client_order_id":"a b"}"#,
            "client order id",
        ),
    ] {
        let error = broker.read(CREATE, &request("POST /v2/orders", body)).err();
        assert_eq!(error.map(|error| error.field()), Some(field), "{body}");
    }
    let close = request("DELETE /v2/positions/AAPL", "");
    assert_eq!(broker.operation(close.method(), close.uri()), Some(CREATE));
    assert_eq!(broker.read(CREATE, &close).unwrap_err().field(), "route");
}

#[test]
fn replies() {
    let broker = alpaca();
    assert_eq!(accepted(&broker, 200, REPLY).1, OrderState::Open);
    let duplicate = r#"{"code":40010001,"message":"client_order_id must be unique"}"#;
    assert_eq!(is(&broker, 422, duplicate), Reply::Duplicate);
    let rejected = r#"{"code":40310000,"message":"insufficient buying power"}"#;
    assert_eq!(is(&broker, 403, rejected), Reply::Rejected);
    let unknown = REPLY.replace("accepted", "a_new_word");
    assert!(matches!(is(&broker, 200, &unknown), Reply::Unknown(_)));
    assert!(matches!(
        reply(&broker, CANCEL, 204, "").reply,
        Reply::Accepted(_)
    ));
    assert_eq!(
        reply(&broker, CANCEL, 404, r#"{"code":40410000}"#).reply,
        Reply::Rejected
    );
    check_statuses(&broker, REPLY);
}

#[test]
fn look_ups() {
    let broker = alpaca();
    let saved = saved(&broker);
    let by_id = "GET /v2/orders:by_client_order_id?client_order_id=desk-1";
    assert_eq!(saved.query(&broker, Query::ById), by_id);
    let partly = REPLY.replace(r#""filled_qty":"0""#, r#""filled_qty":"1.5""#);
    let found = saved.found(&broker, Query::ById, 200, &partly);
    assert_eq!(found[0].figures.state, OrderState::PartiallyFilled);
    assert_eq!(found[0].figures.filled, decimal("1.5"));
    assert_eq!(found[0].body, partly);
    let absent = r#"{"code":40410000,"message":"order not found for desk-1"}"#;
    assert!(saved.found(&broker, Query::ById, 404, absent).is_empty());
    saved.check_unreadable(&broker, Query::ById, REPLY);
    // Such a response is none to the query.
    let other = REPLY.replace("desk-1", "desk-2");
    let looked_up = broker.looked_up(Query::ById, &saved.order(), &response(200, other));
    assert!(matches!(looked_up, LookedUp::Failed(_)));
    assert!(broker.query(Query::Fills, &saved.order()).is_none());
}

#[test]
fn pages_of_a_list() {
    let broker = alpaca();
    let all = broker.list(Query::Open, None).unwrap();
    assert_eq!(line(&all), "GET /v2/orders?status=open&limit=500");
    let order = REPLY.replace('}', r#","submitted_at":"2026-11-30T01:02:03.5Z"}"#);
    let page = |orders: usize| format!("[{}]", vec![order.clone(); orders].join(","));
    assert_eq!(listed(&broker, Query::Open, &page(499)).len(), 499);
    let Listed::Page(orders, next) = broker.listed(Query::Open, None, &response(200, page(500)))
    else {
        panic!("no page");
    };
    assert_eq!(orders.len(), 500);
    let next = line(&next);
    assert_eq!(
        next,
        "GET /v2/orders?status=open&limit=500&until=2026-11-30T01%3A02%3A03.5Z"
    );
    let several = saved(&broker).found(&broker, Query::Open, 200, &page(2));
    assert_eq!(several.len(), 2);
    assert!(
        saved(&broker)
            .found(&broker, Query::Open, 200, "[]")
            .is_empty()
    );
}

#[test]
fn cancels_and_positions() {
    let broker = alpaca();
    let mut saved = saved(&broker);
    assert!(broker.cancel(&saved.order()).is_none());
    saved.broker_id = Some("904837e3");
    let cancel = broker.cancel(&saved.order()).unwrap();
    assert_eq!(line(&cancel), "DELETE /v2/orders/904837e3");
    let body = r#"[{"symbol":"AAPL","qty":"5","side":"long"},{"symbol":"TSLA","qty":"-3","side":"short"}]"#;
    let expected = [("AAPL", "5"), ("TSLA", "-3")].map(|(a, b)| (a.into(), b.into()));
    assert_eq!(positions(&broker, body), expected);
}

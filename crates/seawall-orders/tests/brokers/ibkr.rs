use super::*;
use seawall_orders::broker::{
    ListRequest, Meaning, OrderFields, PositionFields, ReplyRule, RequestFields,
};
use std::time::Duration;

fn ibkr() -> BrokerTable {
    let rules = rules(Duplicates::RejectForATime, Coverage::IdThenFills);
    let order = RequestFields::new()
        .id("orders[0].cOID")
        .symbol("orders[0].conid | orders[0].conidex")
        .side("orders[0].side")
        .quantity("orders[0].quantity")
        .price("orders[0].price")
        .notional("orders[0].cashQty");
    let found = OrderFields::new("orderId")
        .id("order_ref")
        .symbol("conid")
        .side("side")
        .state("status")
        .quantity("totalSize")
        .filled("filledQuantity");
    let fill = OrderFields::default()
        .id("order_ref")
        .symbol("conid")
        .side("side")
        .filled("size")
        .state_unless_set(OrderState::Filled);
    let all = || ListRequest::new("GET /v1/api/iserver/account/orders").at("orders");
    BrokerTable::builder("ibkr", rules, ids(50, "-_."))
        .route(CREATE, "POST /v1/api/iserver/account/{account}/orders")
        .route(
            REPLACE,
            "POST /v1/api/iserver/account/{account}/order/{order}",
        )
        .route(
            CANCEL,
            "DELETE /v1/api/iserver/account/{account}/order/{order}",
        )
        .rejected_route(CREATE, "POST /v1/api/iserver/reply/*")
        .request(CREATE, order)
        .reply(OrderFields::new("[0].order_id | order_id").state("[0].order_status"))
        .order(found)
        .state("Submitted", OrderState::Open)
        .state("PreSubmitted", OrderState::Open)
        .state("Filled", OrderState::Filled)
        .state("Cancelled", OrderState::Cancelled)
        .rule(
            ReplyRule::new(Meaning::Duplicate)
                .statuses([200, 400])
                .at("error")
                .contains(["is already registered"]),
        )
        .rule(
            ReplyRule::new(Meaning::Rejected)
                .statuses([200, 400])
                .at("error"),
        )
        .rule(
            ReplyRule::new(Meaning::Rejected)
                .of(CREATE)
                .at("[0].message"),
        )
        .rule(
            ReplyRule::new(Meaning::Unknown)
                .at("snapshot")
                .equals(["false"]),
        )
        .query(Query::ById, all().reach(Duration::from_secs(4 * 3600)))
        .list(Query::Open, all())
        .query(
            Query::Fills,
            ListRequest::new("GET /v1/api/iserver/account/trades?days=7")
                .fields(fill)
                .reach(Duration::from_secs(6 * 24 * 3600)),
        )
        .cancel("DELETE /v1/api/iserver/account/{account}/order/{broker_id}")
        .positions(
            ListRequest::new("GET /v1/api/portfolio2/{account}/positions"),
            PositionFields::new("conid", "position"),
        )
        .build()
        .unwrap()
}

const ORDER: &str = r#"{"orders":[{"conid":265598,"side":"BUY","orderType":"LMT","price":165,"quantity":2,"tif":"DAY"}]}"#;
const REPLY: &str = r#"[{"order_id":"987654","order_status":"Submitted","encrypt_message":"1"}]"#;
const FOUND: &str = r#"{"orders":[{"acct":"U1","conid":265598,"orderId":987654,"order_ref":"desk-1","side":"BUY","status":"Submitted","totalSize":2.0,"filledQuantity":1.0}],"snapshot":true}"#;

fn saved(broker: &BrokerTable) -> Saved {
    let order = request("POST /v1/api/iserver/account/U1/orders", ORDER);
    Saved::new(broker, "desk-1", &order)
}

#[test]
fn an_order_is_one_of_a_list() {
    let broker = ibkr();
    let order = request("POST /v1/api/iserver/account/U1/orders", ORDER);
    assert_eq!(read(&broker, &order).symbol.as_deref(), Some("265598"));
    let body = written(&broker, order, "desk-1");
    assert!(
        body.starts_with(r#"{"orders":[{"cOID":"desk-1","conid""#),
        "{body}"
    );
    let bracket = r#"{"orders":[{"conid":1,"cOID":"a"},{"conid":1,"parentId":"a"}]}"#;
    let bracket = request("POST /v1/api/iserver/account/U1/orders", bracket);
    assert_eq!(
        broker.read(CREATE, &bracket).unwrap_err().accepted(),
        "one order in a request"
    );
    let mut none = request("POST /v1/api/iserver/account/U1/orders", r#"{"orders":[]}"#);
    assert!(broker.write_id(&mut none, "desk-1").is_err());
    let confirmed = request(
        "POST /v1/api/iserver/reply/07a13a5a",
        r#"{"confirmed":true}"#,
    );
    assert_eq!(
        broker.read(CREATE, &confirmed).unwrap_err().field(),
        "route"
    );
}

#[test]
fn a_question_places_no_order() {
    let broker = ibkr();
    assert_eq!(
        accepted(&broker, 200, REPLY),
        ("987654".into(), OrderState::Open)
    );
    let question = r#"[{"id":"07a13a5a-4a48-44a5-bb25-5ab37b79186c","message":["The following order exceeds the price limit"],"isSuppressed":false,"messageIds":["o163"]}]"#;
    assert_eq!(is(&broker, 200, question), Reply::Rejected);
    let duplicate =
        r#"{"error":"Order couldn't be submitted: Local order ID=desk-1 is already registered."}"#;
    assert_eq!(is(&broker, 400, duplicate), Reply::Duplicate);
    assert_eq!(
        is(&broker, 200, r#"{"error":"Invalid price"}"#),
        Reply::Rejected
    );
    let down = r#"{"error":"Service Unavailable","statusCode":503}"#;
    assert!(matches!(is(&broker, 503, down), Reply::Unknown(_)));
    check_statuses(&broker, REPLY);
}

#[test]
fn look_ups() {
    let broker = ibkr();
    let saved = saved(&broker);
    let found = saved.found(&broker, Query::ById, 200, FOUND);
    assert_eq!(found[0].figures.state, OrderState::PartiallyFilled);
    assert_eq!(&*found[0].broker_id, "987654");
    assert!(
        saved
            .found(
                &broker,
                Query::ById,
                200,
                r#"{"orders":[],"snapshot":true}"#
            )
            .is_empty()
    );
    // The first response after a login is empty.
    let looked_up = |saved: &Saved, query, body: &'static str| {
        broker.looked_up(query, &saved.order(), &response(200, body))
    };
    let empty = looked_up(&saved, Query::ById, r#"{"orders":[],"snapshot":false}"#);
    assert!(matches!(empty, LookedUp::Failed(_)));
    saved.check_unreadable(&broker, Query::ById, FOUND);

    let trades = r#"[{"execution_id":"1","order_ref":"desk-1","side":"B","size":1.0},{"execution_id":"2","order_ref":"desk-1","side":"B","size":1.0}]"#;
    let found = saved.found(&broker, Query::Fills, 200, trades);
    assert_eq!((found.len(), found[0].figures.filled), (1, decimal("2")));
    assert_eq!(found[0].figures.state, OrderState::Filled);
    assert!(saved.found(&broker, Query::Fills, 200, "[]").is_empty());

    // What is not in a list of the day may be older.
    let mut order = saved.order();
    order.since = order
        .since
        .checked_sub(Duration::from_secs(24 * 3600))
        .unwrap();
    let none = response(200, r#"{"orders":[],"snapshot":true}"#);
    let old = broker.looked_up(Query::ById, &order, &none);
    assert!(matches!(old, LookedUp::Failed(_)));
    let there = broker.looked_up(Query::ById, &order, &response(200, FOUND));
    assert!(matches!(there, LookedUp::Orders(orders) if orders.len() == 1));
}

#[test]
fn lists_cancels_and_positions() {
    let broker = ibkr();
    assert_eq!(listed(&broker, Query::Open, FOUND).len(), 1);
    let mut saved = saved(&broker);
    saved.broker_id = Some("987654");
    let cancel = line(&broker.cancel(&saved.order()).unwrap());
    assert_eq!(cancel, "DELETE /v1/api/iserver/account/U1/order/987654");
    let body = r#"[{"conid":265598,"position":-12.5,"description":"AAPL"}]"#;
    assert_eq!(
        positions(&broker, body),
        [("265598".into(), "-12.5".into())]
    );
}

use super::*;
use seawall_orders::broker::{
    ListRequest, Meaning, OrderFields, PositionFields, ReplyRule, RequestFields,
};

fn coinbase() -> BrokerTable {
    let rules = rules(Duplicates::ReturnFirst, Coverage::OpenThenClosed);
    let ids = OrderIds::uuid_v4(IdRules::text(128).unwrap().with_characters("-_").or_uuid());
    let order = RequestFields::new()
        .id("client_order_id")
        .symbol("product_id")
        .side("side")
        .quantity("order_configuration.*.base_size")
        .price("order_configuration.*.limit_price")
        .notional("order_configuration.*.quote_size");
    let found = OrderFields::new("order_id")
        .id("client_order_id")
        .symbol("product_id")
        .side("side")
        .state("status")
        .quantity("order_configuration.*.base_size")
        .filled("filled_size");
    let list = |which: &str| {
        ListRequest::new(format!(
            "GET /api/v3/brokerage/orders/historical/batch?{which}"
        ))
        .at("orders")
        .cursor("cursor", "cursor", Some("has_next".into()))
    };
    BrokerTable::builder("coinbase", rules, ids.unwrap())
        .route(CREATE, "POST /api/v3/brokerage/orders")
        .route(CANCEL, "POST /api/v3/brokerage/orders/batch_cancel")
        .request(CREATE, order)
        .request(
            CANCEL,
            RequestFields::new().target_broker_id("order_ids[0]"),
        )
        .reply(OrderFields::new("success_response.order_id").id("success_response.client_order_id"))
        .order(found)
        .state("OPEN", OrderState::Open)
        .state("FILLED", OrderState::Filled)
        .state("CANCELLED", OrderState::Cancelled)
        .state("EXPIRED", OrderState::Expired)
        .state("FAILED", OrderState::Rejected)
        .rule(
            ReplyRule::new(Meaning::Duplicate)
                .at("error_response.error | failure_reason")
                .equals(["DUPLICATE_CLIENT_ORDER_ID"]),
        )
        .rule(
            ReplyRule::new(Meaning::Rejected)
                .of(CREATE)
                .at("success")
                .equals(["false"]),
        )
        .rule(
            ReplyRule::new(Meaning::NotFound)
                .of(CANCEL)
                .at("results[0].success")
                .equals(["false"]),
        )
        .query(Query::Open, list("order_status=OPEN"))
        .query(
            Query::Closed,
            list("product_ids={symbol}&start_date={since}&limit=1000"),
        )
        .cancel(r#"POST /api/v3/brokerage/orders/batch_cancel {"order_ids":["{broker_id}"]}"#)
        .positions(
            ListRequest::new("GET /api/v3/brokerage/accounts?limit=250")
                .at("accounts")
                .cursor("cursor", "cursor", Some("has_next".into())),
            PositionFields::new("currency", "available_balance.value | hold.value"),
        )
        .build()
        .unwrap()
}

const ORDER: &str = r#"{"product_id":"BTC-USD","side":"SELL","order_configuration":{"limit_limit_gtc":{"base_size":"2","limit_price":"30000"}}}"#;
const ID: &str = "6d1b345e-2821-40e2-ad83-4ecb18a06876";
const FOUND: &str = r#"{"order_id":"0000-1","client_order_id":"6d1b345e-2821-40e2-ad83-4ecb18a06876","product_id":"BTC-USD","side":"SELL","status":"OPEN","filled_size":"0.5","order_configuration":{"limit_limit_gtc":{"base_size":"2"}}}"#;
const REPLY: &str = r#"{"success":true,"success_response":{"order_id":"0000-1","product_id":"BTC-USD","client_order_id":"6d1b345e"}}"#;

fn saved(broker: &BrokerTable) -> Saved {
    Saved::new(broker, ID, &request("POST /api/v3/brokerage/orders", ORDER))
}

#[test]
fn an_order_is_read_and_gets_an_id() {
    let broker = coinbase();
    let order = request("POST /api/v3/brokerage/orders", ORDER);
    let known = read(&broker, &order);
    assert_eq!(known.quantity, Some(decimal("2")));
    assert_eq!(known.price, Some(decimal("30000")));
    assert_eq!(known.side, Some(seawall_orders::protocol::Side::Sell));
    let id = broker.new_id();
    let body = written(&broker, order, &id);
    assert!(body.starts_with(&format!(r#"{{"client_order_id":"{id}","#)));
    let market =
        r#"{"client_order_id":"","order_configuration":{"market_market_ioc":{"quote_size":"10"}}}"#;
    let market = request("POST /api/v3/brokerage/orders", market);
    assert_eq!(read(&broker, &market).notional, Some(decimal("10")));
    // An empty id makes one SDK invent another one for each call.
    assert!(written(&broker, market, &id).contains(&id));
}

#[test]
fn replies() {
    let broker = coinbase();
    assert_eq!(
        accepted(&broker, 200, REPLY),
        ("0000-1".into(), OrderState::Open)
    );
    let rejected = r#"{"success":false,"error_response":{"error":"INSUFFICIENT_FUND","message":"Insufficient balance"}}"#;
    assert_eq!(is(&broker, 200, rejected), Reply::Rejected);
    let duplicate = r#"{"success":false,"error_response":{"error":"DUPLICATE_CLIENT_ORDER_ID"}}"#;
    assert_eq!(is(&broker, 200, duplicate), Reply::Duplicate);
    let cancelled = r#"{"results":[{"success":true,"failure_reason":"UNKNOWN_CANCEL_FAILURE_REASON","order_id":"0000-1"}]}"#;
    assert!(matches!(
        reply(&broker, CANCEL, 200, cancelled).reply,
        Reply::Accepted(_)
    ));
    let gone = r#"{"results":[{"success":false,"failure_reason":"UNKNOWN_CANCEL_ORDER","order_id":"0000-1"}]}"#;
    assert_eq!(reply(&broker, CANCEL, 200, gone).reply, Reply::Rejected);
    check_statuses(&broker, REPLY);
}

#[test]
fn look_ups_through_pages() {
    let broker = coinbase();
    let saved = saved(&broker);
    let open = "GET /api/v3/brokerage/orders/historical/batch?order_status=OPEN";
    assert_eq!(saved.query(&broker, Query::Open), open);
    let body = format!(r#"{{"orders":[{FOUND}],"has_next":false,"cursor":""}}"#);
    let found = saved.found(&broker, Query::Open, 200, &body);
    assert_eq!(found[0].figures.state, OrderState::PartiallyFilled);
    let none = r#"{"orders":[],"has_next":false,"cursor":""}"#;
    assert!(saved.found(&broker, Query::Open, 200, none).is_empty());
    saved.check_unreadable(&broker, Query::Open, &body);

    let closed = saved.query(&broker, Query::Closed);
    assert!(
        closed.contains("?product_ids=BTC-USD&start_date=20"),
        "{closed}"
    );
    assert!(closed.ends_with("Z&limit=1000"), "{closed}");
    let first = r#"{"orders":[],"has_next":true,"cursor":"789 100"}"#;
    let (found, next) = saved.page(&broker, Query::Closed, first);
    assert!(found.is_empty());
    assert!(next.ends_with("&limit=1000&cursor=789%20100"), "{next}");
    for lost in [
        r#"{"orders":[],"has_next":true,"cursor":""}"#,
        r#"{"orders":[],"cursor":"789"}"#,
    ] {
        let looked_up = broker.looked_up(Query::Closed, &saved.order(), &response(200, lost));
        assert!(matches!(looked_up, LookedUp::Failed(_)), "{lost}");
    }
}

#[test]
fn cancels_and_positions() {
    let broker = coinbase();
    let mut saved = saved(&broker);
    assert!(broker.cancel(&saved.order()).is_none());
    saved.broker_id = Some("0000-1");
    let cancel = broker.cancel(&saved.order()).unwrap();
    let expected = r#"POST /api/v3/brokerage/orders/batch_cancel {"order_ids":["0000-1"]}"#;
    assert_eq!(line(&cancel), expected);
    assert_eq!(cancel.headers()["content-type"], "application/json");
    let accounts = r#"{"accounts":[{"currency":"BTC","available_balance":{"value":"1","currency":"BTC"},"hold":{"value":"0.5"}}],"has_next":false}"#;
    assert_eq!(positions(&broker, accounts), [("BTC".into(), "1.5".into())]);
}

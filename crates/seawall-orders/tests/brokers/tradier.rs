use super::*;
use seawall_orders::broker::{
    ListRequest, Meaning, OrderFields, PositionFields, ReplyRule, RequestFields, Target,
};
use std::time::Duration;

fn tradier() -> BrokerTable {
    let rules = rules(Duplicates::Accept, Coverage::ById);
    let order = RequestFields::new()
        .id("tag")
        .symbol("option_symbol | symbol")
        .side("side")
        .quantity("quantity")
        .price("price");
    let found = OrderFields::new("id")
        .id("tag")
        .symbol("option_symbol | symbol")
        .side("side")
        .state("status")
        .quantity("quantity")
        .filled("exec_quantity");
    BrokerTable::builder("tradier", rules, ids(64, "-"))
        .route(CREATE, "POST /v1/accounts/{account}/orders")
        .route(REPLACE, "PUT /v1/accounts/{account}/orders/{order}")
        .route(CANCEL, "DELETE /v1/accounts/{account}/orders/{order}")
        .request(CREATE, order)
        .reply(OrderFields::new("order.id"))
        .order(found)
        .state("open", OrderState::Open)
        .state("pending", OrderState::Open)
        .state("filled", OrderState::Filled)
        .state("canceled", OrderState::Cancelled)
        .state("rejected", OrderState::Rejected)
        .rule(
            ReplyRule::new(Meaning::Rejected)
                .of(CREATE)
                .statuses([200])
                .at("errors.error"),
        )
        .rule(
            ReplyRule::new(Meaning::NotFound)
                .statuses([200])
                .at("orders")
                .equals(["null"]),
        )
        .rule(
            ReplyRule::new(Meaning::NotFound)
                .statuses([200])
                .at("positions")
                .equals(["null"]),
        )
        .query(
            Query::ById,
            ListRequest::new("GET /v1/accounts/{account}/orders?includeTags=true")
                .at("orders.order")
                .reach(Duration::from_secs(4 * 3600)),
        )
        .cancel("DELETE /v1/accounts/{account}/orders/{broker_id}")
        .positions(
            ListRequest::new("GET /v1/accounts/{account}/positions").at("positions.position"),
            PositionFields::new("symbol", "quantity"),
        )
        .account("VA000001")
        .build()
        .unwrap()
}

const ORDER: &str = "class=equity&symbol=SPY&side=sell_short&quantity=2&type=market&duration=day";
const REPLY: &str = r#"{"order":{"id":257459,"status":"ok","partner_id":"c4998eb7"}}"#;
const ONE: &str = r#"{"orders":{"order":{"id":257459,"symbol":"SPY","side":"sell_short","quantity":2.0,"status":"filled","exec_quantity":2.0,"tag":"desk-1"}}}"#;

fn saved(broker: &BrokerTable) -> Saved {
    Saved::new(
        broker,
        "desk-1",
        &request("POST /v1/accounts/VA1/orders", ORDER),
    )
}

#[test]
fn an_order_is_a_form() {
    let broker = tradier();
    let request = request("POST /v1/accounts/VA1/orders", ORDER);
    let order = read(&broker, &request);
    assert_eq!(order.side, Some(seawall_orders::protocol::Side::Sell));
    assert_eq!(order.account.as_deref(), Some("VA1"));
    assert_eq!(
        written(&broker, request, "desk-1"),
        format!("{ORDER}&tag=desk-1")
    );
    let cancel = super::request("DELETE /v1/accounts/VA1/orders/257459", "");
    assert_eq!(
        read(&broker, &cancel).target,
        Some(Target::Broker("257459".into()))
    );
}

#[test]
fn replies() {
    let broker = tradier();
    assert_eq!(
        accepted(&broker, 200, REPLY),
        ("257459".into(), OrderState::Open)
    );
    let rejected = r#"{"errors":{"error":["Backoffice rejected override of the order."]}}"#;
    assert_eq!(is(&broker, 200, rejected), Reply::Rejected);
    check_statuses(&broker, REPLY);
}

#[test]
fn look_ups_of_one_several_and_none() {
    let broker = tradier();
    let saved = saved(&broker);
    let expected = "GET /v1/accounts/VA1/orders?includeTags=true";
    assert_eq!(saved.query(&broker, Query::ById), expected);
    assert_eq!(saved.found(&broker, Query::ById, 200, ONE).len(), 1);
    let order = r#"{"id":1,"quantity":2,"status":"open","exec_quantity":0,"tag":"desk-1"}"#;
    let two = format!(r#"{{"orders":{{"order":[{order},{order}]}}}}"#);
    assert_eq!(saved.found(&broker, Query::ById, 200, &two).len(), 2);
    assert!(
        saved
            .found(&broker, Query::ById, 200, r#"{"orders":"null"}"#)
            .is_empty()
    );
    saved.check_unreadable(&broker, Query::ById, ONE);
    let xml = "<orders><order><id>1</id></order></orders>";
    let looked_up = broker.looked_up(Query::ById, &saved.order(), &response(200, xml));
    assert!(matches!(looked_up, LookedUp::Failed(_)));
}

#[test]
fn the_account_of_the_settings_is_used_for_lists() {
    let broker = tradier();
    let all = broker.list(Query::ById, None).unwrap();
    assert_eq!(
        line(&all),
        "GET /v1/accounts/VA000001/orders?includeTags=true"
    );
    assert_eq!(all.headers()["accept"], "application/json");
    let held = r#"{"positions":{"position":[{"symbol":"AAPL","quantity":-1.0}]}}"#;
    assert_eq!(positions(&broker, held), [("AAPL".into(), "-1".into())]);
    assert!(positions(&broker, r#"{"positions":"null"}"#).is_empty());
}

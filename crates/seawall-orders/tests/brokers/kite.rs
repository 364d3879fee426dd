use super::*;
use seawall_orders::broker::{
    ListRequest, Meaning, OrderFields, PositionFields, ReplyRule, RequestFields,
};
use std::time::Duration;

fn kite() -> BrokerTable {
    let rules = rules(Duplicates::Accept, Coverage::ById);
    let order = RequestFields::new()
        .id("tag")
        .symbol("tradingsymbol")
        .side("transaction_type")
        .quantity("quantity")
        .price("price");
    let found = OrderFields::new("order_id")
        .id("tag")
        .symbol("tradingsymbol")
        .side("transaction_type")
        .state("status")
        .quantity("quantity")
        .filled("filled_quantity");
    BrokerTable::builder("kite", rules, ids(20, ""))
        // The variety is what cancels need, as elsewhere the account.
        .route(CREATE, "POST /orders/{account}")
        .route(REPLACE, "PUT /orders/{account}/{order}")
        .route(CANCEL, "DELETE /orders/{account}/{order}")
        .request(CREATE, order)
        .reply(OrderFields::new("data.order_id"))
        .order(found)
        .state("OPEN", OrderState::Open)
        .state("COMPLETE", OrderState::Filled)
        .state("CANCELLED", OrderState::Cancelled)
        .state("REJECTED", OrderState::Rejected)
        .state("TRIGGER PENDING", OrderState::Open)
        .rule(
            ReplyRule::new(Meaning::Rejected)
                .statuses([400, 403])
                .at("error_type"),
        )
        .query(
            Query::ById,
            ListRequest::new("GET /orders")
                .at("data")
                .reach(Duration::from_secs(4 * 3600)),
        )
        .cancel("DELETE /orders/{account}/{broker_id}")
        .positions(
            ListRequest::new("GET /portfolio/positions").at("data.net"),
            PositionFields::new("tradingsymbol", "quantity"),
        )
        .build()
        .unwrap()
}

const ORDER: &str = "tradingsymbol=M%26M&exchange=NSE&transaction_type=BUY&order_type=MARKET&quantity=2&product=MIS&validity=DAY";
const REPLY: &str = r#"{"status":"success","data":{"order_id":"151220000000000"}}"#;
const FOUND: &str = r#"{"status":"success","data":[{"order_id":"151220000000000","status":"COMPLETE","tradingsymbol":"M&M","transaction_type":"BUY","quantity":2,"filled_quantity":2,"tag":"desk1"},{"order_id":"2","status":"CANCELLED","tag":null,"quantity":1,"filled_quantity":0}]}"#;

#[test]
fn an_order_is_a_form() {
    let broker = kite();
    let order = request("POST /orders/regular", ORDER);
    assert_eq!(read(&broker, &order).symbol.as_deref(), Some("M&M"));
    assert_eq!(
        written(&broker, order, "desk1"),
        format!("{ORDER}&tag=desk1")
    );
    let id = broker.new_id();
    assert_eq!(
        (id.len(), id.bytes().all(|b| b.is_ascii_alphanumeric())),
        (20, true)
    );
    let modify = request("PUT /orders/regular/151220000000000", "quantity=3");
    assert_eq!(
        broker.operation(modify.method(), modify.uri()),
        Some(REPLACE)
    );
    assert!(broker.rules(REPLACE).is_none());
    assert!(broker.write_id(&mut modify.clone(), "desk1").is_err());
}

#[test]
fn replies() {
    let broker = kite();
    assert_eq!(accepted(&broker, 200, REPLY).0, "151220000000000");
    let rejected =
        r#"{"status":"error","message":"Insufficient funds","error_type":"InputException"}"#;
    assert_eq!(is(&broker, 400, rejected), Reply::Rejected);
    let down =
        r#"{"status":"error","message":"Gateway timed out","error_type":"NetworkException"}"#;
    assert!(matches!(is(&broker, 504, down), Reply::Unknown(_)));
    check_statuses(&broker, REPLY);
}

#[test]
fn look_ups_by_label() {
    let broker = kite();
    let mut saved = Saved::new(&broker, "desk1", &request("POST /orders/regular", ORDER));
    assert_eq!(saved.query(&broker, Query::ById), "GET /orders");
    let found = saved.found(&broker, Query::ById, 200, FOUND);
    assert_eq!(
        (found.len(), found[0].figures.state),
        (1, OrderState::Filled)
    );
    let none = r#"{"status":"success","data":[]}"#;
    assert!(saved.found(&broker, Query::ById, 200, none).is_empty());
    let twice = FOUND.replace(r#""tag":null"#, r#""tag":"desk1""#);
    assert_eq!(saved.found(&broker, Query::ById, 200, &twice).len(), 2);
    saved.check_unreadable(&broker, Query::ById, FOUND);
    assert!(broker.cancel(&saved.order()).is_none());
    saved.broker_id = Some("7");
    assert_eq!(
        line(&broker.cancel(&saved.order()).unwrap()),
        "DELETE /orders/regular/7"
    );
    assert_eq!(listed(&broker, Query::ById, FOUND).len(), 2);
}

#[test]
fn positions_are_listed() {
    let body =
        r#"{"status":"success","data":{"net":[{"tradingsymbol":"M&M","quantity":-5}],"day":[]}}"#;
    assert_eq!(positions(&kite(), body), [("M&M".into(), "-5".into())]);
}

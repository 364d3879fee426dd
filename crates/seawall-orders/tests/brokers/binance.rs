use super::*;
use seawall_orders::broker::{
    ListRequest, Meaning, OrderFields, PositionFields, ReplyRule, RequestFields,
};

fn binance() -> BrokerTable {
    let rules = rules(Duplicates::RejectWhileOpen, Coverage::ById);
    let replace = Rules::builder(Duplicates::RejectWhileOpen).operation(REPLACE);
    let order = RequestFields::new()
        .id("newClientOrderId")
        .target_id("cancelOrigClientOrderId | origClientOrderId")
        .target_broker_id("cancelOrderId | orderId")
        .symbol("symbol")
        .side("side")
        .quantity("quantity | newQty")
        .price("price")
        .notional("quoteOrderQty");
    let found = OrderFields::new("orderId")
        .id("clientOrderId")
        .symbol("symbol")
        .side("side")
        .state("status")
        .quantity("origQty")
        .filled("executedQty");
    let reply = OrderFields::new("orderId | newOrderResponse.orderId | amendedOrder.orderId")
        .id("clientOrderId | newOrderResponse.clientOrderId | amendedOrder.clientOrderId")
        .state("status | newOrderResponse.status | amendedOrder.status")
        .quantity("origQty")
        .filled("executedQty");
    let code = |means, codes: &'static [&'static str]| {
        ReplyRule::new(means)
            .at("code")
            .equals(codes.iter().copied())
    };
    BrokerTable::builder("binance", rules, ids(36, ".:/_-"))
        .rules(replace.build().unwrap())
        .route(REPLACE, "POST /api/v3/order/cancelReplace")
        .route(CREATE, "POST /api/v3/order")
        .route(REPLACE, "PUT /api/v3/order/amend/keepPriority")
        .route(CANCEL, "DELETE /api/v3/order")
        .unprotected_route("POST /api/v3/orderList/*")
        .request(CREATE, order.clone())
        .request(REPLACE, order.clone())
        .request(CANCEL, order)
        .reply(reply)
        .order(found)
        .state("NEW", OrderState::Open)
        .state("PARTIALLY_FILLED", OrderState::PartiallyFilled)
        .state("FILLED", OrderState::Filled)
        .state("CANCELED", OrderState::Cancelled)
        .state("REJECTED", OrderState::Rejected)
        .state("EXPIRED", OrderState::Expired)
        .rule(
            ReplyRule::new(Meaning::Duplicate)
                .at("msg")
                .contains(["Duplicate order"]),
        )
        .rule(code(Meaning::NotFound, &["-2013", "-2011"]))
        .rule(code(Meaning::Unknown, &["-1006", "-1007"]))
        .rule(code(Meaning::Throttled, &["-1003", "-1015"]))
        .rule(ReplyRule::new(Meaning::Throttled).statuses([418]))
        .query(
            Query::ById,
            ListRequest::new("GET /api/v3/order?symbol={symbol}&origClientOrderId={id}"),
        )
        .query(Query::Open, ListRequest::new("GET /api/v3/openOrders"))
        .query(
            Query::Fills,
            ListRequest::new("GET /api/v3/myTrades?symbol={symbol}&limit=1000")
                .most(1000)
                .fields(
                    OrderFields::new("orderId")
                        .symbol("symbol")
                        .filled("qty")
                        .state_unless_set(OrderState::Filled),
                ),
        )
        .cancel("DELETE /api/v3/order?symbol={symbol}&origClientOrderId={id}")
        .positions(
            ListRequest::new("GET /api/v3/account").at("balances"),
            PositionFields::new("asset", "free | locked"),
        )
        .signature("signature")
        .build()
        .unwrap()
}

const ORDER: &str =
    "symbol=LTCBTC&side=BUY&type=LIMIT&quantity=2&price=0.1&timestamp=1499827319559";
const REPLY: &str = r#"{"symbol":"LTCBTC","orderId":28,"orderListId":-1,"clientOrderId":"desk-1","transactTime":1507725176595,"price":"0.10000000","origQty":"2.00000000","executedQty":"0.50000000","status":"PARTIALLY_FILLED","side":"BUY"}"#;

fn saved(broker: &BrokerTable) -> Saved {
    Saved::new(broker, "desk-1", &request("POST /api/v3/order", ORDER))
}

#[test]
fn an_order_is_a_form_or_a_query() {
    let broker = binance();
    let form = request("POST /api/v3/order", ORDER);
    let order = read(&broker, &form);
    assert_eq!(order.symbol.as_deref(), Some("LTCBTC"));
    assert_eq!(order.price, Some(decimal("0.1")));
    let expected = format!("{ORDER}&newClientOrderId=desk-1");
    assert_eq!(written(&broker, form, "desk-1"), expected);
    let query = request(&format!("POST /api/v3/order?{ORDER}"), "");
    assert_eq!(read(&broker, &query), order);
    assert_eq!(written(&broker, query, "desk-1"), expected);
}

#[test]
fn no_id_is_written_into_a_request_that_is_signed() {
    let broker = binance();
    for mut request in [
        request("POST /api/v3/order?signature=c8db5682", ORDER),
        request(
            "POST /api/v3/order",
            "symbol=LTCBTC&side=BUY&signature=c8db5682",
        ),
    ] {
        let error = broker.write_id(&mut request, "desk-1").unwrap_err();
        assert_eq!(error.field(), "signature");
    }
    let mut empty = request("POST /api/v3/order", "symbol=LTCBTC&newClientOrderId=");
    assert!(broker.write_id(&mut empty, "desk-1").is_err());
    assert!(broker.write_id(&mut empty, "an id with spaces").is_err());
}

#[test]
fn replaces_and_cancels_name_an_order() {
    use seawall_orders::broker::Target;
    let broker = binance();
    let replace = request(
        "POST /api/v3/order/cancelReplace",
        "symbol=LTCBTC&side=SELL&cancelOrigClientOrderId=desk-0&quantity=1",
    );
    assert_eq!(
        read(&broker, &replace).target,
        Some(Target::Client("desk-0".into()))
    );
    let cancel = request("DELETE /api/v3/order?symbol=LTCBTC&orderId=28", "");
    assert_eq!(
        read(&broker, &cancel).target,
        Some(Target::Broker("28".into()))
    );
    let list = request("POST /api/v3/orderList/oco", "");
    assert_eq!(broker.operation(list.method(), list.uri()), None);
}

#[test]
fn replies() {
    let broker = binance();
    assert_eq!(
        accepted(&broker, 200, REPLY),
        ("28".into(), OrderState::PartiallyFilled)
    );
    let acknowledged = r#"{"symbol":"LTCBTC","orderId":28,"clientOrderId":"desk-1"}"#;
    assert_eq!(accepted(&broker, 200, acknowledged).1, OrderState::Open);
    let duplicate = r#"{"code":-2010,"msg":"Duplicate order sent."}"#;
    assert_eq!(is(&broker, 400, duplicate), Reply::Duplicate);
    let funds = r#"{"code":-2010,"msg":"Account has insufficient balance for requested action."}"#;
    assert_eq!(is(&broker, 400, funds), Reply::Rejected);
    let timeout = r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#;
    assert!(matches!(is(&broker, 408, timeout), Reply::Unknown(_)));
    assert!(matches!(is(&broker, 400, timeout), Reply::Unknown(_)));
    assert_eq!(is(&broker, 418, ""), Reply::Throttled);
    assert_eq!(is(&broker, 429, r#"{"code":-1015}"#), Reply::Throttled);
    let replaced = r#"{"cancelResult":"SUCCESS","newOrderResult":"SUCCESS","newOrderResponse":{"orderId":29,"status":"NEW"}}"#;
    let replaced = reply(&broker, REPLACE, 200, replaced).order.unwrap();
    assert_eq!(&*replaced.broker_id, "29");
    let gone = r#"{"code":-2011,"msg":"Unknown order sent."}"#;
    assert_eq!(reply(&broker, CANCEL, 400, gone).reply, Reply::Rejected);
    check_statuses(&broker, REPLY);
}

#[test]
fn look_ups() {
    let broker = binance();
    let mut saved = saved(&broker);
    let by_id = "GET /api/v3/order?symbol=LTCBTC&origClientOrderId=desk-1";
    assert_eq!(saved.query(&broker, Query::ById), by_id);
    let found = saved.found(&broker, Query::ById, 200, REPLY);
    assert_eq!(found[0].figures.filled, decimal("0.5"));
    assert_eq!(found[0].figures.quantity, decimal("2"));
    let absent = r#"{"code":-2013,"msg":"Order does not exist."}"#;
    assert!(saved.found(&broker, Query::ById, 400, absent).is_empty());
    let expired =
        r#"{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}"#;
    let looked_up = broker.looked_up(Query::ById, &saved.order(), &response(400, expired));
    assert!(matches!(looked_up, LookedUp::Failed(_)));
    saved.check_unreadable(&broker, Query::ById, REPLY);

    // Trades have no client order id.
    let trades = r#"[{"symbol":"LTCBTC","id":1,"orderId":28,"qty":"0.5"},{"symbol":"LTCBTC","id":2,"orderId":28,"qty":"1"},{"symbol":"LTCBTC","id":3,"orderId":7,"qty":"9"}]"#;
    let looked_up = broker.looked_up(Query::Fills, &saved.order(), &response(200, trades));
    assert!(matches!(looked_up, LookedUp::Failed(_)));
    saved.broker_id = Some("28");
    let found = saved.found(&broker, Query::Fills, 200, trades);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].figures.state, OrderState::PartiallyFilled);
    assert_eq!(found[0].figures.filled, decimal("1.5"));
    assert_eq!(found[0].figures.quantity, decimal("2"));
}

#[test]
fn a_full_list_without_pages_says_nothing() {
    let broker = binance();
    let mut saved = saved(&broker);
    saved.broker_id = Some("28");
    let trade = r#"{"symbol":"LTCBTC","orderId":7,"qty":"1"}"#;
    let full = format!("[{}]", vec![trade; 1000].join(","));
    let looked_up = broker.looked_up(Query::Fills, &saved.order(), &response(200, full));
    assert!(matches!(looked_up, LookedUp::Failed(_)), "{looked_up:?}");
}

#[test]
fn lists_cancels_and_positions() {
    let broker = binance();
    let open = format!("[{REPLY}]");
    assert_eq!(
        listed(&broker, Query::Open, &open)[0].id.as_deref(),
        Some("desk-1")
    );
    assert!(listed(&broker, Query::Open, "[]").is_empty());
    // A query that needs a symbol lists no orders of all symbols.
    assert!(broker.list(Query::Fills, None).is_none());
    let cancel = broker.cancel(&saved(&broker).order()).unwrap();
    assert_eq!(
        line(&cancel),
        "DELETE /api/v3/order?symbol=LTCBTC&origClientOrderId=desk-1"
    );
    let account =
        r#"{"makerCommission":15,"balances":[{"asset":"BTC","free":"1.5","locked":"0.5"}]}"#;
    assert_eq!(positions(&broker, account), [("BTC".into(), "2".into())]);
}

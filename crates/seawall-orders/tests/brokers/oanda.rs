use super::*;
use seawall_orders::broker::{
    ListRequest, Meaning, OrderFields, PositionFields, ReplyRule, RequestFields, Target,
};
use seawall_orders::protocol::Side;

fn oanda() -> BrokerTable {
    let rules = rules(Duplicates::RejectWhileOpen, Coverage::OpenThenClosed);
    let order = RequestFields::new()
        .id("order.clientExtensions.id")
        .symbol("order.instrument")
        .quantity("order.units")
        .price("order.price")
        .reduces("order.positionFill", "REDUCE_ONLY");
    let reply = OrderFields::new("orderCreateTransaction.id")
        .id("orderCreateTransaction.clientExtensions.id")
        .symbol("orderCreateTransaction.instrument")
        .quantity("orderCreateTransaction.units")
        .filled("orderFillTransaction.units");
    let found = OrderFields::new("id")
        .id("clientExtensions.id")
        .symbol("instrument")
        .state("state")
        .quantity("units");
    let there =
        |means, path: &'static str| ReplyRule::new(means).of(CREATE).statuses([201]).at(path);
    BrokerTable::builder("oanda", rules, ids(128, "-_."))
        .rules(
            Rules::builder(Duplicates::RejectWhileOpen)
                .coverage(Coverage::OpenThenClosed)
                .operation(REPLACE)
                .build()
                .unwrap(),
        )
        .route(CREATE, "POST /v3/accounts/{account}/orders")
        .route(REPLACE, "PUT /v3/accounts/{account}/orders/{order}")
        .route(CANCEL, "PUT /v3/accounts/{account}/orders/{order}/cancel")
        .client_prefix("@")
        .request(CREATE, order.clone())
        .request(REPLACE, order)
        .reply(reply)
        .order(found)
        .state("PENDING", OrderState::Open)
        .state("FILLED", OrderState::Filled)
        .state("CANCELLED", OrderState::Cancelled)
        .rule(
            ReplyRule::new(Meaning::Duplicate)
                .at("errorCode")
                .equals(["CLIENT_ORDER_ID_ALREADY_EXISTS"]),
        )
        .rule(
            ReplyRule::new(Meaning::NotFound)
                .statuses([404])
                .at("errorCode")
                .equals(["NO_SUCH_ORDER", "ORDER_DOESNT_EXIST"]),
        )
        .rule(there(
            Meaning::Accepted(OrderState::Filled),
            "orderFillTransaction.id",
        ))
        .rule(there(
            Meaning::Accepted(OrderState::Cancelled),
            "orderCancelTransaction.id",
        ))
        .query(
            Query::Open,
            ListRequest::new("GET /v3/accounts/{account}/orders/@{id}").at("order"),
        )
        .query(
            Query::Closed,
            ListRequest::new(
                "GET /v3/accounts/{account}/orders?state=ALL&instrument={symbol}&count=500",
            )
            .at("orders")
            .most(500)
            .latest_first("createTime")
            .after_last("beforeID", "id"),
        )
        .cancel("PUT /v3/accounts/{account}/orders/{broker_id}/cancel")
        .cancel("PUT /v3/accounts/{account}/orders/@{id}/cancel")
        .positions(
            ListRequest::new("GET /v3/accounts/{account}/openPositions").at("positions"),
            PositionFields::new("instrument", "long.units | short.units"),
        )
        .build()
        .unwrap()
}

const ORDER: &str = r#"{"order":{"units":"-2","instrument":"EUR_USD","timeInForce":"FOK","type":"MARKET","positionFill":"REDUCE_ONLY"}}"#;
const REPLY: &str = r#"{"orderCreateTransaction":{"type":"MARKET_ORDER","instrument":"EUR_USD","units":"-2","id":"6372","clientExtensions":{"id":"desk-1"}},"lastTransactionID":"6372"}"#;
const FOUND: &str = r#"{"order":{"id":"6372","createTime":"2026-11-30T01:00:00.264982251Z","instrument":"EUR_USD","units":"-2","state":"PENDING","clientExtensions":{"id":"desk-1"}},"lastTransactionID":"6372"}"#;

fn saved(broker: &BrokerTable) -> Saved {
    Saved::new(
        broker,
        "desk-1",
        &request("POST /v3/accounts/101-004/orders", ORDER),
    )
}

#[test]
fn an_order_is_read_and_gets_an_id() {
    let broker = oanda();
    let order = request("POST /v3/accounts/101-004/orders", ORDER);
    let known = read(&broker, &order);
    assert_eq!(
        (known.side, known.quantity),
        (Some(Side::Sell), Some(decimal("2")))
    );
    assert_eq!(known.account.as_deref(), Some("101-004"));
    assert!(known.reduces);
    let body = written(&broker, order, "desk-1");
    assert!(
        body.starts_with(r#"{"order":{"clientExtensions":{"id":"desk-1"},"units""#),
        "{body}"
    );
    let tagged = r#"{"order":{"units":1,"clientExtensions":{"tag":"t"}}}"#;
    let tagged = request("POST /v3/accounts/101-004/orders", tagged);
    let body = written(&broker, tagged, "desk-1");
    assert_eq!(
        body,
        r#"{"order":{"units":1,"clientExtensions":{"id":"desk-1","tag":"t"}}}"#
    );
    let empty = r#"{"order":{"clientExtensions":{}}, "x": 1}"#;
    let mut empty = request("POST /v3/accounts/101-004/orders", empty);
    broker.write_id(&mut empty, "desk-1").unwrap();
    assert_eq!(
        empty.body(),
        &r#"{"order":{"clientExtensions":{"id":"desk-1"}}, "x": 1}"#
    );
    let mut none = request("POST /v3/accounts/101-004/orders", r#"{"order":[]}"#);
    assert!(broker.write_id(&mut none, "desk-1").is_err());
}

#[test]
fn an_order_is_named_in_the_path() {
    let broker = oanda();
    for (line, target) in [
        (
            "PUT /v3/accounts/101-004/orders/6372/cancel",
            Target::Broker("6372".into()),
        ),
        (
            "PUT /v3/accounts/101-004/orders/@desk-1/cancel",
            Target::Client("desk-1".into()),
        ),
        (
            "PUT /v3/accounts/101-004/orders/%40desk-1",
            Target::Client("desk-1".into()),
        ),
    ] {
        assert_eq!(read(&broker, &request(line, "")).target, Some(target));
    }
}

#[test]
fn replies() {
    let broker = oanda();
    assert_eq!(
        accepted(&broker, 201, REPLY),
        ("6372".into(), OrderState::Open)
    );
    let with = |what: &str| {
        REPLY.replace(
            r#","lastTransactionID""#,
            &format!(r#",{what},"lastTransactionID""#),
        )
    };
    let filled = with(r#""orderFillTransaction":{"id":"6373","orderID":"6372","units":"-2"}"#);
    assert_eq!(accepted(&broker, 201, &filled).1, OrderState::Filled);
    let partly = with(r#""orderFillTransaction":{"id":"6373","orderID":"6372","units":"-1"}"#);
    let reply_of = reply(&broker, CREATE, 201, &partly).order.unwrap();
    assert_eq!(reply_of.figures.filled, decimal("1"));
    assert_eq!(reply_of.figures.state, OrderState::PartiallyFilled);
    let cancelled = with(r#""orderCancelTransaction":{"id":"6373","reason":"MARKET_HALTED"}"#);
    assert_eq!(accepted(&broker, 201, &cancelled).1, OrderState::Cancelled);
    let duplicate = r#"{"orderRejectTransaction":{"id":"6","rejectReason":"CLIENT_ORDER_ID_ALREADY_EXISTS"},"errorCode":"CLIENT_ORDER_ID_ALREADY_EXISTS","errorMessage":"m"}"#;
    assert_eq!(is(&broker, 400, duplicate), Reply::Duplicate);
    let rejected = r#"{"orderRejectTransaction":{"id":"6"},"errorCode":"INSUFFICIENT_MARGIN"}"#;
    assert_eq!(is(&broker, 400, rejected), Reply::Rejected);
    let gone = r#"{"orderCancelRejectTransaction":{"id":"7"},"errorCode":"ORDER_DOESNT_EXIST"}"#;
    assert_eq!(reply(&broker, CANCEL, 404, gone).reply, Reply::Rejected);
    check_statuses(&broker, REPLY);
}

#[test]
fn look_ups() {
    let broker = oanda();
    let saved = saved(&broker);
    let open = saved.query(&broker, Query::Open);
    assert_eq!(open, "GET /v3/accounts/101-004/orders/@desk-1");
    let found = saved.found(&broker, Query::Open, 200, FOUND);
    assert_eq!(found[0].side, Some(Side::Sell));
    let absent =
        r#"{"errorMessage":"The order ID specified does not exist","errorCode":"NO_SUCH_ORDER"}"#;
    assert!(saved.found(&broker, Query::Open, 404, absent).is_empty());
    saved.check_unreadable(&broker, Query::Open, FOUND);

    let closed = saved.query(&broker, Query::Closed);
    assert!(
        closed.ends_with("/orders?state=ALL&instrument=EUR_USD&count=500"),
        "{closed}"
    );
    let order = |id: &str, time: &str| {
        let state = "FILLED";
        format!(
            r#"{{"id":"{id}","createTime":"{time}","units":"2","state":"{state}","clientExtensions":{{"id":"desk-1"}}}}"#
        )
    };
    let list = |orders: Vec<String>| format!(r#"{{"orders":[{}]}}"#, orders.join(","));
    let body = list(vec![order("1", "2026-01-01T00:00:00Z")]);
    let found = saved.found(&broker, Query::Closed, 200, &body);
    assert_eq!(found[0].figures.filled, decimal("2"));
    let later = vec![order("9", "2999-01-01T00:00:00.5Z"); 500];
    let (_, next) = saved.page(&broker, Query::Closed, &list(later.clone()));
    assert!(next.ends_with("&count=500&beforeID=9"), "{next}");
    // A page that reaches back to before the order is the last one.
    let mut back = later;
    back[499] = order("1", "2020-01-01T00:00:00.5Z");
    assert_eq!(
        saved.found(&broker, Query::Closed, 200, &list(back)).len(),
        500
    );
    let no_time = list(vec![order("1", "1451606400.000000000")]);
    let looked_up = broker.looked_up(Query::Closed, &saved.order(), &response(200, no_time));
    assert!(matches!(looked_up, LookedUp::Failed(_)));
}

#[test]
fn cancels_and_positions() {
    let broker = oanda();
    let cancel = line(&broker.cancel(&saved(&broker).order()).unwrap());
    assert_eq!(cancel, "PUT /v3/accounts/101-004/orders/@desk-1/cancel");
    assert!(broker.positions(None).is_none());
    let all = broker.positions(Some("101-004")).unwrap();
    assert_eq!(line(&all), "GET /v3/accounts/101-004/openPositions");
    let body =
        r#"{"positions":[{"instrument":"EUR_USD","long":{"units":"10"},"short":{"units":"-4"}}]}"#;
    assert_eq!(positions(&broker, body), [("EUR_USD".into(), "6".into())]);
    let broker = broker.with_account("7");
    assert_eq!(
        line(&broker.positions(None).unwrap()),
        "GET /v3/accounts/7/openPositions"
    );
}

use super::*;
use seawall_orders::broker::{
    ListRequest, Meaning, OrderFields, PositionFields, ReplyRule, RequestFields, Target,
};

fn kraken() -> BrokerTable {
    let rules = rules(Duplicates::RejectWhileOpen, Coverage::OpenThenClosed);
    let ids = IdRules::text(18).unwrap().with_characters("-_.").or_uuid();
    let order = RequestFields::new()
        .id("cl_ord_id")
        .symbol("pair")
        .side("type")
        .quantity("volume")
        .price("price")
        .reduces("reduce_only", "true");
    let target = RequestFields::new()
        .target_id("cl_ord_id")
        .target_broker_id("txid")
        .quantity("order_qty");
    let found = OrderFields::new("@key")
        .id("cl_ord_id")
        .symbol("descr.pair")
        .side("descr.type")
        .state("status")
        .quantity("vol")
        .filled("vol_exec");
    let error = |means, parts: &'static [&'static str]| {
        ReplyRule::new(means)
            .at("error[0]")
            .contains(parts.iter().copied())
    };
    BrokerTable::builder("kraken", rules, OrderIds::uuid_v4(ids).unwrap())
        .route(CREATE, "POST /0/private/AddOrder")
        .route(REPLACE, "POST /0/private/AmendOrder")
        .route(CANCEL, "POST /0/private/CancelOrder")
        .rejected_route(CREATE, "POST /0/private/AddOrderBatch")
        .request(CREATE, order)
        .request(REPLACE, target.clone())
        .request(CANCEL, target)
        .reply(OrderFields::new("result.txid[0] | result.amend_id"))
        .order(found)
        .state("pending", OrderState::Open)
        .state("open", OrderState::Open)
        .state("closed", OrderState::Filled)
        .state("canceled", OrderState::Cancelled)
        .state("expired", OrderState::Expired)
        .rule(error(
            Meaning::Throttled,
            &[":Rate limit exceeded", "EService:Throttled"],
        ))
        .rule(error(
            Meaning::Unknown,
            &["EService:", "EGeneral:Internal error"],
        ))
        .rule(error(Meaning::NotFound, &["EOrder:Unknown order"]).of(CANCEL))
        .rule(error(Meaning::Rejected, &["E"]))
        .query(
            Query::Open,
            ListRequest::new("POST /0/private/OpenOrders cl_ord_id={id}")
                .at("result.open")
                .keyed(),
        )
        .query(
            Query::Closed,
            ListRequest::new("POST /0/private/ClosedOrders cl_ord_id={id}")
                .at("result.closed")
                .keyed()
                .most(50)
                .after_last("end", "@key"),
        )
        .list(
            Query::Open,
            ListRequest::new("POST /0/private/OpenOrders")
                .at("result.open")
                .keyed(),
        )
        .cancel("POST /0/private/CancelOrder txid={broker_id}")
        .cancel("POST /0/private/CancelOrder cl_ord_id={id}")
        .positions(
            ListRequest::new("POST /0/private/Balance")
                .at("result")
                .keyed(),
            PositionFields::new("@key", "."),
        )
        .signature("api-sign")
        .build()
        .unwrap()
}

const ORDER: &str = "ordertype=limit&pair=XBTUSD&price=27500&type=buy&volume=2&reduce_only=true";
const REPLY: &str = r#"{"error":[],"result":{"descr":{"order":"buy 2 XBTUSD @ limit 27500"},"txid":["OUF4EM-FRGI2-MQMWZD"]}}"#;
const CLOSED: &str = r#"{"error":[],"result":{"closed":{"OUF4EM":{"status":"closed","cl_ord_id":"desk-1","vol":"2.0","vol_exec":"2.0","descr":{"pair":"XBTUSD","type":"buy"}}},"count":1}}"#;

fn saved(broker: &BrokerTable) -> Saved {
    Saved::new(
        broker,
        "desk-1",
        &request("POST /0/private/AddOrder", ORDER),
    )
}

#[test]
fn an_order_is_a_form_or_json() {
    let broker = kraken();
    let form = request("POST /0/private/AddOrder", ORDER);
    let order = read(&broker, &form);
    assert!(order.reduces);
    assert_eq!(order.symbol.as_deref(), Some("XBTUSD"));
    assert_eq!(
        written(&broker, form, "desk-1"),
        format!("{ORDER}&cl_ord_id=desk-1")
    );
    let json = r#" {"pair":"XBTUSD","type":"buy","volume":2e0,"price":"27500","reduce_only":true}"#;
    let json = request("POST /0/private/AddOrder", json);
    assert_eq!(read(&broker, &json), order);
    assert!(written(&broker, json, "desk-1").starts_with(r#" {"cl_ord_id":"desk-1","pair""#));
    let mut signed = request("POST /0/private/AddOrder", ORDER);
    signed
        .headers_mut()
        .insert("API-Sign", "4/dp".parse().unwrap());
    assert_eq!(
        broker.write_id(&mut signed, "desk-1").unwrap_err().field(),
        "signature"
    );
    let amend = request("POST /0/private/AmendOrder", "txid=OUF4EM&order_qty=1");
    assert_eq!(
        read(&broker, &amend).target,
        Some(Target::Broker("OUF4EM".into()))
    );
    let batch = request("POST /0/private/AddOrderBatch", r#"{"orders":[]}"#);
    assert_eq!(broker.read(CREATE, &batch).unwrap_err().field(), "route");
}

#[test]
fn errors_come_with_a_status_of_success() {
    let broker = kraken();
    assert_eq!(accepted(&broker, 200, REPLY).0, "OUF4EM-FRGI2-MQMWZD");
    let error = |text: &str| is(&broker, 200, &format!(r#"{{"error":["{text}"]}}"#));
    assert_eq!(error("EOrder:Insufficient funds"), Reply::Rejected);
    assert_eq!(error("EGeneral:Invalid arguments"), Reply::Rejected);
    assert_eq!(error("EAPI:Rate limit exceeded"), Reply::Throttled);
    assert_eq!(error("EOrder:Rate limit exceeded"), Reply::Throttled);
    assert!(matches!(error("EService:Unavailable"), Reply::Unknown(_)));
    assert!(matches!(
        error("EGeneral:Internal error"),
        Reply::Unknown(_)
    ));
    let gone = r#"{"error":["EOrder:Unknown order"]}"#;
    assert_eq!(reply(&broker, CANCEL, 200, gone).reply, Reply::Rejected);
    let cancelled = r#"{"error":[],"result":{"count":1}}"#;
    assert!(matches!(
        reply(&broker, CANCEL, 200, cancelled).reply,
        Reply::Accepted(_)
    ));
    check_statuses(&broker, REPLY);
}

#[test]
fn look_ups() {
    let broker = kraken();
    let saved = saved(&broker);
    let open = saved.query(&broker, Query::Open);
    assert_eq!(open, "POST /0/private/OpenOrders cl_ord_id=desk-1");
    assert!(
        saved
            .found(
                &broker,
                Query::Open,
                200,
                r#"{"error":[],"result":{"open":{}}}"#
            )
            .is_empty()
    );
    let found = saved.found(&broker, Query::Closed, 200, CLOSED);
    assert_eq!(found[0].figures.state, OrderState::Filled);
    assert_eq!(&*found[0].broker_id, "OUF4EM");
    assert!(found[0].body.starts_with(br#"{"status":"closed""#));
    saved.check_unreadable(&broker, Query::Closed, CLOSED);
    for body in [
        r#"{"error":["EAPI:Invalid nonce"]}"#,
        r#"{"error":["EService:Unavailable"],"result":{"open":{}}}"#,
        r#"{"error":[],"result":{}}"#,
        r#"{"error":[],"result":{"open":[]}}"#,
    ] {
        let looked_up = broker.looked_up(Query::Open, &saved.order(), &response(200, body));
        assert!(matches!(looked_up, LookedUp::Failed(_)), "{body}");
    }
}

#[test]
fn a_full_page_is_followed_by_another() {
    let broker = kraken();
    let order = r#"{"status":"closed","cl_ord_id":"desk-1","vol":"1","vol_exec":"1"}"#;
    let orders: Vec<_> = (0..50).map(|n| format!(r#""O{n}":{order}"#)).collect();
    let body = format!(
        r#"{{"error":[],"result":{{"closed":{{{}}}}}}}"#,
        orders.join(",")
    );
    let (orders, next) = saved(&broker).page(&broker, Query::Closed, &body);
    assert_eq!(orders.len(), 50);
    assert_eq!(
        next,
        "POST /0/private/ClosedOrders cl_ord_id=desk-1&end=O49"
    );
}

#[test]
fn lists_cancels_and_positions() {
    let broker = kraken();
    let all = broker.list(Query::Open, None).unwrap();
    assert_eq!(line(&all), "POST /0/private/OpenOrders");
    assert!(broker.list(Query::Closed, None).is_none());
    let mut saved = saved(&broker);
    let cancel = line(&broker.cancel(&saved.order()).unwrap());
    assert_eq!(cancel, "POST /0/private/CancelOrder cl_ord_id=desk-1");
    saved.broker_id = Some("OUF4EM");
    let cancel = line(&broker.cancel(&saved.order()).unwrap());
    assert_eq!(cancel, "POST /0/private/CancelOrder txid=OUF4EM");
    let balance = r#"{"error":[],"result":{"ZUSD":"171288.6158","XXBT":"0.0"}}"#;
    let expected = [("ZUSD", "171288.6158"), ("XXBT", "0")].map(|(a, b)| (a.into(), b.into()));
    assert_eq!(positions(&broker, balance), expected);
}

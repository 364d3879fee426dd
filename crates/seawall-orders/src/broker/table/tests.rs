use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::pick::{Paths, elements, steps};
use super::value::{decimal, is_before, rfc3339};
use super::write::into_json;
use super::*;

#[test]
fn paths_are_picked_in_one_pass() {
    let mut paths = Paths::default();
    let mut field = |path: &str| paths.add("path", path).unwrap();
    let (deep, item, any) = (field("a.b[1].c"), field("list[0]"), field("any.*.x"));
    let (both, whole, text) = (field("a | missing"), field("a.b"), field("text"));
    let json =
        r#"{"a":{"b":[0,{"c":"q\"\u0041"}]},"list":[7],"any":{"k":{"x":-1.5e3}},"text":null}"#;
    let picked = paths.json(json).unwrap();
    assert_eq!(picked.text(&deep).unwrap(), "q\"A");
    assert_eq!(picked.text(&item).unwrap(), "7");
    assert_eq!(picked.text(&any).unwrap(), "-1.5e3");
    assert!(picked.text(&both).unwrap().starts_with(r#"{"b":[0,"#));
    assert!(picked.text(&whole).unwrap().starts_with("[0,"));
    assert_eq!(picked.text(&text), None);
    assert!(!picked.twice && !picked.several);
    assert!(paths.json(r#"{"list":[1,2]}"#).unwrap().several);
    assert!(paths.json(r#"{"text":1,"te\u0078t":2}"#).unwrap().twice);
    for broken in [
        "",
        "{",
        "{\"text\":}",
        "{} {}",
        "{\"a\":{\"b\":[0,{\"c\":1]}}",
    ] {
        assert!(paths.json(broken).is_err(), "{broken}");
    }
}

#[test]
fn paths_that_cannot_be_read_are_errors() {
    for path in ["", "a..b", "a[x]", "a[1", ".a", "a."] {
        assert!(steps("path", path).is_err(), "{path}");
    }
    let mut paths = Paths::default();
    for n in 0..32 {
        paths.add("path", &format!("f{n}")).unwrap();
    }
    paths.add("path", "f0").unwrap();
    assert!(paths.add("path", "one more").is_err());
}

#[test]
fn elements_of_lists_and_objects() {
    let list = |json, keyed| elements(json, keyed).map(|all| all.len());
    assert_eq!(list("[1,2]", false), Some(2));
    assert_eq!(list("{\"id\":1}", false), Some(1));
    assert_eq!(list("{\"a\":1,\"b\":2}", true), Some(2));
    assert_eq!(list("[]", true), None);
    assert_eq!(list("\"null\"", false), None);
}

#[test]
fn numbers_as_programs_write_them() {
    for (text, number) in [
        ("1e-05", "0.00001"),
        ("1E5", "100000"),
        ("-1.25e1", "-12.5"),
        ("12.5e0", "12.5"),
        ("1.5e3", "1500"),
        (" 7 ", "7"),
    ] {
        assert_eq!(decimal(text), number.parse().ok(), "{text}");
    }
    for text in [
        "", "e5", "1e", "1e999", "NaN", "Infinity", "1e-30", "true", "[1]",
    ] {
        assert_eq!(decimal(text), None, "{text}");
    }
}

#[test]
fn times() {
    let time = |seconds| rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(time(0), "1970-01-01T00:00:00Z");
    assert_eq!(time(951_827_696), "2000-02-29T12:34:56Z");
    assert_eq!(time(1_796_000_400), "2026-11-30T01:00:00Z");
    assert_eq!(
        is_before("2026-11-30T00:59:59.9Z", &time(1_796_000_400)),
        Some(true)
    );
    assert_eq!(
        is_before("2026-11-30T01:00:00+00:00", &time(1_796_000_400)),
        Some(false)
    );
    for text in [
        "",
        "2026-11-30",
        "2026-11-30T01:00:00+02:00",
        "2026-11-30 01:00:00Z",
    ] {
        assert_eq!(is_before(text, &time(0)), None, "{text}");
    }
}

fn table(edit: impl FnOnce(BrokerTableBuilder) -> BrokerTableBuilder) -> Result<(), String> {
    named("b", edit)
}

fn named(
    name: &str,
    edit: impl FnOnce(BrokerTableBuilder) -> BrokerTableBuilder,
) -> Result<(), String> {
    let rules = Rules::builder(crate::protocol::Duplicates::RejectWhileOpen)
        .build()
        .unwrap();
    let ids = OrderIds::text(crate::ids::IdRules::text(36).unwrap(), "").unwrap();
    let complete = BrokerTable::builder(name.to_owned(), rules, ids)
        .route(Operation::Create, "POST /orders")
        .request(Operation::Create, RequestFields::new().id("id"))
        .reply(OrderFields::new("order"))
        .order(OrderFields::new("order"))
        .query(Query::ById, ListRequest::new("GET /orders/{id}"));
    edit(complete)
        .build()
        .map(drop)
        .map_err(|error| error.to_string())
}

#[test]
fn an_incomplete_table_is_an_error_that_names_what_is_missing() {
    assert_eq!(table(|table| table), Ok(()));
    for (name, found) in [
        (String::new(), "empty"),
        ("n".repeat(256), "256 bytes long"),
    ] {
        let error = format!("`name` is {found}, accepted is 1 to 255 bytes");
        assert_eq!(named(&name, |table| table), Err(error));
    }
    let missing = |edit: fn(BrokerTableBuilder) -> BrokerTableBuilder| table(edit).unwrap_err();
    let coverage = crate::protocol::Coverage::OpenThenClosed;
    let rules = |operation| {
        let rules = Rules::builder(crate::protocol::Duplicates::RejectWhileOpen);
        rules.operation(operation).build().unwrap()
    };
    let open = Rules::builder(crate::protocol::Duplicates::RejectWhileOpen).coverage(coverage);
    let open = open.build().unwrap();
    assert_eq!(
        table(|table| table.rules(open)).unwrap_err(),
        "`query.open` is not set, accepted is a request, since `coverage` is `open_then_closed`",
    );
    let replace = table(|table| table.rules(rules(Operation::Replace))).unwrap_err();
    assert!(replace.starts_with("`id` is not set"), "{replace}");
    let cancel = table(|table| table.rules(rules(Operation::Cancel))).unwrap_err();
    assert!(cancel.starts_with("`rules` is cancel"), "{cancel}");
    for (edit, field) in [
        (
            missing(|t| t.request(Operation::Create, RequestFields::new())),
            "`id`",
        ),
        (
            missing(|t| t.request(Operation::Create, RequestFields::new().id("a.*"))),
            "`id`",
        ),
        (
            missing(|t| t.reply(OrderFields::default())),
            "`reply.broker_id`",
        ),
        (
            missing(|t| t.order(OrderFields::default())),
            "`order.broker_id`",
        ),
        (
            missing(|t| t.route(Operation::Create, "post /orders")),
            "`route`",
        ),
        (
            missing(|t| t.route(Operation::Create, "POST /a/**/b")),
            "`route`",
        ),
        (
            missing(|t| t.route(Operation::Create, "POST /a/{id}")),
            "`route`",
        ),
        (missing(|t| t.cancel("DELETE orders")), "`cancel`"),
        (
            missing(|t| t.account("")),
            "`account` is empty, accepted is 1 to 255 bytes",
        ),
        (missing(|t| t.client_prefix("")), "`client_prefix` is empty"),
        (
            missing(|t| t.signature("a").signature("")),
            "`signature` is empty",
        ),
        (
            missing(|t| t.query(Query::Open, ListRequest::new("GET"))),
            "`query`",
        ),
        (
            missing(|t| t.query(Query::Open, ListRequest::new("GET /a").at("a..b"))),
            "`at`",
        ),
        (
            missing(|t| {
                t.query(
                    Query::Open,
                    ListRequest::new("GET /a").after_last("p", "id"),
                )
            }),
            "`most`",
        ),
        (
            missing(|t| t.rule(ReplyRule::new(Meaning::Rejected).at("["))),
            " `rule.at`".trim(),
        ),
    ] {
        assert!(edit.starts_with(field), "{edit}");
    }
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        "\\PC{0,6}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::hash_map("[abc]", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    /// The picker against the tree of `serde_json`.
    #[test]
    fn what_is_picked_is_what_a_tree_has(json in json()) {
        for pointer in ["/a", "/a/b", "/b/0/c", "/c/1"] {
            let path = pointer[1..].replace("/0", "[0]").replace("/1", "[1]").replace('/', ".");
            let mut paths = Paths::default();
            let field = paths.add("path", &path).unwrap();
            let text = json.to_string();
            let picked = paths.json(&text).unwrap();
            let value = picked.value(&field).map(|value| value.json().unwrap().to_owned());
            prop_assert_eq!(value, json.pointer(pointer).map(Json::to_string));
        }
    }

    /// What is written is there afterwards, and everything else is as it was.
    #[test]
    fn what_is_written_is_read(json in json(), id in "\\PC{1,20}") {
        let text = json.to_string();
        for path in ["id", "a.id", "a.b.id", "a[0].id"] {
            let Some(written) = into_json(&text, &steps("id", path).unwrap(), &id) else {
                continue;
            };
            let mut back: Json = serde_json::from_str(&written).unwrap();
            let pointer = format!("/{}", path.replace("[0]", "/0").replace('.', "/"));
            prop_assert_eq!(back.pointer(&pointer).and_then(Json::as_str), Some(&*id));
            // Removed again, it is the text before, but for empty objects that were made.
            let (parent, _) = pointer.rsplit_once('/').unwrap();
            back.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove("id");
            if json.pointer(parent).is_some_and(Json::is_object) {
                prop_assert_eq!(back, json.clone());
            }
        }
    }

    /// Nothing panics, whatever a caller or a broker sends.
    #[test]
    fn any_bytes_are_read(body in prop::collection::vec(any::<u8>(), 0..200), status in 100..600_u16) {
        let rules = Rules::builder(crate::protocol::Duplicates::RejectWhileOpen).build().unwrap();
        let ids = OrderIds::text(crate::ids::IdRules::text(36).unwrap(), "").unwrap();
        let broker = BrokerTable::builder("b", rules, ids)
            .route(Operation::Create, "POST /orders")
            .request(Operation::Create, RequestFields::new().id("a.id").quantity("q"))
            .reply(OrderFields::new("order"))
            .order(OrderFields::new("order"))
            .query(Query::ById, ListRequest::new("GET /orders/{id}"))
            .build()
            .unwrap();
        let mut request = Request::post("/orders").body(Bytes::from(body.clone())).unwrap();
        let known = broker.read(Operation::Create, &request).unwrap_or_default();
        let _ = broker.write_id(&mut request, "x");
        let response = Response::builder().status(status).body(Bytes::from(body)).unwrap();
        let reply = broker.reply(Operation::Create, &response);
        if !(200..300).contains(&status) {
            prop_assert!(!matches!(reply.reply, Reply::Accepted(_)));
        }
        let order = SavedOrder {
            operation: Operation::Create,
            id: "x",
            broker_id: None,
            request: &known,
            since: SystemTime::now(),
        };
        let found = broker.looked_up(Query::ById, &order, &response);
        prop_assert!(matches!(found, LookedUp::Failed(_)));
    }
}

#[test]
fn a_page_is_read_for_all_orders_unless_their_times_decide() {
    let ids = crate::ids::IdRules::text(20).unwrap();
    let ids = OrderIds::text(ids, "d").unwrap();
    let rules = crate::protocol::Rules::builder(crate::protocol::Duplicates::Accept);
    let rules = rules.coverage(crate::protocol::Coverage::OpenThenClosed);
    let list = || ListRequest::new("GET /orders?from={since}");
    let table = BrokerTable::builder("lists", rules.build().unwrap(), ids)
        .route(Operation::Create, "POST /orders")
        .request(Operation::Create, RequestFields::new().id("tag"))
        .reply(OrderFields::new("id"))
        .order(
            OrderFields::new("id")
                .id("tag")
                .state_unless_set(OrderState::Open),
        )
        .query(Query::Open, list())
        .query(Query::Closed, list().latest_first("time"));
    let table = table.build().unwrap();
    let request = OrderRequest::default();
    let hour = SystemTime::UNIX_EPOCH + Duration::from_secs(3_600 * 500_000);
    let order = |id, seconds| SavedOrder {
        operation: Operation::Create,
        id,
        broker_id: None,
        request: &request,
        since: hour + Duration::from_secs(seconds),
    };
    let body = r#"[{"id":"1","tag":"a"},{"id":"2","tag":"b"}]"#;
    let response = Response::new(Bytes::from(body));
    let (a, b) = (order("a", 1), order("b", 59));
    let page = table.page(Query::Open, &a, &response).unwrap();
    for (order, expected) in [(a, "1"), (b, "2")] {
        let LookedUp::Orders(found) = table.in_page(Query::Open, &order, &page) else {
            panic!("{page:?}")
        };
        assert_eq!((&*found[0].broker_id, found.len()), (expected, 1));
    }
    assert!(table.page(Query::Closed, &a, &response).is_none());

    // Those of one minute make the same request.
    let uri = |order| table.query(Query::Open, &order).unwrap().uri().to_string();
    assert_eq!(uri(a), "/orders?from=2027-01-15T07%3A55%3A00Z");
    assert_eq!(uri(a), uri(b));
    assert_eq!(uri(order("c", 60)), "/orders?from=2027-01-15T07%3A56%3A00Z");
}

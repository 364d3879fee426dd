//! Lists that are not what they should be: none of them shows that an order does not exist.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use seawall_core::{Error, Reason};
use seawall_orders::broker::{
    BrokerTable, BrokerTableBuilder, ListRequest, Meaning, OrderFields, ReplyRule, RequestFields,
};
use seawall_orders::ids::{IdRules, OrderIds};
use seawall_orders::journal::MemoryJournal;
use seawall_orders::protocol::{
    Coverage, Duplicates, IntentState, Operation, OrderState, Query, Rules, RulesBuilder,
};
use seawall_orders::{OrderConfig, OrderHandle, OrderLayer, OrderService};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

use crate::common::{Body, Classifier, Client, Down, Fault, Reply_, classify, order, rejection};

/// What a page is answered with, by its path and query.
type Answers = Arc<Mutex<dyn FnMut(&str) -> (u16, String) + Send>>;

/// A broker whose lists are these.
#[derive(Clone)]
struct Odd {
    client: Client,
    answers: Answers,
}

impl Service<Request<Body>> for Odd {
    type Response = Response<Body>;
    type Error = Error<Down>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error<Down>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Down>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path_and_query().unwrap().as_str();
        if !path.starts_with("/lists/") {
            return self.client.call(request);
        }
        let (status, body) = (self.answers.lock().unwrap())(path);
        let mut response = Response::new(Body::from(Bytes::from(body)));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        Box::pin(async move { Ok(response) })
    }
}

fn rules() -> RulesBuilder {
    let rules = Rules::builder(Duplicates::RejectWhileOpen).coverage(Coverage::OpenThenClosed);
    rules.look_ups(3).resends(1)
}

fn broker(rules: RulesBuilder, rule: Option<ReplyRule>) -> BrokerTable {
    let ids = OrderIds::text(IdRules::text(20).unwrap().with_characters("-"), "d-").unwrap();
    let fields = |id: &'static str| {
        OrderFields::new("id")
            .id(id)
            .state("status")
            .quantity("qty")
    };
    let list = |request: &'static str| {
        let list = ListRequest::new(request).at("orders");
        list.cursor("page", "next", Some("more".into()))
    };
    let table = BrokerTable::builder("odd", rules.build().unwrap(), ids)
        .route(Operation::Create, "POST /orders")
        .request(
            Operation::Create,
            RequestFields::new().id("client_order_id").quantity("qty"),
        )
        .reply(fields("client_order_id"))
        .order(fields("tag"))
        .query(Query::Open, list("GET /lists/open"))
        .query(Query::Closed, list("GET /lists/closed"))
        .state("open", OrderState::Open)
        .state("filled", OrderState::Filled)
        .state("rejected", OrderState::Rejected);
    rule.into_iter()
        .fold(table, BrokerTableBuilder::rule)
        .build()
        .unwrap()
}

struct Desk {
    client: Client,
    service: OrderService<Odd, Classifier>,
    handle: OrderHandle,
}

impl Desk {
    fn new(
        broker: BrokerTable,
        answers: impl FnMut(&str) -> (u16, String) + Send + 'static,
    ) -> Self {
        let config = OrderConfig::builder().deadline(Duration::from_secs(600));
        let config = config.without_comparison().without_looking_up_again();
        let layer: OrderLayer<Body> = OrderLayer::<Body>::builder("desk", broker)
            .journal(Arc::<MemoryJournal>::default())
            .config(config.build().unwrap())
            .build()
            .unwrap();
        let layer = layer.classify(classify as Classifier);
        let odd = Odd {
            client: Client::default(),
            answers: Arc::new(Mutex::new(answers)),
        };
        Self {
            client: odd.client.clone(),
            service: layer.layer(odd),
            handle: layer.handle(),
        }
    }

    /// Places an order that is executed, and whose answer is lost.
    async fn place(&self, id: &str) -> Reply_ {
        self.handle.started().await;
        self.client.fault(Fault::Lost);
        let body = serde_json::json!({ "symbol": "A", "qty": 1, "client_order_id": id });
        self.service.clone().oneshot(order(&body)).await
    }
}

/// An order that is executed is never absent by such a list, and never sent again.
async fn proves_nothing(id: &str, status: u16, body: &str) {
    let answer = (status, body.to_owned());
    let desk = Desk::new(broker(rules(), None), move |_| answer.clone());
    let reply = rejection(desk.place(id).await);
    assert_eq!(reply.reason(), Reason::OutcomeUnknown, "{status} {body}");
    let known = desk.handle.order(id).await.unwrap();
    assert_eq!(known.state, IntentState::Exhausted, "{status} {body}");
    assert_eq!(desk.client.executed(id), 1, "{status} {body}");
}

/// It is found by such a list.
async fn is_found(id: &str, body: &str) {
    let answer = body.to_owned();
    let desk = Desk::new(broker(rules(), None), move |_| (200, answer.clone()));
    assert!(desk.place(id).await.is_ok(), "{body}");
    assert_eq!(desk.client.executed(id), 1, "{body}");
}

const EMPTY: &str = r#"{"orders":[],"more":false}"#;

#[tokio::test(start_paused = true)]
async fn a_status_other_than_200_is_no_whole_list() {
    for status in [201, 202, 203, 204, 205, 206, 207, 226, 299, 304, 404, 500] {
        proves_nothing("a-1", status, EMPTY).await;
    }
    // Unless the table says that it is.
    let rule = ReplyRule::new(Meaning::Accepted(OrderState::Open)).statuses([203]);
    for (status, is_list) in [(200, true), (203, true), (206, false)] {
        let desk = Desk::new(broker(rules(), Some(rule.clone())), move |_| {
            (status, EMPTY.into())
        });
        drop(desk.place("a-1").await);
        let resent = desk.client.world().creates == 2;
        assert_eq!(resent, is_list, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_neither_true_nor_false_is_no_end_of_the_pages() {
    for more in [
        "1", "0", "\"yes\"", "\"TRUE\"", "\"no\"", "[]", "{}", "\"\"", "null", "[true]",
    ] {
        for next in [r#","next":"1""#, ""] {
            let body = format!(r#"{{"orders":[],"more":{more}{next}}}"#);
            proves_nothing("a-1", 200, &body).await;
        }
    }
    proves_nothing("a-1", 200, r#"{"orders":[],"next":"1"}"#).await;
    proves_nothing("a-1", 200, r#"{"orders":[],"more":true}"#).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_with_an_error_beside_it_is_none() {
    for error in [
        r#""error":"internal""#,
        r#""errors":["a shard is down"]"#,
        r#""Error":{"code":7}"#,
        r#""ERRORS":[[]],"error":null,"errors":["one"]"#,
        r#""errorCode":12,"error":"""#,
        r#""error":true"#,
        r#""\u0065rror":"escaped""#,
    ] {
        proves_nothing(
            "a-1",
            200,
            &format!(r#"{{"orders":[],"more":false,{error}}}"#),
        )
        .await;
        proves_nothing(
            "a-1",
            200,
            &format!(r#"{{{error},"orders":[],"more":false}}"#),
        )
        .await;
    }
    let ours = r#""orders":[{"id":"1","tag":"a-1","status":"filled"}],"more":false"#;
    for none in ["null", "[]", "[ ]", "{}", "\"\"", "false", "0"] {
        is_found(
            "a-1",
            &format!(r#"{{"error":{none},"errors":{none},{ours}}}"#),
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_almost_ours_may_be_ours() {
    for (id, tag) in [
        ("a-1", r#"" a-1""#),
        ("a-1", r#""a-1\t""#),
        ("a-1", r#""A-1""#),
        ("a-1", r#"["a-1"]"#),
        ("a-1", r#"{"id":"a-1"}"#),
        ("a-1", "[]"),
        ("a-1", "{}"),
        ("a-1", "true"),
        ("a-1", r#""\ud800""#),
        ("0012", "12"),
        ("0012", r#""12""#),
        ("12", "12.0"),
        ("1000", "1e3"),
        ("7", r#""07""#),
    ] {
        let item = format!(r#"{{"id":"1","tag":{tag},"status":"filled"}}"#);
        let body = format!(r#"{{"orders":[{item}],"more":false}}"#);
        proves_nothing(id, 200, &body).await;
    }
    for tag in ["7", r#""7""#] {
        let item = format!(r#"{{"id":"1","tag":{tag},"status":"filled"}}"#);
        is_found("7", &format!(r#"{{"orders":[{item}],"more":false}}"#)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_of_almost_the_id_hides_none_of_a_later_page() {
    let answers = |path: &str| {
        let page = match path.ends_with("page=1") {
            false => r#"{"orders":[{"id":"1","tag":"A-1","status":"open"}],"more":true,"next":1}"#,
            true => r#"{"orders":[{"id":"2","tag":"a-1","status":"filled"}],"more":false}"#,
        };
        (200, page.to_owned())
    };
    let desk = Desk::new(broker(rules(), None), answers);
    assert!(desk.place("a-1").await.is_ok());
    // And where it is on no page, nothing is proved.
    let answers = |path: &str| {
        let page = match path.ends_with("page=1") {
            false => r#"{"orders":[{"id":"1","tag":"A-1","status":"open"}],"more":true,"next":1}"#,
            true => EMPTY,
        };
        (200, page.to_owned())
    };
    let desk = Desk::new(broker(rules(), None), answers);
    assert_eq!(
        rejection(desk.place("a-1").await).reason(),
        Reason::OutcomeUnknown
    );
    assert_eq!(desk.client.executed("a-1"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_order_of_others_that_cannot_be_read_hides_no_order() {
    let ours = r#"{"id":"1","tag":"a-1","status":"filled"}"#;
    for other in [
        r#"{"id":"2","tag":"b-1","status":"a new word"}"#,
        r#"{"id":"2","tag":"b-1","status":"open","qty":"abc"}"#,
        r#"{"tag":"b-1","status":"open"}"#,
        r#"{"id":"2","tag":"b-1"}"#,
    ] {
        is_found(
            "a-1",
            &format!(r#"{{"orders":[{other},{ours}],"more":false}}"#),
        )
        .await;
        is_found(
            "a-1",
            &format!(r#"{{"orders":[{ours},{other}],"more":false}}"#),
        )
        .await;
        // Without ours, it is what the list is: the order is not there, and sent again.
        let body = format!(r#"{{"orders":[{other}],"more":false}}"#);
        let desk = Desk::new(broker(rules(), None), move |_| (200, body.clone()));
        drop(desk.place("a-1").await);
        assert_eq!(desk.client.world().creates, 2, "{other}");
    }
    // One whose id cannot be read may be ours, and so is one of our id.
    for unclear in [
        r#"{"id":"2","status":"a new word"}"#,
        r#"{"id":"2","tag":null,"status":"open","qty":"abc"}"#,
        r#"{"id":"2","tag":"A-1","status":"a new word"}"#,
        r#"{"id":"2","tag":"a-1","status":"a new word"}"#,
        "7",
        "null",
    ] {
        let body = format!(r#"{{"orders":[{unclear}],"more":false}}"#);
        proves_nothing("a-1", 200, &body).await;
    }
}

/// The first page shows the order for so long, the second one fails.
fn shown_before_a_failure(times: usize, then: &'static str) -> impl FnMut(&str) -> (u16, String) {
    let mut asked = 0;
    move |path| {
        if path.ends_with("page=1") {
            return (500, "{}".into());
        }
        asked += 1;
        let shown = r#"{"orders":[{"id":"7","tag":"a-1","status":"open"}],"more":true,"next":1}"#;
        let page = if asked <= times { shown } else { then };
        (200, page.into())
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_a_page_shows_exists_whatever_the_next_page_is() {
    // Always; or it is gone from then on, or no page can be read.
    for (times, then) in [(usize::MAX, ""), (1, EMPTY), (1, "{}"), (2, EMPTY)] {
        let desk = Desk::new(broker(rules(), None), shown_before_a_failure(times, then));
        assert!(desk.place("a-1").await.is_ok(), "{times} {then}");
        let known = desk.handle.order("a-1").await.unwrap();
        assert_eq!(known.state, IntentState::Confirmed);
        assert_eq!(desk.client.world().creates, 1);
        let counts = desk.handle.counts();
        assert_eq!((counts.exhausted, counts.alerts), (0, 0));
        assert!(counts.failed_look_ups >= 1, "{counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_shown_is_the_answer_when_the_caller_waits_no_longer() {
    let rules = || rules().look_ups(1_000);
    let begun = Instant::now();
    let desk = Desk::new(
        broker(rules(), None),
        shown_before_a_failure(usize::MAX, ""),
    );
    assert!(desk.place("a-1").await.is_ok());
    let waited = (Instant::now() - begun).as_secs();
    assert!((598..602).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_was_rejected_shows_nothing_before_a_failure() {
    let answers = |path: &str| match path.ends_with("page=1") {
        true => (500, "{}".to_owned()),
        false => {
            let page =
                r#"{"orders":[{"id":"7","tag":"a-1","status":"rejected"}],"more":true,"next":1}"#;
            (200, page.to_owned())
        }
    };
    let desk = Desk::new(broker(rules(), None), answers);
    let reply = rejection(desk.place("a-1").await);
    assert_eq!(reply.reason(), Reason::OutcomeUnknown);
    let known = desk.handle.order("a-1").await.unwrap();
    assert_eq!(known.state, IntentState::Exhausted);
}

//! Look-ups at a broker that has lists alone: orders share the readings of those.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Request, Response};
use seawall_core::Error;
use seawall_orders::broker::{BrokerTable, ListRequest, OrderFields, RequestFields};
use seawall_orders::ids::{IdRules, OrderIds};
use seawall_orders::journal::{Journal, MemoryJournal, State};
use seawall_orders::protocol::{
    Coverage, Duplicates, IntentState, ModePolicy, Operation, OrderState, Query, Rules,
    RulesBuilder, TradingMode,
};
use seawall_orders::safety::TradingControl;
use seawall_orders::{OrderConfig, OrderHandle, OrderLayer, OrderService};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt};

use crate::common::{
    Body, Classifier, Client, Down, Fault, Placed, Reply_, classify, order, respond,
};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Pages {
    /// How many orders a page has.
    size: usize,
    takes: Duration,
    /// How many are answered with an error.
    failing: usize,
    /// The credentials of each page that was asked for.
    asked: Vec<Vec<String>>,
}

/// A broker of pages: what they show is what there is when they are asked for.
#[derive(Clone)]
struct Lists {
    client: Client,
    pages: Arc<Mutex<Pages>>,
}

impl Lists {
    fn new(size: usize, takes: Duration) -> Self {
        let (failing, asked) = (0, Vec::new());
        let pages = Pages {
            size,
            takes,
            failing,
            asked,
        };
        Self {
            client: Client::default(),
            pages: Arc::new(Mutex::new(pages)),
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap()
    }

    fn asked(&self) -> usize {
        self.pages().asked.len()
    }

    /// Orders of others, which make the list of closed ones long.
    fn add_closed(&self, count: usize) {
        for number in 0..count {
            self.client.world().orders.push(Placed {
                id: format!("other-{number}"),
                broker_id: format!("other-{number}"),
                state: "filled",
                visible: Instant::now(),
            });
        }
    }

    fn page(&self, request: &Request<Body>) -> Response<Body> {
        let uri = request.uri();
        let credentials = request.headers().get_all(AUTHORIZATION).iter();
        let credentials = credentials.map(|value| value.to_str().unwrap().to_owned());
        let mut pages = self.pages();
        pages.asked.push(credentials.collect());
        if pages.failing > 0 {
            pages.failing -= 1;
            return respond(503, &json!("busy"));
        }
        let of_open = uri.path().ends_with("open");
        let page = uri.query().and_then(|query| query.split("page=").nth(1));
        let page: usize = page.map_or(0, |page| page.parse().unwrap());
        let now = Instant::now();
        let world = self.client.world();
        let listed = world.orders.iter();
        let listed = listed.filter(|it| it.visible <= now && (it.state == "open") == of_open);
        let listed: Vec<_> = listed.collect();
        let from = page * pages.size;
        let part = listed.iter().skip(from).take(pages.size);
        let part = part.map(|it| json!({ "id": it.broker_id, "tag": it.id, "status": it.state }));
        let part: Value = part.collect();
        let next = (listed.len() > from + pages.size).then_some(page + 1);
        respond(200, &json!({ "orders": part, "next": next }))
    }
}

impl Service<Request<Body>> for Lists {
    type Response = Response<Body>;
    type Error = Error<Down>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error<Down>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Down>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path().starts_with("/lists/") {
            let response = self.page(&request);
            let takes = self.pages().takes;
            return Box::pin(async move {
                sleep(takes).await;
                Ok(response)
            });
        }
        self.client.call(request)
    }
}

fn rules() -> RulesBuilder {
    Rules::builder(Duplicates::Accept).coverage(Coverage::OpenThenClosed)
}

fn broker(rules: RulesBuilder) -> BrokerTable {
    let ids = OrderIds::text(IdRules::text(20).unwrap().with_characters("-"), "d-").unwrap();
    let fields = |id: &'static str| OrderFields::new("id").id(id).state("status");
    let list = |request: &'static str| {
        let list = ListRequest::new(request).at("orders");
        list.cursor("page", "next", None)
    };
    let request = RequestFields::new().id("client_order_id").symbol("symbol");
    BrokerTable::builder("lists", rules.build().unwrap(), ids)
        .route(Operation::Create, "POST /orders")
        .request(Operation::Create, request.quantity("qty"))
        .reply(fields("client_order_id"))
        .order(fields("tag"))
        .query(Query::Open, list("GET /lists/open"))
        .query(Query::Closed, list("GET /lists/closed?since={since}"))
        .state("open", OrderState::Open)
        .state("filled", OrderState::Filled)
        .build()
        .unwrap()
}

struct Desk {
    lists: Lists,
    journal: Arc<MemoryJournal>,
    service: OrderService<Lists, Classifier>,
    handle: OrderHandle,
}

impl Desk {
    fn new(lists: Lists, rules: RulesBuilder, policy: ModePolicy) -> Self {
        let config = OrderConfig::builder().without_comparison();
        let journal = Arc::new(MemoryJournal::default());
        let layer: OrderLayer<Body> = OrderLayer::<Body>::builder("desk", broker(rules))
            .journal(Arc::clone(&journal))
            .config(config.deadline(300 * SECOND).build().unwrap())
            .control(TradingControl::builder().policy(policy).build())
            .build()
            .unwrap();
        let layer = layer.classify(classify as Classifier);
        Self {
            service: layer.layer(lists.clone()),
            handle: layer.handle(),
            lists,
            journal,
        }
    }

    fn place(&self, id: &str) -> impl Future<Output = Reply_> + Send + use<> {
        self.place_as(id, "one")
    }

    fn place_as(&self, id: &str, account: &str) -> impl Future<Output = Reply_> + Send + use<> {
        let mut request = order(&json!({ "symbol": "A", "qty": 1, "client_order_id": id }));
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, account.parse().unwrap());
        self.service.clone().oneshot(request)
    }

    async fn state(&self, id: &str) -> Option<State> {
        let entry = self.journal.entry(id).await.unwrap();
        entry.map(|entry| entry.state())
    }
}

/// Orders in doubt hold nothing back.
fn all_pass() -> ModePolicy {
    let policy = ModePolicy::builder().reduce_from(1_000).cancel_from(1_000);
    policy.clean_queries(0).build().unwrap()
}

/// So many orders whose answers are lost, half of them executed: how many pages were read.
async fn pages_for(orders: usize) -> usize {
    let desk = Desk::new(Lists::new(10, SECOND / 10), rules(), all_pass());
    desk.handle.started().await;
    desk.lists.add_closed(100);
    let before = desk.lists.asked();
    let mut placed = Vec::new();
    for number in 0..orders {
        let faults = [Fault::Dropped, Fault::Lost];
        desk.lists.client.fault(faults[number % 2]);
        placed.push(tokio::spawn(desk.place(&format!("o{number}"))));
    }
    for (number, placing) in placed.into_iter().enumerate() {
        let executed = number % 2 == 1;
        assert_eq!(placing.await.unwrap().is_ok(), executed, "{number}");
        let state = desk.state(&format!("o{number}")).await;
        let expected = [State::Absent, State::Confirmed][usize::from(executed)];
        assert_eq!(state, Some(expected), "{number}");
    }
    assert_eq!(desk.lists.client.world().creates, orders);
    let counts = desk.handle.counts();
    assert_eq!((counts.failed_look_ups, counts.exhausted), (0, 0));
    desk.lists.asked() - before
}

#[tokio::test(start_paused = true)]
async fn fifty_orders_need_the_pages_of_one() {
    let (one, fifty) = (pages_for(1).await, pages_for(50).await);
    assert!(one >= 12, "{one}: a page of open orders, 11 of closed ones");
    // The executed ones make the list three pages longer.
    assert!(fifty <= 2 * one, "{fifty} for 50, {one} for one");
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_looked_up_while_a_reading_runs_is_not_absent_by_that() {
    // A look-up is a proof from the first one on, and a page takes long.
    let rules = || rules().window(SECOND).first_look_up(SECOND);
    for asked_after in [100, 900, 1_400] {
        let desk = Desk::new(Lists::new(10, 3 * SECOND / 2), rules(), all_pass());
        desk.handle.started().await;
        desk.lists.client.world().resting = true;
        let before = desk.lists.asked();
        desk.lists.client.fault(Fault::Dropped);
        let first = tokio::spawn(desk.place("first"));
        sleep(Duration::from_millis(asked_after)).await;
        // Executed when the page of the first reading is on its way, and never seen by that.
        desk.lists.client.fault(Fault::LeavesLate(950));
        let second = tokio::spawn(desk.place("second"));
        sleep(SECOND).await;
        let asked = desk.lists.asked() - before;
        assert!(second.await.unwrap().is_ok(), "{asked_after}");
        assert!(first.await.unwrap().is_err());
        assert_eq!(desk.state("first").await, Some(State::Absent));
        assert_eq!(desk.state("second").await, Some(State::Confirmed));
        assert_eq!(asked, 1, "while it is looked up, it waits");
        assert_eq!(desk.lists.client.executed("second"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn lists_of_other_credentials_are_others() {
    let desk = Desk::new(Lists::new(10, SECOND / 10), rules(), all_pass());
    desk.handle.started().await;
    let before = desk.lists.asked();
    let mut placed = Vec::new();
    for (id, account) in [("a", "one"), ("b", "two"), ("c", "one")] {
        desk.lists.client.fault(Fault::Lost);
        placed.push(tokio::spawn(desk.place_as(id, account)));
    }
    for placing in placed {
        placing.await.unwrap().unwrap();
    }
    let asked = desk.lists.pages().asked.split_off(before);
    let of = |account: &str| {
        let is_of = |credentials: &&Vec<String>| **credentials == [account];
        asked.iter().filter(is_of).count()
    };
    // Open orders, then closed ones.
    assert_eq!((of("one"), of("two"), asked.len()), (2, 2, 4), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_fails_is_read_again_for_all_and_counts_once() {
    let desk = Desk::new(Lists::new(2, SECOND / 10), rules(), all_pass());
    desk.handle.started().await;
    desk.lists.client.world().resting = true;
    let mut placed = Vec::new();
    for number in 0..9 {
        desk.lists.client.fault(Fault::Lost);
        placed.push(tokio::spawn(desk.place(&format!("o{number}"))));
    }
    sleep(SECOND / 2).await;
    let before = desk.lists.asked();
    desk.lists.pages().failing = 3;
    for placing in placed {
        placing.await.unwrap().unwrap();
    }
    let counts = desk.handle.counts();
    assert_eq!((counts.failed_look_ups, counts.look_ups), (3, 1));
    assert_eq!(desk.lists.asked() - before, 3 + 5);
}

#[tokio::test(start_paused = true)]
async fn a_reading_is_one_clean_query_for_the_trading_mode() {
    let policy = ModePolicy::builder().reduce_from(9).clean_queries(4);
    let desk = Desk::new(
        Lists::new(10, SECOND / 10),
        rules(),
        policy.build().unwrap(),
    );
    desk.handle.started().await;
    desk.lists.client.world().resting = true;
    let before = desk.lists.asked();
    let mut placed = Vec::new();
    for number in 0..9 {
        desk.lists.client.fault(Fault::Lost);
        placed.push(tokio::spawn(desk.place(&format!("o{number}"))));
    }
    for placing in placed {
        placing.await.unwrap().unwrap();
    }
    assert_ne!(desk.handle.control().mode(), TradingMode::Normal);
    // After the one that has settled all of them, the layer makes four queries to find out.
    while desk.handle.control().mode() != TradingMode::Normal {
        sleep(SECOND / 100).await;
    }
    assert_eq!(desk.lists.asked() - before, 5);
}

/// Orders that are placed one after the other and executed, and whose answers are lost, at a broker whose pages
/// take so long.
async fn found_by_pages(orders: usize, size: usize, takes: Duration) {
    let desk = Desk::new(Lists::new(size, takes), rules(), all_pass());
    desk.handle.started().await;
    desk.lists.client.world().resting = true;
    let mut placed = Vec::new();
    for number in 0..orders {
        desk.lists.client.fault(Fault::Lost);
        placed.push(tokio::spawn(desk.place(&format!("o{number}"))));
        sleep(SECOND / 10).await;
    }
    for placing in placed {
        assert!(placing.await.unwrap().is_ok(), "{takes:?}");
    }
    let counts = desk.handle.counts();
    assert_eq!((counts.failed_look_ups, counts.exhausted), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn each_page_has_the_whole_time_of_a_look_up() {
    for takes in [6, 8, 9] {
        for (orders, size) in [(1, 10), (40, 100), (40, 10)] {
            found_by_pages(orders, size, takes * SECOND).await;
        }
    }
    // Readings of ten pages, of a minute and a half each, are shared by all that wait for the next.
    found_by_pages(100, 10, 9 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_page_that_takes_longer_is_a_look_up_that_failed() {
    let rules = rules().look_ups(3).backoff(SECOND).window(SECOND);
    let desk = Desk::new(Lists::new(10, 11 * SECOND), rules, all_pass());
    desk.handle.started().await;
    desk.lists.client.fault(Fault::Lost);
    let begun = Instant::now();
    assert!(desk.place("a").await.is_err());
    // After a second, three of ten seconds, and one and two seconds between them.
    assert_eq!((Instant::now() - begun).as_secs(), 34);
    let counts = desk.handle.counts();
    assert_eq!((counts.failed_look_ups, counts.exhausted), (3, 1));
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// In real time: a paused clock is its runtime's own.
#[test]
fn a_runtime_that_goes_on_no_more_holds_up_nobody_elsewhere() {
    let ms = Duration::from_millis;
    let rules = rules()
        .window(ms(100))
        .first_look_up(ms(20))
        .backoff(ms(20))
        .look_up_timeout(ms(1_000));
    let (first, second) = (runtime(), runtime());
    let desk = first.block_on(async {
        let desk = Desk::new(Lists::new(10, ms(50)), rules, all_pass());
        desk.handle.started().await;
        desk.lists.client.world().resting = true;
        let before = desk.lists.asked();
        desk.lists.client.fault(Fault::Lost);
        tokio::spawn(desk.place("a"));
        while desk.lists.asked() == before {
            sleep(ms(1)).await;
        }
        desk
    });
    // Its reading is under way, and is never polled again.
    second.block_on(async {
        desk.lists.client.fault(Fault::Lost);
        desk.place("b").await.unwrap();
        assert_eq!(desk.state("b").await, Some(State::Confirmed));
        let other = desk.handle.order("a").await.unwrap();
        assert_eq!(other.state, IntentState::InDoubt);
    });
    first.block_on(async {
        while desk.state("a").await != Some(State::Confirmed) {
            sleep(ms(1)).await;
        }
    });
}

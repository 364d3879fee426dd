//! Our own orders beside the broker's list.

use std::sync::Arc;
use std::time::Duration;

use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_core::{DepartureLayer, Reason};
use seawall_http::NoteDeparture;
use seawall_orders::broker::{
    BrokerTable, ListRequest, OrderFields, PositionFields, RequestFields,
};
use seawall_orders::ids::{IdRules, OrderIds};
use seawall_orders::journal::{Intent, Journal, Mark, MemoryJournal, State};
use seawall_orders::lists::{ListsConfig, OwnedDifference};
use seawall_orders::protocol::{
    Alert, Duplicates, IntentState, NotExecuted, Notice, Operation, OrderState, Query, Rules,
    Settlement, Verdict,
};
use seawall_orders::{Cancelled, OrderConfig, OrderConfigBuilder, OrderLayer, ReceivedNotice};
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::common::{
    Body, Classifier, Client, Desk, Fault, Placed, classify, order, rejection, rules,
};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn broker() -> BrokerTable {
    broker_with(rules(Duplicates::RejectWhileOpen))
}

fn broker_with(rules: Rules) -> BrokerTable {
    let ids = OrderIds::text(IdRules::text(20).unwrap().with_characters("-"), "d-").unwrap();
    let fields = || {
        let fields = OrderFields::new("id").id("client_order_id");
        fields.state("status").state_unless_set(OrderState::Open)
    };
    let mut table = BrokerTable::builder("test", rules, ids)
        .route(Operation::Create, "POST /orders")
        .other_route("POST /margins")
        .request(
            Operation::Create,
            RequestFields::new()
                .id("client_order_id")
                .symbol("symbol")
                .quantity("qty"),
        )
        .reply(fields())
        .order(fields())
        .query(Query::ById, ListRequest::new("GET /orders/{id}"))
        .list(Query::Open, ListRequest::new("GET /orders"))
        .positions(
            ListRequest::new("GET /accounts/{account}/positions"),
            PositionFields::new("symbol", "qty"),
        );
    for (word, state) in [
        ("open", OrderState::Open),
        ("filled", OrderState::Filled),
        ("cancelled", OrderState::Cancelled),
    ] {
        table = table.state(word, state);
    }
    table.build().unwrap()
}

fn desk(client: Client) -> Desk {
    let config = config().build().unwrap();
    desk_with(client, Arc::default(), broker(), config)
}

fn config() -> OrderConfigBuilder {
    let lists = ListsConfig::builder().window(5 * SECOND).closed(false);
    let config = OrderConfig::builder().compare_every(30 * SECOND);
    config.lists(lists.build().unwrap())
}

fn desk_with(
    client: Client,
    journal: Arc<MemoryJournal>,
    broker: BrokerTable,
    config: OrderConfig,
) -> Desk {
    let layer: OrderLayer<Body> = OrderLayer::<Body>::builder("desk", broker)
        .journal(Arc::clone(&journal))
        .config(config)
        .build()
        .unwrap();
    Desk::of(client, journal, layer)
}

fn by_hand(id: &str) -> Placed {
    Placed {
        id: id.to_owned(),
        broker_id: format!("hand-{id}"),
        state: "open",
        visible: Instant::now(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_was_placed_by_hand_is_reported_once_and_its_end_too() {
    let desk = desk(Client::default());
    desk.client.world().resting = true;
    let mut notices = desk.handle.subscribe();
    desk.place("ours").await.unwrap();
    desk.client.world().orders.push(by_hand("theirs"));
    tokio::time::sleep(120 * SECOND).await;
    let compared = desk.handle.compared();
    assert_eq!(compared.failed, None);
    let [OwnedDifference::UnknownToUs(listed)] = &compared.differences[..] else {
        panic!("{compared:?}")
    };
    assert_eq!(listed.id.as_deref(), Some("theirs"));
    assert_eq!(desk.handle.counts().differences, 1);

    desk.client
        .world()
        .orders
        .retain(|order| order.id != "theirs");
    tokio::time::sleep(60 * SECOND).await;
    assert!(desk.handle.compared().differences.is_empty());
    let mut reported = Vec::new();
    while let Ok(Some(notice)) = tokio::time::timeout(SECOND, notices.next()).await {
        if let ReceivedNotice::Difference(notice) = notice {
            reported.push((notice.difference.as_str(), notice.is_gone));
        }
    }
    assert_eq!(
        reported,
        [("unknown_to_us", false), ("unknown_to_us", true)]
    );
}

#[tokio::test(start_paused = true)]
async fn an_order_of_ours_that_is_not_open_any_more_is_reported() {
    let desk = desk(Client::default());
    desk.client.world().resting = true;
    desk.place("ours").await.unwrap();
    tokio::time::sleep(100 * SECOND).await;
    assert!(desk.handle.compared().differences.is_empty());
    desk.client.world().orders.clear();
    tokio::time::sleep(100 * SECOND).await;
    let compared = desk.handle.compared();
    let [difference] = &compared.differences[..] else {
        panic!("{compared:?}")
    };
    assert_eq!(difference.as_str(), "not_open");
    let words = difference.to_string();
    assert_eq!(
        words,
        "`ours` is not open at the broker: open, 0 of 0 filled"
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_layer_ends_its_comparisons() {
    let desk = desk(Client::default());
    desk.handle.started().await;
    tokio::time::sleep(SECOND).await;
    let before = desk.handle.counts().comparisons;
    assert_eq!(before, 1, "at the start");
    let client = desk.client.clone();
    drop(desk);
    tokio::time::sleep(120 * SECOND).await;
    assert_eq!(
        std::sync::Arc::strong_count(&client.0),
        1,
        "nothing holds the client"
    );
}

/// A broker whose ids are labels: nothing is sent again.
fn labels() -> BrokerTable {
    broker_with(rules(Duplicates::Accept))
}

/// An order that works is in the list from now on, with an id of ours.
fn appears(desk: &Desk, id: &str) {
    let placed = Placed {
        id: id.to_owned(),
        broker_id: format!("late-{id}"),
        state: "open",
        visible: Instant::now(),
    };
    desk.client.world().orders.push(placed);
}

/// What happens to one order that the list has against our view: it is confirmed, and is compared from then on.
async fn is_noticed(desk: &Desk, id: &str, alerts: &[Alert]) {
    let mut notices = desk.handle.subscribe();
    let before = desk.handle.counts();
    tokio::time::sleep(300 * SECOND).await;
    let order = desk.handle.order(id).await.unwrap();
    assert_eq!(order.state, IntentState::Confirmed);
    assert!(
        order
            .found
            .is_some_and(|found| found.figures.state == OrderState::Open)
    );
    assert_eq!(desk.journalled(id).await, Some(State::Confirmed));
    let mut alerted = Vec::new();
    while let Ok(Some(notice)) = tokio::time::timeout(SECOND, notices.next()).await {
        if let ReceivedNotice::Notice(notice) = notice
            && let Notice::Alert(alert) = notice.notice
        {
            assert_eq!(&*notice.id, id);
            alerted.push(alert);
        }
    }
    assert_eq!(alerted, alerts);
    let counts = desk.handle.counts();
    assert_eq!(counts.alerts - before.alerts, alerts.len() as u64);
    assert!(counts.comparisons > before.comparisons + 5);
    assert_eq!(desk.handle.compared().differences, [], "it is known");
    desk.client.world().orders.clear();
    tokio::time::sleep(100 * SECOND).await;
    let compared = desk.handle.compared();
    assert_eq!(
        compared.differences.len(),
        1,
        "it is compared: {compared:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_order_that_was_reported_as_not_executed_and_works_is_noticed() {
    let desk = desk_with(
        Client::default(),
        Arc::default(),
        labels(),
        config().build().unwrap(),
    );
    desk.client.world().resting = true;
    // The broker exceeds its window.
    desk.client.fault(Fault::LeavesLate(40_000));
    let rejected = rejection(desk.place("a").await);
    assert_eq!(rejected.reason(), Reason::NotExecuted);
    let absent = Settlement::Absent(NotExecuted::LookedUp);
    is_noticed(&desk, "a", &[Alert::Contradiction(absent)]).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_that_was_rejected_and_works_is_noticed() {
    let desk = desk(Client::default());
    desk.client.fault(Fault::Reject);
    assert_eq!(desk.place("a").await.unwrap().status(), 422);
    appears(&desk, "a");
    let rejected = Settlement::Rejected(seawall_orders::protocol::Via::Reply);
    is_noticed(&desk, "a", &[Alert::Contradiction(rejected)]).await;
}

#[tokio::test(start_paused = true)]
async fn an_order_that_a_person_has_settled_wrongly_is_noticed() {
    for (verdict, alerts) in [
        (
            Verdict::NotExecuted,
            &[Alert::Contradiction(Settlement::Absent(
                NotExecuted::Person,
            ))][..],
        ),
        (Verdict::Abandon, &[]),
    ] {
        let desk = desk(Client::default());
        desk.client.world().resting = true;
        desk.client.world().failing_queries = usize::MAX;
        desk.client.fault(Fault::Lost);
        let placing = tokio::spawn(desk.place("a"));
        tokio::time::sleep(SECOND / 10).await;
        desk.handle.resolve("a", verdict).await.unwrap();
        rejection(placing.await.unwrap());
        is_noticed(&desk, "a", alerts).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_order_is_found_by_a_comparison() {
    let config = config().without_looking_up_again();
    let desk = desk_with(
        Client::default(),
        Arc::default(),
        labels(),
        config.build().unwrap(),
    );
    desk.client.world().resting = true;
    desk.client.world().failing_queries = usize::MAX;
    desk.client.world().delay = 400 * SECOND;
    desk.client.fault(Fault::Lost);
    assert_eq!(
        rejection(desk.place("a").await).reason(),
        Reason::OutcomeUnknown
    );
    while desk.handle.snapshot().exhausted == 0 {
        tokio::time::sleep(SECOND).await;
    }
    tokio::time::sleep(400 * SECOND).await;
    is_noticed(&desk, "a", &[]).await;
    assert_eq!(desk.handle.snapshot().exhausted, 0);
}

/// What is not in memory any more is in the journal.
#[tokio::test(start_paused = true)]
async fn an_order_that_is_forgotten_or_of_an_earlier_process_is_noticed() {
    let few = config().remembered(2).build().unwrap();
    let mut desk = desk_with(Client::default(), Arc::default(), labels(), few);
    desk.client.fault(Fault::Reject);
    assert_eq!(desk.place("a").await.unwrap().status(), 422);
    for id in ["b", "c", "d"] {
        desk.place(id).await.unwrap();
    }
    assert!(desk.handle.orders().iter().all(|order| &*order.id != "a"));
    let orders = |desk: &Desk| desk.handle.orders().len();
    tokio::time::sleep(100 * SECOND).await;
    assert_eq!(
        orders(&desk),
        2,
        "a comparison takes nothing over without a cause"
    );
    for restarts in [false, true] {
        if restarts {
            desk.client.fault(Fault::Reject);
            assert_eq!(desk.place("e").await.unwrap().status(), 422);
            desk = desk_with(desk.client.clone(), desk.journal, labels(), few);
            desk.handle.started().await;
            appears(&desk, "e");
        } else {
            appears(&desk, "a");
        }
        let id = if restarts { "e" } else { "a" };
        let via = seawall_orders::protocol::Via::Journal;
        is_noticed(
            &desk,
            id,
            &[Alert::Contradiction(Settlement::Rejected(via))],
        )
        .await;
    }
}

/// While its call runs, the response comes first.
#[tokio::test(start_paused = true)]
async fn an_order_that_is_being_sent_is_left_alone() {
    let config = config().deadline(60 * SECOND).build().unwrap();
    let desk = desk_with(Client::default(), Arc::default(), broker(), config);
    desk.client.world().resting = true;
    desk.client.fault(Fault::Slow(40_000));
    let placing = tokio::spawn(desk.place("a"));
    tokio::time::sleep(35 * SECOND).await;
    assert_eq!(desk.handle.counts().comparisons, 2);
    let order = desk.handle.order("a").await.unwrap();
    assert_eq!((order.state, order.found), (IntentState::Sent, None));
    let placed = placing.await.unwrap().unwrap();
    assert!(!placed.headers().contains_key("x-seawall-reconciled"));
    assert_eq!(desk.handle.counts().alerts, 0);
}

/// An id that was never sent: what the list has under it is not ours.
#[tokio::test(start_paused = true)]
async fn an_order_of_another_program_with_an_id_that_was_not_sent_is_reported() {
    let journal = Arc::<MemoryJournal>::default();
    // Of an earlier process.
    let at = std::time::SystemTime::now();
    let intent = Intent::new("earlier", Operation::Create, at).account("test");
    journal.append(intent).await.unwrap();
    let mark = Mark::abandoned(at, "");
    journal.mark("earlier", mark).await.unwrap();
    // And of this one: it waits, and is cancelled.
    let layer = OrderLayer::<Body>::builder("desk", broker())
        .journal(journal)
        .config(config().build().unwrap())
        .departures_noted();
    let layer = layer.build().unwrap().classify(classify as Classifier);
    let (client, handle) = (Client::default(), layer.handle());
    let one = BulkheadConfig::builder().max_concurrent(1).max_waiting(5);
    let stack = ServiceBuilder::new()
        .layer(BulkheadLayer::new("desk", one.build().unwrap()))
        .layer(DepartureLayer::new(NoteDeparture))
        .service(client.clone());
    let service = layer.layer(stack);
    client.fault(Fault::Slow(1_000));
    let place = |id: &str| {
        let body = serde_json::json!({ "symbol": "A", "qty": 1, "client_order_id": id });
        tokio::spawn(service.clone().oneshot(order(&body)))
    };
    let first = place("first");
    tokio::time::sleep(SECOND / 10).await;
    let second = place("second");
    tokio::time::sleep(SECOND / 10).await;
    let cancelled = handle.cancel("second", SECOND).await.unwrap();
    assert_eq!(cancelled, Cancelled::NotSent);
    assert!(second.await.unwrap().is_err());
    first.await.unwrap().unwrap();

    for id in ["earlier", "second"] {
        client.world().orders.push(by_hand(id));
    }
    tokio::time::sleep(100 * SECOND).await;
    let compared = handle.compared();
    let differences = compared.differences.iter();
    let mut listed: Vec<_> = differences
        .map(|of| match of {
            OwnedDifference::UnknownToUs(listed) => &*listed.broker_id,
            other => panic!("{other:?}"),
        })
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, ["hand-earlier", "hand-second"]);
    let state = handle.order("second").await.unwrap().state;
    assert_eq!(state, IntentState::Absent);
}

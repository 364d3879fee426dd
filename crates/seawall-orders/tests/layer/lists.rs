//! Our own orders beside the broker's list.

use std::time::Duration;

use seawall_orders::broker::{
    BrokerTable, ListRequest, OrderFields, PositionFields, RequestFields,
};
use seawall_orders::ids::{IdRules, OrderIds};
use seawall_orders::lists::{ListsConfig, OwnedDifference};
use seawall_orders::protocol::{Duplicates, Operation, OrderState, Query};
use seawall_orders::{OrderConfig, OrderLayer, ReceivedNotice};
use tokio::time::Instant;

use crate::common::{Body, Client, Desk, Placed, rules};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn broker() -> BrokerTable {
    let ids = OrderIds::text(IdRules::text(20).unwrap().with_characters("-"), "d-").unwrap();
    let fields = || {
        let fields = OrderFields::new("id").id("client_order_id");
        fields.state("status").state_unless_set(OrderState::Open)
    };
    let mut table = BrokerTable::builder("test", rules(Duplicates::RejectWhileOpen), ids)
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
    let lists = ListsConfig::builder().window(5 * SECOND).closed(false);
    let config = OrderConfig::builder()
        .compare_every(30 * SECOND)
        .lists(lists.build().unwrap());
    let layer: OrderLayer<Body> = OrderLayer::<Body>::builder("desk", broker())
        .config(config.build().unwrap())
        .build()
        .unwrap();
    Desk::of(client, std::sync::Arc::default(), layer)
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

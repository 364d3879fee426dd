//! What a process finds in its journal.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use seawall_orders::Operation;
use seawall_orders::journal::{Intent, Journal, Mark, MemoryJournal, SavedRequest, State};
use seawall_orders::protocol::Duplicates;
use tokio::time::Instant;

use crate::common::{Client, Desk, Placed, rules};

async fn left_open(journal: &MemoryJournal, id: &str, sent: bool) {
    let body = format!(r#"{{"symbol":"AAPL","qty":1,"client_order_id":"{id}"}}"#);
    let request = SavedRequest::new("POST", "http://broker/orders").body(body);
    let intent = Intent::new(id, Operation::Create, SystemTime::now())
        .account("test")
        .request(request);
    journal.append(intent).await.unwrap();
    if sent {
        journal
            .mark(id, Mark::sent(SystemTime::now(), 1))
            .await
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn orders_of_an_earlier_process_are_settled_before_new_ones_pass() {
    let (client, journal) = (Client::default(), Arc::new(MemoryJournal::default()));
    left_open(&journal, "executed", true).await;
    left_open(&journal, "unmarked", false).await;
    left_open(&journal, "absent", true).await;
    for id in ["executed", "unmarked"] {
        let broker_id = format!("old-{id}");
        client.world().orders.push(Placed {
            id: id.to_owned(),
            broker_id,
            state: "filled",
            visible: Instant::now(),
        });
    }
    let desk = Desk::with(client, journal, rules(Duplicates::RejectWhileOpen));
    let begun = Instant::now();
    desk.place("new").await.unwrap();
    // The window has to pass before an order counts as absent.
    let waited = Instant::now() - begun;
    assert!(waited >= Duration::from_secs(15), "{waited:?}");
    for (id, state, executed) in [
        ("executed", State::Confirmed, 1),
        ("unmarked", State::Confirmed, 1),
        ("absent", State::Absent, 0),
        ("new", State::Confirmed, 1),
    ] {
        assert_eq!(desk.journalled(id).await, Some(state), "{id}");
        assert_eq!(desk.client.executed(id), executed, "{id}");
    }
    assert_eq!(desk.client.world().creates, 1, "nothing old is sent again");
    assert!(desk.handle.snapshot().started);
}

#[tokio::test(start_paused = true)]
async fn a_layer_leaves_the_orders_of_other_accounts_alone() {
    let (client, journal) = (Client::default(), Arc::new(MemoryJournal::default()));
    let intent = Intent::new("theirs", Operation::Create, SystemTime::now()).account("other");
    journal.append_sent(intent).await.unwrap();
    let desk = Desk::with(client, journal, rules(Duplicates::Accept));
    desk.handle.started().await;
    assert_eq!(desk.journalled("theirs").await, Some(State::Sent));
    assert_eq!(desk.client.world().queries, 0);
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_order_does_not_hold_new_ones_back() {
    let (client, journal) = (Client::default(), Arc::new(MemoryJournal::default()));
    left_open(&journal, "a", true).await;
    client.world().failing_queries = 10;
    let desk = Desk::with(client, journal, rules(Duplicates::Accept));
    desk.handle.started().await;
    assert_eq!(desk.handle.snapshot().exhausted, 1);
    assert_eq!(desk.handle.in_doubt()[0].id.as_ref(), "a");
}

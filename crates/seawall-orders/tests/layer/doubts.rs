//! While an outcome is unknown.

use std::time::Duration;

use seawall_core::Reason;
use seawall_orders::journal::State;
use seawall_orders::protocol::{Duplicates, IntentState, OrderState, Report, Verdict, Via};
use seawall_orders::{OrderError, Reconciled, ReconciledHow};
use tokio::time::Instant;

use crate::common::{Desk, Fault, rejection};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_order_that_is_shown_late_is_found_and_not_sent_again() {
    for class in [Duplicates::RejectWhileOpen, Duplicates::Accept] {
        let desk = Desk::new(class);
        desk.client.world().delay = 10 * SECOND;
        desk.client.fault(Fault::Lost);
        let response = desk.place("a").await.unwrap();
        assert!(response.extensions().get::<Reconciled>().is_some());
        assert_eq!(desk.client.executed("a"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_executed_late_is_found() {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.client.fault(Fault::Stall(130_000));
    let placing = tokio::spawn(desk.place("a"));
    let unknown = rejection(placing.await.unwrap());
    assert_eq!(unknown.reason(), Reason::OutcomeUnknown);
    assert_eq!(desk.client.executed("a"), 0);
    tokio::time::sleep(120 * SECOND).await;
    assert_eq!(desk.client.executed("a"), 1);
    assert_eq!(desk.journalled("a").await, Some(State::Confirmed));
}

#[tokio::test(start_paused = true)]
async fn a_query_that_fails_is_no_proof_and_ends_in_an_alert() {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.client.world().failing_queries = usize::MAX;
    desk.client.fault(Fault::Dropped);
    let placing = tokio::spawn(desk.place("a"));
    tokio::time::sleep(600 * SECOND).await;
    assert_eq!(
        rejection(placing.await.unwrap()).reason(),
        Reason::OutcomeUnknown
    );
    assert_eq!(desk.handle.in_doubt()[0].state, IntentState::Exhausted);
    assert_eq!(desk.handle.counts().exhausted, 1);
    assert_eq!(desk.journalled("a").await, Some(State::Exhausted));
    assert_eq!(desk.client.world().creates, 1);

    desk.handle
        .resolve("a", Verdict::NotExecuted)
        .await
        .unwrap();
    assert_eq!(desk.journalled("a").await, Some(State::Absent));
    let again = desk.handle.resolve("a", Verdict::NotExecuted).await;
    assert!(matches!(again, Err(OrderError::Settled(_))), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn evidence_from_elsewhere_answers_the_caller_and_ends_the_queries() {
    let desk = Desk::new(Duplicates::Accept);
    desk.client.fault(Fault::Stall(3_600_000));
    let begun = Instant::now();
    let placing = tokio::spawn(desk.place("a"));
    tokio::time::sleep(SECOND).await;
    desk.handle
        .observe("a", Report::of(OrderState::Filled))
        .await
        .unwrap();
    let response = placing.await.unwrap().unwrap();
    assert_eq!(Instant::now() - begun, SECOND);
    let how = response.extensions().get::<Reconciled>().unwrap().how;
    assert_eq!(how, ReconciledHow::Order(Via::Evidence, OrderState::Filled));
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(desk.client.world().queries, 0);
    assert_eq!(desk.journalled("a").await, Some(State::Confirmed));

    let unknown = desk
        .handle
        .observe("by-hand", Report::of(OrderState::Open))
        .await;
    assert!(matches!(unknown, Err(OrderError::UnknownOrder)));
}

#[tokio::test(start_paused = true)]
async fn several_orders_of_one_id_raise_an_alarm() {
    let desk = Desk::new(Duplicates::Accept);
    desk.client.fault(Fault::Lost);
    let other = desk.client.clone();
    let placing = tokio::spawn(desk.place("a"));
    tokio::time::sleep(SECOND / 2).await;
    // Another program uses the id.
    let mut twin = other.world().orders[0].clone();
    twin.broker_id = "twin".to_owned();
    other.world().orders.push(twin);
    placing.await.unwrap().unwrap();
    assert_eq!(desk.handle.counts().alerts, 1);
}

#[tokio::test]
async fn in_real_time_too() {
    let rules = seawall_orders::protocol::Rules::builder(Duplicates::RejectWhileOpen)
        .window(SECOND / 5)
        .first_look_up(SECOND / 20)
        .backoff(SECOND / 20)
        .build()
        .unwrap();
    let desk = Desk::with(Default::default(), Default::default(), rules);
    desk.client.fault(Fault::Lost);
    desk.client.fault(Fault::Dropped);
    let (lost, dropped) = tokio::join!(desk.place("lost"), desk.place("dropped"));
    assert_eq!(lost.unwrap().status(), 200);
    assert_eq!(dropped.unwrap().status(), 200);
    for id in ["lost", "dropped"] {
        assert_eq!(desk.client.executed(id), 1, "{id}");
    }
}

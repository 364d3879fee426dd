//! While an outcome is unknown.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, Response};

use seawall_core::{Error, Reason, Rejection};
use seawall_orders::journal::State;
use seawall_orders::protocol::{
    Duplicates, IntentState, OrderState, Report, TradingMode, Verdict, Via,
};
use seawall_orders::{OrderError, OrderLayer, Reconciled, ReconciledHow};
use serde_json::json;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

use crate::common::{
    Body, Classifier, Client, Desk, Down, Fault, TestBroker, classify, order, rejection, rules,
};

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
    tokio::time::sleep(240 * SECOND).await;
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

#[tokio::test(start_paused = true)]
async fn a_rejection_that_is_learned_later_is_no_success() {
    let desk = Desk::new(Duplicates::Accept);
    desk.client.fault(Fault::Stall(3_600_000));
    let placing = tokio::spawn(desk.place("a"));
    tokio::time::sleep(SECOND).await;
    let report = Report::of(OrderState::Rejected);
    desk.handle.observe("a", report).await.unwrap();
    let response = placing.await.unwrap().unwrap();
    assert_eq!(response.status(), 422);
    assert_eq!(response.headers()["x-seawall-reconciled"], "evidence");
}

/// Reads are rejected by a layer below while the switch is on, as by an open circuit.
#[derive(Clone)]
struct RejectsReads(Client, Arc<AtomicBool>, Arc<AtomicUsize>);

impl Service<Request<Body>> for RejectsReads {
    type Response = Response<Body>;
    type Error = Error<Down>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.method() == Method::GET && self.1.load(Relaxed) {
            self.2.fetch_add(1, Relaxed);
            let open = Rejection::new(Reason::CircuitOpen, "below");
            return Box::pin(std::future::ready(Err(open.into())));
        }
        self.0.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn look_ups_that_do_not_leave_do_not_count() {
    let client = Client::default();
    let rejects = Arc::new(AtomicBool::new(true));
    let broker = TestBroker::new(rules(Duplicates::RejectWhileOpen));
    let layer: OrderLayer<Body> = OrderLayer::builder("desk", broker).build().unwrap();
    let layer = layer.classify(classify as Classifier);
    let handle = layer.handle();
    let asked = Arc::new(AtomicUsize::new(0));
    let below = RejectsReads(client.clone(), Arc::clone(&rejects), Arc::clone(&asked));
    let service = layer.layer(below);
    client.fault(Fault::Lost);
    let body = json!({ "symbol": "A", "qty": 1, "client_order_id": "a" });
    let placing = tokio::spawn(service.oneshot(order(&body)));
    tokio::time::sleep(3_600 * SECOND).await;
    assert_eq!(
        handle.in_doubt()[0].state,
        IntentState::InDoubt,
        "not exhausted"
    );
    // After 1, 2, 4, 8, 16 and then each 30 seconds.
    let in_an_hour = asked.load(Relaxed);
    assert!((110..=125).contains(&in_an_hour), "{in_an_hour}");
    assert!(
        placing.await.unwrap().is_err(),
        "its caller waits no longer"
    );
    rejects.store(false, Relaxed);
    tokio::time::sleep(60 * SECOND).await;
    assert!(handle.in_doubt().is_empty());
    assert_eq!((client.executed("a"), client.world().creates), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn look_ups_that_do_not_leave_make_the_mode_no_better() {
    let client = Client::default();
    let rejects = Arc::new(AtomicBool::new(false));
    let broker = TestBroker::new(rules(Duplicates::RejectWhileOpen));
    let layer: OrderLayer<Body> = OrderLayer::builder("desk", broker).build().unwrap();
    let layer = layer.classify(classify as Classifier);
    let handle = layer.handle();
    let asked = Arc::new(AtomicUsize::new(0));
    let below = RejectsReads(client.clone(), Arc::clone(&rejects), Arc::clone(&asked));
    let service = layer.layer(below);
    let body = json!({ "symbol": "A", "qty": 1, "client_order_id": "a" });
    service.oneshot(order(&body)).await.unwrap();
    rejects.store(true, Relaxed);
    handle.set_mode(Some(TradingMode::Halted));
    handle.set_mode(None);
    tokio::time::sleep(600 * SECOND).await;
    assert_eq!(handle.control().mode(), TradingMode::Halted);
    let in_ten_minutes = asked.load(Relaxed);
    assert!((20..=25).contains(&in_ten_minutes), "{in_ten_minutes}");
    rejects.store(false, Relaxed);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(handle.control().mode(), TradingMode::Normal);
}

#[tokio::test(start_paused = true)]
async fn a_query_by_id_has_the_whole_time_of_a_look_up() {
    for (seconds, is_found) in [(1, true), (6, true), (9, true), (11, false)] {
        let desk = Desk::new(Duplicates::Accept);
        desk.client.world().query_takes = Duration::from_secs(seconds);
        desk.client.fault(Fault::Lost);
        assert_eq!(desk.place("a").await.is_ok(), is_found, "{seconds}");
    }
}

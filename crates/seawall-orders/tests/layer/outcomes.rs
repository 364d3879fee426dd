//! What a caller gets.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use seawall_core::{
    Error, Event, EventFilter, EventKind, Events, InstanceHandle, Reason, Received, Sent,
};
use seawall_orders::broker::Broker;
use seawall_orders::journal::{Journal, State, Step};
use seawall_orders::protocol::{Duplicates, Operation, OrderState, Via};
use seawall_orders::{Reconciled, ReconciledHow};
use seawall_testkit::alloc;
use serde_json::json;
use tower::{Service, ServiceExt};

use crate::common::{Body, Desk, Down, Fault, TestBroker, order, rejection, rules, text};

const CLASSES: [Duplicates; 4] = [
    Duplicates::ReturnFirst,
    Duplicates::RejectForATime,
    Duplicates::RejectWhileOpen,
    Duplicates::Accept,
];

#[tokio::test(start_paused = true)]
async fn an_order_is_written_sent_once_and_its_response_passes() {
    for class in CLASSES {
        let desk = Desk::new(class);
        let response = desk.place("a").await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.extensions().get::<Reconciled>().is_none());
        assert!(text(response).await.contains("\"b1\""));
        assert_eq!(desk.client.executed("a"), 1);
        let entry = desk.journal.entry("a").await.unwrap().unwrap();
        assert_eq!((entry.state(), entry.attempts()), (State::Confirmed, 1));
        assert_eq!(entry.broker_id(), b"b1");
        let counts = desk.handle.counts();
        assert_eq!(
            (counts.intended, counts.confirmed, counts.in_doubt),
            (1, 1, 0)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_about_no_order_passes() {
    let desk = Desk::new(Duplicates::Accept);
    let request = http::Request::get("/quotes")
        .body(Default::default())
        .unwrap();
    let response = desk.service.clone().oneshot(request).await.unwrap();
    assert_eq!(text(response).await, "\"quote\"");
    assert_eq!(desk.handle.counts().intended, 0);
}

#[tokio::test(start_paused = true)]
async fn an_order_without_an_id_gets_one() {
    let desk = Desk::new(Duplicates::Accept);
    let request = order(&json!({ "symbol": "AAPL", "qty": 1 }));
    desk.service.clone().oneshot(request).await.unwrap();
    let id = desk.client.world().orders[0].id.clone();
    assert!(id.starts_with("new-"), "{id}");
    assert_eq!(desk.journalled(&id).await, Some(State::Confirmed));
}

#[tokio::test(start_paused = true)]
async fn an_order_whose_response_was_lost_is_found() {
    for class in CLASSES {
        for fault in [Fault::Lost, Fault::Gateway, Fault::Duplicate] {
            let desk = Desk::new(class);
            desk.client.fault(fault);
            let response = desk.place("a").await;
            // A broker that returns the first order may have answered a second copy.
            let response = response.unwrap_or_else(|error| panic!("{class:?} {fault:?} {error}"));
            let how = response.extensions().get::<Reconciled>().map(|it| it.how);
            let replays = class == Duplicates::ReturnFirst || class == Duplicates::RejectForATime;
            if !replays || fault == Fault::Duplicate {
                let found = ReconciledHow::Order(Via::LookUp, OrderState::Filled);
                assert_eq!(how, Some(found), "{class:?} {fault:?}");
                assert_eq!(response.headers()["x-seawall-reconciled"], "look_up");
                assert_eq!(desk.client.executed("a"), 1);
                assert_eq!(desk.client.world().creates, 1);
            }
            assert!(text(response).await.contains("\"client_order_id\":\"a\""));
            assert_eq!(desk.journalled("a").await, Some(State::Confirmed));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_absent_is_sent_again_or_reported() {
    for class in CLASSES {
        let desk = Desk::new(class);
        desk.client.fault(Fault::Dropped);
        let result = desk.place("a").await;
        let entry = desk.journal.entry("a").await.unwrap().unwrap();
        if class == Duplicates::Accept {
            let rejection = rejection(result);
            assert_eq!(rejection.reason(), Reason::NotExecuted);
            assert_eq!(desk.client.executed("a"), 0);
            assert_eq!(entry.state(), State::Absent);
        } else {
            assert_eq!(result.unwrap().status(), 200);
            assert_eq!(desk.client.executed("a"), 1);
            assert_eq!((entry.state(), entry.attempts()), (State::Confirmed, 2));
            assert_eq!(desk.handle.counts().resent, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_resend_is_marked_as_one_in_the_request_the_journal_and_the_events() {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    let events = Events::default();
    desk.handle.attach(&events);
    desk.client.fault(Fault::Dropped);
    assert_eq!(desk.place("a").await.unwrap().status(), 200);
    assert_eq!(desk.place("b").await.unwrap().status(), 200);
    assert_eq!(desk.client.world().resends, [2]);
    let attempts = async |id: &str| desk.journal.entry(id).await.unwrap().unwrap().attempts();
    assert_eq!((attempts("a").await, attempts("b").await), (2, 1));
    let entry = desk.journal.entry("a").await.unwrap().unwrap();
    let sent = entry
        .steps()
        .iter()
        .filter(|step| step.state() == State::Sent);
    assert_eq!(sent.map(Step::attempt).collect::<Vec<_>>(), [1, 2]);
    assert!(
        of_orders(&events).contains(&"resent"),
        "{:?}",
        of_orders(&events)
    );
}

#[tokio::test(start_paused = true)]
async fn a_rejection_of_the_broker_passes() {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.client.fault(Fault::Reject);
    assert_eq!(desk.place("a").await.unwrap().status(), 422);
    assert_eq!(desk.journalled("a").await, Some(State::Rejected));
    assert_eq!(desk.client.world().queries, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_certainly_not_sent_is_an_error_at_once() {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.client.fault(Fault::NotSent);
    let error = desk.place("a").await.unwrap_err();
    assert_eq!(error, Error::Inner(Down::NotSent));
    assert_eq!(desk.client.world().queries, 0);
    assert_eq!(desk.journalled("a").await, Some(State::Absent));
}

#[tokio::test(start_paused = true)]
async fn a_throttle_is_in_doubt_unless_the_broker_says_otherwise() {
    let desk = Desk::new(Duplicates::Accept);
    desk.client.fault(Fault::Throttle);
    let rejected = rejection(desk.place("a").await);
    assert_eq!(rejected.reason(), Reason::NotExecuted);
    assert!(desk.client.world().queries > 0, "looked up before");

    let rules = seawall_orders::protocol::Rules::builder(Duplicates::Accept);
    let rules = rules.throttle_rejects(true).build().unwrap();
    let desk = Desk::with(Default::default(), Default::default(), rules);
    desk.client.fault(Fault::Throttle);
    assert_eq!(desk.place("a").await.unwrap().status(), 429);
    assert_eq!(desk.client.world().queries, 0);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_stays_unknown_is_settled_later() {
    let desk = Desk::new(Duplicates::Accept);
    desk.client.world().failing_queries = usize::MAX;
    desk.client.fault(Fault::Lost);
    let events = Events::default();
    desk.handle.attach(&events);
    let mut notices = desk.handle.subscribe();
    let unknown = rejection(desk.place("a").await);
    assert_eq!(unknown.reason(), Reason::OutcomeUnknown);
    assert_eq!(unknown.sent(), Sent::Maybe);
    assert_eq!(unknown.pattern(), Some("orders"));
    let order = desk
        .handle
        .by_reference(unknown.reference().unwrap())
        .unwrap();
    assert_eq!(&*order.id, "a");
    assert_eq!(desk.handle.in_doubt().len(), 1);

    desk.client.world().failing_queries = 0;
    if desk.handle.in_doubt()[0].state == seawall_orders::protocol::IntentState::Exhausted {
        desk.handle.look_up_again("a").await.unwrap();
    }
    loop {
        let Some(seawall_orders::ReceivedNotice::Notice(notice)) = notices.next().await else {
            panic!("missed")
        };
        if let seawall_orders::protocol::Notice::Settled(settlement) = notice.notice {
            assert_eq!(settlement.mark().as_str(), "confirmed");
            break;
        }
    }
    assert!(desk.handle.in_doubt().is_empty());
    assert_eq!(desk.client.executed("a"), 1);
    let states = of_orders(&events);
    assert_eq!(states.first(), Some(&"in_doubt"));
    assert_eq!(states.last(), Some(&"confirmed"), "{states:?}");
}

/// What was kept of orders.
fn of_orders(events: &Events) -> Vec<&'static str> {
    let of = |event: Event| match event.kind {
        EventKind::Order { state, .. } => Some(state),
        _ => None,
    };
    let changes = events.changes_since(0).events;
    changes.into_iter().filter_map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn an_order_that_was_never_in_doubt_is_no_change() {
    let desk = Desk::new(Duplicates::Accept);
    let events = Events::default();
    desk.handle.attach(&events);
    let mut calls = events.subscribe_to(EventFilter::calls());
    assert_eq!(desk.place("a").await.unwrap().status(), 200);
    assert_eq!(of_orders(&events), [""; 0]);
    let Some(Received::Event(event)) = calls.try_next() else {
        panic!("no event")
    };
    let settled = matches!(
        event.kind,
        EventKind::OrderSettled {
            state: "confirmed",
            reason: "reply",
            ..
        }
    );
    assert!(settled, "{event:?}");
}

/// How often a call allocates.
fn allocated(service: &mut impl Service<Request<Body>>, request: Request<Body>) -> u64 {
    let mut cx = Context::from_waker(Waker::noop());
    let counted = alloc::count(|| {
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut called = pin!(service.call(request));
        assert!(called.as_mut().poll(&mut cx).is_ready());
    });
    counted.allocations
}

#[tokio::test]
async fn what_is_about_no_order_allocates_nothing_more() {
    let quotes = || Request::get("http://broker/quotes").body(Body::default());
    let mut desk = Desk::new(Duplicates::Accept);
    let (mut client, service) = (desk.client.clone(), &mut desk.service);
    let _ = allocated(&mut client, quotes().unwrap());
    let (around, alone) = (
        allocated(service, quotes().unwrap()),
        allocated(&mut client, quotes().unwrap()),
    );
    assert_eq!(around, alone);
}

#[tokio::test]
async fn an_order_allocates_twice_more_beside_what_its_broker_reads() {
    let mut desk = Desk::new(Duplicates::Accept);
    desk.handle.started().await;
    let body = |number: u32| json!({ "symbol": "AAPL", "qty": 1, "client_order_id": format!("desk-{number:05}") });
    let (mut client, service) = (desk.client.clone(), &mut desk.service);
    // Memory that is used again is there by then.
    for number in 0..200 {
        let _ = allocated(service, order(&body(number)));
        let _ = allocated(&mut client, order(&body(number + 1_000)));
    }
    // What the client keeps of all orders grows now and then.
    let least = |mut count: Box<dyn FnMut(u32) -> u64 + '_>| (0..20).map(&mut *count).min();
    let around = least(Box::new(|n| allocated(service, order(&body(2_000 + n)))));
    let alone = least(Box::new(|n| {
        allocated(&mut client, order(&body(3_000 + n)))
    }));

    let broker = TestBroker::new(rules(Duplicates::Accept));
    let request = order(&body(1)).map(|_| Bytes::from(body(1).to_string()));
    let read = alloc::count(|| drop(broker.read(Operation::Create, &request)));
    let response = client.oneshot(order(&body(4_000))).await.unwrap();
    let (head, body) = response.into_parts();
    let response = Response::from_parts(head, body.collect().await.unwrap().to_bytes());
    let reply = alloc::count(|| drop(broker.reply(Operation::Create, &response)));
    let of_the_broker = read.allocations + reply.allocations;
    let more = around.unwrap() - alone.unwrap() - of_the_broker;
    assert!(more <= 2, "{more}");
}

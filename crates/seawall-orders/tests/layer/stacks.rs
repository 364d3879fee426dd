//! What stands below the layer: hooks that are missing, layers that repeat, panics, runtimes that end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use seawall_core::{DepartureLayer, Error, Reason};
use seawall_hedge::{HedgeConfig, HedgeLayer, RequestMeta};
use seawall_http::NoteDeparture;
use seawall_orders::journal::{Journal, MemoryJournal, State};
use seawall_orders::protocol::{Duplicates, OrderState, Report, Rules};
use seawall_orders::{Cancelled, OrderConfig, OrderError, OrderLayer, OrderService};
use tokio::time::sleep;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use crate::common::{
    Body, Classifier, Client, Desk, Down, Fault, TestBroker, classify, order, rejection, rules,
};

const MINUTES: Duration = Duration::from_secs(300);

fn noted(rules: Rules, journal: &Arc<MemoryJournal>) -> OrderLayer<Body, Classifier> {
    let config = OrderConfig::builder()
        .deadline(Duration::from_secs(30))
        .build()
        .unwrap();
    OrderLayer::<Body>::builder("desk", TestBroker::new(rules))
        .journal(Arc::clone(journal))
        .config(config)
        .departures_noted()
        .build()
        .unwrap()
        .classify(classify as Classifier)
}

fn create(id: &str) -> Request<Body> {
    order(&serde_json::json!({ "symbol": "A", "qty": 1, "client_order_id": id }))
}

/// Sends what fails once more, as retries of other libraries do.
#[derive(Clone)]
struct Twice<S>(S);

type Called = Pin<Box<dyn Future<Output = Result<Response<Body>, Error<Down>>> + Send>>;

impl<S> Service<Request<Body>> for Twice<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Error<Down>>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Error<Down>;
    type Future = Called;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error<Down>>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Called {
        let (first, mut service) = (self.0.call(request.clone()), self.0.clone());
        Box::pin(async move {
            match first.await {
                Ok(response) => Ok(response),
                Err(_) => service.ready().await?.call(request).await,
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_below_that_repeats_sends_no_order_twice_and_hides_none() {
    for (fault, executed, expected) in [
        (Fault::Lost, 1, State::Confirmed),
        (Fault::Dropped, 0, State::Absent),
        (Fault::NotSent, 0, State::Absent),
    ] {
        let (client, journal) = (Client::default(), Arc::default());
        let once = Rules::builder(Duplicates::Accept).build().unwrap();
        let layer = noted(once, &journal);
        let handle = layer.handle();
        let stack = DepartureLayer::new(NoteDeparture).layer(client.clone());
        let service = layer.layer(Twice(stack));
        client.fault(fault);
        let result = service.oneshot(create("a")).await;
        match expected {
            State::Confirmed => assert_eq!(result.unwrap().status(), 200),
            _ => assert_eq!(rejection(result).reason(), Reason::NotExecuted),
        }
        sleep(MINUTES).await;
        let state = journal.entry("a").await.unwrap().unwrap().state();
        assert_eq!(
            (client.executed("a"), state),
            (executed, expected),
            "{fault:?}"
        );
        assert_eq!(
            handle.counts().alerts,
            1,
            "the second departure is an alert"
        );
    }
}

/// A hedge that takes orders for safe to repeat: its copy stays here, while the first one is on its way.
#[tokio::test(start_paused = true)]
async fn a_hedge_below_sends_no_second_copy() {
    for fault in [Fault::Stall(1_000), Fault::Slow(5_000)] {
        let (client, journal) = (Client::default(), Arc::default());
        let once = Rules::builder(Duplicates::Accept).build().unwrap();
        let layer = noted(once, &journal);
        let handle = layer.handle();
        let config = HedgeConfig::builder().initial_delay(Duration::from_millis(50));
        let hedge = HedgeLayer::new("desk", config.build().unwrap());
        let hedge = hedge.describe(|_: &Request<Body>| RequestMeta::idempotent());
        let hedges = hedge.handle();
        let stack = ServiceBuilder::new()
            .layer(hedge)
            .layer(DepartureLayer::new(NoteDeparture))
            .service(client.clone());
        client.fault(fault);
        let result = layer.layer(stack).oneshot(create("a")).await;
        match fault {
            Fault::Slow(_) => assert_eq!(result.unwrap().status(), 200),
            // Nothing comes back until the deadline.
            _ => assert_eq!(rejection(result).reason(), Reason::OutcomeUnknown),
        }
        sleep(MINUTES).await;
        assert_eq!(hedges.counts().extra.begun, 1, "{fault:?}: it hedged");
        assert_eq!(client.world().creates, 1, "{fault:?}");
        assert_eq!(client.executed("a"), 1, "{fault:?}");
        let state = journal.entry("a").await.unwrap().unwrap().state();
        assert_eq!(state, State::Confirmed, "{fault:?}");
        assert_eq!(handle.counts().alerts, 1, "{fault:?}: the copy is an alert");
    }
}

#[tokio::test(start_paused = true)]
async fn without_its_hook_an_order_counts_as_sent_whatever_happens() {
    for how in ["deadline", "cancel", "evidence", "dropped"] {
        let (client, journal) = (Client::default(), Arc::default());
        let layer = noted(rules(Duplicates::RejectWhileOpen), &journal);
        let handle = layer.handle();
        let service = layer.layer(client.clone());
        client.world().resting = true;
        client.fault(Fault::Stall(100));
        let placing = tokio::spawn(service.oneshot(create("a")));
        sleep(Duration::from_millis(200)).await;
        match how {
            "cancel" => {
                let cancelled = handle.cancel("a", Duration::from_secs(200)).await.unwrap();
                assert_eq!(cancelled, Cancelled::Over);
                assert_eq!(client.world().orders[0].state, "cancelled");
            }
            "evidence" => {
                let open = Report::of(OrderState::Open);
                handle.observe("a", open).await.unwrap();
                assert_eq!(placing.await.unwrap().unwrap().status(), 200);
            }
            "dropped" => placing.abort(),
            _ => assert_eq!(
                rejection(placing.await.unwrap()).reason(),
                Reason::OutcomeUnknown
            ),
        }
        sleep(MINUTES).await;
        let state = journal.entry("a").await.unwrap().unwrap().state();
        assert_eq!(state, State::Confirmed, "{how}");
        assert_eq!(client.executed("a"), 1, "{how}");
        assert_eq!(handle.counts().alerts, 0, "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_its_hook_twice_no_order_leaves() {
    let (client, journal) = (Client::default(), Arc::default());
    let layer = noted(rules(Duplicates::Accept), &journal);
    let stack = ServiceBuilder::new()
        .layer(DepartureLayer::new(NoteDeparture))
        .layer(DepartureLayer::new(NoteDeparture))
        .service(client.clone());
    let result = layer.layer(stack).oneshot(create("a")).await;
    assert_eq!(rejection(result).reason(), Reason::NotExecuted);
    assert_eq!(client.world().creates, 0);
}

#[tokio::test(start_paused = true)]
async fn a_replace_that_may_be_repeated_passes_and_cancels_nothing() {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.client.world().resting = true;
    desk.place("a").await.unwrap();
    let replace = Request::put("http://broker/orders/b1")
        .body(Body::default())
        .unwrap();
    let response = desk.service.clone().oneshot(replace).await.unwrap();
    assert_eq!(response.status(), 200);
    sleep(MINUTES).await;
    let world = desk.client.world();
    assert_eq!((world.others, world.cancels), (1, 0));
    assert_eq!(world.orders[0].state, "open");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_order_whose_caller_has_stopped_passes_all_the_same() {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.handle.started().await;
    desk.client.fault(Fault::Stall(10));
    let mut stalled = Box::pin(desk.place("a"));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(stalled.as_mut().poll(&mut cx).is_pending());
    sleep(MINUTES).await;
    assert_eq!(desk.journalled("a").await, Some(State::Confirmed));
    // Its deadline was over before the order was found.
    assert_eq!(rejection(stalled.await).reason(), Reason::OutcomeUnknown);
    assert_eq!(desk.client.executed("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bug_of_a_broker_loses_no_order_and_no_cancel() {
    let desk = Desk::new(Duplicates::RejectWhileOpen);
    desk.client.world().resting = true;
    desk.client.fault(Fault::Panic);
    let placed = tokio::spawn(desk.place("a")).await;
    assert!(placed.unwrap_err().is_panic());
    sleep(MINUTES).await;
    assert_eq!(desk.journalled("a").await, Some(State::Confirmed));
    assert_eq!(desk.client.executed("a"), 1);

    desk.client.world().bad_cancels = 1;
    let limit = Duration::from_secs(60);
    let cancelled = desk.handle.cancel("a", limit).await.unwrap();
    assert_eq!(cancelled, Cancelled::Over);
    assert_eq!(desk.client.world().orders[0].state, "cancelled");
}

/// The client panics after the order was executed.
#[derive(Clone)]
struct Breaks(Client);

impl Service<Request<Body>> for Breaks {
    type Response = Response<Body>;
    type Error = Error<Down>;
    type Future = Called;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error<Down>>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Called {
        let creates = request.method() == http::Method::POST;
        let called = self.0.call(request);
        Box::pin(async move {
            let response = called.await;
            assert!(!creates, "a bug of the client");
            response
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_stack_loses_no_order() {
    let (client, journal) = (Client::default(), Arc::default());
    let layer = noted(rules(Duplicates::Accept), &journal);
    let service = layer.layer(Breaks(client.clone()));
    let placed = tokio::spawn(service.oneshot(create("a"))).await;
    assert!(placed.unwrap_err().is_panic());
    sleep(MINUTES).await;
    let state = journal.entry("a").await.unwrap().unwrap().state();
    assert_eq!(state, State::Confirmed);
    assert_eq!(client.executed("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_longest_waits_do_not_spin() {
    let day = Duration::from_secs(24 * 3_600);
    let ever = Rules::builder(Duplicates::Accept)
        .backoff(day)
        .max_backoff(day)
        .window(day / 24)
        .first_look_up(day)
        .build()
        .unwrap();
    let desk = Desk::with(Client::default(), Arc::default(), ever);
    desk.client.fault(Fault::Lost);
    let unknown = rejection(desk.place("a").await);
    assert_eq!(unknown.reason(), Reason::OutcomeUnknown);
    sleep(day - Duration::from_secs(3_600)).await;
    assert_eq!(desk.client.world().queries, 0);
    let filled = Report::of(OrderState::Filled);
    desk.handle.observe("a", filled).await.unwrap();
    assert_eq!(desk.journalled("a").await, Some(State::Confirmed));
}

/// A runtime ends while orders are under way; another process finds them.
#[test]
fn a_runtime_that_ends_loses_no_order() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap()
    };
    let quick = Rules::builder(Duplicates::Accept)
        .window(Duration::from_millis(50))
        .first_look_up(Duration::from_millis(10))
        .backoff(Duration::from_millis(10))
        .build()
        .unwrap();
    let (client, journal) = (Client::default(), Arc::<MemoryJournal>::default());
    let desk = Desk::with(client.clone(), Arc::clone(&journal), quick);
    let first = runtime();
    for fault in [Fault::Lost, Fault::Stall(5), Fault::Dropped] {
        client.fault(fault);
    }
    let placing: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|id| first.spawn(desk.place(id)))
        .collect();
    first.block_on(async { sleep(Duration::from_millis(15)).await });
    first.shutdown_timeout(Duration::from_secs(5));
    drop(placing);

    // The same layer goes on in another runtime, and so does another one on the same journal.
    runtime().block_on(async {
        assert!(desk.place("d").await.is_ok());
        drop(desk);
        let next = Desk::with(client.clone(), Arc::clone(&journal), quick);
        assert!(next.place("e").await.is_ok());
        for id in ["a", "b", "c", "d", "e"] {
            let state = next.journalled(id).await.unwrap();
            let executed = client.executed(id);
            let fits = match state {
                State::Confirmed => executed == 1,
                State::Absent | State::Abandoned => executed == 0,
                _ => false,
            };
            assert!(fits, "{id}: {state}, executed {executed} times");
        }
        assert_eq!(next.handle.snapshot().in_doubt, 0);
    });
}

#[test]
fn a_layer_that_was_made_without_a_runtime_begins_with_the_first_order() {
    let desk = Desk::new(Duplicates::Accept);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let placed = runtime.block_on(desk.place("a"));
    assert_eq!(placed.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_waits_for_the_start_waits_for_the_first_service() {
    let journal = Arc::<MemoryJournal>::default();
    let intent = seawall_orders::journal::Intent::new(
        "old",
        seawall_orders::Operation::Create,
        std::time::SystemTime::now(),
    );
    journal.append_sent(intent.account("test")).await.unwrap();
    let layer = noted(rules(Duplicates::Accept), &journal);
    let handle = layer.handle();
    let waits = tokio::time::timeout(MINUTES, handle.started());
    assert!(waits.await.is_err());
    let client = Client::default();
    let service: OrderService<Client, Classifier> = layer.layer(client.clone());
    handle.started().await;
    assert_eq!(handle.snapshot().exhausted, 0);
    assert!(service.oneshot(create("new")).await.is_ok());
    let unknown = handle.order("none").await;
    assert!(matches!(unknown, Err(OrderError::UnknownOrder)));
}

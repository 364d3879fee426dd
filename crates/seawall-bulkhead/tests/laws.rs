//! What a bulkhead promises beyond the laws of every layer.

use std::cell::Cell;
use std::future::{Future, Ready, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_bulkhead::{
    Bulkhead, BulkheadConfig, BulkheadHandle, BulkheadLayer, Permit, ResponseFuture,
};
use seawall_core::{
    Component, Error, Events, Hold, Outcome, Reason, Refusable, Registry, Rejection, Sent, Settle,
    What,
};
use seawall_testkit::alloc;
use seawall_testkit::contract::{BoxError, Mock, MockError, MockHandle, Probe, Stage, mock};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tower::limit::ConcurrencyLimit;
use tower_layer::Layer;
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);

fn layer(places: u32, waiting: u32) -> BulkheadLayer {
    let config = BulkheadConfig::builder()
        .max_concurrent(places)
        .max_waiting(waiting)
        .acquire_timeout(30 * SECOND)
        .build()
        .expect("valid settings");
    BulkheadLayer::new("desk", config)
}

/// A bulkhead over a mock that leaves its calls open.
fn subject(places: u32, waiting: u32) -> (Bulkhead<Mock>, BulkheadHandle, MockHandle) {
    let (inner, mock) = mock();
    mock.hold();
    let layer = layer(places, waiting);
    (layer.layer(inner), layer.handle(), mock)
}

/// Polls ready, which must succeed at once, and calls.
fn call<S: Service<u32>>(service: &mut S, request: u32) -> Probe<S::Future> {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(cx), Poll::Ready(Ok(()))));
    Probe::new(service.call(request))
}

fn refusal(answer: Poll<Result<u32, BoxError>>) -> Rejection {
    let Poll::Ready(Err(error)) = answer else {
        panic!("{answer:?} is no refusal")
    };
    *error.rejection().expect("an error of the bulkhead")
}

#[tokio::test(start_paused = true)]
async fn places_and_the_line_have_exact_sizes() {
    let (mut svc, handle, mock) = subject(2, 2);
    let mut calls: Vec<_> = (0..4).map(|n| call(&mut svc, n)).collect();
    for call in &mut calls {
        assert!(call.poll().is_pending());
    }
    assert_eq!((handle.in_flight(), handle.queue_depth()), (2, 2));
    assert_eq!(mock.requests(), [0, 1]);

    let refused = refusal(call(&mut svc, 4).poll());
    assert_eq!(refused.reason(), Reason::BulkheadFull);
    assert_eq!((refused.sent(), refused.retry_after()), (Sent::No, None));
    assert_eq!(refused.name().as_str(), "desk");

    // One waiter leaves, one may come.
    drop(calls.pop());
    let mut last = call(&mut svc, 5);
    assert!(last.poll().is_pending());
    assert_eq!(handle.queue_depth(), 2);
    assert_eq!(
        refusal(call(&mut svc, 6).poll()).reason(),
        Reason::BulkheadFull
    );
    assert_eq!(handle.counts().refused_full, 2);
    assert_eq!(handle.counts().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_filled_up_before_the_first_poll_refuses() {
    let (mut svc, handle, _mock) = subject(1, 1);
    let _running = call(&mut svc, 0);
    let (mut first, mut second) = (call(&mut svc, 1), call(&mut svc, 2));
    assert!(first.poll().is_pending());
    assert_eq!(refusal(second.poll()).reason(), Reason::BulkheadFull);
    assert_eq!(handle.queue_depth(), 1);
}

#[tokio::test(start_paused = true)]
async fn first_come_is_first_served() {
    let (mut svc, handle, mock) = subject(1, 10);
    let mut running = call(&mut svc, 0);
    assert!(running.poll().is_pending());
    let mut line: Vec<_> = (1..=5).map(|n| call(&mut svc, n)).collect();
    for waiter in &mut line {
        assert!(waiter.poll().is_pending());
    }
    for served in 0..=5 {
        mock.respond(served, Ok(()));
        let answered = match served {
            0 => running.poll(),
            n => line[n - 1].poll(),
        };
        assert!(answered.is_ready());
        // The last first: who is not at the head takes nothing, however often it is polled.
        for waiter in line.iter_mut().skip(served).rev() {
            assert!(waiter.poll().is_pending());
        }
    }
    assert_eq!(mock.requests(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(handle.counts().waited, 5);
}

#[tokio::test(start_paused = true)]
async fn a_new_call_does_not_pass_the_line() {
    let (mut svc, handle, mock) = subject(1, 10);
    let mut running = call(&mut svc, 0);
    let mut waiter = call(&mut svc, 1);
    assert!(running.poll().is_pending() && waiter.poll().is_pending());
    mock.respond(0, Ok(()));
    assert!(running.poll().is_ready());
    assert_eq!(waiter.wakes(), 1);
    // The place is free, and somebody is in line for it.
    let mut late = call(&mut svc, 2);
    assert!(late.poll().is_pending());
    assert_eq!(mock.requests(), [0]);
    assert!(waiter.poll().is_pending());
    assert_eq!(mock.requests(), [0, 1]);
    assert_eq!(handle.queue_depth(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_refused_when_its_patience_ends() {
    let (mut svc, handle, mock) = subject(1, 1);
    let _running = call(&mut svc, 0);
    let mut waits = call(&mut svc, 1);
    // The wait starts with the first poll.
    tokio::time::advance(10 * SECOND).await;
    assert!(waits.poll().is_pending());
    tokio::time::advance(30 * SECOND - Duration::from_millis(1)).await;
    assert!(waits.poll().is_pending());
    tokio::time::advance(Duration::from_millis(1)).await;
    let refused = refusal(waits.poll());
    assert_eq!(refused.reason(), Reason::QueueTimeout);
    assert_eq!((refused.sent(), refused.retry_after()), (Sent::No, None));
    assert_eq!(handle.queue_depth(), 0);
    assert_eq!(handle.counts().refused_timeout, 1);
    assert_eq!(mock.requests(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_nobody_polls_holds_nobody_up() {
    let (mut svc, handle, mock) = subject(1, 1);
    let mut running = call(&mut svc, 0);
    assert!(running.poll().is_pending());
    let forgotten = call(&mut svc, 1);
    let mut waiter = call(&mut svc, 2);
    assert!(waiter.poll().is_pending());
    mock.respond(0, Ok(()));
    assert!(running.poll().is_ready());
    assert!(waiter.poll().is_pending());
    assert_eq!(mock.requests(), [0, 2]);
    drop(forgotten);
    assert_eq!(handle.counts().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn a_called_waiter_that_is_dropped_passes_the_call_on() {
    let (mut svc, handle, mock) = subject(1, 3);
    let mut running = call(&mut svc, 0);
    assert!(running.poll().is_pending());
    let mut line: Vec<_> = (1..=3).map(|n| call(&mut svc, n)).collect();
    for waiter in &mut line {
        assert!(waiter.poll().is_pending());
    }
    // An unanswered call is dropped: the first is called. It is dropped too, and so on.
    drop(running);
    assert_eq!(line[0].wakes(), 1);
    line.remove(0);
    assert_eq!(line[0].wakes(), 1);
    line.remove(0);
    assert_eq!(line[0].wakes(), 1);
    assert!(line[0].poll().is_pending());
    assert_eq!(mock.requests(), [0, 3]);
    line.clear();
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
    assert_eq!(handle.counts().abandoned, 4);
}

/// The first waiter has been called and not polled yet when a second place becomes free: it is
/// for the first one to call the second.
#[tokio::test(start_paused = true)]
async fn two_places_given_back_at_once_call_two_waiters() {
    let (mut svc, _handle, mock) = subject(2, 2);
    let running = (call(&mut svc, 0), call(&mut svc, 1));
    let (mut first, mut second) = (call(&mut svc, 2), call(&mut svc, 3));
    assert!(first.poll().is_pending() && second.poll().is_pending());
    drop(running);
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    assert!(first.poll().is_pending());
    assert_eq!(second.wakes(), 1);
    assert!(second.poll().is_pending());
    assert_eq!(mock.requests(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_to_the_line_does_not_pass_those_of_a_higher_rank() {
    let layer = layer(1, 8);
    let ((a, one), (b, two), (c, live)) = (mock(), mock(), mock());
    for mock in [&one, &two, &live] {
        mock.hold();
    }
    let mut living = layer.layer(c);
    let running = call(&mut living, 0);
    let mut first = call(&mut layer.layer(a), 1);
    let mut second = call(&mut layer.layer(b), 2);
    assert!(first.poll().is_pending() && second.poll().is_pending());
    one.set_pending();
    two.set_pending();
    drop(running);
    assert!(first.poll().is_pending() && second.poll().is_pending());
    let running = call(&mut living, 3);
    one.set_ready();
    assert!(first.poll().is_pending());
    // The first is called and not polled yet when the service of the second recovers.
    drop(running);
    two.set_ready();
    assert!(second.poll().is_pending());
    assert_eq!(two.calls(), 0);
    assert!(first.poll().is_pending());
    assert_eq!(one.requests(), [1]);
    drop(first);
    assert!(second.poll().is_pending());
    assert_eq!(two.requests(), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_service_is_not_ready_lets_the_next_one_go_and_keeps_its_rank() {
    let layer = layer(1, 8);
    let ((a, dead), (b, live)) = (mock(), mock());
    dead.hold();
    live.hold();
    let (mut dying, mut living) = (layer.layer(a), layer.layer(b));
    let mut running = call(&mut living, 0);
    assert!(running.poll().is_pending());
    let mut stuck = call(&mut dying, 1);
    let mut next = call(&mut living, 2);
    let mut last = call(&mut living, 3);
    assert!(stuck.poll().is_pending() && next.poll().is_pending() && last.poll().is_pending());
    dead.set_pending();
    live.respond(0, Ok(()));
    assert!(running.poll().is_ready());
    assert_eq!((stuck.wakes(), next.wakes()), (1, 0));
    // It finds its service stuck, and calls the next.
    assert!(stuck.poll().is_pending());
    assert_eq!(next.wakes(), 1);
    assert!(next.poll().is_pending());
    assert_eq!(live.requests(), [0, 2]);

    // Its service recovers while the place is taken: it is before the last one again.
    dead.set_ready();
    assert_eq!(stuck.wakes(), 2);
    assert!(stuck.poll().is_pending());
    live.respond(1, Ok(()));
    assert!(next.poll().is_ready());
    assert_eq!((stuck.wakes(), last.wakes()), (3, 0));
    assert!(stuck.poll().is_pending());
    assert_eq!(dead.requests(), [1]);
    assert_eq!(layer.handle().in_flight(), 1);
    drop((stuck, last));
    assert_eq!(
        (layer.handle().in_flight(), layer.handle().queue_depth()),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_line_full_of_stuck_waiters_does_not_close_free_places() {
    let layer = layer(1, 1);
    let ((a, dead), (b, live)) = (mock(), mock());
    let (mut dying, mut living) = (layer.layer(a), layer.layer(b));
    live.hold();
    let running = call(&mut living, 0);
    let mut stuck = call(&mut dying, 1);
    assert!(stuck.poll().is_pending());
    dead.set_pending();
    drop(running);
    assert!(stuck.poll().is_pending());
    let mut passes = call(&mut living, 2);
    live.respond_to_all();
    assert!(matches!(passes.poll(), Poll::Ready(Ok(2))));
    assert_eq!(layer.handle().state(), "queueing");
}

#[tokio::test(start_paused = true)]
async fn a_stuck_waiter_is_refused_when_its_patience_ends() {
    let (mut svc, handle, mock) = subject(1, 1);
    let running = call(&mut svc, 0);
    let mut stuck = call(&mut svc, 1);
    assert!(stuck.poll().is_pending());
    mock.set_pending();
    drop(running);
    assert!(stuck.poll().is_pending());
    tokio::time::advance(30 * SECOND).await;
    assert_eq!(refusal(stuck.poll()).reason(), Reason::QueueTimeout);
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_fails_its_readiness_ends_the_wait_with_its_error() {
    let (mut svc, handle, mock) = subject(1, 2);
    let running = call(&mut svc, 0);
    let mut fails = call(&mut svc, 1);
    let mut next = call(&mut svc, 2);
    assert!(fails.poll().is_pending() && next.poll().is_pending());
    mock.set_failed();
    drop(running);
    let Poll::Ready(Err(error)) = fails.poll() else {
        panic!("it waits on")
    };
    assert!(error.rejection().is_none());
    assert_eq!(next.wakes(), 1);
    mock.set_ready();
    assert!(next.poll().is_pending());
    assert_eq!(mock.requests(), [0, 2]);
    assert_eq!(handle.counts().failure, 1);
}

/// Three callers with one long-lived instance each, over a limit of three that reserves in
/// `poll_ready`. Each polled its instance ready for a call that then had to wait; had the
/// instances kept these reservations, the waiters would have waited for them for ever.
#[tokio::test(start_paused = true)]
async fn idle_instances_keep_no_reservation_from_those_who_wait() {
    let (inner, mock) = mock();
    mock.hold();
    let layer = layer(1, 8);
    let first = layer.layer(ConcurrencyLimit::new(inner, 3));
    let mut instances = [first.clone(), first.clone(), first];
    let mut calls: Vec<_> = (0..3)
        .map(|n| {
            let mut probe = call(&mut instances[n], n as u32);
            assert!(probe.poll().is_pending());
            probe
        })
        .collect();
    let mut again = call(&mut instances[0], 3);
    assert!(again.poll().is_pending());
    for (n, call) in calls.iter_mut().enumerate() {
        assert!(call.poll().is_pending());
        mock.respond(n, Ok(()));
        assert!(call.poll().is_ready());
    }
    assert!(again.poll().is_pending());
    assert_eq!(mock.requests(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_anywhere_gives_the_place_back() {
    for stage in [Stage::Call, Stage::Poll] {
        let (mut svc, handle, mock) = subject(1, 1);
        mock.answer_at_once();
        mock.panic_at(stage);
        let panicked = catch_unwind(AssertUnwindSafe(|| call(&mut svc, 0).poll()));
        assert!(panicked.is_err(), "{stage:?}");
        assert_eq!(handle.in_flight(), 0, "{stage:?}");
        assert!(call(&mut svc, 1).poll().is_ready());
    }
    for stage in [Stage::PollReady, Stage::Call] {
        let (mut svc, handle, mock) = subject(1, 2);
        let running = call(&mut svc, 0);
        let mut waiter = call(&mut svc, 1);
        let mut next = call(&mut svc, 2);
        assert!(waiter.poll().is_pending() && next.poll().is_pending());
        drop(running);
        mock.panic_at(stage);
        let panicked = catch_unwind(AssertUnwindSafe(|| waiter.poll()));
        assert!(panicked.is_err(), "{stage:?}");
        drop(waiter);
        assert!(next.poll().is_pending());
        assert_eq!(mock.requests().last(), Some(&2), "{stage:?}");
        drop(next);
        assert_eq!(
            (handle.in_flight(), handle.queue_depth()),
            (0, 0),
            "{stage:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_panicking_hold_and_listener_give_the_place_back() {
    #[derive(Clone)]
    struct Bad;
    impl Hold<Permit, u32> for Bad {
        type Response = u32;
        fn hold(&self, _: Permit, _: Outcome, _: u32) -> u32 {
            panic!("hold")
        }
    }
    let (inner, _mock) = mock();
    let layer = layer(1, 0).hold(Bad);
    let mut svc = layer.layer(inner);
    let mut answer = call(&mut svc, 0);
    assert!(catch_unwind(AssertUnwindSafe(|| answer.poll())).is_err());
    assert_eq!(layer.handle().in_flight(), 0);

    let (mut svc, handle, _mock) = subject(1, 0);
    let events = Events::new(4);
    handle.attach(&events);
    let _listener = events.listen(|_| panic!("listener"));
    let _running = call(&mut svc, 0);
    assert_eq!(
        refusal(call(&mut svc, 1).poll()).reason(),
        Reason::BulkheadFull
    );
    assert_eq!(events.listener_panics(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hold_keeps_the_place_until_it_lets_go() {
    #[derive(Clone)]
    struct InTheAnswer;
    impl Hold<Permit, u32> for InTheAnswer {
        type Response = (u32, Permit);
        fn hold(&self, permit: Permit, outcome: Outcome, response: u32) -> (u32, Permit) {
            assert_eq!(outcome, Outcome::Success);
            (response, permit)
        }
    }
    let (inner, mock) = mock();
    let layer = layer(1, 1).hold(InTheAnswer);
    let handle = layer.handle();
    let mut svc = layer.layer(inner);
    let Poll::Ready(Ok((7, permit))) = call(&mut svc, 7).poll() else {
        panic!("no answer")
    };
    assert_eq!(handle.in_flight(), 1);
    let mut waiter = call(&mut svc, 8);
    assert!(waiter.poll().is_pending());
    permit.settle(Outcome::Failure(seawall_core::FailureKind::Body));
    assert_eq!(waiter.wakes(), 1);
    let Poll::Ready(Ok((8, permit))) = waiter.poll() else {
        panic!("no answer")
    };
    drop(permit);
    let counts = handle.counts();
    assert_eq!(
        (counts.success, counts.failure, counts.abandoned),
        (0, 1, 1)
    );

    // An error has no body: its place is free when it is returned.
    mock.script([Err(MockError::Failed(1))]);
    let mut fails = call(&mut svc, 9);
    assert!(matches!(fails.poll(), Poll::Ready(Err(_))));
    assert_eq!(handle.in_flight(), 0);
    assert_eq!(handle.counts().failure, 2);
}

#[tokio::test(start_paused = true)]
async fn refusals_of_layers_below_are_no_failures() {
    let refusing = tower::service_fn(|_: u32| {
        ready(Err::<u32, Error<()>>(
            Rejection::new(Reason::CircuitOpen, "below").into(),
        ))
    });
    let layer = layer(1, 0);
    let mut svc = layer.layer(refusing);
    assert!(call(&mut svc, 0).poll().is_ready());
    let counts = layer.handle().counts();
    assert_eq!((counts.ignored, counts.failure), (1, 0));
}

#[derive(Clone, Debug)]
struct Echo;

impl Service<u32> for Echo {
    type Response = u32;
    type Error = Error<()>;
    type Future = Ready<Result<u32, Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        ready(Ok(request))
    }
}

#[test]
fn a_call_that_finds_a_place_and_a_refusal_allocate_nothing() {
    let layer = layer(1, 0);
    let mut svc = layer.layer(Echo);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut once = |svc: &mut Bulkhead<Echo>| {
        assert!(svc.poll_ready(cx).is_ready());
        let mut answer = std::pin::pin!(svc.call(1));
        assert!(answer.as_mut().poll(cx).is_ready());
    };
    once(&mut svc);
    assert_eq!(alloc::count(|| once(&mut svc)).allocations, 0);
    assert_eq!(alloc::count(|| once(&mut svc.clone())).allocations, 0);
    let _running = svc.call(0);
    assert_eq!(alloc::count(|| once(&mut svc)).allocations, 0);
    assert_eq!(layer.handle().counts().refused_full, 1);
}

#[test]
fn the_future_of_a_call_that_need_not_wait_is_small() {
    type Inner = Ready<Result<u32, Error<()>>>;
    let size = size_of::<ResponseFuture<Wide, [u8; 1_000], seawall_core::UntilAnswered>>();
    assert!(
        size <= size_of::<Inner>() + 4 * size_of::<usize>(),
        "{size}"
    );
}

#[derive(Clone)]
struct Wide;

impl Service<[u8; 1_000]> for Wide {
    type Response = u32;
    type Error = Error<()>;
    type Future = Ready<Result<u32, Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: [u8; 1_000]) -> Self::Future {
        ready(Ok(0))
    }
}

/// Neither `Send` nor `Sync`, and so is what is made of it.
#[derive(Clone)]
struct Local(#[expect(dead_code, reason = "it is here for its auto traits")] Rc<Cell<u32>>);

impl Service<u32> for Local {
    type Response = u32;
    type Error = Error<()>;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Error<()>>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        Box::pin(ready(Ok(request)))
    }
}

type Fut<S> = <Bulkhead<S> as Service<u32>>::Future;
assert_impl_all!(Bulkhead<Echo>: Send, Sync, Unpin, Clone);
assert_impl_all!(Fut<Echo>: Send, Sync, Unpin);
assert_impl_all!(Bulkhead<Local>: Unpin, Clone);
assert_not_impl_any!(Bulkhead<Local>: Send, Sync);
assert_not_impl_any!(Fut<Local>: Send, Sync);
assert_impl_all!(BulkheadLayer: Send, Sync, Clone);
assert_impl_all!(BulkheadHandle: Send, Sync, Clone, Component);
assert_impl_all!(Permit: Send, Sync, Unpin);

#[test]
fn a_service_that_is_not_send_works() {
    let mut svc = layer(1, 1).layer(Local(Rc::default()));
    assert!(matches!(call(&mut svc, 3).poll(), Poll::Ready(Ok(3))));
}

#[test]
fn a_registry_reads_what_the_bulkhead_does() {
    let layer = layer(2, 0);
    let registry = Registry::new("svc");
    registry.register(layer.handle()).unwrap();
    let mut events = registry.events().subscribe();
    let mut svc = layer.layer(Echo);
    let _running = (
        Service::<u32>::call(&mut svc, 1),
        Service::<u32>::call(&mut svc, 2),
    );
    let _refused = Service::<u32>::call(&mut svc, 3);
    let snapshot = registry.snapshot().remove(0);
    assert_eq!((snapshot.pattern, snapshot.state), ("bulkhead", "full"));
    let value = |metric: &str, label: Option<&str>| {
        let found = snapshot.samples.iter().find(|s| {
            s.metric == metric && label.is_none_or(|l| s.labels.iter().any(|(_, v)| *v == l))
        });
        format!("{:?}", found.expect("a sample").value)
    };
    assert_eq!(value("seawall_bulkhead_in_flight", None), "Gauge(2.0)");
    assert_eq!(value("seawall_bulkhead_queue_depth", None), "Gauge(0.0)");
    assert_eq!(
        value("seawall_rejections_total", Some("bulkhead_full")),
        "Counter(1)"
    );
    assert_eq!(value("seawall_calls_total", Some("success")), "Counter(0)");
    let Some(seawall_core::Delivery::Event(event)) = events.try_next() else {
        panic!("the refusal was not told")
    };
    assert!(matches!(event.what, What::Refused(r) if r.reason() == Reason::BulkheadFull));
}

#[test]
fn impossible_settings_are_refused_by_name() {
    let field = |builder: seawall_bulkhead::BulkheadConfigBuilder| {
        builder.build().unwrap_err().field().to_owned()
    };
    let builder = BulkheadConfig::builder;
    assert_eq!(field(builder().max_concurrent(0)), "max_concurrent");
    assert_eq!(
        field(builder().acquire_timeout(Duration::ZERO)),
        "acquire_timeout"
    );
    let widest = builder()
        .max_concurrent(u32::MAX)
        .max_waiting(u32::MAX)
        .acquire_timeout(Duration::MAX)
        .build()
        .expect("valid settings");
    let layer = BulkheadLayer::new("wide", widest);
    let _running = layer.layer(Echo).call(1_u32);
    assert_eq!(layer.handle().in_flight(), 1);
    assert_eq!(builder().build().unwrap(), BulkheadConfig::default());
}

/// Waits for ever, and says how many of its calls are alive.
#[derive(Clone)]
struct Counting {
    alive: Arc<AtomicUsize>,
    peak: Arc<AtomicUsize>,
}

struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<u32> for Counting {
    type Response = u32;
    type Error = Error<()>;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Error<()>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        let alive = self.alive.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(alive, Ordering::SeqCst);
        let alive = Alive(Arc::clone(&self.alive));
        Box::pin(async move {
            let _alive = alive;
            for _ in 0..request % 4 {
                tokio::task::yield_now().await;
            }
            if request % 16 == 1 {
                pending::<()>().await;
            }
            Ok(request)
        })
    }
}

/// 64 tasks, 3 places, every fourth call is dropped after a few polls, some calls never answer
/// and live by being dropped alone.
#[test]
fn under_threads_nothing_is_lost_and_the_limit_holds() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .expect("valid settings");
    let inner = Counting {
        alive: Arc::default(),
        peak: Arc::default(),
    };
    let config = BulkheadConfig::builder()
        .max_concurrent(3)
        .max_waiting(64)
        .acquire_timeout(Duration::from_secs(3600))
        .build()
        .expect("valid settings");
    let layer = BulkheadLayer::new("stress", config);
    let svc = layer.layer(inner.clone());
    runtime.block_on(async {
        let tasks: Vec<_> = (0..64_u32)
            .map(|task| {
                let svc = svc.clone();
                tokio::spawn(async move {
                    for n in 0..50 {
                        let request = task + n;
                        let mut answer = Box::pin(svc.clone().call(request));
                        if request % 4 == 1 {
                            for _ in 0..request % 7 {
                                let once = std::future::poll_fn(|cx| {
                                    Poll::Ready(answer.as_mut().poll(cx).is_ready())
                                });
                                if once.await {
                                    break;
                                }
                                tokio::task::yield_now().await;
                            }
                        } else {
                            assert_eq!(answer.await, Ok(request));
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let handle = layer.handle();
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
    assert_eq!(inner.alive.load(Ordering::SeqCst), 0);
    assert_eq!(inner.peak.load(Ordering::SeqCst), 3);
    let counts = handle.counts();
    assert_eq!(counts.success + counts.abandoned, 64 * 50);
    assert!(counts.success >= 64 * 50 * 3 / 4, "{counts:?}");
    assert_eq!((counts.refused_full, counts.refused_timeout), (0, 0));
}

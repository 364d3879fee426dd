//! What a rate limit promises beyond the laws of every layer.

use std::cell::Cell;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use seawall_core::{
    Always, Component, Delivery, Error, Events, Meta, Reason, Refusable, Registry, Rejection,
    Replay, Sent, Value, What,
};
use seawall_ratelimit::{
    RateLimit, RateLimitConfig, RateLimitConfigBuilder, RateLimitHandle, RateLimitLayer,
    ResponseFuture,
};
use seawall_testkit::alloc;
use seawall_testkit::contract::{BoxError, Mock, MockHandle, Probe, Stage, mock};
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tokio::time::{Instant, advance};
use tower::limit::ConcurrencyLimit;
use tower_layer::Layer;
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Ten per second.
fn builder(burst: u32) -> RateLimitConfigBuilder {
    RateLimitConfig::builder().rate(10, SECOND).burst(burst)
}

fn layer(burst: u32, max_wait: Duration) -> RateLimitLayer {
    RateLimitLayer::new(
        "desk",
        builder(burst)
            .max_wait(max_wait)
            .build()
            .expect("valid settings"),
    )
}

fn subject(burst: u32, max_wait: Duration) -> (RateLimit<Mock>, RateLimitHandle, MockHandle) {
    let (inner, mock) = mock();
    let layer = layer(burst, max_wait);
    (layer.layer(inner), layer.handle(), mock)
}

/// Polls ready, which must succeed at once, and calls.
fn call<S: Service<u32>>(service: &mut S, request: u32) -> Probe<S::Future> {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(cx), Poll::Ready(Ok(()))));
    Probe::new(service.call(request))
}

fn refusal<T: std::fmt::Debug>(answer: Poll<Result<T, BoxError>>) -> Rejection {
    let Poll::Ready(Err(error)) = answer else {
        panic!("{answer:?} is no refusal")
    };
    *error.rejection().expect("an error of the limit")
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_a_refusal_names_the_exact_time_to_come_back() {
    let (mut svc, handle, mock) = subject(3, Duration::ZERO);
    for n in 0..3 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    let refused = refusal(call(&mut svc, 3).poll());
    assert_eq!(refused.reason(), Reason::RateLimited);
    assert_eq!(refused.retry_after(), Some(ms(100)));
    assert_eq!(
        (refused.sent(), refused.name().as_str()),
        (Sent::No, "desk")
    );
    advance(ms(100) - Duration::from_nanos(1)).await;
    let early = refusal(call(&mut svc, 4).poll());
    assert_eq!(early.retry_after(), Some(Duration::from_nanos(1)));
    advance(Duration::from_nanos(1)).await;
    assert!(call(&mut svc, 5).poll().is_ready());
    assert_eq!(mock.requests(), [0, 1, 2, 5]);
    let counts = handle.counts();
    assert_eq!((counts.granted, counts.refused), (4, 2));
    assert_eq!(handle.state(), "exhausted");
}

#[tokio::test(start_paused = true)]
async fn an_idle_limit_saves_up_no_more_than_its_burst() {
    let (mut svc, handle, _mock) = subject(3, Duration::ZERO);
    advance(Duration::from_secs(1 << 30)).await;
    assert_eq!(handle.tokens(), 3.0);
    for n in 0..3 {
        assert!(matches!(call(&mut svc, n).poll(), Poll::Ready(Ok(_))));
    }
    assert!(matches!(call(&mut svc, 3).poll(), Poll::Ready(Err(_))));
}

#[tokio::test(start_paused = true)]
async fn a_granted_call_that_is_never_polled_has_spent_its_token() {
    let (mut svc, handle, _mock) = subject(1, Duration::ZERO);
    drop(call(&mut svc, 0));
    assert_eq!(handle.tokens(), 0.0);
}

#[tokio::test(start_paused = true)]
async fn requests_cost_what_is_said_of_them() {
    let by_number = |n: &u32| Meta::new(Replay::Safe).with_cost(*n);
    let (inner, mock) = mock();
    let layer = layer(5, Duration::ZERO).describe(by_number);
    let mut svc = layer.layer(inner);
    assert!(matches!(call(&mut svc, 4).poll(), Poll::Ready(Ok(4))));
    // One token is left.
    let refused = refusal(call(&mut svc, 3).poll());
    assert_eq!(refused.retry_after(), Some(ms(200)));
    let never = refusal(call(&mut svc, 6).poll());
    assert_eq!(
        (never.reason(), never.retry_after()),
        (Reason::TooExpensive, None)
    );
    assert!(matches!(call(&mut svc, 0).poll(), Poll::Ready(Ok(0))));
    assert!(matches!(call(&mut svc, 1).poll(), Poll::Ready(Ok(1))));
    assert!(matches!(call(&mut svc, 0).poll(), Poll::Ready(Ok(0))));
    assert_eq!(mock.requests(), [4, 0, 1, 0]);
    assert_eq!(layer.handle().counts().too_expensive, 1);
}

/// Answers with the time since `start`, in milliseconds, at which it was called.
#[derive(Clone)]
struct Departures {
    start: Instant,
    log: Arc<Mutex<Vec<(u32, u64)>>>,
}

impl Departures {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            log: Arc::default(),
        }
    }

    fn log(&self) -> Vec<(u32, u64)> {
        self.log.lock().expect("no panic under it").clone()
    }
}

impl Service<u32> for Departures {
    type Response = u64;
    type Error = Error<()>;
    type Future = Ready<Result<u64, Error<()>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        let at = (Instant::now() - self.start).as_millis() as u64;
        self.log
            .lock()
            .expect("no panic under it")
            .push((request, at));
        ready(Ok(at))
    }
}

/// Spawns calls 0, 1, ... one after the other.
async fn spawn_calls<D>(
    svc: &RateLimit<Departures, D>,
    requests: std::ops::Range<u32>,
) -> Vec<tokio::task::JoinHandle<Result<u64, Error<()>>>>
where
    RateLimit<Departures, D>: Service<u32, Error = Error<()>, Response = u64> + Clone,
    <RateLimit<Departures, D> as Service<u32>>::Future: Send + 'static,
{
    let mut tasks = Vec::new();
    for request in requests {
        tasks.push(tokio::spawn(svc.clone().call(request)));
        tokio::task::yield_now().await;
    }
    tasks
}

#[tokio::test(start_paused = true)]
async fn waiters_depart_in_order_one_per_token() {
    let inner = Departures::new();
    let layer = layer(2, SECOND);
    let svc = layer.layer(inner.clone());
    let tasks = spawn_calls(&svc, 0..6).await;
    assert_eq!(layer.handle().waiting(), 4);
    assert_eq!(layer.handle().state(), "queueing");
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(
        inner.log(),
        [(0, 0), (1, 0), (2, 100), (3, 200), (4, 300), (5, 400)]
    );
    let counts = layer.handle().counts();
    assert_eq!((counts.granted, counts.waited, counts.refused), (6, 4, 0));
    assert_eq!(layer.handle().waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiters_that_leave_cost_nothing_and_bunch_nobody() {
    let inner = Departures::new();
    let layer = layer(1, SECOND);
    let svc = layer.layer(inner.clone());
    let mut tasks = spawn_calls(&svc, 0..7).await;
    tokio::time::sleep(ms(150)).await;
    // The head, one in the middle, and the last.
    for gone in [2, 4, 6] {
        tasks[gone].abort();
    }
    for (n, task) in tasks.drain(..).enumerate() {
        assert_eq!(task.await.is_err(), [2, 4, 6].contains(&n));
    }
    assert_eq!(inner.log(), [(0, 0), (1, 100), (3, 200), (5, 300)]);
    assert_eq!(layer.handle().counts().abandoned, 3);
    assert_eq!(layer.handle().waiting(), 0);
    // Nor are they in the forecast: ten of these fit into a second, the eleventh does not.
    let mut tasks = spawn_calls(&svc, 7..18).await;
    let error = tasks.remove(10).await.unwrap().unwrap_err();
    let rejection = error.rejection().unwrap();
    assert_eq!(rejection.retry_after(), Some(ms(1_100)));
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), Ok(400 + 100 * n as u64));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_cannot_succeed_is_refused_at_once_with_the_time_to_come_back() {
    let inner = Departures::new();
    let layer = layer(1, ms(200));
    let svc = layer.layer(inner.clone());
    let tasks = spawn_calls(&svc, 0..3).await;
    let error = svc.clone().call(3).await.unwrap_err();
    let rejection = error.rejection().unwrap();
    assert_eq!(rejection.retry_after(), Some(ms(300)));
    assert_eq!(Instant::now(), inner.start);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    // It is granted at that time and was not a nanosecond earlier.
    advance(ms(100) - Duration::from_nanos(1)).await;
    assert!(layer.handle().tokens() < 1.0);
    advance(Duration::from_nanos(1)).await;
    assert_eq!(layer.handle().tokens(), 1.0);
    assert_eq!(svc.clone().call(4).await, Ok(300));
}

#[tokio::test(start_paused = true)]
async fn costs_are_counted_in_the_wait_of_those_behind() {
    let by_number = |n: &u32| Meta::new(Replay::Safe).with_cost(*n);
    let inner = Departures::new();
    let layer = layer(5, SECOND).describe(by_number);
    let mut svc = layer.layer(inner.clone());
    let mut tasks = Vec::new();
    for cost in [5, 3, 2, 4] {
        tasks.push(tokio::spawn(svc.call(cost)));
        tokio::task::yield_now().await;
    }
    // 9 tokens are asked for by those in line.
    let error = svc.call(2).await.unwrap_err();
    assert_eq!(error.rejection().unwrap().retry_after(), Some(ms(1_100)));
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(inner.log(), [(5, 0), (3, 300), (2, 500), (4, 900)]);
}

#[tokio::test(start_paused = true)]
async fn a_new_call_does_not_pass_the_line_unless_it_is_free() {
    let (mut svc, _handle, mock) = subject(1, SECOND);
    assert!(call(&mut svc, 0).poll().is_ready());
    let mut waiter = call(&mut svc, 1);
    assert!(waiter.poll().is_pending());
    advance(ms(100)).await;
    let mut late = call(&mut svc, 2);
    assert!(late.poll().is_pending());
    assert!(waiter.poll().is_ready());
    assert!(late.poll().is_pending());
    advance(ms(100)).await;
    assert!(late.poll().is_ready());
    assert_eq!(mock.requests(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn the_line_has_an_exact_size() {
    let (inner, _mock) = mock();
    let config = builder(1)
        .max_wait(10 * SECOND)
        .max_waiting(2)
        .build()
        .expect("valid settings");
    let layer = RateLimitLayer::new("desk", config);
    let mut svc = layer.layer(inner);
    let mut calls: Vec<_> = (0..4).map(|n| call(&mut svc, n)).collect();
    assert!(calls[0].poll().is_ready());
    assert!(calls[1].poll().is_pending() && calls[2].poll().is_pending());
    // Made while there was room, polled when there is none.
    let refused = refusal(calls[3].poll());
    assert_eq!(refused.retry_after(), Some(ms(300)));
    assert_eq!(
        refusal(call(&mut svc, 4).poll()).retry_after(),
        Some(ms(300))
    );
    calls.remove(1);
    assert!(call(&mut svc, 5).poll().is_pending());
    assert_eq!(layer.handle().counts().refused, 2);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_nobody_polls_holds_nobody_up() {
    let (mut svc, handle, mock) = subject(1, SECOND);
    let _granted = call(&mut svc, 0);
    let forgotten = call(&mut svc, 1);
    let mut waiter = call(&mut svc, 2);
    assert!(waiter.poll().is_pending());
    advance(ms(100)).await;
    assert!(waiter.poll().is_ready());
    assert_eq!(mock.requests(), [0, 2]);
    drop(forgotten);
    assert_eq!(handle.counts().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn a_head_whose_service_is_not_ready_lets_the_next_one_go_and_keeps_its_rank() {
    let layer = layer(1, 10 * SECOND);
    let ((a, dead), (b, live)) = (mock(), mock());
    let (mut dying, mut living) = (layer.layer(a), layer.layer(b));
    let _granted = call(&mut living, 0);
    let mut stuck = call(&mut dying, 1);
    let mut next = call(&mut living, 2);
    let mut last = call(&mut living, 3);
    assert!(stuck.poll().is_pending() && next.poll().is_pending() && last.poll().is_pending());
    dead.set_pending();
    advance(ms(100)).await;
    assert!(stuck.poll().is_pending());
    assert_eq!((next.wakes(), last.wakes()), (1, 0));
    assert!(next.poll().is_ready());
    assert_eq!(last.wakes(), 1);
    assert!(last.poll().is_pending());
    // It took no token while it was stuck; its rank is before the last one.
    dead.set_ready();
    assert!(stuck.poll().is_pending());
    advance(ms(100)).await;
    assert!(last.poll().is_pending());
    assert!(stuck.poll().is_ready());
    advance(ms(100)).await;
    assert!(last.poll().is_ready());
    assert_eq!((dead.requests(), live.requests()), (vec![1], vec![0, 2, 3]));
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_to_the_line_does_not_pass_those_of_a_higher_rank() {
    let layer = layer(1, 10 * SECOND);
    let ((a, one), (b, two), (c, live)) = (mock(), mock(), mock());
    let mut living = layer.layer(c);
    let _granted = call(&mut living, 0);
    let mut first = call(&mut layer.layer(a), 1);
    let mut second = call(&mut layer.layer(b), 2);
    assert!(first.poll().is_pending() && second.poll().is_pending());
    one.set_pending();
    two.set_pending();
    advance(ms(100)).await;
    assert!(first.poll().is_pending() && second.poll().is_pending());
    // Nobody is in line while both are stuck: a new call need not wait.
    assert!(matches!(call(&mut living, 3).poll(), Poll::Ready(Ok(3))));
    assert_eq!(layer.handle().counts().waited, 2);
    one.set_ready();
    assert!(first.poll().is_pending());
    advance(ms(100)).await;
    two.set_ready();
    assert!(second.poll().is_pending());
    assert_eq!(two.calls(), 0);
    assert!(first.poll().is_ready());
    advance(ms(100)).await;
    assert!(second.poll().is_ready());
    assert_eq!((one.requests(), live.requests()), (vec![1], vec![0, 3]));
}

#[tokio::test(start_paused = true)]
async fn stuck_waiters_depart_at_the_rate_and_not_at_once_when_the_service_recovers() {
    let inner = Departures::new();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let layer = layer(1, 60 * SECOND);
    let limit = ConcurrencyLimit::with_semaphore(inner.clone(), Arc::clone(&gate));
    let mut svc = layer.layer(limit);
    gate.add_permits(1);
    // The first one goes; the service is stuck from then on for a second.
    std::future::poll_fn(|cx| svc.poll_ready(cx)).await.unwrap();
    let held = svc.call(0);
    let mut tasks = Vec::new();
    for request in 1..5 {
        tasks.push(tokio::spawn(svc.clone().call(request)));
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(inner.log(), [(0, 0)]);
    drop(held);
    gate.add_permits(10);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(
        inner.log(),
        [(0, 0), (1, 1_000), (2, 1_100), (3, 1_200), (4, 1_300)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stuck_waiter_is_refused_when_its_patience_ends_and_the_next_one_goes() {
    let layer = layer(1, SECOND);
    let ((a, dead), (b, live)) = (mock(), mock());
    let (mut dying, mut living) = (layer.layer(a), layer.layer(b));
    let _granted = call(&mut living, 0);
    let mut stuck = call(&mut dying, 1);
    assert!(stuck.poll().is_pending());
    dead.set_pending();
    advance(ms(100)).await;
    assert!(stuck.poll().is_pending());
    advance(ms(899)).await;
    let wakes = stuck.wakes();
    assert!(stuck.poll().is_pending());
    advance(ms(1)).await;
    // Its service has not woken it: its own timer has.
    assert_eq!(stuck.wakes(), wakes + 1);
    let refused = refusal(stuck.poll());
    assert_eq!(refused.reason(), Reason::RateLimited);
    assert_eq!(layer.handle().waiting(), 0);
    assert!(call(&mut living, 2).poll().is_ready());
    assert_eq!((dead.calls(), live.requests()), (0, vec![0, 2]));
}

#[tokio::test(start_paused = true)]
async fn a_token_at_the_last_instant_is_taken() {
    let (mut svc, handle, _mock) = subject(1, ms(100));
    let _granted = call(&mut svc, 0);
    let mut waiter = call(&mut svc, 1);
    assert!(waiter.poll().is_pending());
    advance(ms(100)).await;
    assert!(matches!(waiter.poll(), Poll::Ready(Ok(1))));
    assert_eq!(handle.counts().refused, 0);
}

#[tokio::test(start_paused = true)]
async fn an_inner_service_that_fails_its_readiness_ends_the_wait_with_its_error() {
    let (mut svc, handle, mock) = subject(1, SECOND);
    let _granted = call(&mut svc, 0);
    let mut fails = call(&mut svc, 1);
    let mut next = call(&mut svc, 2);
    assert!(fails.poll().is_pending() && next.poll().is_pending());
    mock.set_failed();
    advance(ms(100)).await;
    let Poll::Ready(Err(error)) = fails.poll() else {
        panic!("it waits on")
    };
    assert!(error.rejection().is_none());
    mock.set_ready();
    assert!(next.poll().is_ready());
    assert_eq!(handle.counts().inner_failed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_anywhere_leaves_the_next_call_working() {
    for stage in [Stage::Call, Stage::Poll] {
        let (mut svc, _handle, mock) = subject(2, Duration::ZERO);
        mock.panic_at(stage);
        let panicked = catch_unwind(AssertUnwindSafe(|| call(&mut svc, 0).poll()));
        assert!(panicked.is_err(), "{stage:?}");
        assert!(matches!(call(&mut svc, 1).poll(), Poll::Ready(Ok(1))));
    }
    for stage in [Stage::PollReady, Stage::Call] {
        let (mut svc, handle, mock) = subject(1, SECOND);
        let _granted = call(&mut svc, 0);
        let mut waiter = call(&mut svc, 1);
        let mut next = call(&mut svc, 2);
        assert!(waiter.poll().is_pending() && next.poll().is_pending());
        mock.panic_at(stage);
        advance(ms(100)).await;
        let panicked = catch_unwind(AssertUnwindSafe(|| waiter.poll()));
        assert!(panicked.is_err(), "{stage:?}");
        drop(waiter);
        assert_eq!(handle.waiting(), 1, "{stage:?}");
        advance(ms(100)).await;
        assert!(next.poll().is_ready(), "{stage:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panicking_describer_and_listener_spend_nothing() {
    let (inner, _mock) = mock();
    let layer = layer(1, Duration::ZERO);
    let bad = |n: &u32| match n {
        13 => panic!("describer"),
        _ => Meta::default(),
    };
    let mut svc = layer.clone().describe(bad).layer(inner);
    assert!(catch_unwind(AssertUnwindSafe(|| call(&mut svc, 13))).is_err());
    assert_eq!(layer.handle().tokens(), 1.0);
    assert!(call(&mut svc, 1).poll().is_ready());

    let events = Events::new(4);
    layer.handle().attach(&events);
    let _listener = events.listen(|_| panic!("listener"));
    assert_eq!(
        refusal(call(&mut svc, 2).poll()).reason(),
        Reason::RateLimited
    );
    assert_eq!(events.listener_panics(), 1);
}

/// Two layers of limits, each under its own reservations: had the idle instances kept what they
/// had reserved below for calls that then waited, the waiters would have waited for them.
#[tokio::test(start_paused = true)]
async fn idle_instances_keep_no_reservation_from_those_who_wait() {
    let inner = Departures::new();
    let layer = layer(1, 10 * SECOND);
    let first = layer.layer(ConcurrencyLimit::new(inner.clone(), 2));
    let mut instances = [first.clone(), first];
    let mut waiting = Vec::new();
    for request in 0..4 {
        let svc = &mut instances[request % 2];
        std::future::poll_fn(|cx| svc.poll_ready(cx)).await.unwrap();
        waiting.push(tokio::spawn(svc.call(request as u32)));
        tokio::task::yield_now().await;
    }
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    assert_eq!(inner.log(), [(0, 0), (1, 100), (2, 200), (3, 300)]);
}

#[test]
fn threads_together_are_granted_the_burst_and_counted() {
    let layer = RateLimitLayer::new(
        "threads",
        RateLimitConfig::builder()
            .rate(1, Duration::from_secs(3600))
            .burst(1_000)
            .build()
            .unwrap(),
    );
    let svc = layer.layer(Echo);
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let mut svc = svc.clone();
                scope.spawn(move || {
                    (0..1_000)
                        .filter(|n| matches!(Probe::new(svc.call(*n)).poll(), Poll::Ready(Ok(_))))
                        .count()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(granted, 1_000);
    let counts = layer.handle().counts();
    assert_eq!((counts.granted, counts.refused), (1_000, 3_000));
}

/// Many waiters on real threads, a third of them dropped on the way: the line empties, and the
/// ranks of those who stay are kept by construction of the log.
#[test]
fn under_threads_no_waiter_is_lost() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .expect("valid settings");
    let config = RateLimitConfig::builder()
        .rate(20_000, SECOND)
        .burst(1)
        .max_wait(Duration::from_secs(3600))
        .max_waiting(10_000)
        .build()
        .expect("valid settings");
    let layer = RateLimitLayer::new("stress", config);
    let svc = layer.layer(Echo);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..200_u32)
            .map(|n| {
                let mut svc = svc.clone();
                tokio::spawn(async move {
                    let mut answer = Box::pin(svc.call(n));
                    if n % 3 == 0 {
                        for _ in 0..n % 5 {
                            let once = std::future::poll_fn(|cx| {
                                Poll::Ready(answer.as_mut().poll(cx).is_ready())
                            });
                            if once.await {
                                break;
                            }
                            tokio::task::yield_now().await;
                        }
                    } else {
                        assert_eq!(answer.await, Ok(n));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(layer.handle().waiting(), 0);
    let counts = layer.handle().counts();
    assert_eq!(counts.granted + counts.abandoned, 200);
    assert!(counts.granted >= 133, "{counts:?}");
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
fn a_grant_and_a_refusal_allocate_nothing() {
    let layer = RateLimitLayer::new(
        "alloc",
        RateLimitConfig::builder()
            .rate(1, Duration::from_secs(3600))
            .burst(3)
            .build()
            .unwrap(),
    );
    let mut svc = layer.layer(Echo);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut once = |svc: &mut RateLimit<Echo>| {
        assert!(svc.poll_ready(cx).is_ready());
        let mut answer = std::pin::pin!(svc.call(1));
        assert!(answer.as_mut().poll(cx).is_ready());
    };
    once(&mut svc);
    assert_eq!(alloc::count(|| once(&mut svc)).allocations, 0);
    assert_eq!(alloc::count(|| once(&mut svc.clone())).allocations, 0);
    assert_eq!(layer.handle().counts().granted, 3);
    assert_eq!(alloc::count(|| once(&mut svc)).allocations, 0);
    assert_eq!(layer.handle().counts().refused, 1);
}

#[test]
fn the_future_of_a_granted_call_is_small() {
    type Inner = Ready<Result<u32, Error<()>>>;
    let size = size_of::<ResponseFuture<Echo, u32>>();
    assert!(
        size <= size_of::<Inner>() + 2 * size_of::<usize>(),
        "{size}"
    );
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

type Fut<S> = <RateLimit<S> as Service<u32>>::Future;
assert_impl_all!(RateLimit<Echo>: Send, Sync, Unpin, Clone);
assert_impl_all!(Fut<Echo>: Send, Sync, Unpin);
assert_impl_all!(RateLimit<Local>: Unpin, Clone);
assert_not_impl_any!(RateLimit<Local>: Send, Sync);
assert_not_impl_any!(Fut<Local>: Send, Sync);
assert_impl_all!(RateLimitLayer: Send, Sync, Clone);
assert_impl_all!(RateLimitHandle: Send, Sync, Clone, Component);

#[test]
fn a_service_that_is_not_send_works() {
    let mut svc = layer(1, SECOND).layer(Local(Rc::default()));
    assert!(matches!(call(&mut svc, 3).poll(), Poll::Ready(Ok(3))));
}

#[test]
fn a_registry_reads_what_the_limit_does() {
    let free = Always(Meta::new(Replay::Safe).with_cost(0));
    let layer = RateLimitLayer::new(
        "desk",
        RateLimitConfig::builder()
            .rate(1, Duration::from_secs(3600))
            .burst(2)
            .build()
            .unwrap(),
    );
    let registry = Registry::new("svc");
    registry.register(layer.handle()).unwrap();
    let mut events = registry.events().subscribe();
    assert!(
        call(&mut layer.clone().describe(free).layer(Echo), 0)
            .poll()
            .is_ready()
    );
    let mut svc = layer.layer(Echo);
    for n in 0..3 {
        assert!(call(&mut svc, n).poll().is_ready());
    }
    let snapshot = registry.snapshot().remove(0);
    assert_eq!(
        (snapshot.pattern, snapshot.state),
        ("ratelimit", "exhausted")
    );
    let value = |metric: &str, label: Option<&str>| {
        let found = snapshot.samples.iter().find(|s| {
            s.metric == metric && label.is_none_or(|l| s.labels.iter().any(|(_, v)| *v == l))
        });
        found.expect("a sample").value
    };
    let granted = value("seawall_calls_total", Some("granted"));
    assert_eq!(granted, Value::Counter(3));
    let refused = value("seawall_rejections_total", Some("rate_limited"));
    assert_eq!(refused, Value::Counter(1));
    assert_eq!(
        value("seawall_ratelimit_queue_depth", None),
        Value::Gauge(0.0)
    );
    let Value::Gauge(tokens) = value("seawall_ratelimit_tokens_available", None) else {
        panic!("not a gauge")
    };
    assert!((0.0..1.0).contains(&tokens), "{tokens}");
    let Some(Delivery::Event(event)) = events.try_next() else {
        panic!("the refusal was not told")
    };
    assert!(matches!(event.what, What::Refused(r) if r.reason() == Reason::RateLimited));
}

#[test]
fn impossible_settings_are_refused_by_name() {
    let field = |builder: RateLimitConfigBuilder| builder.build().unwrap_err().field().to_owned();
    let builder = RateLimitConfig::builder;
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(field(builder().rate(0, SECOND)), "rate");
    assert_eq!(field(builder().rate(1, Duration::ZERO)), "per");
    assert_eq!(field(builder().rate(1, Duration::MAX)), "per");
    assert_eq!(field(builder().rate(2, Duration::from_nanos(1))), "rate");
    assert_eq!(field(builder().burst(0)), "burst");
    assert_eq!(field(builder().rate(1, 2 * day).burst(184)), "burst");
    assert_eq!(field(builder().rate(1, 366 * day).burst(u32::MAX)), "burst");
    assert!(builder().rate(1, 2 * day).burst(183).build().is_ok());
    assert!(builder().rate(1, Duration::from_nanos(1)).build().is_ok());
    assert_eq!(builder().build().unwrap(), RateLimitConfig::default());
    assert_eq!(builder().rate(5, SECOND).build().unwrap().burst().get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_patience_without_end_is_no_overflow() {
    let (mut svc, _handle, mock) = subject(1, Duration::MAX);
    let _granted = call(&mut svc, 0);
    let mut waiter = call(&mut svc, 1);
    assert!(waiter.poll().is_pending());
    advance(ms(100)).await;
    assert!(waiter.poll().is_ready());
    assert_eq!(mock.requests(), [0, 1]);
}

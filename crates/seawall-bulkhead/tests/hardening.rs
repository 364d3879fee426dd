//! What is left of attacks on the bulkhead: each of these broke an invariant once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use seawall_bulkhead::partitions::{PartitionConfig, PartitionShare, PartitionedBulkheadLayer};
use seawall_bulkhead::scaling::{ScalingBulkheadLayer, ScalingConfig};
use seawall_bulkhead::{
    Bulkhead, BulkheadConfig, BulkheadHandle, BulkheadLayer, CallSample, LimitAlgorithm,
};
use seawall_core::{
    Describe, Error, ErrorIsFailure, PartitionKey, Policy, Priority, Reason, Rejectable, Rejection,
    Replay, RequestMeta,
};
use seawall_testkit::contract::{Mock, MockHandle, PolledFuture, mock};
use tokio::time::{Instant, advance};
use tower_layer::Layer;
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);

fn config(permits: u32, waiting: u32) -> BulkheadConfig {
    let config = BulkheadConfig::builder().max_concurrent(permits);
    let config = match waiting {
        0 => config,
        _ => config
            .max_waiting(waiting)
            .priority_aging(3600 * SECOND)
            .max_wait(100_000 * SECOND),
    };
    config.build().expect("valid settings")
}

/// Polls ready, which must succeed at once, and calls.
fn call<S: Service<u32>>(service: &mut S, request: u32) -> PolledFuture<S::Future> {
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(cx), Poll::Ready(Ok(()))));
    PolledFuture::new(service.call(request))
}

fn open<S: Service<u32>>(service: &mut S, request: u32) -> PolledFuture<S::Future> {
    let mut call = call(service, request);
    assert!(call.poll().is_pending());
    call
}

/// Describes each request as the test has set last.
#[derive(Clone)]
struct NextMeta(Arc<Mutex<RequestMeta>>);

impl Default for NextMeta {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(RequestMeta::new(Replay::Never))))
    }
}

impl NextMeta {
    fn set(&self, meta: RequestMeta) {
        *self.0.lock().expect("nobody panics") = meta;
    }

    fn priority(&self, priority: u8) {
        self.set(RequestMeta::new(Replay::Never).with_priority(Priority(priority)));
    }

    fn within(&self, priority: u8, time: Duration) {
        let meta = RequestMeta::new(Replay::Never).with_priority(Priority(priority));
        self.set(meta.with_deadline(Instant::now() + time));
    }
}

impl Describe<u32> for NextMeta {
    fn describe(&self, _: &u32) -> RequestMeta {
        *self.0.lock().expect("nobody panics")
    }
}

type Described = Bulkhead<Mock, Policy<ErrorIsFailure, NextMeta>>;

fn described(permits: u32) -> (Described, BulkheadHandle, MockHandle, NextMeta) {
    let (inner, mock) = mock();
    mock.hold_responses();
    let next = NextMeta::default();
    let layer = BulkheadLayer::new("orders", config(permits, 64)).describe(next.clone());
    (layer.layer(inner), layer.handle(), mock, next)
}

// --- Algorithms ---

/// Reads the bulkhead and changes it, from inside.
struct Nosy(Arc<Mutex<Option<BulkheadHandle>>>);

impl LimitAlgorithm for Nosy {
    fn on_sample(&mut self, _: &CallSample) -> Option<u32> {
        let handle = self.0.lock().expect("nobody panics").clone()?;
        handle.set_limit(7).expect("not 0");
        Some(handle.snapshot().limit + 1)
    }
}

#[test]
fn an_algorithm_may_use_the_handle_of_its_own_bulkhead() {
    let (done, is_done) = std::sync::mpsc::channel();
    // On a thread of its own: a deadlock is to fail, not to hang.
    std::thread::spawn(move || {
        let handle = Arc::default();
        let (inner, mock) = mock();
        mock.hold_responses();
        let layer =
            BulkheadLayer::new("orders", config(1, 4)).limit_algorithm(Nosy(Arc::clone(&handle)));
        *handle.lock().expect("nobody panics") = Some(layer.handle());
        let mut svc = layer.layer(inner);
        let mut first = open(&mut svc, 0);
        let second = call(&mut svc, 1);
        mock.respond(0, Ok(()));
        assert!(first.poll().is_ready());
        drop(second);
        done.send(layer.handle().limit()).expect("it is awaited");
    });
    assert_eq!(is_done.recv_timeout(20 * SECOND), Ok(8));
}

#[tokio::test(start_paused = true)]
async fn an_algorithm_that_is_not_installed_moves_nothing() {
    let scaling = ScalingConfig::builder()
        .min(4)
        .max(8)
        .build()
        .expect("valid settings");
    let layer = BulkheadLayer::new("orders", config(6, 0))
        .limit_algorithm(Fickle(Dice(1)))
        .limit_algorithm(Fixed(100));
    assert_eq!(layer.handle().limit(), 6, "the first algorithm stays");
    let layer = BulkheadLayer::new("orders", config(6, 0))
        .limit_algorithm(Fixed(100))
        .limit_algorithm(Fickle(Dice(1)));
    assert_eq!(layer.handle().limit(), 100);
    let layer = ScalingBulkheadLayer::new("orders", config(2, 0), scaling);
    assert_eq!(layer.handle().bulkhead().limit(), 4);
}

/// Has one limit.
struct Fixed(u32);

impl LimitAlgorithm for Fixed {
    fn on_sample(&mut self, _: &CallSample) -> Option<u32> {
        Some(self.0)
    }

    fn start(&mut self, _: u32) -> u32 {
        self.0
    }
}

// --- Forecasts ---

/// Completes calls, one a second.
async fn serve(
    mock: &MockHandle,
    calls: &mut Vec<PolledFuture<<Described as Service<u32>>::Future>>,
    n: u32,
) {
    for _ in 0..n {
        advance(SECOND).await;
        mock.respond(mock.calls() - 1, Ok(()));
        assert!(calls.remove(0).poll().is_ready());
        if let Some(next) = calls.first_mut() {
            assert!(next.poll().is_pending());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_does_not_count_as_time_for_which_a_permit_is_held() {
    let (mut svc, handle, mock, next) = described(1);
    let mut calls: Vec<_> = (0..12).map(|n| open(&mut svc, n)).collect();
    serve(&mock, &mut calls, 6).await;
    handle.pause();
    mock.respond(mock.calls() - 1, Ok(()));
    assert!(calls.remove(0).poll().is_ready());
    advance(3600 * SECOND).await;
    handle.resume();
    assert!(calls[0].poll().is_pending());
    serve(&mock, &mut calls, 1).await;
    assert_eq!(calls.len(), 4);
    next.within(128, 60 * SECOND);
    let _fits = open(&mut svc, 20);
    assert_eq!(handle.counts().rejected_doomed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_skipped_waiter_keeps_no_estimate_of_another_time() {
    let (mut svc, handle, mock, next) = described(1);
    let mut calls: Vec<_> = (0..8).map(|n| open(&mut svc, n)).collect();
    serve(&mock, &mut calls, 6).await;
    assert_eq!(calls.len(), 2);
    // The last one's own service is not ready when its turn comes: it is skipped.
    mock.set_pending();
    advance(SECOND).await;
    mock.respond(mock.calls() - 1, Ok(()));
    assert!(calls.remove(0).poll().is_ready());
    assert!(calls[0].poll().is_pending());
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 1));
    advance(3600 * SECOND).await;
    mock.set_ready();
    let mut later: Vec<_> = (0..4).map(|n| open(&mut svc, n)).collect();
    assert_eq!(handle.queue_depth(), 4);
    serve(&mock, &mut later, 1).await;
    next.within(128, 60 * SECOND);
    let _fits = open(&mut svc, 20);
    assert_eq!(handle.counts().rejected_doomed, 0);
}

#[tokio::test(start_paused = true)]
async fn waiters_that_will_be_passed_are_not_in_a_forecast() {
    let (mut svc, handle, mock, next) = described(1);
    next.priority(128);
    let mut calls: Vec<_> = (0..26).map(|n| open(&mut svc, n)).collect();
    serve(&mock, &mut calls, 5).await;
    assert_eq!(handle.queue_depth(), 20);
    // Before all of them, by priority, and within the time of one or two turns.
    next.within(191, 3 * SECOND);
    let mut urgent = open(&mut svc, 20);
    assert_eq!(handle.counts().rejected_doomed, 0);
    advance(SECOND).await;
    mock.respond(mock.calls() - 1, Ok(()));
    assert!(calls.remove(0).poll().is_ready());
    assert!(urgent.poll().is_pending());
    assert_eq!(mock.requests().last(), Some(&20));
    // And those that it will not pass are.
    next.within(128, 3 * SECOND);
    assert!(call(&mut svc, 21).poll().is_ready());
    assert_eq!(handle.counts().rejected_doomed, 1);
}

// --- Shares ---

#[tokio::test(start_paused = true)]
async fn what_the_default_guarantees_is_not_taken_from_named_keys() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let config = PartitionConfig::builder()
        .max_concurrent(4)
        .default_share(PartitionShare::new().guaranteed(4))
        .share(PartitionKey(9), PartitionShare::new().guaranteed(2))
        .build();
    let layer = PartitionedBulkheadLayer::new("keyed", config.expect("valid settings"))
        .key_by(|request: &u32| PartitionKey(u64::from(request / 10)));
    let (mut svc, handle) = (layer.layer(inner), layer.handle());
    let _greedy: Vec<_> = (0..6).map(|n| open(&mut svc, n)).collect();
    assert_eq!((handle.in_flight(), handle.queue_depth()), (2, 4));
    let _named: Vec<_> = (90..93).map(|n| open(&mut svc, n)).collect();
    assert_eq!(mock.requests(), [0, 1, 90, 91]);
}

#[tokio::test(start_paused = true)]
async fn a_named_key_that_waits_gets_its_own_before_any_other() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let config = PartitionConfig::builder()
        .max_concurrent(2)
        .default_share(PartitionShare::new().guaranteed(2))
        .build();
    let layer = PartitionedBulkheadLayer::new("keyed", config.expect("valid settings"))
        .key_by(|request: &u32| PartitionKey(u64::from(request / 10)));
    let (mut svc, handle) = (layer.layer(inner), layer.handle());
    let mut first: Vec<_> = (0..2).map(|n| open(&mut svc, n)).collect();
    let mut named = open(&mut svc, 90);
    let mut other = open(&mut svc, 10);
    // One permit is kept for it from now on; the other has a higher guarantee.
    handle
        .set_share(PartitionKey(9), PartitionShare::new().guaranteed(1))
        .expect("there is one");
    mock.respond(0, Ok(()));
    assert!(first[0].poll().is_ready());
    assert_eq!(named.wakes() + other.wakes(), 1);
    assert!(other.poll().is_pending() && named.poll().is_pending());
    assert_eq!(mock.requests(), [0, 1, 90]);
    mock.respond(1, Ok(()));
    assert!(first[1].poll().is_ready() && other.poll().is_pending());
    assert_eq!(mock.requests(), [0, 1, 90, 10]);
}

// --- Reserving ---

#[tokio::test(start_paused = true)]
async fn an_instance_without_a_call_counts_for_nothing_while_it_drains() {
    let (inner, mock) = mock();
    let layer = BulkheadLayer::new("orders", config(1, 0));
    let (mut svc, handle) = (layer.reserving().layer(inner), layer.handle());
    let cx = &mut Context::from_waker(Waker::noop());
    handle.drain();
    let mut idle = svc.clone();
    assert!(idle.poll_ready(cx).is_ready());
    drop(idle);
    assert_eq!(handle.counts().rejected_draining, 0, "there was no call");
    assert!(svc.poll_ready(cx).is_ready());
    let Poll::Ready(Err(rejected)) = PolledFuture::new(svc.call(0)).poll() else {
        panic!("it drains")
    };
    let reason = rejected.rejection().map(Rejection::reason);
    assert_eq!(reason, Some(Reason::Draining));
    assert_eq!(handle.counts().rejected_draining, 1);

    // Readiness is asked again each time.
    assert!(svc.poll_ready(cx).is_ready());
    handle.resume();
    assert!(svc.poll_ready(cx).is_ready());
    assert_eq!(handle.in_flight(), 1);
    assert_eq!(
        PolledFuture::new(svc.call(1)).poll().map(Result::ok),
        Poll::Ready(Some(1))
    );
    assert_eq!((handle.in_flight(), mock.calls()), (0, 1));
    assert_eq!(handle.counts().rejected(), 1);
}

// --- At random, on threads ---

/// Numbers that look random: the same ones in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Responds after some yields, fails, panics, or never responds, by the request; and is not ready
/// at every third poll.
#[derive(Clone, Default)]
struct Flaky {
    polls: u32,
}

impl Service<u32> for Flaky {
    type Response = u32;
    type Error = Error<()>;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Error<()>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.polls += 1;
        if self.polls % 3 == 2 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(request % 32 != 7, "a panic in `call`");
        Box::pin(async move {
            for _ in 0..request % 5 {
                tokio::task::yield_now().await;
            }
            match request % 32 {
                3 => Err(Error::Inner(())),
                9 => panic!("a panic in the future"),
                11 => std::future::pending().await,
                _ => Ok(request),
            }
        })
    }
}

/// Polls at most so often, with panics caught, and drops the future then.
async fn poll_at_most<F: Future>(future: F, polls: u64) {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        let once = std::future::poll_fn(|cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
            Poll::Ready(polled.is_err() || polled.is_ok_and(|p| p.is_ready()))
        });
        if once.await {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Sleeps until it is woken, and no longer: a wake-up that is lost is a test that hangs.
async fn complete<F: Future>(future: F) {
    let mut future = Box::pin(future);
    std::future::poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
    .await;
}

/// Returns another limit at every fourth call, and panics now and then.
struct Fickle(Dice);

impl LimitAlgorithm for Fickle {
    fn on_sample(&mut self, _: &CallSample) -> Option<u32> {
        assert!(self.0.below(500) != 0, "a panic in an algorithm");
        (self.0.below(4) == 0).then(|| self.0.below(6) as u32)
    }
}

const TASKS: u64 = 48;
const ROUNDS: u64 = 300;

#[test]
fn no_permit_no_wake_up_and_no_count_is_lost_when_everything_happens_at_once() {
    storm();
}

fn storm() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .expect("valid settings");
    let settings = BulkheadConfig::builder()
        .max_concurrent(3)
        .max_waiting(30)
        .lifo_threshold(20)
        .max_wait(Duration::MAX)
        .build()
        .expect("valid settings");
    let layer = BulkheadLayer::new("storm", settings).limit_algorithm(Fickle(Dice(77)));
    let handle = layer.handle();
    let stop = Arc::new(AtomicBool::new(false));
    let made = Arc::new(AtomicU64::new(0));
    let svc = layer.layer(Flaky::default());
    let reserving = layer.reserving().layer(Flaky::default());

    let callers = (1..=TASKS).map(|task| {
        let (mut svc, mut reserving, made) = (svc.clone(), reserving.clone(), Arc::clone(&made));
        runtime.spawn(async move {
            let mut dice = Dice(task * 0x9e37_79b9);
            for _ in 0..ROUNDS {
                let request = dice.below(1 << 20) as u32;
                let short = request % 32 == 11 || dice.below(4) == 0;
                let call = if dice.below(3) == 0 {
                    let polls = 1 + dice.below(6);
                    if dice.below(3) == 0 {
                        // Gives up, and the instance with it.
                        let ready = std::future::poll_fn(|cx| reserving.poll_ready(cx));
                        poll_at_most(ready, polls).await;
                        reserving = reserving.clone();
                        continue;
                    }
                    std::future::poll_fn(|cx| reserving.poll_ready(cx))
                        .await
                        .expect("never fails");
                    made.fetch_add(1, SeqCst);
                    catch_unwind(AssertUnwindSafe(|| reserving.call(request)))
                } else {
                    std::future::poll_fn(|cx| svc.poll_ready(cx))
                        .await
                        .expect("never fails");
                    made.fetch_add(1, SeqCst);
                    catch_unwind(AssertUnwindSafe(|| svc.call(request)))
                };
                match call {
                    Ok(call) if short => poll_at_most(call, dice.below(12)).await,
                    Ok(call) => complete(call).await,
                    Err(_panic) => {}
                }
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    let operators = (0..3).map(|n| {
        let (handle, stop) = (handle.clone(), Arc::clone(&stop));
        runtime.spawn(async move {
            let mut dice = Dice(0xabcd + n);
            while !stop.load(SeqCst) {
                match dice.below(9) {
                    0 => handle.pause(),
                    1 => handle.drain(),
                    2 => handle.set_shadow(true),
                    3 => handle.configure(settings).expect("valid settings"),
                    4 => drop(handle.snapshot()),
                    5 => handle.set_limit(1 + dice.below(5) as u32).expect("not 0"),
                    6 => poll_at_most(handle.drained(), dice.below(9)).await,
                    _ => {}
                }
                tokio::task::yield_now().await;
                handle.set_shadow(false);
                handle.resume();
                tokio::task::yield_now().await;
            }
        })
    });
    let operators: Vec<_> = operators.collect();
    runtime.block_on(async {
        let all = async {
            for caller in callers {
                caller.await.expect("it catches panics");
            }
            stop.store(true, SeqCst);
            for operator in operators {
                operator.await.expect("it catches panics");
            }
            drop((svc, reserving));
            handle.drained().await;
        };
        let hangs = tokio::time::timeout(300 * SECOND, all).await;
        assert!(hangs.is_ok(), "{:?}", handle.snapshot());
    });
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
    let counts = handle.counts();
    let ended = counts.success + counts.failure + counts.ignored + counts.abandoned;
    assert_eq!(ended + counts.rejected(), made.load(SeqCst), "{counts:?}");
    assert!(
        counts.success > 0 && counts.abandoned > 0 && counts.waited > 0,
        "{counts:?}"
    );

    // As many permits as there are, neither more nor fewer.
    handle.set_limit(5).expect("not 0");
    let (inner, mock) = mock();
    mock.hold_responses();
    let mut svc = layer.layer(inner);
    let _guard = runtime.enter();
    let _open: Vec<_> = (0..7).map(|n| open(&mut svc, n)).collect();
    assert_eq!((mock.calls(), handle.queue_depth()), (5, 2));
}

#[test]
fn no_permit_no_wake_up_and_no_count_is_lost_when_shares_change() {
    storm_of_keys();
}

fn storm_of_keys() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .expect("valid settings");
    let settings = PartitionConfig::builder()
        .max_concurrent(6)
        .max_wait(Duration::MAX)
        .default_share(PartitionShare::new().guaranteed(2).max(4).max_waiting(8))
        .share(PartitionKey(0), PartitionShare::new().guaranteed(2))
        .share(PartitionKey(1), PartitionShare::new().weight(u32::MAX))
        .build()
        .expect("valid settings");
    let layer = PartitionedBulkheadLayer::new("storm", settings)
        .key_by(|request: &u32| PartitionKey(u64::from(request / 32 % 6)));
    let handle = layer.handle();
    let stop = Arc::new(AtomicBool::new(false));
    let made = Arc::new(AtomicU64::new(0));
    let svc = layer.layer(Flaky::default());
    let callers = (1..=TASKS).map(|task| {
        let (mut svc, made) = (svc.clone(), Arc::clone(&made));
        runtime.spawn(async move {
            let mut dice = Dice(task * 0x9e37_79b9);
            for _ in 0..ROUNDS {
                let request = dice.below(1 << 20) as u32;
                let short = request % 32 == 11 || dice.below(4) == 0;
                std::future::poll_fn(|cx| svc.poll_ready(cx))
                    .await
                    .expect("never fails");
                made.fetch_add(1, SeqCst);
                match catch_unwind(AssertUnwindSafe(|| svc.call(request))) {
                    Ok(call) if short => poll_at_most(call, dice.below(12)).await,
                    Ok(call) => complete(call).await,
                    Err(_panic) => {}
                }
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    let operator = {
        let (handle, stop) = (handle.clone(), Arc::clone(&stop));
        runtime.spawn(async move {
            let mut dice = Dice(0xabcd);
            while !stop.load(SeqCst) {
                let share = PartitionShare::new()
                    .guaranteed(dice.below(3) as u32)
                    .max(2 + dice.below(3) as u32)
                    .weight(1 + dice.below(9) as u32)
                    .max_waiting(dice.below(9) as u32);
                // Impossible ones are rejected.
                let _ = handle.set_share(PartitionKey(dice.below(4)), share);
                let _ = handle.set_limit(dice.below(8) as u32);
                drop(handle.snapshot());
                tokio::task::yield_now().await;
            }
        })
    };
    runtime.block_on(async {
        let all = async {
            for caller in callers {
                caller.await.expect("it catches panics");
            }
            stop.store(true, SeqCst);
            operator.await.expect("nothing panics");
        };
        let hangs = tokio::time::timeout(300 * SECOND, all).await;
        assert!(hangs.is_ok(), "{:?}", handle.snapshot());
    });
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
    let counts = handle.counts();
    let ended = counts.success + counts.failure + counts.ignored + counts.abandoned;
    assert_eq!(ended + counts.rejected(), made.load(SeqCst), "{counts:?}");
    assert!(counts.success > 0 && counts.waited > 0, "{counts:?}");

    for key in 0..4 {
        handle
            .set_share(PartitionKey(key), PartitionShare::new())
            .expect("guarantees nothing");
    }
    handle.set_limit(5).expect("not 0");
    let (inner, mock) = mock();
    mock.hold_responses();
    let mut svc = layer.layer(inner);
    let _guard = runtime.enter();
    let _open: Vec<_> = (0..7).map(|n| open(&mut svc, n)).collect();
    assert_eq!((mock.calls(), handle.queue_depth()), (5, 2));
}

// --- Panics in wakers ---

/// A waker that panics.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        panic!("a panic in a waker");
    }
}

/// Two calls wait for the two permits of `svc`; the call that releases the second one wakes the
/// second waiter.
fn a_waker_that_panics<S: Service<u32>>(
    mut svc: S,
    mock: &MockHandle,
    in_flight: impl Fn() -> u32,
) {
    let mut running = [open(&mut svc, 0), open(&mut svc, 0)];
    let mut first = open(&mut svc, 0);
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(svc.poll_ready(cx).is_ready());
    let mut second = Box::pin(svc.call(0));
    let bomb = Waker::from(Arc::new(Bomb));
    assert!(
        second
            .as_mut()
            .poll(&mut Context::from_waker(&bomb))
            .is_pending()
    );
    mock.respond(0, Ok(()));
    assert!(running[0].poll().is_ready());
    mock.respond(1, Ok(()));
    assert!(catch_unwind(AssertUnwindSafe(|| running[1].poll())).is_err());
    drop(running);
    assert_eq!(in_flight(), 0);
    assert!(second.as_mut().poll(cx).is_pending());
    assert!(first.poll().is_pending());
    assert_eq!(in_flight(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_costs_no_permit() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = BulkheadLayer::new("orders", config(2, 8));
    let handle = layer.handle();
    a_waker_that_panics(layer.layer(inner), &mock, || handle.in_flight());
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_costs_no_permit_of_a_partitioned_bulkhead() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let config = PartitionConfig::builder().max_concurrent(2).build();
    let layer = PartitionedBulkheadLayer::new("keyed", config.expect("valid settings"));
    let handle = layer.handle();
    a_waker_that_panics(layer.layer(inner), &mock, || handle.in_flight());
}

#[tokio::test(start_paused = true)]
async fn an_expired_call_in_shadow_mode_counts_once() {
    let (mut svc, handle, _mock, next) = described(1);
    handle.set_shadow(true);
    let _first = open(&mut svc, 0);
    next.within(128, Duration::ZERO);
    let _expired = open(&mut svc, 1);
    assert_eq!((handle.counts().shadowed, handle.counts().waited), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn extremes_are_handled_like_other_numbers() {
    let (mut svc, handle, mock, next) = described(u32::MAX);
    let _open: Vec<_> = (0..3).map(|n| open(&mut svc, n)).collect();
    handle.set_limit(1).expect("not 0");
    next.within(255, 30 * 365 * 24 * 3600 * SECOND);
    let mut far = open(&mut svc, 3);
    assert_eq!((handle.in_flight(), handle.queue_depth()), (3, 1));
    handle.set_limit(u32::MAX).expect("not 0");
    assert!(far.poll().is_pending());
    assert_eq!((handle.in_flight(), mock.calls()), (4, 4));
    assert_eq!(handle.snapshot().available, u32::MAX - 4);
    assert_eq!(handle.snapshot().peak_in_flight, 4);
    assert_eq!(
        handle.set_limit(0).expect_err("no call could pass").field(),
        "max_concurrent"
    );
    assert_eq!(handle.limit(), u32::MAX);
}

/// Drains its bulkhead as it is polled ready, once it is armed.
#[derive(Clone)]
struct DrainsWhenReady {
    handle: BulkheadHandle,
    armed: Arc<AtomicBool>,
    called: Arc<AtomicU64>,
}

impl Service<u32> for DrainsWhenReady {
    type Response = ();
    type Error = Rejection;
    type Future = std::future::Pending<Result<(), Rejection>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        if self.armed.swap(false, SeqCst) {
            self.handle.drain();
            let mut drained = PolledFuture::new(self.handle.drained());
            assert!(drained.poll().is_ready(), "what has expired does not count");
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        self.called.fetch_add(1, SeqCst);
        std::future::pending()
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_has_expired_does_not_depart_after_its_drain_has_ended() {
    let config = BulkheadConfig::builder()
        .max_concurrent(1)
        .max_waiting(1)
        .max_wait(SECOND)
        .build()
        .expect("valid");
    let layer = BulkheadLayer::new("drain", config);
    let (armed, called) = (Arc::default(), Arc::default());
    let mut service = layer.layer(DrainsWhenReady {
        handle: layer.handle(),
        armed: Arc::clone(&armed),
        called: Arc::clone(&called),
    });
    let holder = open(&mut service, 1);
    let mut late = open(&mut service, 2);
    // Nobody polls it when it has a permit, so the permit goes back.
    drop(holder);
    for _ in 0..20 {
        advance(SECOND / 10).await;
        tokio::task::yield_now().await;
    }
    armed.store(true, SeqCst);
    let Poll::Ready(Err(rejected)) = late.poll() else {
        panic!("its wait is over")
    };
    assert_eq!(rejected.reason(), Reason::QueueTimeout);
    assert!(!armed.load(SeqCst), "it was polled ready");
    assert_eq!(called.load(SeqCst), 1);
    assert_eq!(layer.handle().in_flight(), 0);
}

//! What is left of attacks on the bulkhead: each of these broke a law once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use seawall_bulkhead::{
    Adaptive, Aimd, Algorithm, Bulkhead, BulkheadConfig, BulkheadHandle, BulkheadLayer, CallSample,
    LimitAlgorithm, PartitionConfig, PartitionShare, PartitionedBulkheadLayer, Scaling,
};
use seawall_core::{
    CompleteOnResponse, Describe, Error, Outcome, PartitionKey, Priority, Reason, Rejectable,
    Rejection, Replay, RequestMeta,
};
use seawall_testkit::contract::{Mock, MockError, MockHandle, PolledFuture, mock};
use tokio::time::{Instant, advance};
use tower_layer::Layer;
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);

fn config(places: u32, waiting: u32) -> BulkheadConfig {
    let config = BulkheadConfig::builder()
        .max_concurrent(places)
        .max_waiting(waiting)
        .priority_aging(3600 * SECOND)
        .max_wait(100_000 * SECOND);
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

/// Says of each request what the test has set last.
#[derive(Clone)]
struct Told(Arc<Mutex<RequestMeta>>);

impl Default for Told {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(RequestMeta::new(Replay::Never))))
    }
}

impl Told {
    fn tell(&self, meta: RequestMeta) {
        *self.0.lock().expect("nobody panics") = meta;
    }

    fn priority(&self, priority: u8) {
        self.tell(RequestMeta::new(Replay::Never).with_priority(Priority(priority)));
    }

    fn within(&self, priority: u8, time: Duration) {
        let meta = RequestMeta::new(Replay::Never).with_priority(Priority(priority));
        self.tell(meta.with_deadline(Instant::now() + time));
    }
}

impl Describe<u32> for Told {
    fn describe(&self, _: &u32) -> RequestMeta {
        *self.0.lock().expect("nobody panics")
    }
}

type Desk = Bulkhead<Mock, CompleteOnResponse, Told>;

fn told(places: u32) -> (Desk, BulkheadHandle, MockHandle, Told) {
    let (inner, mock) = mock();
    mock.hold_responses();
    let told = Told::default();
    let layer = BulkheadLayer::new("desk", config(places, 64)).describe(told.clone());
    (layer.layer(inner), layer.handle(), mock, told)
}

// --- Tuners ---

/// Looks at the bulkhead and changes it, from inside.
struct Nosy(Arc<Mutex<Option<BulkheadHandle>>>);

impl LimitAlgorithm for Nosy {
    fn ended(&mut self, _: &CallSample) -> Option<u32> {
        let handle = self.0.lock().expect("nobody panics").clone()?;
        handle.set_limit(7).expect("not 0");
        Some(handle.snapshot().limit + 1)
    }
}

#[test]
fn a_tuner_may_read_and_resize_the_bulkhead_that_it_tunes() {
    let (done, is_done) = std::sync::mpsc::channel();
    // On a thread of its own: a deadlock is to fail, not to hang.
    std::thread::spawn(move || {
        let handle = Arc::default();
        let (inner, mock) = mock();
        mock.hold_responses();
        let layer =
            BulkheadLayer::new("desk", config(1, 4)).limit_algorithm(Nosy(Arc::clone(&handle)));
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
async fn an_adaptive_limit_goes_on_from_a_number_that_it_had_before() {
    let adaptive = Adaptive::builder()
        .algorithm(Algorithm::Aimd(Aimd::default()))
        .initial(20)
        .build()
        .expect("valid settings");
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = BulkheadLayer::new("desk", config(1, 64))
        .adaptive(adaptive)
        .classify(
            |answer: Result<&u32, &seawall_testkit::contract::BoxError>| match answer {
                Ok(_) => Outcome::Success,
                Err(_) => Outcome::Unknown,
            },
        );
    let (mut svc, handle) = (layer.layer(inner), layer.handle());
    // Dropped by the upstream until the limit falls.
    for _ in 0..200 {
        if handle.limit() < 20 {
            break;
        }
        let mut calls: Vec<_> = (0..10).map(|n| open(&mut svc, n)).collect();
        advance(SECOND).await;
        for (n, call) in calls.iter_mut().enumerate() {
            mock.respond(mock.calls() - 10 + n, Err(MockError::Failed(1)));
            assert!(call.poll().is_ready());
        }
    }
    let fallen = handle.limit();
    assert!(fallen < 20);
    // By hand, back to what it was.
    handle.set_limit(20).expect("not 0");
    let mut last = 20;
    for _ in 0..3 {
        let mut calls: Vec<_> = (0..20).map(|n| open(&mut svc, n)).collect();
        advance(SECOND).await;
        mock.respond_to_all();
        calls
            .iter_mut()
            .for_each(|call| assert!(call.poll().is_ready()));
        assert!(handle.limit() >= last, "from {last} to {}", handle.limit());
        last = handle.limit();
    }
}

#[tokio::test(start_paused = true)]
async fn bounds_of_a_tuner_that_has_no_say_move_nothing() {
    let scaling = Scaling::between(4, 8).build().expect("valid settings");
    let adaptive = Adaptive::builder().initial(100).max(200).build();
    let adaptive = adaptive.expect("valid settings");
    let layer = BulkheadLayer::new("desk", config(6, 0));
    let layer = layer.scaling(scaling).adaptive(adaptive);
    assert_eq!(layer.handle().limit(), 6, "the first tuner stays");
    let layer = BulkheadLayer::new("desk", config(6, 0));
    let layer = layer.adaptive(adaptive).scaling(scaling);
    assert_eq!(layer.handle().limit(), 100);
}

// --- Forecasts ---

/// Answers the calls from `from` on, one a second.
async fn serve(mock: &MockHandle, calls: &mut Vec<PolledFuture<<Desk as Service<u32>>::Future>>, n: u32) {
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
async fn a_pause_says_nothing_of_the_pace_of_the_line() {
    let (mut svc, handle, mock, told) = told(1);
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
    told.within(128, 60 * SECOND);
    let _fits = open(&mut svc, 20);
    assert_eq!(handle.counts().reject_doomed, 0);
}

#[tokio::test(start_paused = true)]
async fn who_stands_aside_keeps_no_pace_of_another_time() {
    let (mut svc, handle, mock, told) = told(1);
    let mut calls: Vec<_> = (0..8).map(|n| open(&mut svc, n)).collect();
    serve(&mock, &mut calls, 6).await;
    assert_eq!(calls.len(), 2);
    // The last one's own service is not ready when its turn comes: it stands aside.
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
    told.within(128, 60 * SECOND);
    let _fits = open(&mut svc, 20);
    assert_eq!(handle.counts().reject_doomed, 0);
}

#[tokio::test(start_paused = true)]
async fn those_who_will_be_passed_are_not_in_a_forecast() {
    let (mut svc, handle, mock, told) = told(1);
    told.priority(128);
    let mut calls: Vec<_> = (0..26).map(|n| open(&mut svc, n)).collect();
    serve(&mock, &mut calls, 5).await;
    assert_eq!(handle.queue_depth(), 20);
    // Before all of them, by priority, and within the time of one or two turns.
    told.within(191, 3 * SECOND);
    let mut urgent = open(&mut svc, 20);
    assert_eq!(handle.counts().reject_doomed, 0);
    advance(SECOND).await;
    mock.respond(mock.calls() - 1, Ok(()));
    assert!(calls.remove(0).poll().is_ready());
    assert!(urgent.poll().is_pending());
    assert_eq!(mock.requests().last(), Some(&20));
    // And those before whom it will not go are.
    told.within(128, 3 * SECOND);
    assert!(call(&mut svc, 21).poll().is_ready());
    assert_eq!(handle.counts().reject_doomed, 1);
}

// --- Shares ---

#[tokio::test(start_paused = true)]
async fn what_the_default_guarantees_is_not_taken_from_those_who_are_named() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let config = PartitionConfig::builder()
        .max_concurrent(4)
        .default_share(PartitionShare::new().guaranteed(4))
        .share(PartitionKey(9), PartitionShare::new().guaranteed(2))
        .build();
    let layer = PartitionedBulkheadLayer::new("pool", config.expect("valid settings"))
        .key_by(|request: &u32| PartitionKey(u64::from(request / 10)));
    let (mut svc, handle) = (layer.layer(inner), layer.handle());
    let _greedy: Vec<_> = (0..6).map(|n| open(&mut svc, n)).collect();
    assert_eq!((handle.in_flight(), handle.queue_depth()), (2, 4));
    let _named: Vec<_> = (90..93).map(|n| open(&mut svc, n)).collect();
    assert_eq!(mock.requests(), [0, 1, 90, 91]);
}

#[tokio::test(start_paused = true)]
async fn a_named_key_in_line_gets_its_own_before_any_other() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let config = PartitionConfig::builder()
        .max_concurrent(2)
        .default_share(PartitionShare::new().guaranteed(2))
        .build();
    let layer = PartitionedBulkheadLayer::new("pool", config.expect("valid settings"))
        .key_by(|request: &u32| PartitionKey(u64::from(request / 10)));
    let (mut svc, handle) = (layer.layer(inner), layer.handle());
    let mut first: Vec<_> = (0..2).map(|n| open(&mut svc, n)).collect();
    let mut named = open(&mut svc, 90);
    let mut other = open(&mut svc, 10);
    // It has one place kept for it from now on; the other has more that it was promised.
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
    let layer = BulkheadLayer::new("desk", config(1, 0));
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

    // What was true before is asked again.
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

/// Numbers that look random: the same ones at each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Answers after some yields, fails, panics, or never answers, as the request says; and is not ready
/// at every third time it is asked.
#[derive(Clone, Default)]
struct Moody {
    asked: u32,
}

impl Service<u32> for Moody {
    type Response = u32;
    type Error = Error<()>;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Error<()>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.asked += 1;
        if self.asked % 3 == 2 {
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
async fn for_a_while<F: Future>(future: F, polls: u64) {
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
async fn to_its_end<F: Future>(future: F) {
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

/// Wants another number of places at every fourth call, and panics now and then.
struct Fickle(Dice);

impl LimitAlgorithm for Fickle {
    fn ended(&mut self, _: &CallSample) -> Option<u32> {
        assert!(self.0.below(500) != 0, "a panic in a tuner");
        (self.0.below(4) == 0).then(|| self.0.below(6) as u32)
    }
}

const TASKS: u64 = 48;
const ROUNDS: u64 = 300;

#[test]
fn whatever_is_done_at_once_no_place_no_wake_up_and_no_count_is_lost() {
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
    let svc = layer.layer(Moody::default());
    let reserving = layer.reserving().layer(Moody::default());

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
                        for_a_while(ready, polls).await;
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
                    Ok(call) if short => for_a_while(call, dice.below(12)).await,
                    Ok(call) => to_its_end(call).await,
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
                    3 => handle.configure(settings),
                    4 => drop(handle.snapshot()),
                    5 => handle.set_limit(1 + dice.below(5) as u32).expect("not 0"),
                    6 => for_a_while(handle.drained(), dice.below(9)).await,
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

    // As many places as there are, neither more nor fewer.
    handle.set_limit(5).expect("not 0");
    let (inner, mock) = mock();
    mock.hold_responses();
    let mut svc = layer.layer(inner);
    let _guard = runtime.enter();
    let _open: Vec<_> = (0..7).map(|n| open(&mut svc, n)).collect();
    assert_eq!((mock.calls(), handle.queue_depth()), (5, 2));
}

#[test]
fn whatever_is_done_to_shares_no_place_no_wake_up_and_no_count_is_lost() {
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
    let svc = layer.layer(Moody::default());
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
                    Ok(call) if short => for_a_while(call, dice.below(12)).await,
                    Ok(call) => to_its_end(call).await,
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
                // What is impossible is rejected.
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

// --- Panics where nobody looks for them ---

/// A waker that panics.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        panic!("a panic in a waker");
    }
}

/// Two calls wait for the two places of `svc`; the first one's task is to wake the second one's.
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
    for (n, call) in running.iter_mut().enumerate() {
        mock.respond(n, Ok(()));
        assert!(call.poll().is_ready());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| first.poll())).is_err());
    drop(first);
    assert_eq!(in_flight(), 0);
    assert!(second.as_mut().poll(cx).is_pending());
    assert_eq!(in_flight(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_costs_no_place() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let layer = BulkheadLayer::new("desk", config(2, 8));
    let handle = layer.handle();
    a_waker_that_panics(layer.layer(inner), &mock, || handle.in_flight());
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_costs_no_place_of_a_pool() {
    let (inner, mock) = mock();
    mock.hold_responses();
    let config = PartitionConfig::builder().max_concurrent(2).build();
    let layer = PartitionedBulkheadLayer::new("pool", config.expect("valid settings"));
    let handle = layer.handle();
    a_waker_that_panics(layer.layer(inner), &mock, || handle.in_flight());
}

#[tokio::test(start_paused = true)]
async fn a_late_call_that_is_only_watched_counts_once() {
    let (mut svc, handle, _mock, told) = told(1);
    handle.set_shadow(true);
    let _first = open(&mut svc, 0);
    told.within(128, Duration::ZERO);
    let _late = open(&mut svc, 1);
    assert_eq!((handle.counts().shadowed, handle.counts().waited), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn extremes_are_numbers_like_others() {
    let (mut svc, handle, mock, told) = told(u32::MAX);
    let _open: Vec<_> = (0..3).map(|n| open(&mut svc, n)).collect();
    handle.set_limit(1).expect("not 0");
    told.within(255, 30 * 365 * 24 * 3600 * SECOND);
    let mut far = open(&mut svc, 3);
    assert_eq!((handle.in_flight(), handle.queue_depth()), (3, 1));
    handle.set_limit(u32::MAX).expect("not 0");
    assert!(far.poll().is_pending());
    assert_eq!((handle.in_flight(), mock.calls()), (4, 4));
    assert_eq!(handle.snapshot().free, u32::MAX - 4);
    assert_eq!(handle.snapshot().peak_in_flight, 4);
    assert_eq!(
        handle.set_limit(0).expect_err("nobody could go").field(),
        "max_concurrent"
    );
    assert_eq!(handle.limit(), u32::MAX);
}

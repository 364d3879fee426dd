//! A waiter whose future is kept and polled no more holds up nobody: a `select!` loop whose other
//! branch is busy, a buffered stream whose consumer works, a future in a list that nobody polls.
#![cfg(feature = "isolated")]

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use proptest::prelude::*;
use seawall_bulkhead::connections::{ConnectionLimitConfig, ConnectionLimitLayer};
use seawall_bulkhead::isolated::{BlockingConfig, BlockingLayer, IsolatedConfig, IsolatedLayer};
use seawall_bulkhead::partitions::{PartitionConfig, PartitionShare, PartitionedBulkheadLayer};
use seawall_bulkhead::{BulkheadConfig, BulkheadHandle, BulkheadLayer};
use seawall_core::{Command, Error, InstanceHandle, PartitionKey, Reason, Rejectable, Rejection};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt, service_fn};
use tower_layer::Layer;

type Fails = Error<io::Error>;
type Subject = BoxCloneSyncService<u64, u64, Fails>;
type Waits = Pin<Box<dyn Future<Output = Result<u64, Fails>> + Send>>;

const HOUR: Duration = Duration::from_secs(3600);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A request takes so many milliseconds.
fn upstream() -> Subject {
    BoxCloneSyncService::new(service_fn(|n: u64| async move {
        sleep(ms(n)).await;
        Ok::<_, Fails>(n)
    }))
}

fn bulkhead(permits: u32, waiting: u32, max_wait: Duration) -> (BulkheadLayer, BulkheadHandle) {
    let config = BulkheadConfig::builder()
        .max_concurrent(permits)
        .max_waiting(waiting)
        .max_wait(max_wait)
        .build();
    let layer = BulkheadLayer::new("waits", config.expect("valid settings"));
    let handle = layer.handle();
    (layer, handle)
}

/// Every kind of bulkhead in front of the upstream, on the clock of the test.
fn subjects(permits: u32, waiting: u32, max_wait: Duration) -> Vec<(&'static str, Subject)> {
    let partitions = PartitionConfig::builder()
        .max_concurrent(permits)
        .max_wait(max_wait)
        .default_share(PartitionShare::new().max_waiting(waiting))
        .build();
    let partitions = PartitionedBulkheadLayer::new("waits", partitions.expect("valid settings"));
    let one_key = partitions.clone().key_by(|_: &u64| PartitionKey(7));
    let two_keys = partitions.key_by(|n: &u64| PartitionKey(n % 2));
    let connections = ConnectionLimitConfig::builder()
        .max_connections(permits)
        .max_waiting(waiting)
        .max_wait(max_wait)
        .build();
    let connections = ConnectionLimitLayer::new("waits", connections.expect("valid settings"));
    let connect = connections.layer(service_fn(|n: u64| async move {
        sleep(ms(n)).await;
        Ok::<_, Fails>(n)
    }));
    // A connection holds its permit until it is dropped.
    let connect = connect.map_response(|connection| *connection.get_ref());
    let waiting_layer = bulkhead(permits, waiting, max_wait).0;
    vec![
        ("bulkhead", boxed(waiting_layer.layer(upstream()))),
        (
            "reserving",
            boxed(waiting_layer.reserving().layer(upstream())),
        ),
        ("partition", boxed(one_key.layer(upstream()))),
        ("partitions", boxed(two_keys.layer(upstream()))),
        ("connections", boxed(connect)),
    ]
}

fn boxed<S>(service: S) -> Subject
where
    S: Service<u64, Response = u64, Error = Fails> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(service)
}

/// A call that is polled once, and never again: it waits in the queue.
fn stuck(subject: &Subject, n: u64) -> Waits {
    let mut call: Waits = Box::pin(subject.clone().oneshot(n));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(cx).is_pending());
    call
}

async fn occupy(subject: &Subject, permits: u32, n: u64) {
    for _ in 0..permits {
        tokio::spawn(subject.clone().oneshot(n));
    }
    tokio::task::yield_now().await;
    sleep(ms(1)).await;
}

/// Calls once every 10 ms, each of which takes 4 ms. Returns how many were rejected, and the
/// longest time that one took.
async fn others(subject: &Subject, during: Duration) -> (usize, Duration) {
    let end = Instant::now() + during;
    let mut tasks = Vec::new();
    while Instant::now() < end {
        let call = subject.clone().oneshot(4);
        tasks.push(tokio::spawn(async move {
            let start = Instant::now();
            (call.await, Instant::now() - start)
        }));
        sleep(ms(10)).await;
    }
    let (mut rejected, mut worst) = (0, Duration::ZERO);
    for task in tasks {
        let (result, took) = task.await.expect("nothing panics");
        rejected += usize::from(result.is_err());
        worst = worst.max(took);
    }
    (rejected, worst)
}

#[tokio::test(start_paused = true)]
async fn a_select_loop_that_is_busy_elsewhere_costs_at_most_one_permit() {
    for (kind, subject) in subjects(10, 20, Duration::from_secs(10)) {
        occupy(&subject, 10, 50).await;
        let mine = subject.clone();
        let looper = tokio::spawn(async move {
            let mut call = std::pin::pin!(mine.oneshot(4));
            let mut tick = std::pin::pin!(sleep(ms(10)));
            let mut ticked = false;
            loop {
                tokio::select! {
                    result = &mut call => return result,
                    () = &mut tick, if !ticked => {
                        ticked = true;
                        sleep(Duration::from_secs(5)).await;
                    }
                }
            }
        });
        sleep(ms(60)).await;
        let (rejected, worst) = others(&subject, ms(4_900)).await;
        assert_eq!(rejected, 0, "{kind}");
        assert!(worst < ms(20), "{kind}: {worst:?}");
        let late = looper.await.expect("nothing panics");
        assert!(late.is_ok(), "{kind}: {late:?}");
    }
}

/// Nobody arrives and nobody releases: the queue looks after itself.
#[tokio::test(start_paused = true)]
async fn the_only_permit_goes_to_the_next_waiter_within_milliseconds() {
    for (kind, subject) in subjects(1, 9, HOUR) {
        occupy(&subject, 1, 50).await;
        let _stuck = [stuck(&subject, 4), stuck(&subject, 4), stuck(&subject, 4)];
        let start = Instant::now();
        let waits = subject.clone().oneshot(4).await;
        let took = Instant::now() - start;
        assert!(waits.is_ok(), "{kind}: {waits:?}");
        // 50 ms until the permit is released, 5 for each that does not come, 4 for the call.
        assert!((ms(50)..ms(80)).contains(&took), "{kind}: {took:?}");
        let next = others(&subject, ms(500)).await;
        assert_eq!(next.0, 0, "{kind}");
        assert!(next.1 < ms(10), "{kind}: {next:?}");
    }
}

/// The wait of those that are not polled ends all the same.
#[tokio::test(start_paused = true)]
async fn a_queue_of_waiters_whose_wait_is_over_is_not_full() {
    for (kind, subject) in subjects(1, 2, ms(100)) {
        occupy(&subject, 1, 1_000).await;
        let mut stuck = [stuck(&subject, 4), stuck(&subject, 4)];
        if kind != "reserving" {
            let rejected = subject
                .clone()
                .oneshot(4)
                .await
                .expect_err("the queue is full");
            let reason = rejected.rejection().map(Rejection::reason);
            assert_eq!(reason, Some(Reason::BulkheadFull), "{kind}");
        }
        sleep(ms(200)).await;
        let waits = tokio::spawn(timeout(ms(50), subject.clone().oneshot(4)));
        sleep(ms(1)).await;
        assert!(!waits.is_finished(), "{kind}: it may join");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(others(&subject, ms(300)).await.0, 0, "{kind}");
        // Polled at last, each takes what is free.
        for call in &mut stuck {
            assert!(call.as_mut().await.is_ok(), "{kind}");
        }
    }
}

/// A waiter that comes back has kept its rank.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_has_lapsed_goes_before_those_that_came_later() {
    for (kind, subject) in subjects(1, 9, HOUR) {
        occupy(&subject, 1, 20).await;
        let mut slow = stuck(&subject, 4);
        let served = Arc::new(Mutex::new(Vec::new()));
        for n in 0..3 {
            let (call, served) = (subject.clone().oneshot(100), Arc::clone(&served));
            tokio::spawn(async move {
                call.await.expect("it is served");
                served.lock().expect("nothing panics").push(n);
            });
        }
        // The first of the three has the permit of the slow one by now.
        sleep(ms(60)).await;
        slow.as_mut().await.expect("it is served");
        let before = served.lock().expect("nothing panics").clone();
        assert_eq!(before, [0], "{kind}");
        sleep(ms(400)).await;
        assert_eq!(*served.lock().expect("nothing panics"), [0, 1, 2], "{kind}");
    }
}

/// Of 2,000 callers a random third is polled once and never again.
#[tokio::test(start_paused = true)]
async fn a_third_that_is_not_polled_costs_the_others_at_most_a_twentieth_of_the_rate() {
    const CALLERS: u32 = 2_000;
    const HOLD: u64 = 150;
    for (kind, subject) in subjects(10, CALLERS, HOUR) {
        let mut random = 7_u32;
        let (mut kept, mut live) = (Vec::new(), tokio::task::JoinSet::new());
        occupy(&subject, 10, HOLD).await;
        for _ in 0..CALLERS {
            // A linear congruential generator: any will do.
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if (random >> 16).is_multiple_of(3) {
                kept.push(stuck(&subject, HOLD));
            } else {
                live.spawn(subject.clone().oneshot(HOLD));
            }
            // In the order of the queue.
            tokio::task::yield_now().await;
        }
        let start = Instant::now();
        let count = live.len() as u32;
        while let Some(result) = live.join_next().await {
            let result = result.expect("nothing panics");
            assert!(result.is_ok(), "{kind}: {result:?}");
        }
        let took = Instant::now() - start;
        let ideal = ms(HOLD) * (count / 10 + 1);
        assert!(took < ideal * 21 / 20, "{kind}: {took:?} for {ideal:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_those_that_are_not_polled() {
    let (layer, handle) = bulkhead(1, 9, Duration::from_secs(10));
    let subject = boxed(layer.layer(upstream()));
    let reserving = boxed(layer.reserving().layer(upstream()));
    occupy(&subject, 1, 50).await;
    let mut queued = stuck(&subject, 4);
    let _reserving = stuck(&reserving, 4);
    handle.drain();
    let start = Instant::now();
    handle.drained().await;
    let took = Instant::now() - start;
    assert!(took < Duration::from_secs(11), "{took:?}");
    assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
    // It begins nothing after the end of the drain.
    let late = queued.as_mut().await.expect_err("its wait is over");
    assert!(late.rejection().is_some());
    handle.resume();
    assert!(subject.clone().oneshot(4).await.is_ok());
}

/// The task that looks after the queue ends with its runtime: waiters of another one go on.
#[test]
fn waiters_of_another_runtime_do_not_depend_on_the_first_one() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("valid settings")
    };
    let (layer, handle) = bulkhead(1, 9, HOUR);
    let subject = boxed(layer.layer(upstream()));
    let first = runtime();
    let holds = subject.clone();
    let (_stuck, holding) = first.block_on(async {
        let mut holding: Waits = Box::pin(holds.clone().oneshot(3_600_000));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(holding.as_mut().poll(cx).is_pending());
        (stuck(&holds, 4), holding)
    });
    let second = runtime();
    second.block_on(async {
        let waits = tokio::spawn(subject.clone().oneshot(4));
        sleep(ms(20)).await;
        first.shutdown_background();
        drop(holding);
        let served = timeout(Duration::from_secs(5), waits).await;
        let served = served
            .expect("within five seconds")
            .expect("nothing panics");
        assert!(served.is_ok(), "{served:?}");
    });
    assert_eq!(handle.in_flight(), 0);
}

/// A queue that is full of waiters of a runtime that is gone, or is not driven: once their wait is
/// over, calls of another runtime queue again, and a drain ends.
#[test]
fn a_runtime_that_is_not_driven_fills_no_queue_and_holds_up_no_drain() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("valid settings")
    };
    let (layer, handle) = bulkhead(1, 2, ms(100));
    let subject = boxed(layer.layer(upstream()));
    let first = runtime();
    let second = runtime();
    let mut running: Waits = Box::pin(subject.clone().oneshot(300));
    second.block_on(async {
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(running.as_mut().poll(cx).is_pending());
    });
    let mut kept = first.block_on(async { [stuck(&subject, 4), stuck(&subject, 4)] });
    second.block_on(async {
        sleep(ms(250)).await;
        let waits = subject.clone().oneshot(4);
        let (result, waited) = tokio::join!(running, timeout(Duration::from_secs(5), waits));
        assert!(result.is_ok(), "{result:?}");
        assert!(matches!(waited, Ok(Ok(4))), "{waited:?}");
        let holds = tokio::spawn(subject.clone().oneshot(200));
        sleep(ms(20)).await;
        handle.drain();
        let drained = timeout(Duration::from_secs(5), handle.drained()).await;
        assert!(drained.is_ok(), "{:?}", handle.snapshot());
        assert!(holds.await.expect("nothing panics").is_ok());
        handle.resume();
    });
    // Polled at last, by another runtime than the one that has their timers.
    drop(first);
    second.block_on(async {
        for call in &mut kept {
            assert!(call.as_mut().await.is_ok());
        }
    });
}

/// Some poll their waiting calls every 100 ms only: all others go on at most of the rate.
#[tokio::test(start_paused = true)]
async fn slow_pollers_cost_the_others_little() {
    const TIME: Duration = Duration::from_secs(10);
    for (kind, subject) in subjects(5, 1_000, HOUR) {
        let mut slow = Vec::new();
        for _ in 0..20 {
            let subject = subject.clone();
            slow.push(tokio::spawn(async move {
                loop {
                    let mut call: Waits = Box::pin(subject.clone().oneshot(5));
                    let polled = std::future::poll_fn(|cx| {
                        std::task::Poll::Ready(call.as_mut().poll(cx).is_ready())
                    });
                    let mut done = polled.await;
                    while !done {
                        sleep(ms(100)).await;
                        let again = std::future::poll_fn(|cx| {
                            std::task::Poll::Ready(call.as_mut().poll(cx).is_ready())
                        });
                        done = again.await;
                    }
                }
            }));
        }
        let served = Arc::new(Mutex::new(0_u32));
        let mut prompt = Vec::new();
        for _ in 0..20 {
            let (subject, served) = (subject.clone(), Arc::clone(&served));
            prompt.push(tokio::spawn(async move {
                loop {
                    subject.clone().oneshot(5).await.expect("it is served");
                    *served.lock().expect("nothing panics") += 1;
                }
            }));
        }
        sleep(TIME).await;
        slow.iter().chain(&prompt).for_each(JoinHandle::abort);
        // Five permits, 5 ms each: 10,000 in ten seconds if nobody were slow.
        let served = *served.lock().expect("nothing panics");
        assert!(served > 5_000, "{kind}: {served}");
    }
}

/// A bypass ends with the next command, and not with other settings.
#[tokio::test(start_paused = true)]
async fn a_bypass_lasts_until_the_next_command() {
    let (layer, handle) = bulkhead(1, 1, HOUR);
    let subject = boxed(layer.layer(upstream()));
    let passes = |subject: &Subject| {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut calls = [0; 3].map(|_| -> Waits { Box::pin(subject.clone().oneshot(1)) });
        calls
            .each_mut()
            .map(|call| call.as_mut().poll(cx).is_pending())
    };
    let commands: [fn(&BulkheadHandle); 5] = [
        BulkheadHandle::resume,
        BulkheadHandle::reset,
        |handle| handle.set_shadow(false),
        |handle| {
            handle.pause();
            handle.resume();
        },
        |handle| {
            handle.drain();
            handle.resume();
        },
    ];
    for command in commands {
        assert_eq!(passes(&subject), [true, true, false]);
        handle
            .control(Command::Bypass)
            .expect("it has that command");
        handle.set_limit(1).expect("not 0");
        handle.configure(handle.config()).expect("valid");
        assert_eq!(passes(&subject), [true; 3]);
        command(&handle);
        assert_eq!(passes(&subject), [true, true, false]);
    }
}

/// On threads, and with a clock that is not paused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_and_bulkheads_in_real_time() {
    let isolated = IsolatedConfig::builder()
        .threads(1)
        .max_concurrent(1)
        .max_waiting(9)
        .max_wait(HOUR)
        .build();
    let isolated = IsolatedLayer::new("waits", isolated.expect("valid settings"));
    let blocking = BlockingConfig::builder()
        .threads(1)
        .max_waiting(9)
        .max_wait(HOUR)
        .build();
    let blocking = BlockingLayer::new("waits", blocking.expect("valid settings"));
    let blocking = blocking.expect("a runtime").layer(|n: u64| {
        // Blocks its thread.
        let (_open, never) = std::sync::mpsc::channel::<()>();
        assert!(never.recv_timeout(ms(n)).is_err());
        Ok::<_, io::Error>(n)
    });
    let mut all = subjects(1, 9, HOUR);
    let isolated = isolated.expect("a runtime");
    all.push(("isolated", boxed(isolated.layer(upstream()))));
    all.push(("blocking", boxed(blocking)));
    for (kind, subject) in all {
        occupy(&subject, 1, 100).await;
        let _stuck = [stuck(&subject, 4), stuck(&subject, 4)];
        let served = timeout(Duration::from_secs(5), subject.clone().oneshot(4)).await;
        assert!(matches!(served, Ok(Ok(4))), "{kind}: {served:?}");
        let (rejected, _) = others(&subject, ms(200)).await;
        assert_eq!(rejected, 0, "{kind}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A call, polled until it has completed or only once.
    Call {
        live: bool,
        takes: u64,
    },
    Wait(u64),
    DropStuck(usize),
    PollStuck(usize),
    SetLimit(u32),
    Pause,
    Resume,
    Shadow(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<bool>(), 1_u64..40).prop_map(|(live, takes)| Step::Call { live, takes }),
        3 => (1_u64..30).prop_map(Step::Wait),
        1 => any::<usize>().prop_map(Step::DropStuck),
        1 => any::<usize>().prop_map(Step::PollStuck),
        1 => (1_u32..4).prop_map(Step::SetLimit),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        1 => any::<bool>().prop_map(Step::Shadow),
    ];
    prop::collection::vec(step, 1..60)
}

async fn random(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (layer, handle) = bulkhead(2, 100, HOUR);
    let subject = boxed(layer.layer(upstream()));
    let (mut kept, mut live): (Vec<Waits>, _) = (Vec::new(), tokio::task::JoinSet::new());
    for step in steps {
        match step {
            Step::Call { live: true, takes } => drop(live.spawn(subject.clone().oneshot(takes))),
            Step::Call { takes, .. } => {
                let mut call: Waits = Box::pin(subject.clone().oneshot(takes));
                let cx = &mut Context::from_waker(Waker::noop());
                if call.as_mut().poll(cx).is_pending() {
                    kept.push(call);
                }
            }
            Step::Wait(time) => sleep(ms(time)).await,
            Step::DropStuck(at) if !kept.is_empty() => drop(kept.remove(at % kept.len())),
            Step::PollStuck(at) if !kept.is_empty() => {
                let at = at % kept.len();
                let cx = &mut Context::from_waker(Waker::noop());
                if kept[at].as_mut().poll(cx).is_ready() {
                    drop(kept.remove(at));
                }
            }
            Step::SetLimit(limit) => handle.set_limit(limit).expect("not 0"),
            Step::Pause => handle.pause(),
            Step::Resume => handle.resume(),
            Step::Shadow(on) => handle.set_shadow(on),
            Step::DropStuck(_) | Step::PollStuck(_) => {}
        }
        tokio::task::yield_now().await;
    }
    handle.resume();
    handle.set_shadow(false);
    // Stuck calls that run hold their permits for good, as everywhere.
    let running = handle.in_flight();
    handle.set_limit(running + 1).expect("not 0");
    let calls = live.len() as u64 + 1;
    let all = async {
        while let Some(result) = live.join_next().await {
            let result = result.expect("nothing panics");
            if let Err(error) = &result {
                let reason = error.rejection().map(Rejection::reason);
                assert_eq!(reason, Some(Reason::Paused), "{result:?}");
            }
        }
    };
    let bound = ms(40 * calls + 5 * (kept.len() as u64 + 1) * 64);
    prop_assert!(timeout(bound, all).await.is_ok(), "{:?}", handle.snapshot());
    drop(kept);
    prop_assert_eq!((handle.in_flight(), handle.queue_depth()), (0, 0));
    Ok(())
}

proptest! {
    /// Whatever is not polled, the calls that are polled are served.
    #[test]
    fn live_calls_are_served_beside_any_that_are_not_polled(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("valid settings");
        runtime.block_on(random(steps))?;
    }
}

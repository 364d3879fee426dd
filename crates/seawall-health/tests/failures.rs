//! Checks that panic, take too long or are inconclusive; and what stops when it should.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seawall_core::{Error, EventKind, Events, Received, Registry, Subscription};
use seawall_health::{
    CheckConfig, CheckConfigBuilder, CheckResult, Depth, HealthConfig, HealthLayer, HealthMonitor,
    MonitorGuard, Status,
};
use tokio::time::{advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// Classified by one result.
fn once() -> CheckConfigBuilder {
    CheckConfig::builder()
        .failures_to_unhealthy(1)
        .successes_to_recover(1)
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("in its drop");
        }
    }
}

async fn stuck_with(bomb: Bomb) {
    let _bomb = bomb;
    pending::<()>().await;
}

/// The run of a check that has timed out is dropped, and that may panic. Had the panic gone
/// through the task, the check would never have been run again, and it would not have shown.
#[tokio::test(start_paused = true)]
async fn a_check_that_panics_when_it_is_dropped_has_failed_and_is_run_again() {
    let monitor = HealthMonitor::new("bombs");
    let config = once().timeout(SECOND).interval(SECOND).build().unwrap();
    monitor
        .register("bomb", config, || stuck_with(Bomb))
        .unwrap();
    monitor
        .register("other", CheckConfig::default(), || async { true })
        .unwrap();
    let monitoring = monitor.start();
    sleep(9 * SECOND + SECOND / 2).await;
    assert_eq!(monitoring.tasks(), 2);
    let report = monitor.report();
    let bomb = report.check("bomb").unwrap();
    assert_eq!((bomb.runs, bomb.status), (5, Status::Unhealthy));
    let message = bomb.message.as_deref();
    assert_eq!(message, Some("the check panicked: in its drop"));
    // Nor does it disturb a run on demand, or the caller that drops one.
    let other = report.check("other").unwrap().runs;
    let report = monitor.run(Depth::Deep).await;
    assert_eq!(report.check("other").unwrap().runs, other + 1);
    let run = tokio::time::timeout(SECOND / 4, monitor.run(Depth::Deep)).await;
    assert!(run.is_err());
}

/// The payload of a panic may panic when it is dropped, in its turn.
#[tokio::test(start_paused = true)]
async fn a_panic_that_panics_has_failed_like_any_other() {
    fn worst() -> std::future::Ready<()> {
        std::panic::panic_any(Bomb)
    }
    let monitor = HealthMonitor::new("worst");
    let config = once().build().unwrap();
    monitor.register("worst", config, worst).unwrap();
    let report = monitor.run(Depth::Deep).await;
    let message = report.checks[0].message.as_deref();
    assert_eq!(message, Some("the check panicked: no message"));
}

/// During an outage callers give up, or a breaker is open, and the window runs empty. Had that
/// been a success, the monitor would have reported an upstream as healthy that no call reached.
#[tokio::test(start_paused = true)]
async fn a_long_message_is_cut() {
    let monitor = HealthMonitor::new("long");
    let long = || async { Err::<(), _>("no r\u{f6}ute ".repeat(1_000_000)) };
    monitor
        .register("long", once().build().unwrap(), long)
        .unwrap();
    let report = monitor.run_all().await;
    let message = report.check("long").unwrap().message.clone().unwrap();
    assert!(message.starts_with("no r\u{f6}ute no r") && message.ends_with(" ..."));
    assert!((990..=1_004).contains(&message.len()), "{}", message.len());
    // What fits is left as it is, and no character is cut in two.
    for length in [998, 999, 1_000] {
        let message = "x".repeat(length) + "\u{20ac}";
        let result = CheckResult::degraded(&*message);
        let expected = "x".repeat(length) + " ...";
        assert_eq!(result.message(), Some(&*expected), "{length}");
        let added = CheckResult::healthy().with_message(message);
        assert_eq!(added.message(), result.message());
    }
    let fits = "x".repeat(1_000);
    assert_eq!(CheckResult::failed(fits.clone()).message(), Some(&*fits));
}

#[tokio::test(start_paused = true)]
async fn silence_after_an_outage_is_no_recovery() {
    let config = HealthConfig::builder().min_calls(2).build().unwrap();
    let layer = HealthLayer::new("orders", config);
    let mut client = layer.layer(service_fn(|fails: bool| async move {
        if fails {
            return Err(Error::Inner("down"));
        }
        Ok::<_, Error<&str>>(())
    }));
    let monitor = HealthMonitor::new("silence");
    monitor
        .register_layer(layer.handle(), once().build().unwrap())
        .unwrap();
    assert_eq!(monitor.run(Depth::Deep).await.status, Status::Unknown);
    for _ in 0..2 {
        let _ = client.ready().await.unwrap().call(true).await;
    }
    assert_eq!(monitor.run(Depth::Deep).await.status, Status::Unhealthy);
    advance(61 * SECOND).await;
    let report = monitor.run(Depth::Deep).await;
    assert_eq!(report.status, Status::Unhealthy);
    let orders = report.check("orders").unwrap();
    assert_eq!((orders.runs, orders.failures), (3, 1));
    let message = orders.message.as_deref();
    assert_eq!(message, Some("0 calls are too few to judge by"));
    for _ in 0..2 {
        client.ready().await.unwrap().call(false).await.unwrap();
    }
    assert_eq!(monitor.run(Depth::Deep).await.status, Status::Healthy);
}

/// A service that waits for the aggregate status to be healthy before it makes its first call would
/// wait forever, if the layer that has seen no calls yet made it unknown.
#[tokio::test(start_paused = true)]
async fn a_layer_without_calls_leaves_the_aggregate_status_to_the_other_checks() {
    let layer = HealthLayer::new("quiet", HealthConfig::default());
    let monitor = HealthMonitor::new("starts");
    monitor
        .register_layer(layer.handle(), CheckConfig::default())
        .unwrap();
    monitor
        .register("broker", CheckConfig::default(), || async { true })
        .unwrap();
    let report = monitor.run(Depth::Deep).await;
    assert_eq!(report.status, Status::Healthy);
    assert_eq!(monitor.status(), Status::Healthy);
    assert_eq!(report.check("quiet").unwrap().status, Status::Unknown);
}

/// An inconclusive run is recorded and changes nothing: it breaks no row of failures and makes
/// none.
#[tokio::test(start_paused = true)]
async fn an_inconclusive_run_leaves_the_rows_alone() {
    let monitor = HealthMonitor::new("inconclusive");
    let turn = AtomicU64::new(0);
    monitor
        .register("db", CheckConfig::default(), move || {
            let odd = turn.fetch_add(1, Ordering::Relaxed) % 2 == 1;
            let result = if odd {
                CheckResult::inconclusive("closed")
            } else {
                CheckResult::failed("down")
            };
            async move { result }
        })
        .unwrap();
    for runs in 1..=5_u32 {
        let report = monitor.run_check("db").await.unwrap();
        assert_eq!(report.consecutive_failures, runs.div_ceil(2));
        assert_eq!(report.runs, u64::from(runs));
        let unhealthy = report.status == Status::Unhealthy;
        assert_eq!(unhealthy, runs == 5, "{runs}");
    }
}

/// Started by mistake where there is no runtime, it panics. Had it taken over before that, the
/// checks would have stopped with nothing in their place.
#[test]
fn a_start_outside_of_a_runtime_leaves_the_running_one_alone() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let monitor = HealthMonitor::new("outside");
    let config = once().interval(SECOND).build().unwrap();
    monitor.register("db", config, || async { true }).unwrap();
    let start = || async { monitor.start() };
    let monitoring: MonitorGuard = runtime.block_on(start());
    let outside = catch_unwind(AssertUnwindSafe(|| drop(monitor.start())));
    assert!(outside.is_err());
    runtime.block_on(async { sleep(5 * SECOND + SECOND / 2).await });
    assert_eq!(monitoring.tasks(), 1);
    assert_eq!(monitor.report().checks[0].runs, 6);
}

/// A task that is not needed any more and sleeps for the rest of an interval of an hour keeps the
/// check, and all that its user put into it, alive for as long.
#[tokio::test(start_paused = true)]
async fn tasks_that_are_not_needed_end_at_once() {
    let monitor = HealthMonitor::new("ends");
    let hourly = once().interval(3600 * SECOND).build().unwrap();
    let kept = Arc::new(());
    let inside = Arc::clone(&kept);
    monitor
        .register("gone", hourly, move || {
            let _inside = &inside;
            async { true }
        })
        .unwrap();
    monitor
        .register("stays", hourly, || async { true })
        .unwrap();
    let first = monitor.start();
    sleep(SECOND).await;
    let second = monitor.start();
    sleep(SECOND).await;
    assert_eq!((first.tasks(), second.tasks()), (0, 2));
    assert!(monitor.remove("gone"));
    sleep(SECOND).await;
    assert_eq!(second.tasks(), 1);
    assert_eq!(Arc::strong_count(&kept), 1);
    // The one that stays was woken, too, and has not run before its time.
    assert_eq!(monitor.report().check("stays").unwrap().runs, 2);
    sleep(3600 * SECOND).await;
    assert_eq!(monitor.report().check("stays").unwrap().runs, 3);
}

fn failing_slowly(monitor: &HealthMonitor) {
    let config = once().build().unwrap();
    monitor
        .register("db", config, || async {
            sleep(SECOND).await;
            false
        })
        .unwrap();
}

/// Had the run that was under way been recorded, the results from before the reset would have come
/// back a moment later.
#[tokio::test(start_paused = true)]
async fn a_run_that_began_before_a_reset_is_not_recorded() {
    let monitor = HealthMonitor::new("resets");
    failing_slowly(&monitor);
    let run = tokio::spawn({
        let monitor = monitor.clone();
        async move { monitor.run(Depth::Deep).await }
    });
    // At the same instant: it is the order that counts.
    tokio::task::yield_now().await;
    monitor.reset();
    let report = run.await.unwrap();
    assert_eq!((report.status, report.checks[0].runs), (Status::Unknown, 0));
    assert_eq!(monitor.run(Depth::Deep).await.status, Status::Unhealthy);
}

fn is_silent(feed: &mut Subscription) -> bool {
    let mut silent = true;
    while let Some(delivery) = feed.try_next() {
        if let Received::Event(event) = delivery {
            silent &= !matches!(event.kind, EventKind::Transition { .. });
        }
    }
    silent
}

/// An operator who removes a check does not want to be woken at night by it.
#[tokio::test(start_paused = true)]
async fn a_removed_check_emits_nothing_any_more() {
    let events = Events::default();
    let mut feed = events.subscribe();
    let monitor = HealthMonitor::new("emits");
    let registry = Registry::with_events("svc", events);
    registry.register(monitor.clone()).unwrap();
    failing_slowly(&monitor);
    let _monitoring = monitor.start();
    sleep(SECOND / 2).await;
    assert!(monitor.remove("db"));
    sleep(5 * SECOND).await;
    assert!(is_silent(&mut feed));
}

//! How the monitor behaves.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use seawall_core::{
    Command, Error, EventKind, Events, InstanceHandle, Received, Registry, Subscription,
};
use seawall_health::{
    CheckConfig, CheckConfigBuilder, CheckResult, Depth, HealthConfig, HealthLayer, HealthMonitor,
    Status,
};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// Without jitter, so that runs can be counted.
fn check() -> CheckConfigBuilder {
    CheckConfig::builder().jitter(0.0)
}

/// A check that counts its runs, and fails while it is broken.
#[derive(Clone, Default)]
struct Switch {
    broken: Arc<AtomicU32>,
    runs: Arc<AtomicU64>,
}

impl Switch {
    fn breaks(&self, broken: bool) {
        self.broken.store(u32::from(broken), Ordering::Relaxed);
    }

    fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    fn check(&self) -> Result<(), &'static str> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        match self.broken.load(Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err("no route"),
        }
    }
}

fn add(monitor: &HealthMonitor, name: &str, config: CheckConfigBuilder) -> Switch {
    let switch = Switch::default();
    let checked = switch.clone();
    let config = config.build().unwrap();
    monitor
        .register(name, config, move || std::future::ready(checked.check()))
        .unwrap();
    switch
}

#[tokio::test(start_paused = true)]
async fn a_monitor_without_checks_knows_nothing() {
    let monitor = HealthMonitor::new("empty");
    assert_eq!(monitor.status(), Status::Unknown);
    assert_eq!(monitor.run(Depth::Deep).await.checks, []);
}

#[tokio::test(start_paused = true)]
async fn checks_run_at_once_and_then_at_their_interval() {
    let monitor = HealthMonitor::new("intervals");
    let often = add(&monitor, "often", check().interval(SECOND));
    let rarely = add(&monitor, "rarely", check().interval(10 * SECOND));
    let never_again = add(&monitor, "once", check().interval(Duration::MAX));
    let _monitoring = monitor.start();
    sleep(10 * SECOND + SECOND / 2).await;
    assert_eq!(
        (often.runs(), rarely.runs(), never_again.runs()),
        (11, 2, 1)
    );
    assert_eq!(monitor.status(), Status::Healthy);
}

#[tokio::test(start_paused = true)]
async fn the_status_follows_the_thresholds_and_has_time_and_reason() {
    let monitor = HealthMonitor::new("thresholds");
    let switch = add(&monitor, "db", check());
    monitor.run(Depth::Shallow).await;
    switch.breaks(true);
    advance(SECOND).await;
    for failures in 1..=3 {
        let report = monitor.run_check("db").await.unwrap();
        assert_eq!(report.consecutive_failures, failures);
        assert_eq!(report.message.as_deref(), Some("no route"));
        let unhealthy = report.status == Status::Unhealthy;
        assert_eq!(unhealthy, failures == 3, "{failures}");
    }
    let broken_at = Instant::now();
    switch.breaks(false);
    advance(SECOND).await;
    let report = monitor.run_check("db").await.unwrap();
    assert_eq!(
        (report.status, report.since),
        (Status::Unhealthy, broken_at)
    );
    let report = monitor.run_check("db").await.unwrap();
    assert_eq!(
        (report.status, report.since),
        (Status::Healthy, Instant::now())
    );
    assert_eq!((report.runs, report.failures), (6, 3));
    assert_eq!(report.message, None);
    assert!(monitor.run_check("none").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_check_without_a_result_has_failed_after_its_timeout() {
    let monitor = HealthMonitor::new("timeouts");
    let config = check().failures_to_unhealthy(1).build().unwrap();
    monitor.register("stuck", config, pending::<()>).unwrap();
    let begun = Instant::now();
    let report = monitor.run(Depth::Deep).await;
    assert_eq!(Instant::now() - begun, 10 * SECOND);
    assert_eq!(report.status, Status::Unhealthy);
    let stuck = report.check("stuck").unwrap();
    assert_eq!(stuck.message.as_deref(), Some("no result within 10s"));
    assert_eq!(stuck.took, Some(10 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_slow_success_degrades() {
    let monitor = HealthMonitor::new("slow");
    let slow = || sleep(6 * SECOND);
    monitor
        .register("slow", CheckConfig::default(), slow)
        .unwrap();
    let report = monitor.run(Depth::Deep).await;
    assert_eq!(report.status, Status::Degraded);
    let message = report.checks[0].message.as_deref();
    assert!(
        message.is_some_and(|m| m.contains("slow after 5s")),
        "{message:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_has_failed_and_disturbs_no_other() {
    let monitor = HealthMonitor::new("panics");
    let once = || {
        check()
            .failures_to_unhealthy(1)
            .interval(SECOND)
            .critical(false)
    };
    let config = || once().build().unwrap();
    monitor
        .register("in its future", config(), || async {
            if true {
                panic!("boom {}", 1);
            }
        })
        .unwrap();
    fn before_it() -> std::future::Ready<()> {
        panic!("early")
    }
    monitor.register("before it", config(), before_it).unwrap();
    let healthy = add(&monitor, "healthy", once());
    let _monitoring = monitor.start();
    sleep(2 * SECOND + SECOND / 2).await;
    let report = monitor.report();
    let message = |name| report.check(name).unwrap().message.clone().unwrap();
    assert_eq!(message("in its future"), "the check panicked: boom 1");
    assert_eq!(message("before it"), "the check panicked: early");
    assert!(report.checks.iter().all(|c| c.runs == 3), "{report:?}");
    assert_eq!(healthy.runs(), 3);
    assert_eq!(report.status, Status::Degraded, "they are not critical");
}

#[tokio::test(start_paused = true)]
async fn on_demand_all_checks_up_to_a_depth_run_at_once() {
    let monitor = HealthMonitor::new("depths");
    let shallow = add(&monitor, "ping", check());
    let deep = add(&monitor, "order", check().depth(Depth::Deep));
    for name in ["a", "b", "c"] {
        let config = check().depth(Depth::Deep).build().unwrap();
        monitor.register(name, config, || sleep(SECOND)).unwrap();
    }
    let begun = Instant::now();
    monitor.run(Depth::Shallow).await;
    assert_eq!((shallow.runs(), deep.runs()), (1, 0));
    assert_eq!(begun, Instant::now());
    let report = monitor.run(Depth::Deep).await;
    assert_eq!((shallow.runs(), deep.runs()), (2, 1));
    assert_eq!(Instant::now() - begun, SECOND, "side by side");
    assert_eq!(report.status, Status::Healthy);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_guard_stops_the_checks() {
    let monitor = HealthMonitor::new("stops");
    let switch = add(&monitor, "db", check().interval(SECOND));
    let monitoring = monitor.start();
    sleep(SECOND / 2).await;
    assert_eq!(monitoring.tasks(), 1);
    drop(monitoring);
    sleep(10 * SECOND).await;
    assert_eq!(switch.runs(), 1);
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 0, "no task outlives the guard");
}

#[tokio::test(start_paused = true)]
async fn a_second_start_takes_over() {
    let monitor = HealthMonitor::new("again");
    let switch = add(&monitor, "db", check().interval(SECOND));
    let first = monitor.start();
    sleep(SECOND / 2).await;
    let added = add(&monitor, "late", check().interval(SECOND));
    let _second = monitor.start();
    sleep(10 * SECOND + SECOND / 4).await;
    assert_eq!(first.tasks(), 0);
    assert_eq!((switch.runs(), added.runs()), (12, 11));
}

#[tokio::test(start_paused = true)]
async fn a_removed_check_is_neither_run_nor_counted() {
    let monitor = HealthMonitor::new("removes");
    let gone = add(
        &monitor,
        "gone",
        check().interval(SECOND).failures_to_unhealthy(1),
    );
    add(&monitor, "stays", check().interval(SECOND));
    gone.breaks(true);
    let _monitoring = monitor.start();
    sleep(SECOND / 2).await;
    assert_eq!(monitor.status(), Status::Unhealthy);
    assert!(monitor.remove("gone"));
    assert!(!monitor.remove("gone"));
    assert_eq!(monitor.status(), Status::Healthy);
    sleep(5 * SECOND).await;
    assert_eq!(gone.runs(), 1);
    assert!(monitor.report().check("gone").is_none());
}

#[tokio::test(start_paused = true)]
async fn names_are_unique_and_the_first_check_stays() {
    let monitor = HealthMonitor::new("names");
    let first = add(&monitor, "db", check());
    let rejected = monitor.register("db", CheckConfig::default(), || async { false });
    assert_eq!(rejected.unwrap_err().name.as_str(), "db");
    monitor.run(Depth::Deep).await;
    assert_eq!(first.runs(), 1);
    assert_eq!(monitor.status(), Status::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_records_nothing_and_leaves_no_trace() {
    let monitor = HealthMonitor::new("dropped");
    let switch = add(&monitor, "quick", check());
    let wait = || sleep(SECOND);
    monitor
        .register("long", CheckConfig::default(), wait)
        .unwrap();
    let run = tokio::time::timeout(SECOND / 2, monitor.run(Depth::Deep)).await;
    assert!(run.is_err());
    drop(monitor.run(Depth::Deep));
    assert_eq!(switch.runs(), 1);
    let report = monitor.report();
    assert_eq!(report.check("quick").unwrap().runs, 1);
    assert_eq!(report.check("long").unwrap().runs, 0);
    assert_eq!(monitor.run(Depth::Deep).await.status, Status::Healthy);
}

#[tokio::test(start_paused = true)]
async fn an_older_run_does_not_overwrite_a_newer_one() {
    let monitor = HealthMonitor::new("overtaken");
    let turn = Arc::new(AtomicU64::new(0));
    let config = check().failures_to_unhealthy(1).timeout(60 * SECOND);
    monitor
        .register("db", config.build().unwrap(), move || {
            let first = turn.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                if first {
                    sleep(4 * SECOND).await;
                    return CheckResult::failed("out of date");
                }
                CheckResult::healthy()
            }
        })
        .unwrap();
    let older = tokio::spawn({
        let monitor = monitor.clone();
        async move { monitor.run(Depth::Deep).await }
    });
    sleep(SECOND).await;
    assert_eq!(monitor.run(Depth::Deep).await.status, Status::Healthy);
    assert_eq!(older.await.unwrap().status, Status::Healthy);
}

/// Changes of checks, and of the monitor, which has its own name.
fn changes(feed: &mut Subscription) -> Vec<(&'static str, &'static str, &'static str)> {
    let mut seen = Vec::new();
    while let Some(Received::Event(event)) = feed.try_next() {
        assert_eq!(event.pattern, "health_monitor");
        match event.kind {
            EventKind::Transition { from, to, .. } => seen.push((event.name.as_str(), from, to)),
            EventKind::CheckChanged {
                check, from, to, ..
            } => {
                seen.push((check.as_str(), from, to));
            }
            _ => {}
        }
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn changes_of_a_check_and_of_the_aggregate_status_are_emitted_once() {
    let events = Events::default();
    let mut feed = events.subscribe();
    let monitor = HealthMonitor::new("emits");
    let early = add(&monitor, "early", check().failures_to_unhealthy(1));
    let registry = Registry::with_events("svc", events);
    registry.register(monitor.clone()).unwrap();
    let late = add(
        &monitor,
        "late",
        check().failures_to_unhealthy(1).critical(false),
    );
    monitor.run(Depth::Deep).await;
    monitor.run(Depth::Deep).await;
    let expected = [
        ("early", "unknown", "healthy"),
        ("emits", "unknown", "healthy"),
        ("late", "unknown", "healthy"),
    ];
    assert_eq!(changes(&mut feed), expected);
    late.breaks(true);
    monitor.run(Depth::Deep).await;
    early.breaks(true);
    monitor.run(Depth::Deep).await;
    let expected = [
        ("late", "healthy", "unhealthy"),
        ("emits", "healthy", "degraded"),
        ("early", "healthy", "unhealthy"),
        ("emits", "degraded", "unhealthy"),
    ];
    assert_eq!(changes(&mut feed), expected);

    let snapshot = registry.snapshot().remove(0);
    assert_eq!(
        (snapshot.pattern, snapshot.state),
        ("health_monitor", "unhealthy")
    );
    let failures = "seawall_health_check_failures_total";
    let late = snapshot
        .samples
        .iter()
        .find(|s| s.metric == failures && s.labels[0] == ("check", "late"));
    assert_eq!(late.unwrap().value, seawall_core::Value::Counter(2));
    monitor.control(Command::Reset).unwrap();
    assert_eq!(monitor.status(), Status::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_layer_is_registered_as_a_passive_check() {
    let config = HealthConfig::builder().min_calls(2).build().unwrap();
    let layer = HealthLayer::new("orders", config);
    let mut client = layer.layer(service_fn(|fails: bool| async move {
        if fails {
            return Err(Error::Inner("down"));
        }
        Ok::<_, Error<&str>>(())
    }));
    let monitor = HealthMonitor::new("passive");
    let once = check().failures_to_unhealthy(1).build().unwrap();
    monitor.register_layer(layer.handle(), once).unwrap();

    let report = monitor.run(Depth::Passive).await;
    let message = report.check("orders").unwrap().message.as_deref();
    assert_eq!(message, Some("0 calls are too few to judge by"));
    assert_eq!(report.checks[0].depth, Depth::Passive);
    for fails in [true, false] {
        let _ = client.ready().await.unwrap().call(fails).await;
    }
    let report = monitor.run(Depth::Passive).await;
    assert_eq!(report.status, Status::Unhealthy);
    let message = report.check("orders").unwrap().message.as_deref();
    assert_eq!(message, Some("50.0 % of 2 calls failed"));
}

#[test]
fn what_a_check_returns_becomes_a_result() {
    assert_eq!(CheckResult::from(()), CheckResult::healthy());
    assert_eq!(CheckResult::from(true), CheckResult::healthy());
    assert!(CheckResult::from(false).is_failure());
    assert!(CheckResult::from(Err::<(), _>("down")).is_failure());
    let nested: Result<CheckResult, Infallible> = Ok(CheckResult::degraded("half"));
    assert_eq!(CheckResult::from(nested).message(), Some("half"));
}

#[tokio::test(start_paused = true)]
async fn the_settings_of_a_check_change_live_and_its_results_stay() {
    let monitor = HealthMonitor::new("configures");
    let switch = add(&monitor, "db", check().interval(3600 * SECOND));
    let _monitoring = monitor.start();
    sleep(SECOND).await;
    switch.breaks(true);
    monitor.run_check("db").await.unwrap();
    // The task sleeps for an hour, and wakes for the new interval.
    let often = check().interval(2 * SECOND).failures_to_unhealthy(2);
    let often = often.critical(false).build().unwrap();
    monitor.configure_check("db", often).unwrap();
    assert_eq!(monitor.check_config("db"), Some(often));
    sleep(3 * SECOND + SECOND / 2).await;
    let report = monitor.report();
    assert_eq!((report.checks[0].runs, switch.runs()), (4, 4));
    assert_eq!(report.checks[0].status, Status::Unhealthy);
    assert_eq!(
        report.status,
        Status::Degraded,
        "it is not critical any more"
    );
    let rejected = monitor.configure_check("none", often).unwrap_err();
    assert_eq!((rejected.field(), rejected.value()), ("check", "none"));
    assert_eq!(monitor.check_config("none"), None);
}

#[tokio::test(start_paused = true)]
async fn a_run_under_way_keeps_the_timeout_that_it_began_with() {
    let monitor = HealthMonitor::new("under way");
    let once = || check().failures_to_unhealthy(1);
    let wait = || sleep(4 * SECOND);
    monitor
        .register("db", once().build().unwrap(), wait)
        .unwrap();
    let run = tokio::spawn({
        let monitor = monitor.clone();
        async move { monitor.run(Depth::Deep).await }
    });
    sleep(SECOND).await;
    let hasty = once().timeout(2 * SECOND).build().unwrap();
    monitor.configure_check("db", hasty).unwrap();
    assert_eq!(run.await.unwrap().status, Status::Healthy);
    assert_eq!(monitor.run(Depth::Deep).await.status, Status::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn a_check_of_a_layer_stays_passive() {
    let monitor = HealthMonitor::new("stays passive");
    let layer = HealthLayer::new("orders", HealthConfig::default());
    let deep = check().depth(Depth::Deep).build().unwrap();
    monitor.register_layer(layer.handle(), deep).unwrap();
    monitor.configure_check("orders", deep).unwrap();
    let config = monitor.check_config("orders").unwrap();
    assert_eq!(config.depth(), Depth::Passive);
}

#[tokio::test(start_paused = true)]
async fn a_reset_keeps_settings_and_counts() {
    let monitor = HealthMonitor::new("resets");
    let config = check().failures_to_unhealthy(1);
    let switch = add(&monitor, "db", config);
    switch.breaks(true);
    assert_eq!(monitor.run(Depth::Deep).await.status, Status::Unhealthy);
    monitor.reset();
    let snapshot = monitor.snapshot();
    assert_eq!(snapshot.status, Status::Unknown);
    assert_eq!((snapshot.counts.runs, snapshot.counts.failure), (1, 1));
    assert_eq!(
        (snapshot.counts, snapshot.checks[0].runs),
        (monitor.counts(), 1)
    );
    assert_eq!(monitor.check_config("db"), Some(config.build().unwrap()));
}

#[cfg(feature = "serde")]
#[tokio::test(start_paused = true)]
async fn a_report_is_serialized_with_times_as_seconds() {
    let monitor = HealthMonitor::new("desk");
    let wait = || sleep(SECOND / 2);
    monitor
        .register("db", CheckConfig::default(), wait)
        .unwrap();
    monitor.run(Depth::Deep).await;
    advance(SECOND).await;
    assert_eq!(
        serde_json::to_string(&monitor.report()).unwrap(),
        concat!(
            r#"{"name":"desk","status":"healthy","counts":{"runs":1,"failure":0},"checks":["#,
            r#"{"name":"db","depth":"shallow","critical":true,"status":"healthy","#,
            r#""since_seconds":1.0,"message":null,"because_of":null,"depends_on":[],"#,
            r#""consecutive_failures":0,"consecutive_successes":1,"#,
            r#""last_run_seconds":1.5,"took":0.5,"trend":{"runs":1,"failures":0,"#,
            r#""average":0.5,"slowest":0.5,"trend":"unknown"},"runs":1,"failures":0}],"recoveries":[]}"#,
        )
    );
}

//! Checks that depend on others, and what the last runs say.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use seawall_core::{
    EventFilter, EventKind, EventType, Events, InstanceHandle, InstanceName, Received,
};
use seawall_health::{CheckConfig, Depth, HealthMonitor, Status, Trend};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// A check that is broken by a switch, and counts its runs.
#[derive(Clone, Default)]
struct Switch {
    broken: Arc<AtomicBool>,
    runs: Arc<AtomicU64>,
}

impl Switch {
    fn breaks(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }

    fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }
}

fn add(monitor: &HealthMonitor, name: &str) -> Switch {
    let config = CheckConfig::builder()
        .jitter(0.0)
        .interval(10 * SECOND)
        .failures_to_unhealthy(1)
        .successes_to_recover(1)
        .max_error_rate(1.0);
    add_with(monitor, name, config.build().unwrap())
}

fn add_with(monitor: &HealthMonitor, name: &str, config: CheckConfig) -> Switch {
    let switch = Switch::default();
    let checked = switch.clone();
    let check = move || {
        checked.runs.fetch_add(1, Ordering::Relaxed);
        std::future::ready(!checked.broken.load(Ordering::Relaxed))
    };
    monitor.register(name, config, check).unwrap();
    switch
}

fn because_of(monitor: &HealthMonitor, name: &str) -> Option<&'static str> {
    let report = monitor.report();
    report
        .check(name)
        .unwrap()
        .because_of
        .map(InstanceName::as_str)
}

#[tokio::test(start_paused = true)]
async fn a_check_is_not_run_while_what_it_depends_on_is_unhealthy() {
    let monitor = HealthMonitor::new("chain");
    let ui = add(&monitor, "ui");
    let orders = add(&monitor, "orders");
    let network = add(&monitor, "network");
    let feed = add(&monitor, "feed");
    monitor.set_dependencies("ui", &["orders", "feed"]).unwrap();
    monitor.set_dependencies("orders", &["network"]).unwrap();
    network.breaks(true);

    // In one run already: those that depend on others come after them.
    let report = monitor.run_all().await;
    assert_eq!(
        (ui.runs(), orders.runs(), network.runs(), feed.runs()),
        (0, 0, 1, 1)
    );
    for name in ["ui", "orders"] {
        let check = report.check(name).unwrap();
        assert_eq!(check.status, Status::Unhealthy);
        assert_eq!(check.because_of.unwrap().as_str(), "network");
        let message = check.message.as_deref();
        assert_eq!(message, Some("not run while `network` is unhealthy"));
        assert_eq!((check.runs, check.failures), (0, 0));
    }
    assert_eq!(report.status, Status::Unhealthy);
    assert_eq!(because_of(&monitor, "network"), None);
    assert_eq!(report.check("ui").unwrap().depends_on.len(), 2);

    // One that is asked for by its name is run all the same.
    let asked = monitor.run_check("orders").await.unwrap();
    assert_eq!((asked.runs, asked.status), (1, Status::Unhealthy));

    network.breaks(false);
    let report = monitor.run_all().await;
    assert_eq!(report.status, Status::Healthy);
    assert_eq!((ui.runs(), orders.runs()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn it_is_run_at_once_when_what_it_depends_on_is_better() {
    let monitor = HealthMonitor::new("wakes");
    let network = add(&monitor, "network");
    network.breaks(true);
    let rarely = CheckConfig::builder().interval(3_600 * SECOND).jitter(0.0);
    let broker = add_with(&monitor, "broker", rarely.build().unwrap());
    monitor.set_dependencies("broker", &["network"]).unwrap();
    monitor.run_check("network").await;
    let _monitoring = monitor.start();
    sleep(25 * SECOND).await;
    assert_eq!((network.runs(), broker.runs()), (4, 0));
    network.breaks(false);
    sleep(6 * SECOND).await;
    assert_eq!((network.runs(), broker.runs()), (5, 1), "not after an hour");
    assert_eq!(monitor.status(), Status::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_removed_is_no_dependency_any_more() {
    let monitor = HealthMonitor::new("removed dependency");
    add(&monitor, "network").breaks(true);
    let broker = add(&monitor, "broker");
    monitor.set_dependencies("broker", &["network"]).unwrap();
    monitor.run_all().await;
    assert_eq!(because_of(&monitor, "broker"), Some("network"));
    monitor.remove("network");
    assert_eq!(because_of(&monitor, "broker"), None);
    assert_eq!(monitor.run_all().await.status, Status::Healthy);
    assert_eq!(broker.runs(), 1);
    // The other way round is no circle now.
    add(&monitor, "network");
    monitor.set_dependencies("network", &["broker"]).unwrap();
    // A reset forgets results, not dependencies.
    monitor.reset();
    let report = monitor.report();
    assert_eq!(
        report.check("network").unwrap().depends_on[0].as_str(),
        "broker"
    );
}

#[tokio::test(start_paused = true)]
async fn circles_and_unknown_checks_are_rejected_and_change_nothing() {
    let monitor = HealthMonitor::new("circles");
    for name in ["a", "b", "c"] {
        add(&monitor, name);
    }
    monitor.set_dependencies("a", &["b"]).unwrap();
    monitor.set_dependencies("b", &["c"]).unwrap();
    let circle = monitor.set_dependencies("c", &["b", "a"]).unwrap_err();
    assert_eq!(circle.field(), "depends_on");
    let ways = ["c -> a -> b -> c", "c -> b -> c"];
    assert!(ways.contains(&circle.value()), "{circle}");
    let own = monitor.set_dependencies("a", &["a"]).unwrap_err();
    assert_eq!(own.value(), "a -> a");
    for (name, on) in [("none", "a"), ("a", "none")] {
        let unknown = monitor.set_dependencies(name, &[on]).unwrap_err();
        assert_eq!((unknown.field(), unknown.value()), ("check", "none"));
    }
    let depends = |name| monitor.report().check(name).unwrap().depends_on.len();
    assert_eq!((depends("a"), depends("b"), depends("c")), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn every_change_is_an_event_also_one_because_of_another_check() {
    let events = Events::default();
    let filter = EventFilter::all().types([EventType::CheckChanged]);
    let mut feed = events.subscribe_to(filter);
    let monitor = HealthMonitor::new("events");
    monitor.attach(&events);
    let network = add(&monitor, "network");
    add(&monitor, "broker");
    monitor.set_dependencies("broker", &["network"]).unwrap();
    let mut changes = async |broken| {
        network.breaks(broken);
        monitor.run_all().await;
        let mut seen = Vec::new();
        while let Some(Received::Event(event)) = feed.try_next() {
            if let EventKind::CheckChanged {
                check, from, to, ..
            } = event.kind
            {
                seen.push((check.as_str(), from, to));
            }
        }
        seen
    };
    let both = |from, to| vec![("network", from, to), ("broker", from, to)];
    assert_eq!(changes(false).await, both("unknown", "healthy"));
    assert_eq!(changes(false).await, []);
    assert_eq!(changes(true).await, both("healthy", "unhealthy"));
    assert_eq!(changes(false).await, both("unhealthy", "healthy"));
}

#[tokio::test(start_paused = true)]
async fn a_success_after_many_failures_is_degraded_until_they_are_out_of_the_history() {
    let monitor = HealthMonitor::new("rates");
    let config = CheckConfig::builder().history(5).max_error_rate(0.2);
    let switch = add_with(&monitor, "flaky", config.build().unwrap());
    let run = async |broken| {
        switch.breaks(broken);
        let report = monitor.run_check("flaky").await.unwrap();
        (report.status, report.trend.failures, report.message)
    };
    for broken in [false, true, false, true] {
        assert_eq!(
            run(broken).await.0,
            Status::Healthy,
            "too few runs to judge by"
        );
    }
    let (status, failures, message) = run(false).await;
    assert_eq!((status, failures), (Status::Degraded, 2));
    assert_eq!(message.as_deref(), Some("2 of the last 5 runs failed"));
    assert_eq!(run(false).await.0, Status::Degraded);
    assert_eq!(
        run(false).await,
        (Status::Healthy, 1, None),
        "20 % are not more than 20 %"
    );
}

#[tokio::test(start_paused = true)]
async fn runs_that_take_longer_and_longer_are_a_trend() {
    let monitor = HealthMonitor::new("trend");
    let turn = Arc::new(AtomicU64::new(0));
    let slower = move || sleep(SECOND * turn.fetch_add(1, Ordering::Relaxed) as u32);
    let config = CheckConfig::builder().slow_after(10 * SECOND).history(4);
    monitor
        .register("db", config.build().unwrap(), slower)
        .unwrap();
    for trend in [
        Trend::Unknown,
        Trend::Unknown,
        Trend::Unknown,
        Trend::Worsening,
    ] {
        let report = monitor.run_check("db").await.unwrap();
        assert_eq!(report.trend.trend, trend);
    }
    let trend = monitor.report().checks[0].trend;
    assert_eq!((trend.average, trend.slowest), (3 * SECOND / 2, 3 * SECOND));
    monitor.reset();
    assert_eq!(monitor.report().checks[0].trend.runs, 0);
}

#[tokio::test(start_paused = true)]
async fn jitter_shortens_pauses_and_makes_checks_drift_apart() {
    let monitor = HealthMonitor::new("drifts");
    let times: Arc<std::sync::Mutex<Vec<Instant>>> = Arc::default();
    let noted = Arc::clone(&times);
    let config = CheckConfig::builder().interval(10 * SECOND).jitter(0.5);
    let note = move || {
        noted.lock().unwrap().push(Instant::now());
        std::future::ready(true)
    };
    monitor
        .register("noted", config.build().unwrap(), note)
        .unwrap();
    let _monitoring = monitor.start();
    sleep(1_000 * SECOND).await;
    let times = times.lock().unwrap();
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let bounds = 5 * SECOND..10 * SECOND + Duration::from_millis(2);
    assert!(gaps.iter().all(|gap| bounds.contains(gap)), "{gaps:?}");
    // Uniform from 5 s to 10 s, so some 133 of them.
    assert!((110..160).contains(&gaps.len()), "{}", gaps.len());
    assert!(gaps.iter().any(|gap| *gap < 6 * SECOND));
    assert!(gaps.iter().any(|gap| *gap > 9 * SECOND));
}

#[test]
fn settings_that_cannot_be_are_rejected_by_name() {
    let field =
        |config: seawall_health::CheckConfigBuilder| config.build().unwrap_err().field().to_owned();
    for share in [-0.1, 1.1, f64::NAN] {
        assert_eq!(field(CheckConfig::builder().jitter(share)), "jitter");
        let rate = CheckConfig::builder().max_error_rate(share);
        assert_eq!(field(rate), "max_error_rate");
    }
    for history in [0, 1_001, u32::MAX] {
        assert_eq!(field(CheckConfig::builder().history(history)), "history");
    }
    let config = CheckConfig::default();
    assert_eq!((config.jitter().get(), config.history()), (0.1, 20));
    assert_eq!(config.max_error_rate().get(), 0.1);
    assert!(Depth::Synthetic > Depth::Deep);
}

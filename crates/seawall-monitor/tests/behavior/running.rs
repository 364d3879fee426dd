//! Starting, stopping, and evaluating at once.

use std::time::Duration;

use seawall_core::{Command, InstanceHandle, Registry, Samples, Value};
use seawall_monitor::{Monitor, MonitorConfig};
use tokio::time::{advance, sleep};

use crate::support::{Behavior, Fake, Noted, SECOND, builder, firing, monitor, service};

#[tokio::test(start_paused = true)]
async fn it_samples_at_its_interval_until_the_guard_is_dropped() {
    let registry = Registry::new("desk");
    let fake = Fake::new(&registry, "telemetry", "alpaca");
    let monitor = builder(&registry).build().unwrap();
    assert!(!monitor.is_running());
    assert_eq!(monitor.overview().monitor.last_sample_unix_ms, None);
    let mut changes = monitor.changes();
    let guard = monitor.start();
    assert!(monitor.is_running());
    sleep(Duration::from_millis(100)).await;
    fake.calls(10, 0, 1);
    sleep(10 * SECOND).await;
    assert_eq!(monitor.overview().monitor.samples, 11);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    let seen = service(&monitor, "alpaca");
    assert!((seen.calls_per_second - 1.0).abs() < 0.01);
    drop(guard);
    assert!(
        changes.has_changed().unwrap(),
        "that it was stopped is news"
    );
    changes.mark_unchanged();
    let stopped = monitor.overview();
    assert!(!stopped.monitor.is_running);
    assert!(stopped.monitor.since_unix_ms >= stopped.monitor.last_sample_unix_ms.unwrap());
    sleep(10 * SECOND).await;
    assert_eq!(monitor.overview().monitor.samples, 11);
    assert!(!changes.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_second_start_takes_over() {
    let registry = Registry::new("desk");
    let monitor = builder(&registry).build().unwrap();
    let first = monitor.start();
    sleep(SECOND / 2).await;
    let second = monitor.start();
    sleep(10 * SECOND).await;
    let samples = monitor.overview().monitor.samples;
    assert!((11..=12).contains(&samples), "{samples}");
    drop(first);
    assert!(monitor.is_running());
    sleep(2 * SECOND).await;
    assert_eq!(monitor.overview().monitor.samples, samples + 2);
    drop(second);
    assert!(!monitor.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_transition_raises_its_alert_at_once() {
    let registry = Registry::new("desk");
    let breaker = Fake::new(&registry, "breaker", "alpaca");
    let config = MonitorConfig::builder()
        .interval(60 * SECOND)
        .window(60 * SECOND);
    let monitor = builder(&registry)
        .config(config.build().unwrap())
        .build()
        .unwrap();
    let _guard = monitor.start();
    sleep(SECOND).await;
    let samples = monitor.overview().monitor.samples;
    breaker.transition("open");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(firing(&monitor), ["BreakerOpened"]);
    assert_eq!(
        monitor.overview().monitor.samples,
        samples,
        "it was no sample"
    );
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_events_is_evaluated_every_20_ms() {
    let registry = Registry::new("desk");
    let breaker = Fake::new(&registry, "breaker", "alpaca");
    let monitor = builder(&registry).build().unwrap();
    let _guard = monitor.start();
    sleep(SECOND / 2).await;
    let before = *monitor.changes().borrow();
    for number in 0..400_u32 {
        breaker.transition(if number % 2 == 0 { "open" } else { "closed" });
        sleep(Duration::from_millis(1)).await;
    }
    let evaluations = *monitor.changes().borrow() - before;
    assert!((15..=25).contains(&evaluations), "{evaluations}");
}

/// A monitor that is asked by what it reads answers what it knew.
#[tokio::test(start_paused = true)]
async fn a_handle_may_ask_the_monitor() {
    struct Asking(std::sync::Mutex<Option<Monitor>>);
    impl InstanceHandle for Asking {
        fn pattern(&self) -> &'static str {
            "breaker"
        }
        fn name(&self) -> seawall_core::InstanceName {
            "asking".into()
        }
        fn state(&self) -> &'static str {
            if let Some(monitor) = &*self.0.lock().unwrap() {
                monitor.sample();
                let _ = monitor.overview();
            }
            "closed"
        }
        fn samples(&self, _: &mut Samples<'_>) {}
        fn settings(&self) -> Vec<(&'static str, String)> {
            Vec::new()
        }
        fn attach(&self, _: &seawall_core::Events) {}
    }
    let registry = Registry::new("desk");
    let monitor = builder(&registry).build().unwrap();
    registry
        .register(Asking(Some(monitor.clone()).into()))
        .unwrap();
    monitor.sample();
    assert_eq!(monitor.overview().monitor.samples, 1);
    registry.remove("breaker", "asking");
}

#[tokio::test(start_paused = true)]
async fn the_monitor_is_an_instance_itself() {
    let registry = Registry::new("desk");
    let breaker = Fake::new(&registry, "breaker", "alpaca");
    let sink = Noted::new("noted", Behavior::Notes);
    let monitor = builder(&registry).sink(sink).build().unwrap();
    let own = Registry::new("own");
    own.register(monitor.clone()).unwrap();
    let guard = monitor.start();
    breaker.state("open");
    sleep(2 * SECOND).await;
    let mut found = Vec::new();
    monitor.samples(&mut Samples::new(&mut |sample| {
        let value = match sample.value {
            Value::Counter(total) => total as f64,
            Value::Gauge(value) => value,
            _ => return,
        };
        let label = sample.labels.last().map_or("", |(_, value)| *value);
        found.push((sample.metric, label, value));
    }));
    for expected in [
        ("seawall_alerts_firing", "warning", 1.0),
        ("seawall_alerts_firing", "critical", 0.0),
        ("seawall_alerts_raised_total", "", 1.0),
        ("seawall_monitor_level", "", 2.0),
        ("seawall_alert_deliveries_total", "delivered", 1.0),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    assert_eq!(InstanceHandle::state(&monitor), "running");
    assert!(monitor.control(Command::Reset).is_err());
    drop(guard);
    assert_eq!(own.snapshot()[0].state, "stopped");
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_is_dropped_ends_its_task() {
    let registry = Registry::new("desk");
    let first = monitor(&registry);
    let guard = first.start();
    let changes = first.changes();
    advance(SECOND).await;
    drop(first);
    advance(2 * SECOND).await;
    tokio::task::yield_now().await;
    assert!(changes.has_changed().is_err(), "nothing holds it any more");
    drop(guard);
}

#[test]
fn what_makes_no_sense_is_rejected_by_name() {
    let field = |builder: seawall_monitor::MonitorBuilder| builder.build().unwrap_err();
    assert_eq!(field(Monitor::builder("")).field(), "name");
    let twice = Monitor::builder("desk")
        .registry(Registry::new("a"))
        .registry(Registry::new("a"));
    assert_eq!(field(twice).field(), "registry");
    let often = Noted::new("often", Behavior::Notes).resend(Duration::ZERO);
    let often = Monitor::builder("desk").sink(often);
    assert_eq!(
        field(often).to_string(),
        "`resend_every` is 0s, accepted is none, or at least 1s"
    );
    let file = Monitor::builder("desk").history_file("/nowhere/at/all", 1 << 20);
    assert_eq!(field(file).field(), "history_file");
    let file = Monitor::builder("desk").history_file("/tmp/none", 100);
    assert_eq!(
        field(file).to_string(),
        "`history_file` is 100, accepted is at least 65536 bytes"
    );
}

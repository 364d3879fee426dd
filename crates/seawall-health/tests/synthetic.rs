//! Scripted calls through real stacks.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use seawall_core::{Error, Reason, Rejection};
use seawall_health::{CheckConfig, CheckResult, Depth, HealthMonitor, Status, Synthetic};
use tower::{ServiceBuilder, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn once() -> CheckConfig {
    let config = CheckConfig::builder().failures_to_unhealthy(1);
    config.successes_to_recover(1).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_response_is_judged_by_what_is_expected_of_it() {
    let balance = Arc::new(AtomicU64::new(7));
    let upstream = Arc::clone(&balance);
    let broker = service_fn(move |path: &'static str| {
        let balance = upstream.load(Ordering::Relaxed);
        async move {
            assert_eq!(path, "/balance");
            Ok::<_, std::io::Error>(balance)
        }
    });
    let script = Synthetic::new(
        broker,
        || "/balance",
        |balance: &u64| match balance {
            0 => Err("no money"),
            1 => Ok(CheckResult::degraded("little money")),
            _ => Ok(CheckResult::healthy()),
        },
    );
    let monitor = HealthMonitor::new("judged");
    monitor
        .register_synthetic("balance", once(), script)
        .unwrap();
    for (is, status, message) in [
        (7, Status::Healthy, None),
        (1, Status::Degraded, Some("little money")),
        (0, Status::Unhealthy, Some("no money")),
    ] {
        balance.store(is, Ordering::Relaxed);
        let report = monitor.run_check("balance").await.unwrap();
        assert_eq!(
            (report.status, report.message.as_deref()),
            (status, message)
        );
        assert_eq!(report.depth, Depth::Synthetic);
    }
    monitor.configure_check("balance", once()).unwrap();
    let depth = monitor.check_config("balance").unwrap().depth();
    assert_eq!(depth, Depth::Synthetic);
}

#[tokio::test(start_paused = true)]
async fn the_instance_that_is_called_was_polled_ready_and_waits_end() {
    // Tower's limit panics in `call` where it was not polled ready.
    let stuck = ServiceBuilder::new()
        .concurrency_limit(1)
        .service(service_fn(|(): ()| pending::<Result<(), Error<&str>>>()));
    let monitor = HealthMonitor::new("stuck");
    let config = CheckConfig::builder()
        .timeout(SECOND)
        .failures_to_unhealthy(1);
    let script = Synthetic::new(stuck, || (), |(): &()| true);
    monitor
        .register_synthetic("stuck", config.build().unwrap(), script)
        .unwrap();
    for _ in 0..2 {
        let report = monitor.run_check("stuck").await.unwrap();
        assert_eq!(report.message.as_deref(), Some("no result within 1s"));
    }
}

#[tokio::test(start_paused = true)]
async fn errors_fail_and_limits_of_our_own_say_nothing() {
    let monitor = HealthMonitor::new("own limits");
    for reason in Reason::ALL {
        let stack = service_fn(move |(): ()| async move {
            Err::<(), Error<&str>>(Rejection::new(reason, "alpaca").into())
        });
        let name = reason.as_str();
        let script = Synthetic::through_stack(stack, || (), |(): &()| true);
        monitor.register_synthetic(name, once(), script).unwrap();
    }
    let broken = service_fn(|(): ()| async { Err::<(), _>(Error::Inner("no route")) });
    let script = Synthetic::through_stack(broken, || (), |(): &()| true);
    monitor.register_synthetic("inner", once(), script).unwrap();
    let report = monitor.run_all().await;
    let status = |name| report.check(name).unwrap().status;
    for failed in [
        "inner",
        "circuit_open",
        "attempt_timeout",
        "deadline_exceeded",
    ] {
        assert_eq!(status(failed), Status::Unhealthy, "{failed}");
    }
    for unknown in [
        "rate_limited",
        "bulkhead_full",
        "quota_exhausted",
        "draining",
    ] {
        assert_eq!(status(unknown), Status::Unknown, "{unknown}");
    }
    let limited = report.check("rate_limited").unwrap();
    assert_eq!((limited.runs, limited.trend.runs), (1, 0));
    let message = limited.message.clone().unwrap();
    assert!(message.starts_with("rate limit `alpaca`"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_script_sends_no_more_than_its_gap_allows() {
    let calls = Arc::new(AtomicU64::new(0));
    let upstream = Arc::clone(&calls);
    let service = service_fn(move |(): ()| {
        upstream.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, std::io::Error>(()) }
    });
    let script = Synthetic::new(service, || (), |(): &()| true).min_gap(10 * SECOND);
    let monitor = HealthMonitor::new("gap");
    monitor.register_synthetic("gap", once(), script).unwrap();
    let mut sent = Vec::new();
    for _ in 0..5 {
        monitor.run_all().await;
        sent.push(calls.load(Ordering::Relaxed));
        tokio::time::advance(4 * SECOND).await;
    }
    assert_eq!(sent, [1, 1, 1, 2, 2]);
    let report = monitor.report();
    let gap = report.check("gap").unwrap();
    assert_eq!((gap.runs, gap.status), (5, Status::Healthy));
    let message = gap.message.as_deref();
    assert_eq!(
        message,
        Some("not sent: the last call was less than 10s ago")
    );
    drop(monitor.run_all());
    assert_eq!(calls.load(Ordering::Relaxed), 2, "never polled, never sent");
}

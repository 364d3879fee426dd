//! With real layers: what they report makes the alerts and the words.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use seawall_breaker::{BreakerConfig, BreakerLayer};
use seawall_bulkhead::{BulkheadConfig, BulkheadLayer};
use seawall_core::{
    Budget, BudgetConfig, Command, Error, FailureKind, InstanceHandle, Outcome, QuotaSignal,
    Registry, RequestMeta, Scope, ServerLimit, Unit, WrapErrorLayer,
};
use seawall_monitor::Level;
use seawall_ratelimit::{Limit, RateLimitConfig, RateLimitLayer};
use seawall_retry::{RetryConfig, RetryLayer};
use seawall_telemetry::{TelemetryConfig, TelemetryLayer};
use tokio::time::sleep;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{SECOND, builder, firing, monitor, service, tick, ticks};

fn breaker(open_for: Duration) -> BreakerLayer {
    let config = BreakerConfig::builder()
        .failure_rate(0.5, 10)
        .min_calls(10)
        .open_for(open_for)
        .build();
    BreakerLayer::new("alpaca", config.unwrap())
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_open_the_circuit_and_raise_the_alert_at_once() {
    let registry = Registry::new("desk");
    let is_down = Arc::new(AtomicBool::new(true));
    let telemetry = TelemetryLayer::new("alpaca", TelemetryConfig::default());
    let breaker = breaker(30 * SECOND);
    registry.register(telemetry.handle()).unwrap();
    registry.register(breaker.handle()).unwrap();
    let down = Arc::clone(&is_down);
    let mut client = ServiceBuilder::new()
        .layer(telemetry)
        .layer(breaker)
        .layer(WrapErrorLayer)
        .service(service_fn(move |(): ()| {
            let is_down = down.load(Ordering::Relaxed);
            async move {
                sleep(Duration::from_millis(20)).await;
                if is_down { Err("down") } else { Ok(()) }
            }
        }));
    let monitor = builder(&registry).build().unwrap();
    let _guard = monitor.start();
    sleep(Duration::from_millis(50)).await;
    for _ in 0..20 {
        let _ = client.ready().await.unwrap().call(()).await;
    }
    sleep(Duration::from_millis(25)).await;
    assert_eq!(firing(&monitor), ["BreakerOpened"]);
    sleep(2 * SECOND).await;
    let seen = service(&monitor, "alpaca");
    assert_eq!((seen.level, seen.state), (Level::Down, "open"));
    assert_eq!(seen.error_threshold, Some(0.5));
    assert!(seen.next_probe_seconds.unwrap() > 25.0, "{seen:?}");
    assert!(
        seen.verdict.starts_with("the circuit is open"),
        "{}",
        seen.verdict
    );
    assert_eq!(seen.error_ratio, Some(1.0));
    assert_eq!(seen.rejected_ratio, Some(0.5));
    let p99 = seen.p99_seconds.unwrap();
    assert!(
        (0.02..0.022).contains(&p99),
        "rejections are left out: {p99}"
    );
    let rejection = seen.last_rejection.unwrap();
    assert_eq!(rejection.reason, "circuit_open");
    assert_eq!(rejection.pattern, Some("breaker"));
    let totals = monitor.overview().totals;
    assert_eq!((totals.circuits, totals.open_circuits), (1, 1));
    sleep(70 * SECOND).await;
    assert!(
        firing(&monitor).contains(&"BreakerOpenLong"),
        "nothing has probed it"
    );

    is_down.store(false, Ordering::Relaxed);
    for _ in 0..10 {
        client.ready().await.unwrap().call(()).await.unwrap();
    }
    sleep(2 * SECOND).await;
    assert_eq!(service(&monitor, "alpaca").state, "closed");
    sleep(30 * SECOND).await;
    assert!(
        !firing(&monitor)
            .iter()
            .any(|name| name.starts_with("Breaker"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_opens_again_and_again_flaps() {
    let registry = Registry::new("desk");
    let layer = breaker(SECOND);
    let handle = layer.handle();
    registry.register(handle.clone()).unwrap();
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let mut client = ServiceBuilder::new()
        .layer(layer)
        .layer(WrapErrorLayer)
        .service(service_fn(move |(): ()| {
            std::future::ready(if down.load(Ordering::Relaxed) {
                Err(())
            } else {
                Ok(())
            })
        }));
    let monitor = monitor(&registry);
    for _ in 0..5 {
        is_down.store(true, Ordering::Relaxed);
        for _ in 0..10 {
            let _ = client.ready().await.unwrap().call(()).await;
        }
        tick(&monitor).await;
        is_down.store(false, Ordering::Relaxed);
        handle.reset();
        tick(&monitor).await;
    }
    assert_eq!(firing(&monitor), ["BreakerFlapping", "BreakerOpened"]);
    assert_eq!(
        monitor.alerts().len(),
        2,
        "it was open for a moment five times"
    );
    assert_eq!(
        monitor.alerts()[0].words,
        "alpaca: the circuit has opened 5 times"
    );
    ticks(&monitor, 30).await;
    assert!(!firing(&monitor).contains(&"BreakerOpened"));
}

#[tokio::test(start_paused = true)]
async fn a_retry_budget_that_is_used_up_is_an_alert() {
    let registry = Registry::new("desk");
    let budget = Budget::new(BudgetConfig::new(0.01, 0.001, 10).unwrap());
    let layer = RetryLayer::new("alpaca", RetryConfig::default())
        .assume_idempotent()
        .budget(budget);
    registry.register(layer.handle()).unwrap();
    let mut client = ServiceBuilder::new()
        .layer(layer)
        .layer(WrapErrorLayer)
        .service(service_fn(|(): ()| async { Err::<(), _>("down") }));
    let monitor = monitor(&registry);
    for _ in 0..30 {
        let _ = client.ready().await.unwrap().call(()).await;
    }
    ticks(&monitor, 35).await;
    assert!(
        firing(&monitor).contains(&"RetryBudgetExhausted"),
        "{:?}",
        firing(&monitor)
    );
    let seen = service(&monitor, "alpaca");
    assert!(seen.retry_budget.unwrap().balance < 1.0);
    assert!(
        seen.verdict.contains("the retry budget is used up"),
        "{}",
        seen.verdict
    );
}

/// Each call that fails pays a little in, so the budget is never quite empty when it is read.
#[tokio::test(start_paused = true)]
async fn a_retry_budget_that_pays_for_next_to_nothing_is_an_alert() {
    let registry = Registry::new("desk");
    let layer = RetryLayer::new("alpaca", RetryConfig::default()).assume_idempotent();
    let handle = layer.handle();
    registry.register(handle.clone()).unwrap();
    let client = ServiceBuilder::new()
        .layer(layer)
        .layer(WrapErrorLayer)
        .service(service_fn(|(): ()| async { Err::<(), _>("down") }));
    let monitor = builder(&registry).build().unwrap();
    let _guard = monitor.start();
    for _ in 0..900 {
        tokio::spawn(client.clone().oneshot(()));
        sleep(SECOND / 10).await;
    }
    let unpaid = handle.counts().give_ups.budget_exhausted;
    assert!(unpaid > 800, "{unpaid}");
    assert!(firing(&monitor).contains(&"RetryBudgetExhausted"));
    let seen = service(&monitor, "alpaca").verdict;
    let words = "the retry budget is used up, 100 calls were not tried again";
    assert!(seen.contains(words), "{seen}");
    // Nothing fails any more, since nothing is called.
    sleep(60 * SECOND).await;
    InstanceHandle::control(&handle, Command::Reset).unwrap();
    sleep(60 * SECOND).await;
    assert!(!firing(&monitor).contains(&"RetryBudgetExhausted"));
}

#[tokio::test(start_paused = true)]
async fn a_bulkhead_that_is_full_and_a_limit_show_their_figures() {
    let registry = Registry::new("desk");
    let config = BulkheadConfig::builder()
        .max_concurrent(2)
        .max_waiting(1)
        .build();
    let bulkhead = BulkheadLayer::new("alpaca", config.unwrap());
    registry.register(bulkhead.handle()).unwrap();
    let client = ServiceBuilder::new()
        .layer(bulkhead)
        .layer(WrapErrorLayer)
        .service(service_fn(|(): ()| {
            std::future::pending::<Result<(), ()>>()
        }));
    let monitor = monitor(&registry);
    let calls: Vec<_> = (0..4)
        .map(|_| tokio::spawn(client.clone().oneshot(())))
        .collect();
    sleep(SECOND).await;
    monitor.sample();
    let seen = service(&monitor, "alpaca");
    assert_eq!(
        (seen.in_flight, seen.max_concurrent),
        (Some(2.0), Some(2.0))
    );
    assert_eq!(seen.queue_depth, Some(1.0));
    assert_eq!(seen.max_waiting, Some(1.0));
    assert!(
        seen.verdict.contains("1 call waits, the queue is full"),
        "{}",
        seen.verdict
    );
    assert_eq!(
        monitor.overview().totals.bulkhead_rejections_per_second,
        1.0
    );
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_nearly_spent_and_a_throttle_are_alerts() {
    let registry = Registry::new("desk");
    let config = RateLimitConfig::builder().limit(Limit::bucket(200, 60 * SECOND).burst(200));
    let layer = RateLimitLayer::new("alpaca", config.build().unwrap());
    let limit = layer.handle();
    registry.register(limit.clone()).unwrap();
    let retry = RetryLayer::new(
        "alpaca",
        RetryConfig::builder().attempts(1).build().unwrap(),
    )
    .describe(|(): &()| RequestMeta::idempotent())
    .classify(|result: Result<&u16, &Error<()>>| match result {
        Ok(429) => Outcome::Throttled {
            retry_after: None,
            scope: Scope::Upstream,
        },
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Failure(FailureKind::Other),
    });
    registry.register(retry.handle()).unwrap();
    let mut client = ServiceBuilder::new()
        .layer(retry)
        .layer(layer)
        .layer(WrapErrorLayer)
        .service(service_fn(|(): ()| async { Ok::<u16, ()>(429) }));
    let monitor = monitor(&registry);
    assert_eq!(client.ready().await.unwrap().call(()).await, Ok(429));
    let reported = ServerLimit::new(Unit::Requests)
        .with_window(60 * SECOND)
        .with_limit(200)
        .with_remaining(3)
        .with_resets_in(50 * SECOND);
    limit.apply_signal(QuotaSignal::Limit(reported));
    limit.apply_signal(QuotaSignal::Pause {
        lasts: Some(12 * SECOND),
        scope: Scope::Upstream,
    });
    tick(&monitor).await;
    assert!(firing(&monitor).contains(&"ThrottledByUpstream"));
    let seen = service(&monitor, "alpaca");
    assert_eq!(seen.state, "paused");
    assert_eq!(seen.throttled_per_second, 1.0);
    assert_eq!(seen.verdict, "throttled, 11 s left, 3 of 200 left");
    ticks(&monitor, 12).await;
    assert!(firing(&monitor).contains(&"QuotaNearlySpent"));
    // The upstream renews its limit: what it has reported is out of date then.
    ticks(&monitor, 70).await;
    assert_eq!(firing(&monitor), [""; 0]);
    assert_eq!(service(&monitor, "alpaca").verdict, "ok");
}

//! What a monitor makes of whole stacks: an upstream that goes down, and orders in doubt.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use seawall::orders::journal::{Intent, Journal as _, MemoryJournal, SavedRequest};
use seawall::orders::protocol::Verdict;
use seawall::orders::safety::TradingControl;
use seawall::orders::{Operation, OrderHandle, OrderLayer};
use seawall::{ConstMeta, Error, Policy, Registry, RequestMeta, WrapErrorLayer};
use seawall_monitor::{AlertState, Level, Monitor};
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn firing(monitor: &Monitor) -> Vec<&'static str> {
    let alerts = monitor.alerts().into_iter();
    let firing = alerts.filter(|alert| alert.state == AlertState::Firing);
    let mut names: Vec<_> = firing.map(|alert| alert.name).collect();
    names.sort_unstable();
    names
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_goes_down_and_comes_back_is_seen_by_its_stack() {
    let registry = Registry::new("desk");
    let is_down = Arc::new(AtomicBool::new(false));
    let stack = seawall::broker("alpaca")
        .build_generic(Policy::new().describe(ConstMeta(RequestMeta::idempotent())))
        .unwrap();
    stack.register(&registry).unwrap();
    let down = Arc::clone(&is_down);
    let client = stack.layer(WrapErrorLayer.layer(service_fn(move |(): ()| {
        let is_down = down.load(Ordering::Relaxed);
        async move {
            sleep(Duration::from_millis(40)).await;
            if is_down {
                Err("no connection")
            } else {
                Ok(())
            }
        }
    })));
    let monitor = Monitor::builder("desk").registry(registry).build().unwrap();
    let _guard = monitor.start();
    let traffic = tokio::spawn(async move {
        loop {
            tokio::spawn(client.clone().oneshot(()));
            sleep(SECOND / 2).await;
        }
    });
    sleep(30 * SECOND).await;
    let overview = monitor.overview();
    assert_eq!(
        (&*overview.verdict.words, overview.services.len()),
        ("yes", 1)
    );
    let seen = &overview.services[0];
    assert_eq!((seen.name, seen.state), ("alpaca", "closed"));
    assert!((seen.calls_per_second - 2.0).abs() < 0.3, "{seen:?}");
    assert_eq!(seen.error_ratio, Some(0.0));
    assert!(seen.error_threshold.is_some(), "{seen:?}");
    assert!(seen.max_concurrent.is_some() && seen.max_waiting.is_some());
    assert!(!seen.limits.is_empty() && seen.limits[0].capacity.is_some());
    assert!(seen.retry_budget.unwrap().capacity.is_some());
    assert_eq!(firing(&monitor), [""; 0]);

    is_down.store(true, Ordering::Relaxed);
    sleep(20 * SECOND).await;
    let overview = monitor.overview();
    let seen = &overview.services[0];
    assert_eq!((seen.state, seen.level), ("open", Level::Down));
    let left = seen.next_probe_seconds.expect("it probes by itself");
    assert!(left > 0.0 && seen.state_seconds.unwrap() > 0.0, "{seen:?}");
    assert!(
        seen.verdict
            .starts_with("the circuit is open, next probe in ")
    );
    assert!(firing(&monitor).contains(&"BreakerOpened"));

    is_down.store(false, Ordering::Relaxed);
    sleep(180 * SECOND).await;
    assert_eq!(monitor.overview().verdict.words, "yes");
    assert_eq!(firing(&monitor), [""; 0]);
    let history = monitor.history("alpaca");
    let worst = history[0]
        .ten_seconds
        .iter()
        .filter_map(|it| it.error_ratio);
    assert!(worst.fold(0.0, f32::max) > 0.5, "{history:?}");
    traffic.abort();
}

type Body = Full<Bytes>;

/// A layer around a broker that is down, with an order of an earlier process: it stays in doubt.
async fn in_doubt(is_killed: Arc<AtomicBool>) -> OrderHandle {
    let broker = seawall::provider("alpaca").unwrap().broker_table();
    let request = SavedRequest::new("POST", "/v2/orders");
    let intent = Intent::new("one", Operation::Create, SystemTime::now()).account("desk");
    let journal = MemoryJournal::default();
    journal.append_sent(intent.request(request)).await.unwrap();
    let control = TradingControl::builder().kill_switch(move || is_killed.load(Ordering::Relaxed));
    let layer = OrderLayer::<Body>::builder("alpaca", broker.unwrap())
        .journal(journal)
        .account("desk")
        .control(control.build())
        .build()
        .unwrap();
    let down = service_fn(|_: http::Request<Body>| async {
        Err::<http::Response<Body>, _>(Error::Inner("down"))
    });
    let _ = layer.layer(down);
    layer.handle()
}

#[tokio::test(start_paused = true)]
async fn orders_in_doubt_and_the_kill_switch_are_alerts() {
    let registry = Registry::new("desk");
    let is_killed = Arc::new(AtomicBool::new(false));
    let orders = in_doubt(Arc::clone(&is_killed)).await;
    registry.register(orders.clone()).unwrap();
    let monitor = Monitor::builder("desk").registry(registry).build().unwrap();
    let _guard = monitor.start();
    sleep(15 * SECOND).await;
    assert!(
        firing(&monitor).contains(&"OrdersInDoubt"),
        "{:?}",
        monitor.alerts()
    );
    let overview = monitor.overview();
    assert_eq!(overview.orders.unwrap().in_doubt, 1);
    assert!(overview.services[0].verdict.contains("1 order in doubt"));

    is_killed.store(true, Ordering::Relaxed);
    orders.control().refresh();
    sleep(2 * SECOND).await;
    assert!(firing(&monitor).contains(&"KillSwitchOn"));
    let verdict = monitor.overview().verdict.clone();
    assert_eq!(verdict.words, "no: the kill switch is engaged");
    is_killed.store(false, Ordering::Relaxed);
    orders.control().refresh();
    orders.resolve("one", Verdict::NotExecuted).await.unwrap();
    orders.reset();
    sleep(5 * SECOND).await;
    assert_eq!(firing(&monitor), [""; 0]);
    assert_eq!(monitor.overview().orders.unwrap().mode, "normal");
}

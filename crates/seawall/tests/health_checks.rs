//! Checks of what a program has: the hosts of its providers, its configuration, its orders.
#![cfg(all(feature = "connectivity", feature = "reload", feature = "orders"))]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use seawall::catalog::Catalog;
use seawall::checks::{self, connectivity_checks};
use seawall::config::Config;
use seawall::health::{
    CheckResult, Connectivity, HealthScore, Recovery, RecoveryConfig, Synthetic, TradingFigures,
};
use seawall::orders::journal::{Intent, Journal, MemoryJournal, SavedRequest};
use seawall::orders::protocol::TradingMode;
use seawall::orders::{Operation, OrderHandle, OrderLayer};
use seawall::reload::ReloadableConfig;
use seawall::{
    BreakerConfig, BreakerLayer, CheckConfig, CircuitState, Error, HealthMonitor, RateLimitConfig,
    Reason, Rejectable, Status,
};
use tower::{Service, ServiceExt};

type Body = http_body_util::Full<bytes::Bytes>;

#[test]
fn every_host_of_every_provider_that_is_used_has_one_check() {
    let text = r#"
[resilience.orders]
provider = "alpaca"
[resilience.account]
provider = "alpaca"
[resilience.feed]
provider = "polygon"
[resilience.database]
kind = "database"
[resilience.health]
interval = "20s"
"#;
    let config = Config::loader().text("f.toml", text).load().expect("valid");
    let catalog = Catalog::embedded().expect("valid");
    let hosts = connectivity_checks(&config, catalog);
    let expected: usize = ["alpaca", "polygon"]
        .iter()
        .map(|name| catalog.provider(name).expect("known").base_urls().count())
        .sum();
    assert_eq!(hosts.len(), expected);
    let monitor = HealthMonitor::new("desk");
    for host in &hosts {
        assert_eq!(host.check().interval(), Duration::from_secs(20));
        assert!(!host.check().critical());
        let check = host
            .connectivity()
            .expect("a URL")
            .into_check()
            .expect("roots");
        monitor
            .register(host.name(), host.check(), check)
            .expect("once");
    }
    let paper = hosts.iter().find(|host| host.name() == "alpaca paper");
    assert_eq!(
        paper.expect("there").url(),
        "https://paper-api.alpaca.markets"
    );
}

#[test]
fn every_url_of_the_catalogue_can_be_connected_to() {
    for provider in Catalog::embedded().expect("valid").providers() {
        for (base, url) in provider.base_urls() {
            let connectivity = Connectivity::new(url);
            assert!(connectivity.is_ok(), "{} {base}: {url}", provider.name());
        }
    }
}

#[tokio::test]
async fn a_configuration_that_was_rejected_degrades_until_it_is_right() {
    let folder = std::env::temp_dir().join(format!("seawall-health-checks-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("seawall.toml");
    let right = "[resilience.feed]\ndeadline = \"45s\"\n";
    fs::write(&path, right).expect("writable");
    let config = ReloadableConfig::load(&path).expect("valid");
    let check = checks::reload(&config);
    assert_eq!(check().await, CheckResult::healthy());
    fs::write(&path, "[resilience.feed]\ndeadlin = \"45s\"\n").expect("writable");
    config.reload().expect_err("it is wrong");
    let rejected = check().await;
    assert!(!rejected.is_failure());
    let message = rejected.message().expect("why");
    assert!(message.contains("deadlin"), "{message}");
    fs::write(&path, right).expect("writable");
    config.reload().expect("it is right");
    assert_eq!(check().await, CheckResult::healthy());
    let _ = fs::remove_dir_all(&folder);
}

/// A layer whose journal has an order in doubt, if it is to have one.
async fn orders(name: &'static str, in_doubt: bool) -> (OrderHandle, Arc<MemoryJournal>) {
    let journal = Arc::new(MemoryJournal::default());
    if in_doubt {
        let request = SavedRequest::new("POST", "/v2/orders");
        let intent = Intent::new(name, Operation::Create, SystemTime::now()).account("desk");
        let written = journal.append_sent(intent.request(request)).await;
        written.expect("the id is new");
    }
    let broker = seawall::provider("alpaca").expect("known").broker_table();
    let layer = OrderLayer::<Body>::builder(name, broker.expect("it takes orders"))
        .journal(Arc::clone(&journal))
        .account("desk")
        .build()
        .expect("settings");
    let down = tower::service_fn(|_: http::Request<Body>| async {
        Err::<http::Response<Body>, _>(Error::Inner("down"))
    });
    let _ = tower::Layer::layer(&layer, down);
    (layer.handle(), journal)
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_can_be_read_is_healthy() {
    let (handle, journal) = orders("journal", false).await;
    let check = checks::journal(journal, &handle);
    assert_eq!(check().await, CheckResult::healthy());
}

#[tokio::test(start_paused = true)]
async fn the_trading_mode_and_the_orders_in_doubt_are_figures() {
    let (handle, _) = orders("trading", false).await;
    handle.started().await;
    let figures = checks::trading(&handle);
    handle.set_mode(Some(TradingMode::Normal));
    assert_eq!(figures(), TradingFigures::new(true, true));
    handle.set_mode(Some(TradingMode::ReduceOnly));
    assert_eq!(figures(), TradingFigures::new(false, true));
    handle.set_mode(Some(TradingMode::CancelOnly));
    assert_eq!(figures(), TradingFigures::new(false, false));
    let score = HealthScore::default().trading(figures);
    assert_eq!(score.report().score, Some(0.0));

    let (handle, _) = orders("doubted", true).await;
    let figures = checks::trading(&handle);
    let begun = tokio::time::timeout(Duration::from_millis(10), handle.started()).await;
    assert!(begun.is_err(), "the broker is down");
    // Until the order of the earlier process is looked up, no new one passes.
    let report = HealthScore::default().trading(figures).report();
    let words: Vec<_> = report
        .recommendations
        .iter()
        .map(|r| r.words.as_str())
        .collect();
    assert!(words.contains(&"look at the 1 order in doubt"), "{words:?}");
    assert!(
        report.score.is_some_and(|score| score <= 30.0),
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_circuit_is_held_while_its_upstream_is_down_and_probes_when_it_is_back() {
    let down = Arc::new(AtomicBool::new(true));
    let upstream = Arc::clone(&down);
    let client = tower::service_fn(move |(): ()| {
        let down = upstream.load(Ordering::Relaxed);
        async move {
            if down {
                Err(Error::Inner("down"))
            } else {
                Ok::<_, Error<&str>>(())
            }
        }
    });
    let second = Duration::from_secs(1);
    let ramp = BreakerConfig::builder()
        .consecutive_failures(5)
        .ramp(2, second)
        .build();
    let breaker = BreakerLayer::new("broker", ramp.expect("valid"));
    let circuit = breaker.handle();
    let mut stack = tower::Layer::layer(&breaker, client.clone());

    let monitor = HealthMonitor::new("desk");
    let config = CheckConfig::builder()
        .interval(5 * second)
        .failures_to_unhealthy(1)
        .build();
    // To the client itself: what is held rejects.
    let script = Synthetic::new(client, || (), |(): &()| true);
    monitor
        .register_synthetic("broker", config.expect("valid"), script)
        .expect("once");
    let plan = Recovery::new().hold(circuit.clone());
    monitor
        .set_recovery("broker", RecoveryConfig::default(), plan)
        .expect("valid");
    let _guard = monitor.start();

    tokio::time::sleep(second).await;
    assert_eq!(circuit.state(), CircuitState::ForcedOpen);
    let rejected = stack
        .ready()
        .await
        .expect("ready")
        .call(())
        .await
        .expect_err("held");
    let reason = rejected.rejection().map(seawall::Rejection::reason);
    assert_eq!(reason, Some(Reason::CircuitOpen));

    down.store(false, Ordering::Relaxed);
    tokio::time::sleep(30 * second).await;
    assert_eq!(monitor.status(), Status::Healthy);
    assert_eq!(
        circuit.state(),
        CircuitState::HalfOpen,
        "by its own rules again"
    );
    for _ in 0..10 {
        let _ = stack.ready().await.expect("ready").call(()).await;
        tokio::time::sleep(second).await;
    }
    assert_eq!(circuit.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_script_goes_through_a_whole_stack_and_pays_what_a_call_pays() {
    let calls = Arc::new(AtomicU32::new(0));
    let upstream = Arc::clone(&calls);
    let client = tower::service_fn(move |_: http::Request<Body>| {
        upstream.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, std::convert::Infallible>(http::Response::new(Body::default())) }
    });
    let second = Duration::from_secs(1);
    let rate = RateLimitConfig::builder()
        .rate(2, 60 * second)
        .burst(2)
        .build();
    let stack = seawall::market_data("feed").rate_limit(rate.expect("valid"));
    let stack = stack.build().expect("valid");
    let client = tower::Layer::layer(&stack, client);
    let request = || {
        http::Request::get("/v1/last/SPY")
            .body(Body::default())
            .expect("valid")
    };
    let script = Synthetic::through_stack(client, request, |response: &http::Response<_>| {
        response.status().is_success()
    });
    let monitor = HealthMonitor::new("desk");
    let config = CheckConfig::builder()
        .timeout(second / 2)
        .build()
        .expect("valid");
    monitor
        .register_synthetic("feed", config, script)
        .expect("once");
    for _ in 0..2 {
        assert_eq!(monitor.run_all().await.status, Status::Healthy);
    }
    // The rate is used up: the script waits for it like any call, and no more is sent.
    monitor.run_all().await;
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

//! Verdicts in words, their order, and whether one can trade.

use seawall_core::{Reason, Registry, Rejection};
use seawall_health::{CheckConfig, Depth, HealthMonitor, HealthScore, ScoreConfig, TradingFigures};
use seawall_monitor::{Level, Monitor, MonitorConfig, ScoreView};

use crate::support::{Fake, builder, firing, monitor, service, tick, ticks};

const LIMIT: &[(&str, &str)] = &[("limit", "0"), ("unit", "requests")];

#[tokio::test(start_paused = true)]
async fn a_score_takes_the_services_of_a_monitor() {
    let registry = Registry::new("desk");
    let calls = Fake::new(&registry, "telemetry", "opinion");
    let health = HealthMonitor::new("desk");
    let monitor = builder(&registry).health(health.clone()).build().unwrap();
    let read = monitor.clone();
    health.set_score(HealthScore::default().services(move || read.service_figures()));
    monitor.sample();
    calls.calls(11, 2, 0);
    calls.count("seawall_calls_total", &[("outcome", "rejected")], 100);
    calls.count("seawall_calls_total", &[("outcome", "degraded")], 6);
    tick(&monitor).await;
    assert!(monitor.service_figures().is_empty(), "19 calls are too few");
    calls.calls(19, 0, 0);
    calls.count("seawall_calls_total", &[("outcome", "degraded")], 2);
    // The score of a sample is made of what the samples before it have seen.
    ticks(&monitor, 2).await;
    // Of 40 calls that were answered or failed, 5 % have failed and 20 % were degraded.
    let score = monitor.overview().score.clone().unwrap();
    assert!(
        (score.score - (0.75 + 0.3125) * 50.0).abs() < 1e-9,
        "{score:?}"
    );
    assert_eq!(service(&monitor, "opinion").score, Some(score.score));
    let words = &score.recommendations[0];
    let expected =
        "look at `opinion`: 5.0 % of the calls fail, 20.0 % were not answered by the upstream";
    assert_eq!(words, expected);
    // All of them, with an open circuit: an upstream that is down is seen though no call fails.
    for _ in 0..61 {
        calls.count("seawall_calls_total", &[("outcome", "degraded")], 1);
        tick(&monitor).await;
    }
    tick(&monitor).await;
    let score = monitor.overview().score.clone().unwrap();
    assert_eq!(score.score, 50.0);
    ticks(&monitor, 61).await;
    assert!(monitor.service_figures().is_empty(), "nothing is called");
}

/// A rate limit whose upstream says that 3 of 200 are left.
fn limited(registry: &Registry, name: &str) -> Fake {
    let limit = Fake::new(registry, "ratelimit", name);
    limit.state("ok");
    for (metric, value) in [
        ("seawall_ratelimit_limit_available", 150.0),
        ("seawall_ratelimit_limit_capacity", 160.0),
        ("seawall_ratelimit_limit_window_seconds", 60.0),
        ("seawall_ratelimit_limit_full_seconds", 4.0),
        ("seawall_ratelimit_reported_limit", 200.0),
        ("seawall_ratelimit_reported_remaining", 3.0),
        ("seawall_ratelimit_reported_reset_seconds", 12.0),
        ("seawall_ratelimit_reported_used_ratio", 0.985),
        ("seawall_ratelimit_reported_age_seconds", 1.0),
    ] {
        limit.gauge(metric, LIMIT, value);
    }
    limit
}

#[tokio::test(start_paused = true)]
async fn a_throttled_service_says_for_how_long_and_what_is_left() {
    let registry = Registry::new("desk");
    let calls = Fake::new(&registry, "telemetry", "alpaca");
    let limit = limited(&registry, "alpaca");
    let monitor = monitor(&registry);
    limit.state("paused");
    limit.gauge("seawall_ratelimit_pause_seconds", &[], 11.3);
    calls.count("seawall_calls_total", &[("outcome", "throttled")], 1);
    tick(&monitor).await;
    let seen = service(&monitor, "alpaca");
    assert_eq!(seen.verdict, "throttled, 12 s left, 3 of 200 requests left");
    assert_eq!((seen.level, seen.state), (Level::Degraded, "paused"));
    assert_eq!(seen.pause_seconds, Some(11.3));
    let view = &seen.limits[0];
    assert_eq!(
        (view.name.as_str(), view.available),
        ("alpaca", Some(150.0))
    );
    let theirs = view.provider.unwrap();
    assert_eq!((theirs.remaining, theirs.limit), (Some(3.0), Some(200.0)));
    assert_eq!(view.used_share, Some(0.985));
    let verdict = monitor.overview().verdict.clone();
    assert_eq!(verdict.level, Level::Degraded);
    assert!(verdict.words.starts_with("with care: alpaca: throttled"));

    // What the upstream has reported is out of date: our own figures are left.
    for metric in [
        "seawall_ratelimit_reported_remaining",
        "seawall_ratelimit_reported_used_ratio",
    ] {
        limit.gauge(metric, LIMIT, f64::NAN);
    }
    limit.state("ok");
    limit.gauge("seawall_ratelimit_pause_seconds", &[], 0.0);
    for _ in 0..11 {
        tick(&monitor).await;
    }
    let seen = service(&monitor, "alpaca");
    assert_eq!((seen.verdict.as_str(), seen.level), ("ok", Level::Ok));
    assert_eq!(seen.limits[0].used_share, Some(10.0 / 160.0));
    assert_eq!(monitor.overview().verdict.words, "yes");
}

#[tokio::test(start_paused = true)]
async fn most_trouble_is_first_and_equals_go_by_volume_and_name() {
    let registry = Registry::new("desk");
    let open = Fake::new(&registry, "breaker", "open");
    let paused = Fake::new(&registry, "bulkhead", "paused");
    let quiet = Fake::new(&registry, "telemetry", "quiet");
    let busy = Fake::new(&registry, "telemetry", "busy");
    let failing = Fake::new(&registry, "telemetry", "failing");
    Fake::new(&registry, "telemetry", "also");
    let monitor = monitor(&registry);
    open.state("open");
    open.gauge("seawall_breaker_next_probe_seconds", &[], 9.0);
    paused.state("paused");
    quiet.calls(1, 0, 1);
    busy.calls(90, 0, 1);
    failing.calls(60, 40, 1);
    tick(&monitor).await;
    let overview = monitor.overview();
    let names: Vec<_> = overview.services.iter().map(|it| it.name).collect();
    assert_eq!(
        names,
        ["open", "paused", "failing", "busy", "quiet", "also"]
    );
    let words: Vec<_> = overview.services.iter().map(|it| &*it.verdict).collect();
    assert_eq!(
        words[..3],
        [
            "the circuit is open, next probe in 9 s",
            "paused until it is resumed",
            "40 % of the calls fail",
        ]
    );
    let troubles: Vec<_> = overview.services.iter().map(|it| it.trouble).collect();
    assert_eq!(troubles, [95.0, 85.0, 55.4, 0.0, 0.0, 0.0]);
}

#[tokio::test(start_paused = true)]
async fn trading_depends_on_the_services_with_orders_or_on_those_that_are_named() {
    let registry = Registry::new("desk");
    let data = Fake::new(&registry, "breaker", "data");
    Fake::new(&registry, "breaker", "broker");
    let orders = Fake::new(&registry, "orders", "broker");
    orders.state("normal");
    orders.gauge("seawall_orders_in_doubt", &[], 0.0);
    let named = builder(&registry).critical("data").build().unwrap();
    let plain = monitor(&registry);
    let verdict = |monitor: &Monitor| {
        monitor.sample();
        let verdict = monitor.overview().verdict.clone();
        (verdict.level, verdict.words)
    };
    assert_eq!(verdict(&plain), (Level::Ok, "yes".to_owned()));
    data.state("open");
    let (level, words) = verdict(&plain);
    assert_eq!(
        (level, &*words),
        (Level::Degraded, "with care: data: the circuit is open")
    );
    let (level, words) = verdict(&named);
    assert_eq!(
        (level, &*words),
        (Level::Down, "no: data: the circuit is open")
    );

    orders.gauge("seawall_orders_in_doubt", &[], 2.0);
    orders.gauge("seawall_orders_exhausted", &[], 1.0);
    orders.state("reduce_only");
    plain.sample();
    let seen = service(&plain, "broker");
    assert_eq!(
        seen.verdict,
        "1 order to be looked at by a person, 2 orders in doubt, \
         only orders that reduce a position pass"
    );
    let all = plain.overview().orders.unwrap();
    assert_eq!(
        (all.in_doubt, all.exhausted, all.mode),
        (2, 1, "reduce_only")
    );

    orders.gauge("seawall_orders_kill_switch", &[], 1.0);
    orders.state("halted");
    assert_eq!(
        verdict(&plain),
        (Level::Down, "no: the kill switch is engaged".to_owned())
    );
    assert_eq!(plain.overview().services[0].name, "broker");
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_service_that_is_down_is_not_all_of_it() {
    let registry = Registry::new("desk");
    let main = Fake::new(&registry, "breaker", "alpaca");
    let reserved = Fake::new(&registry, "breaker", "alpaca.reserved");
    let keys = Fake::new(&registry, "breaker", "polygon");
    for (state, number) in [("open", 3.0), ("half_open", 0.0), ("closed", 7.0)] {
        let labels: &[(&str, &str)] = match state {
            "open" => &[("state", "open")],
            "half_open" => &[("state", "half_open")],
            _ => &[("state", "closed")],
        };
        keys.gauge("seawall_breaker_keys", labels, number);
    }
    keys.state("open");
    let monitor = monitor(&registry);
    let verdict = |name| {
        let seen = service(&monitor, name);
        (seen.level, seen.verdict)
    };
    let some = "3 of 10 circuits open".to_owned();
    assert_eq!(verdict("polygon"), (Level::Degraded, some));
    reserved.state("open");
    monitor.sample();
    let one = "1 of 2 circuits open".to_owned();
    assert_eq!(verdict("alpaca"), (Level::Degraded, one));
    reserved.state("closed");
    main.state("forced_open");
    monitor.sample();
    let all = "the circuit is forced open".to_owned();
    assert_eq!(verdict("alpaca"), (Level::Down, all));
    assert_eq!(monitor.overview().totals.circuits, 12);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_critical_all_must_be_down() {
    let registry = Registry::new("desk");
    let one = Fake::new(&registry, "breaker", "one");
    let two = Fake::new(&registry, "breaker", "two");
    let monitor = monitor(&registry);
    one.state("forced_open");
    monitor.sample();
    assert_eq!(monitor.overview().verdict.level, Level::Degraded);
    two.state("open");
    monitor.sample();
    assert_eq!(monitor.overview().verdict.level, Level::Down);
    assert_eq!(monitor.overview().totals.open_circuits, 2);
}

#[test]
fn a_score_is_from_0_to_100() {
    for (value, expected) in [
        (-1e308, 0.0),
        (f64::NEG_INFINITY, 0.0),
        (f64::NAN, 0.0),
        (-0.0, 0.0),
        (50.5, 50.5),
        (1e308, 100.0),
    ] {
        let view = ScoreView::new(value, value).part("p", value, value);
        let view = view.service("s", value);
        let all = [
            view.score,
            view.threshold,
            view.parts[0].score,
            view.parts[0].weight,
            view.services[0].score,
        ];
        assert_eq!(all, [expected; 5], "{value}");
        assert!(all.iter().all(|it| it.is_sign_positive()), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_score_of_the_health_monitor_is_that_of_the_monitor() {
    let registry = Registry::new("desk");
    let health = HealthMonitor::new("desk");
    let once = CheckConfig::builder().failures_to_unhealthy(1).build();
    health
        .register("broker", once.unwrap(), || async { false })
        .unwrap();
    let trading = || TradingFigures::new(false, false);
    health.set_score(HealthScore::new(ScoreConfig::default()).trading(trading));
    let monitor = builder(&registry).health(health.clone()).build().unwrap();
    health.run(Depth::Shallow).await;
    monitor.sample();
    let own = health.score().unwrap();
    let seen = monitor.overview().score.clone().unwrap();
    assert_eq!(
        (Some(seen.score), seen.threshold),
        (own.score, own.threshold)
    );
    assert!(own.is_low, "{own:?}");
    let parts: Vec<_> = seen.parts.iter().map(|part| &*part.name).collect();
    assert!(parts.contains(&"trading"), "{parts:?}");
    assert_eq!(seen.services[0].name, "broker");
    assert!(!seen.recommendations.is_empty());
    ticks(&monitor, 12).await;
    assert!(
        firing(&monitor).contains(&"LowScore"),
        "{:?}",
        firing(&monitor)
    );
    // One of its own takes its place.
    let own = builder(&registry).health(health).score(|| None);
    let own = own.build().unwrap();
    own.sample();
    assert_eq!(own.overview().score, None);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_hangs_is_seen_before_its_calls_time_out() {
    let registry = Registry::new("desk");
    let calls = Fake::new(&registry, "telemetry", "alpaca");
    let bulkhead = Fake::new(&registry, "bulkhead", "alpaca");
    let in_flight = |calls| bulkhead.gauge("seawall_bulkhead_in_flight", &[], calls);
    let monitor = monitor(&registry);
    in_flight(2.0);
    ticks(&monitor, 60).await;
    let words = || service(&monitor, "alpaca").verdict;
    assert_eq!(words(), "ok", "it is not known how long a call takes");
    calls.calls(100, 0, 20);
    tick(&monitor).await;
    ticks(&monitor, 4).await;
    assert_eq!(words(), "ok");
    tick(&monitor).await;
    assert_eq!(words(), "2 calls are in flight, and none has ended for 5 s");
    assert_eq!(service(&monitor, "alpaca").level, Level::Degraded);
    calls.calls(1, 0, 20);
    tick(&monitor).await;
    assert_eq!(words(), "ok");
    // Rejections are no ends; what is not in flight cannot hang.
    for _ in 0..5 {
        calls.count("seawall_calls_total", &[("outcome", "rejected")], 1);
        tick(&monitor).await;
    }
    assert!(words().contains("2 calls are in flight"), "{}", words());
    in_flight(0.0);
    tick(&monitor).await;
    assert!(!words().contains("in flight"), "{}", words());
    // Calls that take long are not stuck.
    calls.calls(100, 0, 20_000);
    in_flight(1.0);
    tick(&monitor).await;
    ticks(&monitor, 50).await;
    assert!(!words().contains("in flight"), "{}", words());
    ticks(&monitor, 30).await;
    assert!(words().contains("1 call is in flight"), "{}", words());
}

#[tokio::test(start_paused = true)]
async fn a_critical_service_is_never_left_out() {
    let registry = Registry::new("desk");
    for number in 0..10 {
        Fake::new(&registry, "breaker", &format!("a{number}"));
    }
    let config = MonitorConfig::builder().max_services(10).build().unwrap();
    let monitor = builder(&registry).config(config).critical("zzz-broker");
    let monitor = monitor.build().unwrap();
    monitor.sample();
    // It comes when there is no place any more.
    let broker = Fake::new(&registry, "breaker", "zzz-broker");
    broker.state("forced_open");
    tick(&monitor).await;
    let overview = monitor.overview();
    assert_eq!(overview.services.len(), 10);
    assert_eq!(overview.services_left_out, 1);
    assert_eq!(
        (overview.verdict.level, &*overview.verdict.words),
        (Level::Down, "no: zzz-broker: the circuit is forced open")
    );
    // Where none is named, those with orders are critical.
    let plain = builder(&registry).config(config).build().unwrap();
    let orders = Fake::new(&registry, "orders", "zzz-orders");
    orders.state("halted");
    orders.gauge("seawall_orders_kill_switch", &[], 1.0);
    plain.sample();
    assert_eq!(plain.overview().verdict.level, Level::Down);
    assert_eq!(plain.overview().services_left_out, 2);
}

#[tokio::test(start_paused = true)]
async fn a_critical_service_that_is_not_there_stops_trading() {
    let registry = Registry::new("desk");
    Fake::new(&registry, "breaker", "alpaca");
    let verdict = |monitor: &Monitor| {
        monitor.sample();
        let verdict = monitor.overview().verdict.clone();
        (verdict.level, verdict.words)
    };
    let of = |name: &'static str| builder(&registry).critical(name).build().unwrap();
    let typo = of("alpacca");
    assert_eq!(typo.overview().verdict.words, "nothing is monitored");
    let missing = "no: alpacca, which is critical, is not there".to_owned();
    assert_eq!(verdict(&typo), (Level::Down, missing));
    let right = of("alpaca");
    assert_eq!(verdict(&right), (Level::Ok, "yes".to_owned()));
    registry.remove("breaker", "alpaca");
    let missing = "no: alpaca, which is critical, is not there".to_owned();
    assert_eq!(verdict(&right), (Level::Down, missing));
}

#[tokio::test(start_paused = true)]
async fn a_health_check_that_fails_makes_the_verdict_at_least_as_bad() {
    let registry = Registry::new("desk");
    Fake::new(&registry, "breaker", "alpaca");
    let health = HealthMonitor::new("desk");
    let once = CheckConfig::builder().failures_to_unhealthy(1);
    let words = async || {
        let monitor = builder(&registry).health(health.clone()).build().unwrap();
        health.run(Depth::Shallow).await;
        monitor.sample();
        let verdict = monitor.overview().verdict.clone();
        (verdict.level, verdict.words)
    };
    let good = once.build().unwrap();
    health.register("clock", good, || async { true }).unwrap();
    assert_eq!(words().await, (Level::Ok, "yes".to_owned()));
    let optional = once.critical(false).build().unwrap();
    health
        .register("archive", optional, || async { false })
        .unwrap();
    let care = "with care: the health check `archive` fails".to_owned();
    assert_eq!(words().await, (Level::Degraded, care));
    // The cause is named, and not what depends on it.
    for (name, result) in [("broker", true), ("network", false)] {
        health
            .register(name, good, move || async move { result })
            .unwrap();
    }
    health.set_dependencies("broker", &["network"]).unwrap();
    let no = "no: the health check `network`, which is critical, fails".to_owned();
    assert_eq!(words().await, (Level::Down, no));
}

#[tokio::test(start_paused = true)]
async fn the_last_rejection_is_the_chain_of_layers_that_it_passed() {
    let registry = Registry::new("desk");
    for pattern in ["breaker", "bulkhead", "retry", "ratelimit"] {
        Fake::new(&registry, pattern, "alpaca");
    }
    let telemetry = Fake::new(&registry, "telemetry", "alpaca");
    let monitor = monitor(&registry);
    assert_eq!(service(&monitor, "alpaca").last_rejection, None);
    let rejection = Rejection::new(Reason::RateLimited, "alpaca").with_pattern("ratelimit");
    telemetry.with(|it| it.rejection = Some(rejection));
    tick(&monitor).await;
    let seen = service(&monitor, "alpaca").last_rejection.unwrap();
    assert_eq!(seen.passed, ["retry", "gate", "bulkhead"]);
    assert_eq!(
        (seen.pattern, seen.reason),
        (Some("ratelimit"), "rate_limited")
    );
    assert_eq!(
        seen.words,
        "rate limit `alpaca`: the rate is used up; nothing was sent"
    );
    let at = monitor.overview().at_unix_ms;
    assert_eq!(at - seen.at_unix_ms, 2_000);
}

#[tokio::test(start_paused = true)]
async fn checks_and_the_score_are_part_of_it() {
    let registry = Registry::new("desk");
    Fake::new(&registry, "telemetry", "alpaca");
    let health = HealthMonitor::new("desk");
    let config = CheckConfig::builder().failures_to_unhealthy(1).build();
    health
        .register("alpaca", config.unwrap(), || async { Err::<(), _>("down") })
        .unwrap();
    let monitor = builder(&registry)
        .health(health.clone())
        .score(|| {
            let score = ScoreView::new(72.5, 80.0).part("resilience", 60.0, 40.0);
            Some(score.service("alpaca", 41.0).recommend("raise the limit"))
        })
        .build()
        .unwrap();
    health.run(Depth::Shallow).await;
    monitor.sample();
    let seen = service(&monitor, "alpaca");
    assert_eq!((seen.health, seen.score), (Some("unhealthy"), Some(41.0)));
    assert_eq!((seen.level, &*seen.verdict), (Level::Down, "unhealthy"));
    let overview = monitor.overview();
    assert_eq!(overview.checks[0].status, "unhealthy");
    assert_eq!(overview.checks[0].message.as_deref(), Some("down"));
    assert_eq!(overview.score.as_ref().unwrap().score, 72.5);
}
